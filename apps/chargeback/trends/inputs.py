"""What a day's facts rest on, read from the day's shares and from the fleet."""

from collections.abc import Iterator
from datetime import date, datetime

from apps.chargeback import costs
from apps.chargeback.inputs import Inputs
from apps.chargeback.queries import EVERYTHING
from apps.chargeback.trends import facts
from apps.chargeback.trends.facts import Found
from apps.common import periods
from apps.fleet import successions
from apps.fleet.models import Replica
from apps.fleet.successions import LONGEST
from apps.promotions.models import Rollout, ServingClass


def facts_of(day: date, until: datetime, found: Inputs) -> Iterator[Found]:
    """Yield the facts of a day that is shared out until a moment; its shares are stored already. At
    most 26 queries. found: what it was shared out from.
    """
    start, end = periods.start_of_day(day), periods.end_of_day(day)
    shares = costs.lines(start=start, end=end, scope=EVERYTHING, by=["day", "kind", "basis"])
    yield from facts.of_shares(shares, starts=_starts(start, until))
    yield facts.sleep(successions.rests(start, until, asleep=_may_sleep()), start, until)
    moved = successions.consolidated(start - LONGEST, until)
    removals = successions.removals(moved, start, until)
    yield facts.consolidation(removals, found.stretches, start, until)
    taken = list(successions.reclaimed(start - periods.DAY, until))
    ends = [claim.ended_at for claim in taken if claim.ended_at and claim.ended_at >= start]
    after = successions.removals(taken, start, until)
    yield facts.reclaims(ends, after, found.holdings, found.stretches)


def _starts(start: datetime, until: datetime) -> int:
    rows = Replica.objects.filter(created_at__gte=start, created_at__lt=until)
    return rows.exclude(node_name="", node_claim_name="").count()


def _may_sleep() -> list[str]:
    """Return the versions that serve now and may sleep."""
    live = Rollout.objects.live().filter(promotion__serving_class=ServingClass.SCALE_TO_ZERO)
    rows = live.select_related("model_version__registered_model")
    return [rollout.model_version.name for rollout in rows]
