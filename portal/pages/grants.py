"""The list of grants: who may call what, until which day, and what they used of it this month.

It joins access with money, so it stands above both: the grants are asked for once, and the month's
use once for all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import django_filters
from django.http.response import HttpResponseBase
from django.urls import reverse, reverse_lazy
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.budgets.queries import of_grants
from apps.access.models import AccessRequest, Grant
from apps.access.tables import grant_badge
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.chargeback import queries
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.queries import balances
from apps.common.badges import Badge
from apps.common.money import NO_PRICE
from apps.common.tables.columns import Column, Empty, Table
from apps.common.tables.reading import respond

ACTIVE, ENDED = "ACTIVE", "ENDED"


@dataclass(frozen=True)
class GrantLine:
    """One grant. used_usd: this month, by the price list, exact; None for one that has ended, and
    where nothing that was used has a price. budget: of its team for its model, None where there is
    none, or it has ended. renew_url: where one click asks for it again, "" for those who may not
    and where a request waits; waits_url: that request.
    """

    grant: Grant
    state: str
    badge: Badge
    used_usd: Decimal | None
    budget: Balance | None
    renew_url: str
    waits_url: str = ""

    @property
    def ends(self) -> date:
        """Return the day it ends on, or ended."""
        return self.grant.last_day

    @property
    def url(self) -> str:
        """Return the grant's own page."""
        return reverse("access:grant_detail", args=[self.grant.pk])

    @property
    def share_percent(self) -> int | None:
        """Return how much of the month's budget is used; None where that is not known."""
        if self.used_usd is None or self.budget is None:
            return None
        return self.budget.percent

    @property
    def budget_url(self) -> str:
        """Return the budget's page; "" where there is none."""
        return self.budget.budget.get_absolute_url() if self.budget else ""

    @property
    def note(self) -> str:
        """Return why nobody knows what it used, where that is so."""
        return NO_PRICE if self.used_usd is None and self.state == ACTIVE else ""


class GrantFilters(django_filters.FilterSet):
    """What people narrow the list of grants by."""

    state = django_filters.ChoiceFilter(
        label="State", choices=((ACTIVE, "Active"), (ENDED, "Ended")), empty_label="Any state"
    )


GRANTS = Table(
    name="grants",
    noun=("grant", "grants"),
    columns=(
        Column("model", "Model", "grant.registered_model.name", sort="grant.registered_model.name",
               url=lambda line: line.url, place="name"),
        Column("team", "Team", "grant.team.slug", sort="grant.team.slug", css="nowrap"),
        Column("state", "State", "badge", kind="badge", sort="state"),
        Column("ends", "Last day", kind="date", sort="ends", css="nowrap"),
        Column("tokens", "Tokens", "grant.tokens_per_minute", kind="figure", unit="a minute",
               sort="grant.tokens_per_minute"),
        Column("class", "Class", "grant.get_service_class_display",
               sort="grant.service_class", css="nowrap", optional=True),
        Column("at-once", "Calls at once", "grant.calls_at_once", kind="figure",
               sort="grant.calls_at_once", unknown="any number", optional=True, at_first=False),
        Column("used", "Used this month", "used_usd", kind="money", sort="used_usd", sub="note",
               place="figure"),
        Column("budget", "Budget", "budget.limit", kind="money", unit="a month",
               sort="budget.limit", url=lambda line: line.budget_url, unknown="none"),
        Column("share", "Of the budget", "share_percent", kind="figure", unit="%",
               sort="share_percent", optional=True),
        Column("since", "Active from", "grant.active_from", kind="time", sort="grant.active_from",
               optional=True, at_first=False),
        Column("renew", "Renew", "renew_url", template="access/_renew.html"),
    ),
    search=("grant.registered_model.name", "grant.team.slug"),
    search_words="Model or team",
    filters=GrantFilters,
    order="ends",
    empty=Empty(
        "No grants yet",
        "A request that a model's owner approves becomes a grant.",
        "Open the requests",
        reverse_lazy("access:request_list"),
    ),
)  # fmt: skip


@require_GET
def grant_list(request: SignedIn) -> HttpResponseBase:
    """List the grants the person may see, those that end first on top; the same as CSV."""
    context = {"crumbs": [("Access", reverse("access:request_list")), ("Grants", "")]}
    lines = grant_lines(request.user, now())
    return respond(GRANTS, request, lines, "access/grant_list.html", context)


def grant_lines(user: User, moment: datetime) -> list[GrantLine]:
    """Return the grants that a person may see, with this month's use and budgets; seven queries,
    and one for each zone of the budgets beside the first.
    """
    grants = Grant.objects.visible_to(user).select_related("registered_model", "team")
    spent = queries.spent_this_month(scope=queries.EVERYTHING, now=moment)
    mine = set(Grant.objects.renewable_by(user).values_list("pk", flat=True))
    budgets = _budgets(grants, moment)
    waiting = AccessRequest.objects.pending().filter(team=user.team_id, renews__isnull=False)
    renewals = {item.renews_id: item.get_absolute_url() for item in waiting}
    return [
        replace(
            _line(grant, moment, spent, budgets.get(grant.pk), mine - renewals.keys()),
            waits_url=renewals.get(grant.pk, ""),
        )
        for grant in grants
    ]


def _budgets(grants: Iterable[Grant], moment: datetime) -> dict[Any, Balance]:
    """Return grant → what is left of the budget in force of its team for its model."""
    active = [grant for grant in grants if grant.is_active(moment)]
    of = of_grants(active, moment)
    left = balances(of.values(), moment)
    return {grant: left[budget.pk] for grant, budget in of.items()}


def _line(
    grant: Grant,
    moment: datetime,
    spent: dict[tuple[str, str], Decimal | None],
    budget: Balance | None,
    mine: set[Any],
) -> GrantLine:
    is_active = grant.is_active(moment)
    model = grant.registered_model.name
    return GrantLine(
        grant=grant,
        state=ACTIVE if is_active else ENDED,
        badge=grant_badge(grant, moment),
        used_usd=spent.get((grant.team.slug, model), Decimal(0)) if is_active else None,
        budget=budget,
        renew_url=reverse("access:grant_renew", args=[grant.pk])
        if is_active and grant.pk in mine
        else "",
    )
