"""Which hours are settled: sealed some hours after their end, once every hour until then is added
up.

What changes in a sealed hour reaches its sums all the same, and is noted, for the money of that
hour may have been charged.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min, Sum

from apps.common.periods import HOUR, day_words, hour_of
from apps.metering.backfill.queries import still_to_come
from apps.metering.models import DirtyHour, LateUsage, SealedHour

LOCK = 5_301  # of the advisory locks


def sealed_until(*, at: datetime | None = None) -> datetime | None:
    """Return the end of the newest sealed hour, as it was known at a moment, or is now; None while
    nothing is sealed. One query.
    """
    hours = SealedHour.objects.all()
    if at is not None:
        hours = hours.filter(sealed_at__lte=at)
    newest: datetime | None = hours.aggregate(newest=Max("hour"))["newest"]
    return newest + HOUR if newest else None


def words(start: datetime, end: datetime) -> str:
    """Return until when [start, end) is sealed, in words; "" where none of it is. One query."""
    until = sealed_until()
    if until is None or until <= start:
        return ""
    return "sealed" if until >= end else f"sealed until {until:%H:%M} UTC on {day_words(until)}"


@transaction.atomic
def seal_hours(*, now: datetime) -> int:
    """Seal every hour that is due, the oldest first, until one is not added up; return how many.

    The first hour that is ever sealed stands for all before it. Batches with calls of such hours
    that are being stored are waited for, and the next ones wait for us: each call is either added
    up before its hour is sealed, or noted as late.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    end = _first_open(now)
    first = sealed_until() or end - HOUR
    dirty = DirtyHour.objects.aggregate(first=Min("hour"))["first"]
    if dirty is not None:
        end = min(end, dirty)
    due = [first + place * HOUR for place in range((end - first) // HOUR)]
    SealedHour.objects.bulk_create(
        [SealedHour(hour=hour, sealed_at=now) for hour in due], batch_size=1000
    )
    return len(due)


def note_late(changes: Mapping[datetime, int], *, now: datetime) -> None:
    """Note what changes in sealed hours, in the caller's transaction. changes: hour → calls that
    came; below 0, calls that were taken out.

    No query where every hour is too young to be sealed.
    """
    soon = now + HOUR  # for a seal may be somewhat younger than the batch that waited for it
    young = _young(soon)
    if all(hour >= young for hour in changes):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [LOCK])
    until = sealed_until(at=soon)
    LateUsage.objects.bulk_create(
        LateUsage(hour=hour, calls=calls, recorded_at=now)
        for hour, calls in sorted(changes.items())
        if until and hour < until
    )


def late_calls(start: datetime, end: datetime) -> int:
    """Return by how many calls the sealed hours of [start, end) changed; one query."""
    late = LateUsage.objects.filter(hour__gte=start, hour__lt=end)
    return int(late.aggregate(calls=Sum("calls"))["calls"] or 0)


def _first_open(now: datetime) -> datetime:
    """Return the first hour that may not be sealed: it is too young, or a backfill is still to
    fill it. One query.
    """
    awaited = still_to_come()
    return _young(now) if awaited is None else min(_young(now), hour_of(awaited))


def _young(now: datetime) -> datetime:
    """Return the first hour that is too young to be sealed."""
    return hour_of(now - timedelta(hours=settings.USAGE_GRACE_HOURS))
