"""Pages of usage: the calls a person may see, and who calls a model (teams, never persons)."""

import csv
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.common.badges import Badge
from apps.common.simulated import Simulated
from apps.common.spreadsheets import cell
from apps.fleet.simulated import stand_in_versions
from apps.metering import store
from apps.metering.models import HourlyUsage, Outcome, UsageEvent
from apps.promotions import serving

PAGE = 50
CSV_LIMIT = 100_000
COLUMNS = (
    "event_id",
    "occurred_at",
    "outcome",
    "response_code",
    "team",
    "cost_center",
    "model",
    "version",
)
FIGURES = (
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "duration_ms",
    "ttft_ms",
    "received_via",
    "unmetered_because",
)
BADGES = {
    Outcome.METERED: Badge("ok", "", "Metered"),
    Outcome.UNMETERED: Badge("warn", "", "Unmetered"),
    Outcome.REFUSED: Badge("idle", "", "Refused"),
    Outcome.FAILED: Badge("bad", "", "Failed"),
}


@require_GET
def usage_list(request: SignedIn) -> HttpResponse:
    """List the calls the person may see, newest first; the same rows as CSV."""
    rows = _filtered(store.calls_visible_to(request.user), request)
    if request.GET.get("format") == "csv":
        return _csv(rows)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    played = stand_in_versions({event.version for event in page})
    for event in page:
        event.simulated = Simulated(engine=event.version in played)  # type: ignore[attr-defined]
        event.badge = BADGES[Outcome(event.outcome)]  # type: ignore[attr-defined]
    context = {
        "page_obj": page,
        "outcomes": Outcome.choices,
        "filters": {key: request.GET.get(key, "") for key in ("q", "outcome", "model")},
        "sees_all": request.user.has_role(*SEES_EVERY_TEAM),
        "simulated": Simulated(engine=bool(played)),
        "latest": store.latest_call_at(),
        "csv_url": f"{reverse('metering:usage_list')}?{_with_csv(request)}",
    }
    template = "metering/usage_list.html" + ("#rows" if request.htmx else "")
    return render(request, template, context)


def _filtered(rows: QuerySet[UsageEvent], request: SignedIn) -> QuerySet[UsageEvent]:
    query = request.GET.get("q", "").strip()
    if query:
        by_text = Q(team__iexact=query) | Q(model__iexact=query) | Q(version__iexact=query)
        rows = rows.filter(by_text | Q(cost_center__iexact=query) | _by_id(query))
    if request.GET.get("outcome") in Outcome.values:
        rows = rows.filter(outcome=request.GET["outcome"])
    if model := request.GET.get("model", ""):
        rows = rows.filter(model=model)
    return rows


def _by_id(query: str) -> Q:
    try:
        return Q(event_id=UUID(query))
    except ValueError:
        return Q(pk__in=[])


def _with_csv(request: SignedIn) -> str:
    parameters = request.GET.copy()
    parameters["format"] = "csv"
    parameters.pop("page", None)
    return parameters.urlencode()


def _csv(rows: QuerySet[UsageEvent]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="usage.csv"'
    writer = csv.writer(response)
    writer.writerow([*COLUMNS, *FIGURES])
    for row in rows.values_list(*COLUMNS, *FIGURES)[:CSV_LIMIT].iterator():
        writer.writerow([cell(value) if isinstance(value, str) else value for value in row])
    return response


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
