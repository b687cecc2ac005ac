"""Node intervals as money reads them: a claim's own for its page, everybody's in a range of days
for the export.

An interval costs its price for as long as it lasts, unobserved time included; where the price
changes in it (pricing/book.py says by whose word), it has several parts. A range takes the parts
that lie in it, so that the exports of single days sum to the export of all of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from django.db.models import Min, Q

from apps.common import periods
from apps.fleet import prices, sightings
from apps.fleet.models import ClusterEvent, NodeClaim, NodeInterval
from apps.fleet.pricing.book import Price, PriceBook, book

MICRO_USD = Decimal("0.000001")
SECONDS_PER_HOUR = Decimal(3600)
EVENTS_SHOWN = 100
LONGEST_EXPORT = timedelta(days=366)
AT_ONCE = 1000  # rows that the database gives at a time
NOT_LAUNCHED = Price(None, "", "not launched yet")
COLUMNS = (
    "node_claim", "node", "node_pool", "instance_type", "zone", "capacity_type", "gpus",
    "started_at_utc",
    "ended_at_utc", "from_utc", "to_utc", "seconds", "price_usd_per_hour", "cost_usd",
    "price_basis", "observed",
    "launch_reason", "end_reason",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """The part of an interval in [from_at, to_at), at one price. is_last: no other part of it
    follows. listed_usd_per_hour: what the same machine costs on demand by the price list, None
    where that is not known.
    """

    span: NodeInterval
    from_at: datetime
    to_at: datetime
    price: Price
    is_last: bool = True
    listed_usd_per_hour: Decimal | None = None

    @property
    def length(self) -> timedelta:
        """Return how long it is."""
        return self.to_at - self.from_at

    @property
    def ended_at(self) -> datetime | None:
        """Return when it ended; None while it lasts."""
        return self.span.ended_at if self.is_last else self.to_at

    @property
    def seconds(self) -> Decimal:
        """Return how long it is, to the microsecond."""
        return Decimal(self.length // timedelta(microseconds=1)).scaleb(-6)

    @property
    def usd(self) -> Decimal | None:
        """Return what it costs, not rounded; None without a price."""
        price = self.price.usd_per_hour
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

    @property
    def price(self) -> Price:
        """Return the price of its last part, which is its present one while it lasts."""
        return self.parts[-1].price if self.parts else NOT_LAUNCHED


def parts_of(
    span: NodeInterval, known: PriceBook, *, to_at: datetime, from_at: datetime | None = None
) -> list[Part]:
    """Return the parts of an interval between two times, from its start where from_at is left out;
    one part that is no time where nothing of it lies there.
    """
    begin = max(span.started_at, from_at or span.started_at)
    end = max(begin, min(span.ended_at or to_at, to_at))
    steps = known.steps(span, begin, end)
    return [
        Part(
            span=span,
            from_at=step.from_at,
            to_at=step.to_at,
            price=step.price,
            is_last=place == len(steps) - 1,
            listed_usd_per_hour=known.list_price(span.instance_type, span.zone, step.from_at)
            or prices.list_price(span.instance_type),
        )
        for place, step in enumerate(steps)
    ]


def parts_within(from_at: datetime, to_at: datetime) -> list[Part]:
    """Return the parts of all intervals in [from_at, to_at) that last, with their claims; four
    queries.
    """
    spans = list(NodeInterval.objects.within(from_at, to_at).select_related("node_claim"))
    known = book({span.instance_type for span in spans}, from_at, to_at)
    parts = (part for span in spans for part in parts_of(span, known, from_at=from_at, to_at=to_at))
    return [part for part in parts if part.length]


def first_start() -> datetime | None:
    """Return when the first interval began; None where there is none. One query."""
    first: datetime | None = NodeInterval.objects.aggregate(first=Min("started_at"))["first"]
    return first


def usd_of(parts: Iterable[Part]) -> Decimal | None:
    """Return what parts cost together, not rounded; None where one has no price."""
    total = Decimal(0)
    for part in parts:
        if part.usd is None:
            return None
        total += part.usd
    return total


def costs_of(claims: Iterable[NodeClaim], now: datetime) -> dict[int, ClaimCost]:
    """Return claim → its intervals until now and their sums; four queries, one less where the
    intervals are there already.
    """
    spans = {claim.pk: list(claim.intervals.all()) for claim in claims}
    every = [span for found in spans.values() for span in found]
    first = min((span.started_at for span in every), default=now)
    known = book({span.instance_type for span in every}, first, now)
    return {
        key: _cost([part for span in found for part in parts_of(span, known, to_at=now)])
        for key, found in spans.items()
    }


def cost_of(claim: NodeClaim, now: datetime) -> ClaimCost:
    """Return a claim's intervals until now and their sums; four queries."""
    return costs_of([claim], now)[claim.pk]


def _cost(parts: list[Part]) -> ClaimCost:
    dark = [part.length for part in parts if not part.span.observed]
    return ClaimCost(
        parts=parts,
        length=sum((part.length for part in parts), start=timedelta()),
        unobserved=sum(dark, start=timedelta()),
        usd=usd_of(parts),
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
    spans = NodeInterval.objects.within(from_at, to_at)
    kinds = set(spans.order_by().values_list("instance_type", flat=True).distinct())
    known = book(kinds, from_at, to_at)
    for span in spans.select_related("node_claim").iterator(chunk_size=AT_ONCE):
        for part in parts_of(span, known, from_at=from_at, to_at=to_at):
            yield _cells(part)


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
        part.ended_at,
        part.from_at,
        part.to_at,
        f"{part.seconds:f}",
        part.price.usd_per_hour,
        None if usd is None else f"{usd.quantize(MICRO_USD, ROUND_HALF_EVEN):f}",
        part.price.basis or part.price.why,
        span.observed,
        span.launch_reason,
        span.end_reason,
    ]
