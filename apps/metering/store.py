"""The only reader of raw usage events, so that another store can hold them when one machine is outgrown."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, DateTimeField, DurationField, ExpressionWrapper, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from apps.accounts.models import Role, User
from apps.metering.models import Outcome, UsageEvent

DIMENSIONS = ("cost_center", "team", "model", "version")
TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
LONGEST_CALL = timedelta(minutes=15)  # the gateway ends a call before
SEES_ALL = (Role.FINANCE, Role.PLATFORM_ENGINEER, Role.AUDITOR)


def known_ids(ids: Collection[UUID]) -> set[UUID]:
    """Return those of `ids` that are stored."""
    return set(UsageEvent.objects.filter(event_id__in=ids).values_list("event_id", flat=True))


def hour_sums(hour: datetime) -> list[dict[str, Any]]:
    """Return one mapping per cost center, team, model and version: calls by outcome and tokens of that hour."""
    events = UsageEvent.objects.filter(occurred_at__gte=hour, occurred_at__lt=hour + timedelta(hours=1))
    calls = {f"{o.value.lower()}_calls": Count("event_id", filter=Q(outcome=o)) for o in Outcome}
    tokens = {name: Coalesce(Sum(name), 0) for name in TOKENS}
    # Tokens replace the columns of the same name: the values() below must not group by them.
    sums = {f"sum_{name}": expression for name, expression in tokens.items()}
    rows = events.values(*DIMENSIONS).annotate(**calls, **sums).order_by(*DIMENSIONS)
    return [{key.removeprefix("sum_"): value for key, value in row.items()} for row in rows]


def calls_visible_to(user: User) -> QuerySet[UsageEvent]:
    """Return the calls this person may see, newest first: all for those who oversee, else their team's."""
    calls = UsageEvent.objects.order_by("-occurred_at", "-event_id")
    if user.has_role(*SEES_ALL):
        return calls
    return calls.filter(team=user.team.slug) if user.team and user.roles else calls.none()


def wanting_calls(*, model: str, version: str, unanswered_too: bool, since: datetime) -> dict[str, int]:
    """Return how many calls that ended at `since` or later wanted a version: {"answered": n, "unanswered": n}.

    Refused calls (no grant, over the limit) want nothing. A call that met no replica names no version: it counts where
    `unanswered_too`, for the version that the route leads to.
    """
    took = ExpressionWrapper(Coalesce(F("duration_ms"), 0) * timedelta(milliseconds=1), output_field=DurationField())
    ended = ExpressionWrapper(F("occurred_at") + took, output_field=DateTimeField())
    # The first condition is what the index serves; the second is the rule.
    recent = UsageEvent.objects.filter(model=model, occurred_at__gte=since - LONGEST_CALL)
    recent = recent.alias(ended_at=ended).filter(ended_at__gte=since).exclude(outcome=Outcome.REFUSED)
    answered = Q(version=version, outcome__in=(Outcome.METERED, Outcome.UNMETERED))
    whose = Q(version=version) | Q(version="") if unanswered_too else Q(version=version)
    return recent.aggregate(
        answered=Count("event_id", filter=answered),
        unanswered=Count("event_id", filter=whose & ~answered),
    )


def latest_call_at() -> datetime | None:
    """Return when the newest stored call began: how fresh every figure made from usage is."""
    moment: datetime | None = UsageEvent.objects.aggregate(latest=Max("occurred_at"))["latest"]
    return moment
