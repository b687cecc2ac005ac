"""The cloud's bill beside what the ledger says machines cost, and what each difference is. Pure.

Machine by machine and day by day: the same hours at two prices, hours that one side has alone, and
what else the bill charges. Each part has a name; what is left of the difference is unexplained. The
names and the rest always sum to the difference exactly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from django.db.models import TextChoices

from apps.chargeback.bills.kinds import Kind
from apps.manifests.capacity import SPOT

PLACES = Decimal("0.000000000001")
NOTHING = Decimal(0)
CENT = Decimal("0.01")


class Name(TextChoices):
    """What a difference is: charges that the ledger does not know as the bill calls them."""

    SPOT_PRICE = "SPOT_PRICE", "Spot price"
    COMMITMENT = "COMMITMENT", "Savings plan or reservation"
    UNUSED = "UNUSED", "Commitment that nobody used"
    DISCOUNT = Kind.DISCOUNT.value, Kind.DISCOUNT.label
    CREDIT = Kind.CREDIT.value, Kind.CREDIT.label
    REFUND = Kind.REFUND.value, Kind.REFUND.label
    TAX = Kind.TAX.value, Kind.TAX.label
    SUPPORT = Kind.SUPPORT.value, Kind.SUPPORT.label
    STORAGE = Kind.STORAGE.value, Kind.STORAGE.label
    TRANSFER = Kind.TRANSFER.value, Kind.TRANSFER.label
    SERVICE = Kind.SERVICE.value, Kind.SERVICE.label
    OTHER_MACHINES = "OTHER_MACHINES", "Machines outside the platform"
    LATE = "LATE", "Not on the bill yet"
    ONLY_BILL = "ONLY_BILL", "Hours on the bill alone"
    ONLY_LEDGER = "ONLY_LEDGER", "Hours in the ledger alone"
    UNPRICED = "UNPRICED", "Hours without a price in the ledger"


# What has a name and still needs somebody to say why: money that one side does not know of.
ASKS = (Name.ONLY_BILL, Name.ONLY_LEDGER, Name.UNPRICED)
Names = Mapping[Name, Decimal]


class State(TextChoices):
    """How a row ends up."""

    MATCHES = "MATCHES", "Matches"
    EXPLAINED = "EXPLAINED", "Explained"
    WAITING = "WAITING", "Waits for the bill"
    ASKS = "ASKS", "Needs a reason"
    UNEXPLAINED = "UNEXPLAINED", "Unexplained"


@dataclass(frozen=True)
class LedgerTime:
    """What the ledger knows of a machine on a day. usd: of the hours that have a price."""

    hours: Decimal
    unpriced_hours: Decimal
    usd: Decimal

    @property
    def priced_hours(self) -> Decimal:
        """Return how many hours have a price."""
        return self.hours - self.unpriced_hours


@dataclass(frozen=True)
class BilledTime:
    """What the bill says of a machine on a day. usd: what its time costs, with the cost of savings
    plans and reservations where they are used. covered_*: the part that these cover;
    covered_on_demand_usd: what it costs on demand, None where the bill does not tell. discount_usd:
    what the account's own discounts took off usd, below zero. charges: what else is charged for the
    machine: discounts that are lines of their own, credits, tax.
    """

    hours: Decimal
    usd: Decimal
    covered_hours: Decimal = NOTHING
    covered_usd: Decimal = NOTHING
    covered_on_demand_usd: Decimal | None = None
    discount_usd: Decimal = NOTHING
    charges: Names = field(default_factory=dict)

    @property
    def total_usd(self) -> Decimal:
        """Return all that is charged for the machine."""
        return self.usd + sum(self.charges.values(), NOTHING)


@dataclass(frozen=True)
class MachineDay:
    """One machine on one UTC day, as each side knows it; None: that side does not."""

    day: date
    resource: str
    instance_type: str
    capacity_type: str
    ledger: LedgerTime | None
    billed: BilledTime | None


@dataclass(frozen=True)
class Row:
    """The machines of one kind on one day, or, with no instance_type, what else the bill charges.

    unpriced_hours: those in the ledger without a price. tolerance: in percent of the greater side.
    is_covered: the bill tells of the whole day.
    """

    day: date
    instance_type: str
    capacity_type: str
    machines: int
    ledger_hours: Decimal
    unpriced_hours: Decimal
    billed_hours: Decimal
    ledger_usd: Decimal
    billed_usd: Decimal
    names: Names
    tolerance: Decimal
    is_covered: bool

    @property
    def is_machines(self) -> bool:
        """Tell whether it is of machines."""
        return bool(self.instance_type)

    @property
    def ledger_known_usd(self) -> Decimal | None:
        """Return what the ledger says; None where it knows no hour of it, or no price."""
        return self.ledger_usd if self.ledger_hours > self.unpriced_hours else None

    @property
    def billed_known_usd(self) -> Decimal | None:
        """Return what the bill says; None where it says nothing of it."""
        return self.billed_usd if self.billed_hours or self.billed_usd else None

    @property
    def rest_words(self) -> str:
        """Return what the part without a name may be; "" where it is within tolerance."""
        if not self.unexplained_usd:
            return ""
        if self.is_machines:
            return "another price, or other charges, than the ledger knows"
        return "lines of a type that is not known"

    @property
    def difference_usd(self) -> Decimal:
        """Return how much more the bill says; negative: less."""
        return self.billed_usd - self.ledger_usd

    @property
    def rest_usd(self) -> Decimal:
        """Return what of the difference has no name."""
        return self.difference_usd - sum(self.names.values(), NOTHING)

    @property
    def asks_usd(self) -> Decimal:
        """Return how much has a name and needs somebody to say why."""
        return sum((abs(self.names.get(name, NOTHING)) for name in ASKS), NOTHING)

    @property
    def room_usd(self) -> Decimal:
        """Return what may be left without a name."""
        greater = max(abs(self.billed_usd), abs(self.ledger_usd))
        return max(greater * self.tolerance / 100, CENT)

    @property
    def unexplained_usd(self) -> Decimal:
        """Return what is left beyond tolerance; 0 where it is within."""
        return self.rest_usd if abs(self.rest_usd) > self.room_usd else NOTHING

    @property
    def state(self) -> State:
        """Return whether both sides agree, or why not."""
        if self.unexplained_usd:
            return State.UNEXPLAINED
        if self.asks_usd > self.room_usd:
            return State.ASKS
        if not self.is_covered and self.is_machines:
            return State.WAITING
        return State.EXPLAINED if abs(self.difference_usd) > self.room_usd else State.MATCHES


@dataclass(frozen=True)
class Summary:
    """What the rows of a month come to. billed_usd: all of the bill; machines_usd: of it, the
    platform's machines. unexplained_usd, asks_usd: without their signs, beyond tolerance.
    """

    rows: int
    ledger_usd: Decimal
    billed_usd: Decimal
    machines_usd: Decimal
    names: Names
    unexplained_usd: Decimal
    unexplained_days: int
    asks: Names
    waiting_days: int

    @property
    def asks_usd(self) -> Decimal:
        """Return how much needs a reason."""
        return sum((abs(usd) for usd in self.asks.values()), NOTHING)

    @property
    def is_explained(self) -> bool:
        """Tell whether nothing is left to explain."""
        return not self.unexplained_usd and not self.asks


def names_of(machine: MachineDay, *, is_covered: bool) -> dict[Name, Decimal]:
    """Return what the difference of a machine's day is, by name; without what has none.

    is_covered: the bill tells of the whole day. Where it does not yet, what is left is late.
    """
    ledger = machine.ledger or LedgerTime(NOTHING, NOTHING, NOTHING)
    billed = machine.billed or BilledTime(NOTHING, NOTHING)
    found: dict[Name, Decimal] = dict(billed.charges)
    if not is_covered:
        found[Name.LATE] = billed.usd - ledger.usd
        return _told(found)
    both = min(ledger.hours, billed.hours)
    billed_rate = _rate(billed.usd, billed.hours)
    ledger_rate = _rate(ledger.usd, ledger.priced_hours)
    found[Name.ONLY_BILL] = billed.usd if not both else (billed.hours - both) * billed_rate
    unpriced = both * _rate(ledger.unpriced_hours, ledger.hours)
    found[Name.UNPRICED] = unpriced * billed_rate
    alone = (ledger.hours - both) * _rate(ledger.priced_hours, ledger.hours)
    found[Name.ONLY_LEDGER] = -alone * ledger_rate
    priced = both - unpriced
    if machine.capacity_type == SPOT:
        found[Name.SPOT_PRICE] = priced * (billed_rate - ledger_rate)
    else:
        commitment = _commitment(billed, priced, ledger_rate)
        left = priced * (billed_rate - ledger_rate) - commitment
        taken_off = priced * _rate(billed.discount_usd, billed.hours)
        found[Name.COMMITMENT] = commitment
        found[Name.DISCOUNT] = found.get(Name.DISCOUNT, NOTHING) + _within(left, taken_off)
    return _told(found)


def _commitment(billed: BilledTime, priced: Decimal, ledger_rate: Decimal) -> Decimal:
    """Return what savings plans and reservations explain of the price of on-demand hours: at most
    what they really took off, so that a wrong price in the ledger stays unexplained.
    """
    if not billed.covered_hours:
        return NOTHING
    hours = priced * _rate(billed.covered_hours, billed.hours)
    rate = _rate(billed.covered_usd, billed.covered_hours)
    difference = hours * (rate - ledger_rate)
    if billed.covered_on_demand_usd is None:
        return difference
    saved = hours * (rate - _rate(billed.covered_on_demand_usd, billed.covered_hours))
    return _within(difference, saved)


def _within(difference: Decimal, most: Decimal) -> Decimal:
    """Return the part of a difference that lies between nothing and what explains it at most."""
    return min(max(difference, min(most, NOTHING)), max(most, NOTHING))


def _rate(amount: Decimal, by: Decimal) -> Decimal:
    return amount / by if by else NOTHING


def _told(found: Mapping[Name, Decimal]) -> dict[Name, Decimal]:
    """Return what is something, each to twelve decimals: rounding is part of the rest."""
    rounded = {name: usd.quantize(PLACES, ROUND_HALF_EVEN) for name, usd in found.items()}
    return {name: usd for name, usd in rounded.items() if usd}


def rows(
    machines: Iterable[MachineDay],
    others: Mapping[date, Names],
    unknown: Mapping[date, Decimal],
    *,
    tolerance: Decimal,
    covered: Iterable[date],
) -> list[Row]:
    """Return the rows of a month, newest day first, machines before what else the bill charges.

    others: day → what the bill charges besides the platform's machines, by name. unknown: day →
    what it charges without saying for what. covered: the days that the bill tells of whole.
    """
    whole = set(covered)
    groups: dict[tuple[date, str, str], list[MachineDay]] = {}
    for machine in machines:
        key = (machine.day, machine.instance_type or "unknown type", machine.capacity_type)
        groups.setdefault(key, []).append(machine)
    found = [
        _machines_row(key, group, tolerance, is_covered=key[0] in whole)
        for key, group in groups.items()
    ]
    for day in others.keys() | unknown.keys():
        found.append(
            _other_row(day, others.get(day, {}), unknown.get(day, NOTHING), tolerance, day in whole)
        )
    order = sorted(found, key=lambda row: (not row.is_machines, row.instance_type))
    return sorted(order, key=lambda row: row.day, reverse=True)


def _machines_row(
    key: tuple[date, str, str], group: list[MachineDay], tolerance: Decimal, *, is_covered: bool
) -> Row:
    day, instance_type, capacity_type = key
    ledger = [machine.ledger for machine in group if machine.ledger]
    billed = [machine.billed for machine in group if machine.billed]
    return Row(
        day=day,
        instance_type=instance_type,
        capacity_type=capacity_type,
        machines=len({machine.resource for machine in group}),
        ledger_hours=sum((each.hours for each in ledger), NOTHING),
        unpriced_hours=sum((each.unpriced_hours for each in ledger), NOTHING),
        billed_hours=sum((each.hours for each in billed), NOTHING),
        ledger_usd=sum((each.usd for each in ledger), NOTHING),
        billed_usd=sum((each.total_usd for each in billed), NOTHING),
        names=added(names_of(machine, is_covered=is_covered) for machine in group),
        tolerance=tolerance,
        is_covered=is_covered,
    )


def _other_row(
    day: date, names: Names, unknown: Decimal, tolerance: Decimal, is_covered: bool
) -> Row:
    return Row(
        day=day,
        instance_type="",
        capacity_type="",
        machines=0,
        ledger_hours=NOTHING,
        unpriced_hours=NOTHING,
        billed_hours=NOTHING,
        ledger_usd=NOTHING,
        billed_usd=sum(names.values(), NOTHING) + unknown,
        names=names,
        tolerance=tolerance,
        is_covered=is_covered,
    )


def added(found: Iterable[Names]) -> dict[Name, Decimal]:
    """Return the sums of names, in their order; those that come to nothing are left out."""
    sums: dict[Name, Decimal] = {}
    for names in found:
        for name, usd in names.items():
            sums[name] = sums.get(name, NOTHING) + usd
    return {name: sums[name] for name in Name if sums.get(name)}


def summary(found: list[Row]) -> Summary:
    """Return what rows come to."""
    asking = [row for row in found if row.asks_usd > row.room_usd]
    bad = [row for row in found if row.unexplained_usd]
    asks = added({name: row.names.get(name, NOTHING) for name in ASKS} for row in asking)
    return Summary(
        rows=len(found),
        ledger_usd=sum((row.ledger_usd for row in found), NOTHING),
        billed_usd=sum((row.billed_usd for row in found), NOTHING),
        machines_usd=sum((row.billed_usd for row in found if row.is_machines), NOTHING),
        names=added(row.names for row in found),
        unexplained_usd=sum((abs(row.unexplained_usd) for row in bad), NOTHING),
        unexplained_days=len({row.day for row in bad}),
        asks=asks,
        waiting_days=len({row.day for row in found if row.state == State.WAITING}),
    )
