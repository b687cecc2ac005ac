"""Which hours are settled: sealed some hours after their end, once every hour until then is added
up.

What changes in a sealed hour reaches its sums all the same, and is noted, for the money of that
hour may have been charged.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Sum

from apps.common.periods import HOUR, day_words, hour_of
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


def seal_hours(*, now: datetime) -> int:
    """Seal every hour that is due, the oldest first, until one is not added up; return how many.

    The first hour that is ever sealed stands for all before it.
    """
    last = _first_open(now) - HOUR
    until, sealed = sealed_until(), 0
    hour = until or last
    while hour <= last and seal_hour(hour=hour, now=now):
        hour, sealed = hour + HOUR, sealed + 1
    return sealed


@transaction.atomic
def seal_hour(*, hour: datetime, now: datetime) -> bool:
    """Seal an hour. False where it, or one before it, is not added up, or it is sealed already.

    Batches with calls of such hours that are being stored are waited for, and the next ones wait
    for us: each call is either added up before its hour is sealed, or noted as late.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    if DirtyHour.objects.filter(hour__lte=hour).exists():
        return False
    _, is_new = SealedHour.objects.get_or_create(hour=hour, defaults={"sealed_at": now})
    return is_new


def note_late(changes: Mapping[datetime, int], *, now: datetime) -> None:
    """Note what changes in sealed hours, in the caller's transaction. changes: hour → calls that
    came; below 0, calls that were taken out.

    No query where every hour is too young to be sealed.
    """
    soon = now + HOUR  # for a seal may be somewhat younger than the batch that waited for it
    first_open = _first_open(soon)
    if all(hour >= first_open for hour in changes):
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
    """Return the first hour that is too young to be sealed."""
    return hour_of(now - timedelta(hours=settings.USAGE_GRACE_HOURS))
