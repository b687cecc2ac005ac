"""Loads the sample year: thirteen months of an invented company, through the doors by which the
product learns of a real one, with the clock of each day.

It can be killed anywhere and begun again: a day's calls, what the engines counted of them and how
far the year has got are one transaction, and everything that follows from a day is computed by
actions that may run twice. `now` of an action is its day's; the record keeps beside it when it was
written.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.catalog.uploads import Registry
from apps.chargeback.actions import allocate_day, price_due_days
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.bills.reconcile import read_bills
from apps.chargeback.closing.actions import ask_to_close, close_month
from apps.chargeback.closing.checklist import checks
from apps.chargeback.closing.models import MonthClose
from apps.chargeback.inputs import due_days
from apps.common.periods import (
    DAY,
    HOUR,
    end_of_day,
    hour_of,
    month_bounds,
    start_of_day,
)
from apps.common.sign_ins import JUST_NOW
from apps.fleet.metrics.actions import record_replica_samples
from apps.fleet.models import Replica
from apps.integrations.s3.client import bills_from_settings
from apps.manifests.names import MODELS
from apps.metering.actions import (
    ingest_usage,
    record_engine_hours,
    roll_up_dirty_hours,
    roll_up_hours,
)
from apps.metering.backfill.actions import advance_backfill, begin_backfill, finish_backfill
from apps.metering.backfill.models import Backfill
from apps.metering.quarantine.doubles import find_doubles
from apps.metering.sealing import seal_hours
from portal.sample import founding
from portal.sample.bills import SPOT_SHARE, bill_of, deliver, other_charges
from portal.sample.calls import Call, calls
from portal.sample.cluster import tell_week
from portal.sample.company import Company, meridian
from portal.sample.machines import mondays

NAME = "sample-year"
COMES_IN = timedelta(minutes=10)  # after its end, all of a day has come
CLOSED_MONTHS = 3
CLOSES_AFTER = 3 * DAY  # finance needs some days
SCRAPES = 240  # of an hour


@dataclass(frozen=True)
class BillWriter:
    """The program that plays AWS Data Exports, and the variables that it needs."""

    command: list[str]
    env: dict[str, str]


class NotBegun(Exception):
    """Nobody has said that there is to be a sample."""


def begin_year(*, now: datetime) -> Backfill:
    """Say that the year until this hour will be brought in, so that nothing of it is sealed before;
    one that was begun before stays as it is.
    """
    company = meridian(hour_of(now))
    return begin_backfill(
        name=NAME, since=company.start, until=company.until, is_sample=True, now=now
    )


def load_year(
    *, registry: Registry, bills: BillWriter | None = None, clock: Callable[[], datetime]
) -> Iterator[str]:
    """Bring in what is missing of the year, and yield a line about each step.

    bills: None where nobody bills the machines. clock: tells the real time. Raises NotBegun.
    """
    backfill = Backfill.objects.filter(name=NAME).first()
    if backfill is None:
        raise NotBegun("Begin the sample year first.")
    if backfill.finished_at is None:
        yield from _bring_in(backfill, registry, bills, clock)
    yield f"the year until {backfill.until:%Y-%m-%d %H:%M} UTC is there"
    find_doubles(now=clock())
    yield "every day was held against the others, and may go to the archive"


def _bring_in(
    backfill: Backfill, registry: Registry, bills: BillWriter | None, clock: Callable[[], datetime]
) -> Iterator[str]:
    company = meridian(backfill.until)
    yield from founding.found(company, registry, clock())
    # all of them first: whether a version sleeps on a day is known once it wakes up
    told = sum(tell_week(company, monday) for monday in mondays(company))
    yield f"{told} machines have come and gone"
    yield from _load_days(company, backfill)
    if bills is not None:
        yield _bill(company, bills)
    for month in months_to_close(company):
        _close(month)
    finish_backfill(backfill=backfill, now=clock())
    yield f"{backfill.days} days are there, their last months closed"


def _load_days(company: Company, backfill: Backfill) -> Iterator[str]:
    """Load the days that are missing, and do what follows from each a day later, for a worker is
    asked to do the most of it meanwhile.
    """
    before = None
    for day in company.days:
        if min(end_of_day(day), company.until) <= backfill.stored_until:
            continue
        _store_day(company, day, backfill)
        if before is not None:
            _follow_up(company, before)
            if day.day == 1:
                yield f"{before:%B %Y} is there"
        before = day
    _catch_up(company)


@transaction.atomic
def _store_day(company: Company, day: date, backfill: Backfill) -> None:
    """Store a day's calls, and what the engines counted of them."""
    ends = min(end_of_day(day), company.until)
    made = list(calls(company, day))
    came = ends + COMES_IN
    ingest_usage(entries=[call.entry for call in made], via="OTLP", now=came)
    record_replica_samples(minutes=_counted(made, start_of_day(day), ends))
    record_engine_hours(now=came)
    advance_backfill(backfill=backfill, stored_until=ends)


