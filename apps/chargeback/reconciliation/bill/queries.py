"""Reads both sides of a month's bill: the intervals of machines at their prices, and the lines of
the bill that counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q, Sum

from apps.chargeback.bills.kinds import COVERED, OF_USAGE, Kind, machine_of
from apps.chargeback.bills.models import Bill, BillLine
from apps.chargeback.bills.queries import Reading
from apps.chargeback.reconciliation.bill import compare
from apps.chargeback.reconciliation.bill.compare import (
    NOTHING,
    PLACES,
    BilledTime,
    LedgerTime,
    MachineDay,
    Name,
    Row,
)
from apps.common.periods import DAY, day_of, end_of_day, month_bounds, start_of_day
from apps.fleet import intervals, prices
from apps.fleet.models import NodeClaim

# what charges are called that have another name as a difference; the others have their own
RENAMED = {Kind.COMMITMENT: Name.UNUSED, Kind.MACHINE: Name.OTHER_MACHINES}
# what is charged for a machine besides its time
ATTACHED = (Kind.DISCOUNT, Kind.CREDIT, Kind.REFUND, Kind.TAX)
MICROSECONDS_PER_HOUR = Decimal(3_600_000_000)
Key = tuple[date, str]  # day and resource


@dataclass
class _Ledger:
    instance_type: str
    capacity_type: str
    hours: Decimal = NOTHING
    unpriced_hours: Decimal = NOTHING
    usd: Decimal = NOTHING

    def told(self) -> LedgerTime:
        """Return it as it is compared."""
        return LedgerTime(_rounded(self.hours), _rounded(self.unpriced_hours), _rounded(self.usd))


@dataclass
class _Billed:
    instance_type: str = ""
    capacity_type: str = ""
    hours: Decimal = NOTHING
    usd: Decimal = NOTHING
    covered_hours: Decimal = NOTHING
    covered_usd: Decimal = NOTHING
    covered_on_demand_usd: Decimal | None = NOTHING
    discount_usd: Decimal = NOTHING
    charges: dict[Name, Decimal] = field(default_factory=dict)

    def told(self) -> BilledTime:
        """Return it as it is compared."""
        return BilledTime(
            hours=self.hours,
            usd=self.usd,
            covered_hours=self.covered_hours,
            covered_usd=self.covered_usd,
            covered_on_demand_usd=self.covered_on_demand_usd,
            discount_usd=self.discount_usd,
            charges=self.charges,
        )


def rows(reading: Reading, now: datetime) -> list[Row]:
    """Return the rows of a month, newest first; none where no bill of it was read, for there is
    nothing to hold the ledger against.
    """
    if reading.bill is None:
        return []
    start, end = month_bounds(reading.month)
    ledger = _ledger(start, min(end, now)) if start < now else {}
    billed, others, unknown = _bill(reading.bill, {resource for _, resource in ledger})
    keys = sorted(ledger.keys() | billed.keys())
    days = {day for day, _ in keys} | others.keys() | unknown.keys()
    return compare.rows(
        (_machine(key, ledger.get(key), billed.get(key)) for key in keys),
        others,
        unknown,
        tolerance=settings.BILL_TOLERANCE_PERCENT,
        covered=[day for day in days if reading.covers(day)],
    )


def machine_times(start: datetime, end: datetime) -> dict[str, LedgerTime]:
    """Return resource → what the ledger knows of it in [start, end)."""
    found: dict[str, _Ledger] = {}
    for (_, resource), day in _ledger(start, end).items():
        known = found.setdefault(resource, _Ledger(day.instance_type, day.capacity_type))
        known.hours += day.hours
        known.unpriced_hours += day.unpriced_hours
        known.usd += day.usd
    return {resource: known.told() for resource, known in found.items()}


def ours_on(bill: Bill) -> set[str]:
    """Return the platform's machines on a bill: those that were observed at any time, and those
    with a GPU.
    """
    return _observed(bill) | _with_gpus(bill)


def _machine(key: Key, ledger: _Ledger | None, billed: _Billed | None) -> MachineDay:
    day, resource = key
    known = ledger or billed
    assert known is not None  # noqa: S101 - a key is of one side at least
    return MachineDay(
        day=day,
        resource=resource,
        instance_type=known.instance_type,
        capacity_type=known.capacity_type,
        ledger=None if ledger is None else ledger.told(),
        billed=None if billed is None else billed.told(),
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(PLACES, ROUND_HALF_EVEN)


def _ledger(start: datetime, end: datetime) -> dict[Key, _Ledger]:
    """Return what each machine cost on each day of [start, end), as the shares of its cost do."""
    found: dict[Key, _Ledger] = {}
    for part in intervals.parts_within(start, end):
        resource = part.span.node_claim.resource_id or part.span.node_claim.name
        price = part.price.usd_per_hour
        for day, hours in _days(part.from_at, part.to_at):
            known = found.setdefault(
                (day, resource), _Ledger(part.span.instance_type, part.span.capacity_type)
            )
            known.hours += hours
            if price is None:
                known.unpriced_hours += hours
            else:
                known.usd += price * hours
    return found


def _days(begin: datetime, end: datetime) -> Iterable[tuple[date, Decimal]]:
    """Yield the days of a time, each with its hours."""
    while begin < end:
        day = day_of(begin)
        until = min(end_of_day(day), end)
        yield day, Decimal((until - begin) // timedelta(microseconds=1)) / MICROSECONDS_PER_HOUR
        begin = until


def _bill(
    bill: Bill, known: set[str]
) -> tuple[dict[Key, _Billed], dict[date, dict[Name, Decimal]], dict[date, Decimal]]:
    """Return what the bill says: of the platform's machines by day, of everything else by day and
    name, and what is of no known type by day. known: resources in the month's ledger.
    """
    billed: dict[Key, _Billed] = {}
    others: dict[date, dict[Name, Decimal]] = {}
    unknown: dict[date, Decimal] = {}
    ours = known | ours_on(bill)
    for line in _lines(bill):
        kind, day = Kind(line["kind"]), line["day"]
        if line["resource"] in ours and (kind == Kind.MACHINE or kind in ATTACHED):
            _count(billed.setdefault((day, line["resource"]), _Billed()), kind, line)
        elif kind == Kind.UNKNOWN:
            unknown[day] = unknown.get(day, NOTHING) + line["usd"]
        else:
            names = others.setdefault(day, {})
            name = _name_of(kind)
            names[name] = names.get(name, NOTHING) + line["usd"]
    others = {
        day: {name: usd for name, usd in found.items() if usd} for day, found in others.items()
    }
    return (
        billed,
        {day: found for day, found in others.items() if found},
        {day: usd for day, usd in unknown.items() if usd},
    )


def _name_of(kind: Kind) -> Name:
    return RENAMED.get(kind) or Name(kind.value)


def _lines(bill: Bill) -> Iterable[dict[str, Any]]:
    """Return the lines, those of machines and what is attached by resource, others by day."""
    sums = {
        "hours": Sum("quantity"),
        "usd": Sum("effective_usd"),
        "listed": Sum("on_demand_usd"),
        "discount": Sum("discount_usd", default=NOTHING),
    }
    own = BillLine.objects.filter(bill=bill).order_by()
    single = Q(kind=Kind.MACHINE) | (Q(kind__in=ATTACHED) & ~Q(resource=""))
    names = ("day", "kind", "resource", "instance_type", "usage_type", "line_type")
    yield from own.filter(single).values(*names).annotate(**sums)
    for line in own.exclude(single).values("day", "kind").annotate(usd=sums["usd"]):
        yield line | {"resource": ""}


def _count(machine: _Billed, kind: Kind, line: dict[str, Any]) -> None:
    """Add a line to what a machine is billed."""
    if kind != Kind.MACHINE:
        name = _name_of(kind)
        machine.charges[name] = machine.charges.get(name, NOTHING) + line["usd"]
        return
    machine.usd += line["usd"]
    machine.discount_usd += line["discount"]
    if line["line_type"] not in OF_USAGE:
        return
    named, bought = machine_of(line["usage_type"])
    machine.instance_type = named or line["instance_type"] or machine.instance_type
    machine.capacity_type = bought or machine.capacity_type
    machine.hours += line["hours"]
    if line["line_type"] in COVERED:
        machine.covered_hours += line["hours"]
        machine.covered_usd += line["usd"]
        if line["listed"] is None or machine.covered_on_demand_usd is None:
            machine.covered_on_demand_usd = None
        else:
            machine.covered_on_demand_usd += line["listed"]


def _observed(bill: Bill) -> set[str]:
    """Return the resources of the bill's time that the fleet knows."""
    start, end = start_of_day(bill.month), month_bounds(bill.month)[1] + DAY
    claims = NodeClaim.objects.filter(created_at__lt=end).exclude(provider_id="")
    there = claims.filter(Q(ended_at__isnull=True) | Q(ended_at__gte=start - DAY))
    return {claim.resource_id for claim in there.only("provider_id")}


def _with_gpus(bill: Bill) -> set[str]:
    """Return the resources of the bill that are machines with a GPU."""
    kinds = [kind.name for kind in prices.instance_types() if kind.gpus]
    own = BillLine.objects.filter(bill=bill, kind=Kind.MACHINE, instance_type__in=kinds)
    return set(own.order_by().values_list("resource", flat=True).distinct())
