"""Pricing what was used by the price list, and sharing out what the machines cost, day by day.

Either is computed whole from what happened; doing it again changes nothing but what changed.
"""

import logging
from datetime import date, datetime

from django.db import DataError, IntegrityError, connection, transaction

from apps.chargeback import spending
from apps.chargeback.allocation import Day, Row, allocate
from apps.chargeback.inputs import Inputs, due_days, inputs
from apps.chargeback.method import FACTS, METHOD, Kind
from apps.chargeback.models import AllocatedDay, Allocation, ChangedDay, DirtyDay, MonthlyAllocation
from apps.chargeback.trends.facts import Found
from apps.chargeback.trends.inputs import facts_of
from apps.chargeback.trends.models import DayFact
from apps.common import periods
from apps.common.tasks import enqueue_on_commit
from apps.manifests.names import EVALS

AT_ONCE = 1000  # rows a statement
DAYS_AT_ONCE = 40  # of those that are due
# the first keys of the advisory locks: of a day, of a month
ALLOCATING, SUMMING = 0x716D_616C, 0x716D_6D6F
SUMMED = ("gpu_hours", "cost_usd", "on_demand_usd", "input_tokens", "output_tokens")
PRICING = 0x716D_7072
_SHARES = """kind, basis, model, version, team, cost_center, instance_type, capacity_type,
    gpu_name, is_priced"""
_IS_LISTED = "on_demand_usd IS NOT NULL"
# Only our own names are put into the statement; every value is a parameter.
_MONTHLY_SHARES = f"""
    INSERT INTO {MonthlyAllocation._meta.db_table}
        (month, {_SHARES}, is_listed, {", ".join(SUMMED)})
    SELECT %s, {_SHARES}, {_IS_LISTED}, {", ".join(f"SUM({name})" for name in SUMMED)}
    FROM {Allocation._meta.db_table} WHERE day_id >= %s AND day_id < %s
    GROUP BY {_SHARES}, {_IS_LISTED}
"""  # noqa: S608
log = logging.getLogger(__name__)


def mark_days(*, first: date, last: date, now: datetime) -> None:
    """Have the days from `first` to `last` priced anew, both included, once the caller's
    transaction is over.
    """
    count = (last - first).days + 1
    marks = [DirtyDay(day=first + place * periods.DAY, marked_at=now) for place in range(count)]
    DirtyDay.objects.bulk_create(
        marks, update_conflicts=True, update_fields=["marked_at"], unique_fields=["day"]
    )
    enqueue_on_commit("chargeback.price_due_days")


@transaction.atomic
def price_day(*, day: date) -> bool:
    """Price a marked day anew from its hours and the rates of each, with its month's lines. False
    when it is clean or another worker has it.

    Days of one month wait for each other, so that its lines are summed from all of them. The mark
    is locked: whoever changes an hour of the day meanwhile waits, then marks it again.
    """
    month = day.replace(day=1)
    _lock(PRICING, month)
    mark = DirtyDay.objects.select_for_update(skip_locked=True).filter(day=day).first()
    if mark is None:
        return False
    spending.compute_day(day)
    spending.sum_month(month)
    mark.delete()
    return True


def price_due_days() -> int:
    """Price every marked day, the newest first, each in its own transaction; return how many.

    A day that cannot be priced stays marked and is told in the log; the others go on.
    """
    done = 0
    for day in DirtyDay.objects.order_by("-day").values_list("day", flat=True):
        try:
            done += price_day(day=day)
        except (DataError, IntegrityError):
            log.exception("the day %s cannot be priced", f"{day:%Y-%m-%d}")
    return done