def _follow_up(company: Company, day: date) -> None:
    """Do what follows from a day's usage."""
    ends = min(end_of_day(day), company.until)
    came = ends + COMES_IN
    hours = [start_of_day(day) + place * HOUR for place in range(24)]
    roll_up_hours(hours=hours, now=came, looked_at=company.until)
    seal_hours(now=came)
    price_due_days()
    allocate_day(day=day, now=company.until)


def _catch_up(company: Company) -> None:
    """Do what is left of all days: of the last one, and of those before which it was killed."""
    roll_up_dirty_hours(now=company.until)
    seal_hours(now=company.until)
    price_due_days()
    for day in due_days(company.until):
        allocate_day(day=day, now=company.until)


def _counted(
    made: list[Call], start: datetime, end: datetime
) -> dict[tuple[int, datetime], dict[str, Any]]:
    """Return (replica, hour) → what it counted: the tokens of an hour's calls of its version, by
    the time for which each of its replicas was ready.
    """
    tokens: dict[tuple[str, datetime], list[int]] = {}
    for call in made:
        hour = hour_of(call.record.occurred_at)
        found = tokens.setdefault((call.record.version, hour), [0, 0])
        found[0] += call.prompt_tokens
        found[1] += call.generation_tokens
    there = Replica.objects.filter(namespace=MODELS, ready_at__lt=end, ended_at__gt=start)
    ready: dict[tuple[str, datetime], list[tuple[Replica, float]]] = {}
    for replica in there:
        for hour, seconds in _ready_hours(replica, start, end):
            ready.setdefault((replica.service, hour), []).append((replica, seconds))
    samples: dict[tuple[int, datetime], dict[str, Any]] = {}
    for (service, hour), replicas in ready.items():
        prompt, written = tokens.get((service, hour), (0, 0))
        whole = sum(seconds for _, seconds in replicas)
        for replica, seconds in replicas:
            share = seconds / whole
            samples[replica.pk, hour] = {
                "samples": round(SCRAPES * seconds / HOUR.total_seconds()),
                "counted_seconds": seconds,
                "prompt_tokens": prompt * share,
                "generation_tokens": written * share,
            }
    return samples


def _ready_hours(
    replica: Replica, start: datetime, end: datetime
) -> Iterator[tuple[datetime, float]]:
    """Yield the hours of [start, end) in which a replica was ready, and for how many seconds."""
    begins = max(replica.ready_at or end, start)
    ends = min(replica.ended_at or end, end)
    hour = hour_of(begins)
    while hour < ends:
        seconds = (min(hour + HOUR, ends) - max(hour, begins)).total_seconds()
        if seconds > 0:
            yield hour, seconds
        hour += HOUR


def _bill(company: Company, bills: BillWriter) -> str:
    """Have the months billed, those that are over for good, and read the bills. Who follows the
    cluster keeps the sample's machines on the bill of the open month.
    """
    told = [
        bill_of(
            month,
            until=company.until,
            is_final=month_bounds(month)[1] <= company.until,
            charges=other_charges(month, company.until),
            spot_share=SPOT_SHARE,
        )
        for month in _months(company)
    ]
    deliver(told, bills.command, env=bills.env)
    read_bills(store=bills_from_settings(), export=export_from_settings(), now=company.until)
    return f"{len(told)} months are billed"


def months_to_close(company: Company) -> list[date]:
    """Return the last months that finance has had time to close, oldest first."""
    return [
        month
        for month in _months(company)
        if month_bounds(month)[1] + CLOSES_AFTER <= company.until
    ][-CLOSED_MONTHS:]


def _months(company: Company) -> list[date]:
    """Return the months of the year, oldest first."""
    return sorted({day.replace(day=1) for day in company.days})


def _close(month: date) -> None:
    """Close a month: one of finance asks, accepting with a reason what the sample leaves open, and
    another one closes.
    """
    if MonthClose.objects.closed().filter(month=month).exists():
        return
    fiona, felix = (User.objects.get(username=name) for name in ("fiona", "felix"))
    asked = month_bounds(month)[1] + CLOSES_AFTER - 10 * HOUR
    item = MonthClose.objects.pending().filter(month=month).first() or ask_to_close(
        month=month,
        requester=fiona,
        justification="Sample: the month as agreed.",
        reasons=_reasons(month, asked),
        now=asked,
    )
    felix.sign_in = JUST_NOW
    close_month(item=item, approver=felix, reason="Sample: seen and agreed.", now=asked + HOUR)


def _reasons(month: date, now: datetime) -> dict[str, str]:
    """Return why what is open of a month may be accepted."""
    return {
        check.key: f"Sample: {check.words}"
        for check in checks(month, now)
        if check.stops and check.may_accept
    }
