"""What a bill that was restated after its month was closed still has to correct.

A dollar is corrected once. What the ledger itself has come to say of a machine since the close, by
another price or by hours that were learned of late, is a correction of its own, by whom it belongs
to. So of what the bill changed, the part that the ledger followed is left to the ledger, machine by
machine: up to what the bill changed, and only in its direction.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Q, Sum

from apps.chargeback.bills.kinds import OF_USAGE, Kind
from apps.chargeback.bills.models import Bill, BillLine
from apps.chargeback.bills.queries import bills_at_close
from apps.chargeback.closing.models import ClosedMachine, StatementLine
from apps.chargeback.closing.statements import BILL, COST
from apps.chargeback.models import AllocatedDay
from apps.chargeback.reconciliation.bill.compare import NOTHING
from apps.chargeback.reconciliation.bill.queries import ATTACHED, machine_times, ours_on
from apps.common.periods import month_bounds, next_month


@dataclass(frozen=True)
class Time:
    """Hours of a machine and what is charged for them, or how they changed."""

    hours: Decimal = NOTHING
    usd: Decimal = NOTHING

    def __add__(self, other: "Time") -> "Time":
        return Time(self.hours + other.hours, self.usd + other.usd)

    def __sub__(self, other: "Time") -> "Time":
        return Time(self.hours - other.hours, self.usd - other.usd)

    def without(self, followed: "Time") -> "Time":
        """Return what of this change is left once the ledger has followed it so far."""
        return Time(_left(self.hours, followed.hours), _left(self.usd, followed.usd))


NONE = Time()


@dataclass(frozen=True)
class Restated:
    """How a bill changed since its month was closed, and what of that is owed: what the ledger has
    not come to say by itself.
    """

    changed: Time
    owed: Time

    @property
    def followed_usd(self) -> Decimal:
        """Return what the ledger has come to say by itself."""
        return self.changed.usd - self.owed.usd


def restated(months: Collection[date]) -> dict[date, Restated]:
    """Return month → how its bill changed since its close, of closed months whose bill did; one
    query, and some for each of these. A month that was closed without a bill is not among them.
    """
    current = {bill.month: bill for bill in Bill.objects.current().filter(month__in=months)}
    return {
        month: _between(before, current[month])
        for month, before in bills_at_close(current).items()
        if before.pk != current[month].pk
    }


def _between(before: Bill, now: Bill) -> Restated:
    ours = ours_on(now) | ours_on(before)
    said, says = _of_machines(before, ours), _of_machines(now, ours)
    changed = {name: says.get(name, NONE) - said.get(name, NONE) for name in said.keys() | says}
    total = sum(changed.values(), NONE)
    followed = _followed(now.month)
    if followed is None:
        return Restated(total, total.without(_followed_together(now.month)))
    owed = (change.without(followed.get(name, NONE)) for name, change in changed.items())
    return Restated(total, sum(owed, NONE))


def _of_machines(bill: Bill, ours: set[str]) -> dict[str, Time]:
    """Return what a bill says of each of these machines, with all that is charged for it."""
    is_time = Q(kind=Kind.MACHINE, line_type__in=OF_USAGE)
    lines = BillLine.objects.filter(
        bill=bill, resource__in=ours, kind__in=(Kind.MACHINE, *ATTACHED)
    )
    sums = (
        lines.order_by()
        .values("resource")
        .annotate(
            hours=Sum("quantity", filter=is_time, default=NOTHING),
            usd=Sum("effective_usd", default=NOTHING),
        )
    )
    return {one["resource"]: Time(one["hours"], one["usd"]) for one in sums}


def _followed(month: date) -> Mapping[str, Time] | None:
    """Return resource → how the ledger's word of it changed since the month was closed; None where
    a close from before machines were kept does not tell.
    """
    kept = {
        machine.resource: Time(machine.hours, machine.usd)
        for machine in ClosedMachine.objects.filter(close__month=month, close__status="CLOSED")
    }
    if not kept and _billed_at_close(month):
        return None
    known = {
        resource: Time(time.hours, time.usd)
        for resource, time in machine_times(*month_bounds(month)).items()
    }
    return {name: known.get(name, NONE) - kept.get(name, NONE) for name in known.keys() | kept}


def _followed_together(month: date) -> Time:
    """Return how the cost of all machines changed since the month was closed."""
    days = AllocatedDay.objects.filter(day__gte=month, day__lt=next_month(month))
    known = days.aggregate(usd=Sum("total_usd", default=NOTHING))["usd"]
    return Time(NOTHING, known - _billed_at_close(month))


def _billed_at_close(month: date) -> Decimal:
    """Return what a month's own statements bill of its machines."""
    own = StatementLine.objects.filter(
        statement__close__month=month, usage_month=month, basis=COST
    ).exclude(item=BILL)
    usd: Decimal = own.aggregate(usd=Sum("exact_usd", default=NOTHING))["usd"]
    return usd


def _left(change: Decimal, followed: Decimal) -> Decimal:
    """Return what is left of a change: 1 of 3 where 2 were followed, 3 where −2 were, 0 where 5
    were.
    """
    part = min(max(followed, min(change, NOTHING)), max(change, NOTHING))
    return change - part
