"""The page of the calls that a person may see."""

from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.common.simulated import Simulated
from apps.common.tables.reading import csv_of, is_for_table, read, wants_csv
from apps.metering import store, tables
from apps.metering.archive.queries import standing
from apps.metering.quarantine.models import QuarantinedRecord


@require_GET
def usage_list(request: SignedIn) -> HttpResponseBase:
    """List the calls the person may see, newest first; the same rows as CSV."""
    rows = store.calls_visible_to(request.user)
    if wants_csv(tables.CALLS, request):
        return csv_of(tables.CALLS, request, rows)
    table = read(tables.CALLS, request, rows)
    context = {
        "table": table,
        "sees_all": request.user.has_role(*SEES_EVERY_TEAM),
        "simulated": Simulated(engine=any(line.row.simulated for line in table.lines)),
        "latest": store.latest_call_at(),
        "archive": standing(),
        "actions": _actions(request.user),
    }
    alone = is_for_table(tables.CALLS, request)
    return render(
        request, "components/_table.html" if alone else "metering/usage_list.html", context
    )


def _actions(user: User) -> list[dict[str, str]]:
    """Return the way to what is not counted, for those who may see it."""
    if not user.has_role(*SEES_EVERY_TEAM):
        return []
    waiting = QuarantinedRecord.objects.filter(status=QuarantinedRecord.Status.WAITING).count()
    label = f"Quarantine ({waiting:,})" if waiting else "Quarantine"
    url = reverse("metering:quarantine_list")
    files = {"label": "Import", "url": reverse("metering:usage_import"), "icon": "upload"}
    return [files, {"label": label, "url": url, "icon": "circle-alert"}]
