"""Pages of usage: the calls a person may see, and who calls a model (teams, never persons)."""

from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.common.simulated import Simulated
from apps.common.tables.reading import csv_of, is_for_table, read, wants_csv
from apps.fleet.simulated import stand_in_versions
from apps.metering import store, tables
from apps.metering.models import HourlyUsage
from apps.promotions import serving


@require_GET
def usage_list(request: SignedIn) -> HttpResponseBase:
    """List the calls the person may see, newest first; the same rows as CSV."""
    rows = store.calls_visible_to(request.user)
    if wants_csv(tables.CALLS, request):
        return csv_of(tables.CALLS, request, rows)
    table = read(tables.CALLS, request, rows)
    played = stand_in_versions({line.row.version for line in table.lines})
    for line in table.lines:
        line.row.simulated = Simulated(engine=line.row.version in played)
    context = {
        "table": table,
        "sees_all": request.user.has_role(*SEES_EVERY_TEAM),
        "simulated": Simulated(engine=bool(played)),
        "latest": store.latest_call_at(),
    }
    alone = is_for_table(tables.CALLS, request)
    return render(
        request, "components/_table.html" if alone else "metering/usage_list.html", context
    )


@require_GET
def model_usage(request: SignedIn, name: str) -> HttpResponse:
    """Show who used a model in the last thirty days: every team to its owner, one's own team to
    others.
    """
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    start = now() - timedelta(days=30)
    rows = HourlyUsage.objects.filter(model=name, hour__gte=start)
    sees_all = request.user.has_role(*SEES_EVERY_TEAM) or model.is_owned_by(request.user)
    if not sees_all:
        rows = rows.filter(team=request.user.team.slug if request.user.team else "")
    sums = (
        "metered_calls",
        "unmetered_calls",
        "refused_calls",
        "failed_calls",
        "input_tokens",
        "output_tokens",
    )
    lines: list[dict[str, Any]] = list(
        rows.values("team", "version").annotate(**{f"sum_{key}": Sum(key) for key in sums})  # type: ignore[arg-type]
    )
    played = stand_in_versions({line["version"] for line in lines})
    for line in lines:
        line["simulated"] = Simulated(engine=line["version"] in played)
    context = {
        "model": model,
        "crumbs": crumbs(model, "Usage"),
        "serving": serving.of_model(model, now()),
        "simulated": Simulated(engine=bool(played)),
        "lines": sorted(lines, key=lambda line: (-line["sum_output_tokens"], line["team"])),
        "sees_all": sees_all,
        "start": start,
        "latest": store.latest_call_at(),
    }
    return render(request, "metering/model_usage.html", context)
