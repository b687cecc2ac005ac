"""The grants that owners look at again: which are due, which are overdue, and what each was used
for, so that access that nobody needs ends.

It joins access with usage and money, so it stands above both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import django_filters
from django.http.response import HttpResponseBase
from django.urls import reverse, reverse_lazy
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.models import Grant
from apps.access.recertification.models import with_due
from apps.access.recertification.queries import looked_after_by, period
from apps.access.recertification.words import BADGES, DUE, LATER, OVERDUE, state_of
from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.chargeback.queries import EVERYTHING, lines
from apps.common.badges import Badge
from apps.common.money import NO_PRICE
from apps.common.periods import DAY, day_of, start_of_day
from apps.common.tables.columns import Column, Empty, Table
from apps.common.tables.reading import respond

USED_DAYS = 90


@dataclass(frozen=True)
class Used:
    """What a team used of a model. usd: by the price list; None where nothing of it has a price."""

    calls: int = 0
    usd: Decimal | None = Decimal(0)


@dataclass(frozen=True)
class LookLine:
    """A grant in force. due_at: when it is to be looked at; kept_at: when somebody kept it last,
    None: nobody has. used: by its team of its model, in the last days.
    """

    grant: Grant
    state: str
    due_at: datetime
    kept_at: datetime | None
    used: Used

    @property
    def badge(self) -> Badge:
        """Return how it stands."""
        return BADGES[self.state]

    @property
    def url(self) -> str:
        """Return where it is kept or ended: the grant's own page."""
        return f"{reverse('access:grant_detail', args=[self.grant.pk])}#look"

    @property
    def note(self) -> str:
        """Return that nobody called it, or that nobody knows what that cost."""
        if not self.used.calls:
            return "not used"
        return NO_PRICE if self.used.usd is None else ""


class LookFilters(django_filters.FilterSet):
    """What people narrow the list by."""

    state = django_filters.ChoiceFilter(
        label="State",
        choices=[(state, BADGES[state].words) for state in (OVERDUE, DUE, LATER)],
        empty_label="Any state",
    )


LOOKS = Table(
    name="recertification",
    noun=("grant", "grants"),
    columns=(
        Column("model", "Model", "grant.registered_model.name", sort="grant.registered_model.name",
               url=lambda line: line.url, place="name"),
        Column("team", "Team", "grant.team.slug", sort="grant.team.slug", css="nowrap"),
        Column("state", "State", "badge", kind="badge", sort="state"),
        Column("due", "Look at it by", "due_at", kind="time", sort="due_at", css="nowrap"),
        Column("calls", f"Calls in {USED_DAYS} days", "used.calls", kind="figure",
               sort="used.calls", sub="note", place="figure"),
        Column("used", f"Spent in {USED_DAYS} days", "used.usd", kind="money", sort="used.usd"),
        Column("since", "Active from", "grant.active_from", kind="time", sort="grant.active_from",
               css="nowrap"),
        Column("kept", "Kept last", "kept_at", kind="time", sort="kept_at", unknown="never",
               css="nowrap"),
        Column("ends", "Last day", "grant.last_day", kind="date", sort="grant.last_day",
               css="nowrap", optional=True),
        Column("by", "Asked by", "grant.request.requested_by.name", optional=True,
               at_first=False),
    ),
    search=("grant.registered_model.name", "grant.team.slug"),
    search_words="Model or team",
    filters=LookFilters,
    order="due",
    empty=Empty(
        "No grant to look at",
        "Grants of your team’s models stand here while they are in force, with the day by which an "
        "owner keeps or ends each.",
        "Open the grants",
        reverse_lazy("grant_list"),
    ),
)  # fmt: skip


@require_GET
def recertification_list(request: SignedIn) -> HttpResponseBase:
    """List the grants in force of the models that the person's team owns, or all for those who
    oversee, those that are due first on top; the same as CSV.
    """
    moment = now()
    found = look_lines(request.user, moment)
    counts = {state: sum(line.state == state for line in found) for state in BADGES}
    context = {
        "crumbs": [("Access", reverse("access:request_list")), ("Recertification", "")],
        "overdue": counts[OVERDUE],
        "due": counts[DUE],
        "unused": sum(not line.used.calls for line in found),
        "days": period().days,
        "used_days": USED_DAYS,
    }
    return respond(LOOKS, request, found, "access/recertification_list.html", context)


def look_lines(user: User, moment: datetime) -> list[LookLine]:
    """Return the grants in force that a person looks after, with what was used; two queries."""
    grants = looked_after_by(user).active(moment)
    related = ("registered_model", "team", "request__requested_by")
    found = list(with_due(grants, period()).select_related(*related))
    used = _used(found, moment) if found else {}
    return [
        LookLine(
            grant=grant,
            state=state_of(grant.due_at, moment),
            due_at=grant.due_at,
            kept_at=grant.kept_at,
            used=used.get((grant.team.slug, grant.registered_model.name), Used()),
        )
        for grant in found
    ]


def _used(grants: Iterable[Any], moment: datetime) -> dict[tuple[str, str], Used]:
    """Return team and model → what was used in the last whole days and today; one query."""
    end = start_of_day(day_of(moment)) + DAY
    found: dict[tuple[str, str], Used] = {}
    for line in lines(start=end - USED_DAYS * DAY, end=end, scope=EVERYTHING):
        key = (line.team, line.model)
        known = found.get(key, Used(usd=None))
        usd = known.usd
        if line.list_cost_usd is not None:
            usd = (usd or Decimal(0)) + line.list_cost_usd
        calls = known.calls + line.metered_calls + line.unmetered_calls
        found[key] = Used(calls, usd)
    return found
