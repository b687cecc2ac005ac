"""What a day's facts rest on, read from the day's shares and from the fleet."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from apps.chargeback import costs
from apps.chargeback.inputs import Inputs
from apps.chargeback.models import AllocatedDay
from apps.chargeback.queries import EVERYTHING
from apps.chargeback.trends import facts
from apps.chargeback.trends.facts import Found
from apps.common import periods
from apps.fleet import successions
from apps.fleet.models import Replica
from apps.fleet.successions import LONGEST, Rest
from apps.promotions.models import Rollout, ServingClass


@dataclass(frozen=True)
class DayFacts:
    """A day's facts. overtaken: days before it of which more is known now than it was then: a
    version that slept through their end woke up today.
    """

    found: list[Found]
    overtaken: set[date]


def facts_of(day: date, until: datetime, found: Inputs) -> DayFacts:
    """Return the facts of a day that is shared out until a moment; its shares are stored already.
    At most 28 queries. found: what it was shared out from.
    """
    start, end = periods.start_of_day(day), periods.end_of_day(day)
    shares = costs.lines(start=start, end=end, scope=EVERYTHING, by=["day", "kind", "basis"])
    rests = successions.rests(start, until, asleep=_may_sleep())
    moved = successions.consolidated(start - LONGEST, until)
    removals = successions.removals(moved, start, until)
    taken = list(successions.reclaimed(start - periods.DAY, until))
    ends = [claim.ended_at for claim in taken if claim.ended_at and claim.ended_at >= start]
    after = successions.removals(taken, start, until)
    return DayFacts(
        found=[
            *facts.of_shares(shares, starts=_starts(start, until)),
            facts.sleep(rests, start, until),
            facts.consolidation(removals, found.stretches, start, until),
            facts.reclaims(ends, after, found.holdings, found.stretches),
        ],
        overtaken=_overtaken(rests, start, until),
    )


def _overtaken(rests: Iterable[Rest], start: datetime, until: datetime) -> set[date]:
    """Return the days before `start` that were computed while nobody could know that a version only
    slept.
    """
    days: set[date] = set()
    for rest in rests:
        if rest.to_at is None or rest.from_at >= start or not start <= rest.to_at < until:
            continue
        first = max(rest.from_at, start - LONGEST)
        slept = {"day__gte": periods.day_of(first), "day__lt": periods.day_of(start)}
        rows = AllocatedDay.objects.filter(**slept, computed_at__lt=rest.to_at)
        days |= set(rows.values_list("day", flat=True))
    return days


def _starts(start: datetime, until: datetime) -> int:
    rows = Replica.objects.filter(created_at__gte=start, created_at__lt=until)
    return rows.exclude(node_name="", node_claim_name="").count()


def _may_sleep() -> list[str]:
    """Return the versions that serve now and may sleep."""
    live = Rollout.objects.live().filter(promotion__serving_class=ServingClass.SCALE_TO_ZERO)
    rows = live.select_related("model_version__registered_model")
    return [rollout.model_version.name for rollout in rows]
