"""The doors for FOCUS exports: CSV and Parquet, with the metadata beside them."""

from typing import cast

from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.focus import export
from apps.chargeback.focus.rows import VERSIONS, Basis, Metadata, Version, csv_rows
from apps.common.spreadsheets import csv_lines

BASES = ("LIST", "COST")
PARQUET = "application/vnd.apache.parquet"


@require_GET
def focus_export(request: SignedIn, month: str) -> HttpResponseBase:
    """Answer a month as FOCUS rows: ?version=1.2 or 1.4, ?basis=LIST or COST, ?format=csv, parquet
    or metadata. 404 for those who do not see all money, and for anything else in the address.
    """
    version, basis = request.GET.get("version", "1.2"), request.GET.get("basis", "LIST")
    wanted = request.GET.get("format", "csv")
    known = version in VERSIONS and basis in BASES and wanted in ("csv", "parquet", "metadata")
    if not known or not request.user.has_role(*SEES_ALL_MONEY):
        raise Http404
    return _answer(month, cast(Version, version), cast(Basis, basis), wanted)


def _answer(month: str, version: Version, basis: Basis, wanted: str) -> HttpResponseBase:
    chosen = parse_month(month)
    if wanted == "metadata":
        told = Metadata(version, now(), basis, chosen, export.unpriced(chosen))
        return JsonResponse(told.plain())
    export.rules_hold(chosen, basis, version)
    name = f"focus-{version}-{basis.lower()}-{chosen:%Y-%m}"
    found = export.rows(chosen, basis)
    if wanted == "parquet":
        answer: HttpResponseBase = HttpResponse(
            export.parquet(found, version), content_type=PARQUET
        )
    else:
        lines = csv_lines(csv_rows(found, version))
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.{wanted}"'
    return answer
