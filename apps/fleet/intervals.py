"""Node intervals as money reads them: a claim's own for its page, everybody's in a range of days
for the export.

An interval costs its own price for as long as it lasts, unobserved time included. A range takes the
part of an interval that lies in it, so that the exports of single days sum to the export of all of
them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from django.db.models import Min, Q

from apps.common import periods
from apps.fleet import sightings
from apps.fleet.models import ClusterEvent, NodeClaim, NodeInterval

MICRO_USD = Decimal("0.000001")
SECONDS_PER_HOUR = Decimal(3600)
EVENTS_SHOWN = 100
LONGEST_EXPORT = timedelta(days=366)
AT_ONCE = 1000  # rows that the database gives at a time
COLUMNS = (
    "node_claim", "node", "node_pool", "instance_type", "zone", "capacity_type", "gpus",
    "started_at_utc",
    "ended_at_utc", "from_utc", "to_utc", "seconds", "price_usd_per_hour", "cost_usd",
    "price_basis", "observed",
    "launch_reason", "end_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The part of an interval in [from_at, to_at)."""

    span: NodeInterval
    from_at: datetime
    to_at: datetime

    @property
    def length(self) -> timedelta:
        """Return how long it is."""
        return self.to_at - self.from_at

    @property
    def seconds(self) -> Decimal:
        """Return how long it is, to the microsecond."""
        return Decimal(self.length // timedelta(microseconds=1)).scaleb(-6)

    @property
    def usd(self) -> Decimal | None:
        """Return what it costs, not rounded; None without a price."""
        price = self.span.price_usd_per_hour
        return None if price is None else price * self.seconds / SECONDS_PER_HOUR


@dataclass(frozen=True)
class Told:
    """An event about a claim, its node, or a pod it was promised to. explains: what of the claim it
    accounts for.
    """

    event: ClusterEvent
    explains: str


@dataclass(frozen=True)
class ClaimCost:
    """A claim's intervals with their sums. usd: None where an interval has no price."""

    parts: list[Part]
    length: timedelta
    unobserved: timedelta
    usd: Decimal | None


def part_of(span: NodeInterval, *, to_at: datetime, from_at: datetime | None = None) -> Part:
    """Return the part of an interval between two times, from its start where from_at is left out.
    Never negative.
    """
    begin = max(span.started_at, from_at or span.started_at)
    return Part(span, begin, max(begin, min(span.ended_at or to_at, to_at)))


def parts_within(from_at: datetime, to_at: datetime) -> list[Part]:
    """Return the parts of all intervals in [from_at, to_at) that last, with their claims; one
    query.
    """
    spans = NodeInterval.objects.within(from_at, to_at).select_related("node_claim")
    parts = (part_of(span, from_at=from_at, to_at=to_at) for span in spans)
    return [part for part in parts if part.length]


def first_start() -> datetime | None:
    """Return when the first interval began; None where there is none. One query."""
    first: datetime | None = NodeInterval.objects.aggregate(first=Min("started_at"))["first"]
    return first


def usd_of(spans: Iterable[NodeInterval], now: datetime) -> Decimal | None:
    """Return what intervals cost until now, not rounded; None where one has no price."""
    total = Decimal(0)
    for span in spans:
        usd = part_of(span, to_at=now).usd
        if usd is None:
            return None
        total += usd
    return total


def cost_of(claim: NodeClaim, now: datetime) -> ClaimCost:
    """Return a claim's intervals until now and their sums; one query."""
    spans = list(claim.intervals.all())
    parts = [part_of(span, to_at=now) for span in spans]
    dark = [part.length for part in parts if not part.span.observed]
    return ClaimCost(
        parts=parts,
        length=sum((part.length for part in parts), start=timedelta()),
        unobserved=sum(dark, start=timedelta()),
        usd=usd_of(spans, now),
    )


def events_of(claim: NodeClaim) -> list[Told]:
    """Return the newest events about a claim, its node, and the pods it was promised to; one query.

    A node's name may be another node's at another time, so only the claim's own time counts.
    """
    own = Q(object_kind="NodeClaim", object_name=claim.name)
    if claim.node_name:
        own |= Q(object_kind="Node", object_name=claim.node_name)
    promised = Q(object_kind="Pod", reason="Nominated", message__contains=f"nodeclaim/{claim.name}")
    found = ClusterEvent.objects.filter(
        own | promised, last_at__gte=claim.created_at - sightings.PROMISED_WITHIN
    )
    if claim.ended_at is not None:
        found = found.filter(first_at__lte=claim.ended_at + sightings.PROMISED_WITHIN)
    return [Told(event, _explains(claim, event)) for event in found[:EVENTS_SHOWN]]


def _explains(claim: NodeClaim, event: ClusterEvent) -> str:
    note = sightings.told(event)
    if claim.launch_reason and sightings.launch_reason(claim.name, [note]) == claim.launch_reason:
        return "why it was launched"
    if claim.end_reason and sightings.end_reason([note]) == claim.end_reason:
        return "why it ended"
    return "when it ended" if note.reason in sightings.ENDINGS else ""


def days(first: str, last: str, *, now: datetime) -> tuple[datetime, datetime]:
    """Return [from, to) of the days `first` to `last`, both included, ended at now; today where
    none is named.

    Raises ValueError for what is no day, for a last one before the first, and for more than 366.
    """
    from_date = date.fromisoformat(first or last) if first or last else periods.day_of(now)
    to_date = date.fromisoformat(last) if last else from_date
    if to_date < from_date or to_date.year == MAXYEAR or to_date - from_date >= LONGEST_EXPORT:
        raise ValueError(f"{first} to {last}")
    return periods.start_of_day(from_date), min(periods.end_of_day(to_date), now)


def csv_rows(from_at: datetime, to_at: datetime) -> Iterator[list[object]]:
    """Return the rows of the export: every interval with its part in [from_at, to_at), oldest
    first.

    The database gives them little by little, all as they were at one moment.
    """
    yield list(COLUMNS)
    spans = NodeInterval.objects.within(from_at, to_at).select_related("node_claim")
    for span in spans.iterator(chunk_size=AT_ONCE):
        yield _cells(part_of(span, from_at=from_at, to_at=to_at))


def _cells(part: Part) -> list[object]:
    span, claim, usd = part.span, part.span.node_claim, part.usd
    return [
        claim.name,
        claim.node_name,
        claim.node_pool,
        span.instance_type,
        span.zone,
        span.capacity_type,
        claim.gpu_count,
        span.started_at,
        span.ended_at,
        part.from_at,
        part.to_at,
        f"{part.seconds:f}",
        span.price_usd_per_hour,
        None if usd is None else f"{usd.quantize(MICRO_USD, ROUND_HALF_EVEN):f}",
        span.price_basis,
        span.observed,
        span.launch_reason,
        span.end_reason,
    ]
