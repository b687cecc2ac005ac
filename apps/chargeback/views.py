"""Pages of money: the month by cost center, team, model and version; fragments other pages hold."""

from datetime import date, datetime
from decimal import Decimal
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.template.defaultfilters import pluralize
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.budgets.queries import of_grants
from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY, SEES_EVERY_TEAM
from apps.chargeback import costs, pages, queries, tables
from apps.chargeback.api import parse_month
from apps.chargeback.budgets.queries import balances
from apps.chargeback.budgets.words import meter
from apps.chargeback.focus.rows import VERSIONS
from apps.chargeback.periods import months_to_choose
from apps.common.periods import day_words, month_before, month_bounds, month_of
from apps.common.simulated import Simulated
from apps.common.tables.reading import csv_of, is_for_table, respond, wants_csv
from apps.fleet.simulated import stand_in_versions
from apps.metering import sealing, store
from apps.metering.estimates import METHOD
from apps.metering.models import REFUSALS, QuarantinedRecord
from apps.metering.tables import calls_url


@require_GET
def month(request: SignedIn) -> HttpResponseBase:
    """Show one month: the total first, what the machines cost, then every line it is made of; each
    table as CSV too.
    """
    moment = now()
    chosen = parse_month(request.GET["month"]) if request.GET.get("month") else month_of(moment)
    start, end = month_bounds(chosen)
    scope = queries.scope_of(request.user)
    by_day = request.GET.get("by") == "day"
    lines = queries.lines(start=start, end=end, scope=scope, by_day=by_day)
    played = stand_in_versions({line.version for line in lines})
    table = tables.month_table(start, end, by_day=by_day, played=played)
    if wants_csv(table, request):
        return csv_of(table, request, lines)
    machines = costs.machines(start=start, end=end, scope=scope, listed=lines)
    for other, rows in pages.machine_tables(machines, start, end):
        if wants_csv(other, request) or is_for_table(other, request):
            return respond(other, request, rows, "chargeback/month.html")
    section = pages.machine_section(request, machines, start=start, end=end, scope=scope)
    totals = queries.totals(lines)
    before = queries.month_totals(month=month_before(chosen), scope=scope)
    context = {
        "title": f"Chargeback {chosen:%B %Y}",
        "lead": f"Only team {scope.team} is shown to you." if scope.team else "",
        "actions": _actions(request.user, chosen),
        "focus": _focus_files(request.user, chosen),
        "month": chosen,
        "months": months_to_choose(chosen, moment),
        "by_day": by_day,
        "totals": totals,
        "simulated": Simulated(
            engine=bool(played),
            machines=section.has_simulated_machines,
            prices=section.has_simulated_prices,
        ),
        "machines": section,
        "figures": _figures(totals, before),
        "freshness": freshness(start, end, moment),
        "estimated": _estimated(queries.estimated(month=chosen, scope=scope)),
        "quarantine": _quarantine(request.user, start, end, scope),
        "links": _links(start, end),
        "refusals": _refusals(totals, start, end),
    }
    return respond(table, request, lines, "chargeback/month.html", context)


def _actions(user: User, chosen: date) -> list[dict[str, str]]:
    """Return where the month's other pages are, of those that the person may open."""
    prices = {"label": "Prices", "url": reverse("chargeback:rate_list"), "icon": "tags"}
    budgets = {"label": "Budgets", "url": reverse("chargeback:budget_list"), "icon": "wallet"}
    if not user.has_role(*SEES_ALL_MONEY):
        return [budgets, prices]
    machines = {"label": "Machine prices", "url": reverse("fleet:price_list"), "icon": "server"}
    url = f"{reverse('chargeback:reconciliation')}?month={chosen:%Y-%m}"
    reconciliation = {"label": "Reconciliation", "url": url, "icon": "scale"}
    closes = {
        "label": "Closed months",
        "url": reverse("chargeback:month_close_list"),
        "icon": "lock",
    }
    return [closes, reconciliation, budgets, prices, machines]


def _focus_files(user: User, chosen: date) -> list[tuple[str, str]]:
    """Return the month's FOCUS exports, words and address, for those who see all money."""
    if not user.has_role(*SEES_ALL_MONEY):
        return []
    url = reverse("chargeback:focus_export", args=[f"{chosen:%Y-%m}"])
    bases = {"LIST": "price list", "COST": "machine cost"}
    return [
        (f"{words}, {version}", f"{url}?{urlencode({'basis': basis, 'version': version})}")
        for basis, words in bases.items()
        for version in VERSIONS
    ]


def freshness(start: datetime, end: datetime, moment: datetime) -> str:
    """Return how complete the month [start, end) is at a moment, in words."""
    if moment < start:
        return "has not begun"
    waiting = store.hours_waiting(start, end)
    unpriced = queries.days_waiting(start, end)
    open_hours = f"{waiting} hour{pluralize(waiting)} still being added up" if waiting else ""
    open_days = f"{unpriced} day{pluralize(unpriced)} still being priced" if unpriced else ""
    still = " · ".join(filter(None, (open_hours, open_days)))
    sealed = sealing.words(start, end)
    if moment >= end:
        whole = still or "complete: every hour is added up and priced"
        return " · ".join(filter(None, (whole, sealed)))
    latest = store.latest_call_at(start=start, end=end)
    until = f"metered until {latest:%H:%M:%S} UTC on {day_words(latest)}" if latest else ""
    return " · ".join(filter(None, (until or "no call metered yet this month", sealed, still)))