def _lock(what: int, day: date) -> None:
    """Wait until nobody else does this for this day, and keep the others waiting until the end of
    the transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [what, day.toordinal()])


@transaction.atomic
def allocate_day(*, day: date, now: datetime) -> bool:
    """Share out what the machines of a UTC day cost, until its end or now. False while another
    worker does it.

    A change that comes meanwhile marks the day again, so its mark goes only if it is still the one
    that was there before anything was read. A day that has not begun is left alone.
    """
    start, end = periods.start_of_day(day), min(periods.end_of_day(day), now)
    if end <= start or not _may_allocate(day):
        return False
    mark = ChangedDay.objects.filter(day=day).first()
    found = inputs(start, end)
    shared = allocate(
        stretches=found.stretches,
        holdings=found.holdings,
        work=found.work,
        weigh=found.weigh,
        evaluations=EVALS,
    )
    _keep(day, end, found, shared, now)
    _sum_month(periods.month_of(start))
    if mark is not None:
        ChangedDay.objects.filter(day=day, changed_at=mark.changed_at).delete()
    return True


def allocate_due_days(*, now: datetime) -> int:
    """Share out the newest days that are due, each in its own transaction; return how many. A day
    that cannot be is told in the log, and stops no other one.
    """
    done = 0
    for day in due_days(now)[:DAYS_AT_ONCE]:
        try:
            done += allocate_day(day=day, now=now)
        except (DataError, IntegrityError, ValueError):
            log.exception("the day %s cannot be shared out", f"{day:%Y-%m-%d}")
    return done


def _may_allocate(day: date) -> bool:
    """Take a day for this transaction; tell whether it was free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [ALLOCATING, day.toordinal()])
        return bool(cursor.fetchone()[0])


def _keep(day: date, until: datetime, found: Inputs, shared: Day, now: datetime) -> None:
    """Put a day's shares in the place of those that it had."""
    values = {
        "until": until,
        "method_id": METHOD.id,
        "method_version": METHOD.version,
        "total_usd": shared.total_usd,
        **{f"{kind.lower()}_usd": shared.usd_of(kind) for kind in Kind.values},
        "priced_seconds": shared.priced_seconds,
        "unpriced_seconds": shared.unpriced_seconds,
        "unobserved_seconds": shared.unobserved_seconds,
        "unplaced_tokens": shared.unplaced_tokens,
        "has_simulated_machines": found.has_simulated_machines,
        "has_simulated_prices": found.has_simulated_prices,
        "computed_at": now,
    }
    AllocatedDay.objects.update_or_create(day=day, defaults=values)
    Allocation.objects.filter(day=day).delete()
    rows = [_allocation(day, row) for row in shared.rows]
    Allocation.objects.bulk_create(rows, batch_size=AT_ONCE)
    DayFact.objects.filter(day=day).delete()
    facts = facts_of(day, until, found)
    DayFact.objects.bulk_create(_fact(day, each) for each in facts.found)
    ChangedDay.objects.bulk_create(
        [ChangedDay(day=earlier, changed_at=now) for earlier in sorted(facts.overtaken)],
        update_conflicts=True,
        update_fields=["changed_at"],
        unique_fields=["day"],
    )


def _fact(day: date, found: Found) -> DayFact:
    method = FACTS.get(found.fact, METHOD)
    return DayFact(
        day_id=day,
        fact=found.fact,
        method_version=method.version,
        events=found.events,
        gpu_hours=found.gpu_hours,
        unpriced_gpu_hours=found.unpriced_gpu_hours,
        usd=found.usd,
    )


def _sum_month(month: date) -> None:
    """Sum a month's days anew. Its other days may be shared out by other workers at this moment:
    one after the other sums, and sees what was committed before it.
    """
    _lock(SUMMING, month)
    MonthlyAllocation.objects.filter(month=month).delete()
    with connection.cursor() as cursor:
        cursor.execute(_MONTHLY_SHARES, [month, month, periods.next_month(month)])


def _allocation(day: date, row: Row) -> Allocation:
    share, origin = row.share, row.share.origin
    return Allocation(
        day_id=day,
        instance_type=origin.instance_type,
        capacity_type=origin.capacity_type,
        gpu_name=origin.gpu_name,
        is_priced=origin.is_priced,
        kind=share.kind,
        basis=share.basis,
        model=share.model,
        version=share.version,
        team=share.team,
        cost_center=share.cost_center,
        gpu_hours=row.gpu_hours,
        cost_usd=row.cost_usd,
        on_demand_usd=row.on_demand_usd,
        ratio=row.ratio,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
    )
