"""Pages of usage: the calls a person may see, and who calls a model (teams, never persons)."""

from datetime import timedelta

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.common.simulated import Simulated
from apps.common.tables.reading import csv_of, is_for_table, read, respond, wants_csv
from apps.metering import queries, store, tables
from apps.metering.archive.queries import standing
from apps.metering.models import QuarantinedRecord
from apps.promotions import serving


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


@require_GET
def model_usage(request: SignedIn, name: str) -> HttpResponseBase:
    """Show who used a model in the last thirty days: every team to its owner, one's own team to
    others; the same lines as CSV.
    """
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    moment = now()
    sees_all = request.user.has_role(*SEES_EVERY_TEAM) or model.is_owned_by(request.user)
    own = request.user.team.slug if request.user.team else ""
    lines = queries.model_lines(
        model=name, team=None if sees_all else own, since=moment - timedelta(days=30)
    )
    context = {
        "model": model,
        "crumbs": crumbs(model, "Usage"),
        "serving": serving.of_model(model, moment),
        "simulated": Simulated(engine=any(line.simulated for line in lines)),
        "sees_all": sees_all,
        "latest": store.latest_call_at(),
    }
    return respond(tables.model_table(name), request, lines, "metering/model_usage.html", context)
