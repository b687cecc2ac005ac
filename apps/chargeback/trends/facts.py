"""A day's facts by the methods that method.py words. Pure: what happened in, amounts out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from apps.chargeback.allocation import Stretch
from apps.chargeback.costs import CostLine, Costs, added
from apps.chargeback.method import Basis, Fact, Kind
from apps.fleet.holdings import Holding
from apps.fleet.successions import LONGEST, Removal, Rest

PLACES = Decimal(1).scaleb(-12)
NOTHING = Decimal(0)
IDLE = {Basis.NO_CALLS: Fact.NO_CALLS, Basis.MEASURED: Fact.LESS_WORK}


@dataclass(frozen=True)
class Found:
    """What a day tells of one fact, by the columns of a DayFact."""

    fact: Fact
    events: int = 0
    gpu_hours: Decimal = NOTHING
    unpriced_gpu_hours: Decimal = NOTHING
    usd: Decimal | None = NOTHING


@dataclass
class _Sum:
    """Adds up what has a price and what has none."""

    gpu_hours: Decimal = NOTHING
    unpriced: Decimal = NOTHING
    usd: Decimal = NOTHING
    is_priced: bool = False

    def add(self, gpu_hours: Decimal, usd: Decimal | None) -> None:
        """Count so much; usd None: it has no price."""
        self.gpu_hours += gpu_hours
        if usd is None:
            self.unpriced += gpu_hours
        else:
            self.usd, self.is_priced = self.usd + usd, True

    def found(self, fact: Fact, events: int) -> Found:
        """Return what it came to."""
        is_known = self.is_priced or not self.gpu_hours
        return Found(
            fact,
            events,
            self.gpu_hours.quantize(PLACES),
            self.unpriced.quantize(PLACES),
            self.usd.quantize(PLACES) if is_known else None,
        )


def of_shares(lines: Sequence[CostLine], *, starts: int) -> list[Found]:
    """Return what the shares of a day tell. lines: by kind and basis. starts: pods that were
    created that day and got a machine.
    """
    total = added(line.costs for line in lines)
    idle = {
        fact: [line.costs for line in lines if line.kind == Kind.IDLE and line.basis == basis]
        for basis, fact in IDLE.items()
    }
    starting = [line.costs for line in lines if line.kind == Kind.START]
    return [
        Found(Fact.READY, gpu_hours=total.ready_gpu_hours),
        Found(Fact.USED, gpu_hours=total.used_gpu_hours),
        Found(Fact.UNSPLIT, gpu_hours=total.unsplit_gpu_hours),
        *(_of_costs(fact, costs) for fact, costs in idle.items()),
        _of_costs(Fact.START, starting, events=starts),
        _spot(total),
    ]


def _of_costs(fact: Fact, costs: Iterable[Costs], events: int = 0) -> Found:
    total = added(costs)
    return Found(fact, events, total.gpu_hours, total.unpriced_gpu_hours, total.total_usd)


def _spot(total: Costs) -> Found:
    unlisted = total.unlisted_spot_gpu_hours
    is_known = bool(total.spot_on_demand_usd) or not unlisted
    return Found(
        Fact.SPOT,
        gpu_hours=total.spot_gpu_hours,
        unpriced_gpu_hours=unlisted,
        usd=total.spot_saved_usd if is_known else None,
    )


def sleep(rests: Iterable[Rest], start: datetime, end: datetime) -> Found:
    """Return what versions saved in [start, end) by having no replica."""
    rests, total = list(rests), _Sum()
    for rest in rests:
        last = rest.from_at + LONGEST
        hours = _hours(rest.from_at, min(rest.to_at or last, last), start, end)
        usd = None if rest.usd_per_hour is None else rest.usd_per_hour * hours
        if hours:
            total.add(rest.gpus * hours, usd)
    return total.found(Fact.SLEEP, sum(start <= rest.from_at < end for rest in rests))


def consolidation(
    removals: Iterable[Removal], stretches: Iterable[Stretch], start: datetime, end: datetime
) -> Found:
    """Return what removed machines saved in [start, end), less what was launched in their place.
    stretches: all machines of that time.
    """
    removals, total = list(removals), _Sum()
    bearers = Counter(claim.pk for removal in removals for claim in removal.launched)
    by_claim: dict[int, list[Stretch]] = {}
    for stretch in stretches:
        by_claim.setdefault(stretch.claim, []).append(stretch)
    for removal in removals:
        lasted = max(row.ended_at or end for row in removal.successors)
        until = min(lasted, removal.ended_at + LONGEST)
        hours = _hours(removal.ended_at, until, start, end)
        gpu_hours, usd = removal.claim.gpu_count * hours, removal.usd_per_hour
        saved = None if usd is None else usd * hours
        for claim in removal.launched:
            for stretch in by_claim.get(claim.pk, []):
                instead = (
                    _hours(
                        max(removal.ended_at, stretch.from_at),
                        min(until, stretch.to_at),
                        start,
                        end,
                    )
                    / bearers[claim.pk]
                )
                gpu_hours -= stretch.gpus * instead
                price = stretch.usd_per_hour
                saved = None if saved is None or price is None else saved - price * instead
        if hours:
            total.add(gpu_hours, saved)
    return total.found(Fact.CONSOLIDATION, sum(start <= each.ended_at < end for each in removals))


def reclaims(
    ends: Sequence[datetime],
    removals: Iterable[Removal],
    holdings: Iterable[Holding],
    stretches: Iterable[Stretch],
) -> Found:
    """Return how often AWS took a machine back, and what it cost to start elsewhere. ends: when it
    did, within the day; removals: of that day and the one before; holdings, stretches: of the day.
    """
    instead = {row.pk for removal in removals for row in removal.successors}
    by_claim: dict[int, list[Stretch]] = {}
    for stretch in stretches:
        by_claim.setdefault(stretch.claim, []).append(stretch)
    total = _Sum()
    for holding in holdings:
        if holding.replica not in instead:
            continue
        ready = holding.to_at if holding.ready_at is None else min(holding.ready_at, holding.to_at)
        gpus = Decimal(holding.gpus.numerator) / holding.gpus.denominator
        for stretch in by_claim.get(holding.claim, []):
            hours = _hours(holding.from_at, ready, stretch.from_at, stretch.to_at)
            price = stretch.usd_per_hour
            usd = None if price is None or not stretch.gpus else price * gpus / stretch.gpus * hours
            if hours:
                total.add(gpus * hours, usd)
    return total.found(Fact.RECLAIM, len(ends))


def _hours(from_at: datetime, to_at: datetime, start: datetime, end: datetime) -> Decimal:
    """Return how many hours of [from_at, to_at) lie in [start, end)."""
    length = max(min(to_at, end) - max(from_at, start), timedelta())
    return Decimal(length // timedelta(microseconds=1)) / Decimal(3_600_000_000)