def _estimated(found: queries.Estimated) -> str:
    """Return in words what the engines tell of calls without usage; "" where there is none."""
    if not found.calls:
        return ""
    words = (
        f"The engines' own counters tell of {found.calls:,} of them: about {found.input_tokens:,} "
        f"tokens in and {found.output_tokens:,} out, estimated ({METHOD})."
    )
    return words if not found.unknown else f"{words} Of {found.unknown:,} nothing is known."


def _quarantine(
    user: User, start: datetime, end: datetime, scope: queries.Scope
) -> dict[str, str] | None:
    """Return what is received and not counted, in words, with its list; None where nothing is.

    Only those who see every team's usage can open the list.
    """
    count = store.in_quarantine(start, end, team=scope.team)
    if not count:
        return None
    days = {"since": start.date(), "status": QuarantinedRecord.Status.WAITING}
    url = f"{reverse('metering:quarantine_list')}?{urlencode(days)}"
    return {
        "words": f"{count:,} record{pluralize(count, ' is,s are')} in quarantine.",
        "url": url if user.has_role(*SEES_EVERY_TEAM) else "",
    }


def _links(start: datetime, end: datetime) -> dict[str, str]:
    """Return where the calls are that the month's figures are made of."""
    outcomes = ("METERED", "UNMETERED")
    return {outcome: calls_url(start=start, end=end, outcome=outcome) for outcome in outcomes}


def _refusals(totals: queries.Totals, start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Return the month's refused calls by response code: words and address; what none of the named
    codes answered last.
    """
    counts = {code: getattr(totals, f"refused_{code}_calls") for code in REFUSALS}
    found = [
        (f"{count:,} × {code} {REFUSALS[code]}", calls_url(start=start, end=end, code=code))
        for code, count in counts.items()
        if count
    ]
    if rest := totals.refused_calls - sum(counts.values()):
        url = calls_url(start=start, end=end, outcome="REFUSED")
        found.append((f"{rest:,} with another code", url))
    return found


def _figures(totals: queries.Totals, before: queries.Totals) -> dict[str, str]:
    """Return the words and figures at the top of the page."""
    others = (totals.unmetered_calls, totals.refused_calls, totals.failed_calls)
    told = "{:,} unmetered · {:,} refused · {:,} failed".format(*others)
    reranked = f"{totals.rerank_requests:,} rerank · " if totals.rerank_requests else ""
    return {
        "change": _change(totals.list_cost_usd, before.list_cost_usd),
        "input": f"{totals.input_tokens:,}",
        "cached": _input_words(totals),
        "output": f"{totals.output_tokens:,}",
        "metered": f"{totals.metered_calls:,}",
        "others": f"{reranked}{told}",
        "unpriced": f"{words}." if (words := totals.unpriced_words) else "",
        "unmetered": f"{totals.unmetered_calls:,} "
        f"call{pluralize(totals.unmetered_calls, ' is,s are')} unmetered.",
    }


def _input_words(totals: queries.Totals) -> str:
    """Return what the input tokens are made of."""
    cached = f"{totals.cached_input_tokens:,} of them cached"
    embedded = totals.embedding_input_tokens
    return f"{cached} · {embedded:,} embedded" if embedded else cached


def _change(amount: Decimal, before: Decimal) -> str:
    """Return the change against the month before, in words; nothing where there was none."""
    if not before:
        return ""
    change = f"{(amount - before) / before:+.1%}".replace("-", "−")
    return "same as last month" if change in ("+0.0%", "−0.0%") else f"{change} vs last month"


@require_GET
def grant_use(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show what a grant's team spent on its model, this month and since it was granted: a fragment
    of the pages where somebody decides about it.
    """
    grants = Grant.objects.visible_to(request.user).select_related("team", "registered_model")
    grant = get_object_or_404(grants, pk=pk)
    moment = now()
    is_active = grant.is_active(moment)
    budgets = of_grants([grant], moment) if is_active else {}
    left = next(iter(balances(budgets.values(), moment).values()), None)
    context = {
        "grant": grant,
        "use": queries.use_of(grant, moment),
        "is_active": is_active,
        "meter": meter(left) if left else None,
        "until": min(grant.ended_at, moment),
        "usage": _usage_of(grant, request.user),
    }
    return render(request, "chargeback/grant_use.html", context)


def _usage_of(grant: Grant, user: User) -> str:
    """Return where the calls are that a grant's use is made of; for the model's owner, who sees no
    other team's calls, the model's usage by team.
    """
    model = grant.registered_model.name
    if store.sees_calls_of(user, grant.team.slug):
        found = urlencode({"team": grant.team.slug, "model": model})
        return f"{reverse('metering:usage_list')}?{found}"
    return reverse("metering:model_usage", args=[model])
