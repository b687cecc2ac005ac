"""The doors for FOCUS exports: CSV and Parquet, with the metadata beside them."""

from contextlib import closing
from typing import cast

from django.http import FileResponse, Http404, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.closing.statements import COST, LIST
from apps.chargeback.focus import export, files
from apps.chargeback.focus.columns import COMMITMENT, VERSIONS, FileBasis, Version
from apps.chargeback.focus.metadata import Metadata
from apps.common.simulated import SAMPLE_MARK
from apps.metering.backfill.queries import sample_months

BASES = (LIST, COST, COMMITMENT)
FILES = {
    "csv": (files.csv_file, "text/csv; charset=utf-8"),
    "parquet": (files.parquet_file, "application/vnd.apache.parquet"),
}


@require_GET
def focus_export(request: SignedIn, month: str) -> HttpResponseBase:
    """Answer a month as FOCUS rows: ?version=1.2 or 1.4, ?basis=LIST, COST or COMMITMENT,
    ?format=csv, parquet or metadata. 404 for those who do not see all money, and for anything else
    in the address. Raises NotFocus where a row breaks a rule; then nothing is sent.
    """
    version, basis = request.GET.get("version", "1.2"), request.GET.get("basis", "LIST")
    wanted = request.GET.get("format", "csv")
    known = version in VERSIONS and basis in BASES and wanted in (*FILES, "metadata")
    if not known or not request.user.has_role(*SEES_ALL_MONEY):
        raise Http404
    return _answer(month, cast(Version, version), cast(FileBasis, basis), wanted)


def _answer(month: str, version: Version, basis: FileBasis, wanted: str) -> HttpResponseBase:
    chosen = parse_month(month)
    is_sample = chosen in sample_months()
    if wanted == "metadata":
        told = Metadata(version, now(), basis, chosen, export.unpriced(chosen), is_sample)
        return JsonResponse(told.plain())
    # closed at once where a row breaks a rule: its cursor must not outlive the transaction
    with closing(export.rows(chosen, basis)) as found:
        write, kind = FILES[wanted]
        file = write(found, version)
    mark = f"-{SAMPLE_MARK.lower()}" if is_sample else ""
    name = f"focus-{version}-{basis.lower()}-{chosen:%Y-%m}{mark}.{wanted}"
    return FileResponse(file, as_attachment=True, filename=name, content_type=kind)
