"""Trends of money and machines: by day over a month, and by month over a year."""

from datetime import date

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.catalog.hues import hues
from apps.chargeback import costs, queries
from apps.chargeback.api import parse_month
from apps.chargeback.method import METHOD
from apps.chargeback.periods import months_to_choose
from apps.chargeback.trends import charts
from apps.chargeback.trends.queries import Span, by_card, hours_by_team, told
from apps.common.charts import Range
from apps.common.periods import month_bounds, month_of, months_before, next_month
from apps.common.simulated import Simulated

MONTHS = 13  # so that a month stands beside the same one of the year before


@require_GET
def trends(request: SignedIn) -> HttpResponse:
    """Show the trends of a month by day, or with ?by=month of the year that ends with it; to a
    team's lead the team's own.
    """
    moment = now()
    chosen = parse_month(request.GET["month"]) if request.GET.get("month") else month_of(moment)
    scope = queries.scope_of(request.user)
    is_monthly = request.GET.get("by") == "month"
    span = _span(chosen, is_monthly=is_monthly)
    found = told(span)
    start, end = month_bounds(span.first)[0], month_bounds(chosen)[1]
    known = costs.known(start=start, end=end)
    shown = [
        charts.hours_by_team(span, hours_by_team(span, scope, found), set(found)),
        charts.per_million(span, by_card(span, scope), hues()),
    ]
    if scope.team is None:
        shown += [
            charts.use_by_work(span, found),
            charts.idle_money(span, found),
            charts.savings(span, found),
            *charts.losses(span, found),
        ]
    context = {
        "title": f"Trends {_words(span, chosen)}",
        "lead": f"Only team {scope.team} is shown to you." if scope.team else "",
        "crumbs": [("Chargeback", reverse("chargeback:month")), ("Trends", "")],
        "month": chosen,
        "months": months_to_choose(chosen, moment),
        "sees_all": scope.team is None,
        "is_monthly": is_monthly,
        "ranges": [
            Range("By day", _url(chosen, ""), not is_monthly),
            Range("By month", _url(chosen, "month"), is_monthly),
        ],
        "charts": shown,
        "figures": charts.figures(found) if scope.team is None else [],
        "allocation": METHOD,
        "simulated": Simulated(
            machines=known.has_simulated_machines, prices=known.has_simulated_prices
        ),
    }
    return render(request, "chargeback/trends.html", context)


def _span(chosen: date, *, is_monthly: bool) -> Span:
    if is_monthly:
        return Span(months_before(chosen, MONTHS - 1), next_month(chosen), is_monthly=True)
    return Span(chosen, next_month(chosen), is_monthly=False)


def _words(span: Span, chosen: date) -> str:
    return f"{span.first:%b %Y} to {chosen:%b %Y}" if span.is_monthly else f"{chosen:%B %Y}"


def _url(chosen: date, by: str) -> str:
    more = f"&by={by}" if by else ""
    return f"{reverse('chargeback:trends')}?month={chosen:%Y-%m}{more}"
