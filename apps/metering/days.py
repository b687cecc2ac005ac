"""The UTC days that raw calls are kept by: made, counted, dropped once they are archived, and made
anew when they are brought back. Whichever store holds the calls, Postgres says which days there
are, and refuses what would lose a call.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from uuid import UUID

from django.db.models import Max, QuerySet
from django.db.models.functions import TruncDate

from apps.common.periods import ZONE, day_of, end_of_day, start_of_day
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import HourlyUsage, UsageEvent
from apps.metering.quarantine.models import CheckedDay
from apps.metering.stores.base import Held, store

# what a column is in a call that was archived before there was such a column
DEFAULTS = {str(field.column): field.get_default() for field in UsageEvent._meta.concrete_fields}


def make_days(days: Collection[date]) -> frozenset[date]:
    """Make room for the calls of these days where there is none; return those that have none,
    because they are in the archive alone. One query.

    No day that is asked for goes away until the caller's transaction ends.
    """
    return store().make_days(days)


def stored_days() -> list[date]:
    """Return the days that there is room for, oldest first; one query."""
    return store().stored_days()


def in_archive(days: Collection[date]) -> frozenset[date]:
    """Return which of the days are in the archive alone; one query."""
    dropped = ArchivedDay.objects.filter(day__in=days, status=ArchivedDay.Status.DROPPED)
    return frozenset(dropped.values_list("day", flat=True))


def latest_archived_call_at(
    *, start: datetime | None = None, end: datetime | None = None
) -> datetime | None:
    """Return when the newest call of [start, end) began that is in the archive alone, where whole
    days of it are; one query.
    """
    dropped = ArchivedDay.objects.filter(status=ArchivedDay.Status.DROPPED)
    if start is not None:
        dropped = dropped.filter(day__gte=day_of(start))
    if end is not None:
        dropped = dropped.filter(last_call_at__lt=end)
    moment: datetime | None = dropped.aggregate(latest=Max("last_call_at"))["latest"]
    return moment


def calls_of(day: date) -> QuerySet[UsageEvent]:
    """Return the stored calls of a day."""
    start, end = start_of_day(day), end_of_day(day)
    return store().calls().filter(occurred_at__gte=start, occurred_at__lt=end)


def held_by(day: date) -> Held:
    """Return what a day holds. Reads the whole day."""
    return store().held_by(day)


def rows_of(day: date, columns: Sequence[str], at_once: int) -> Iterator[tuple[object, ...]]:
    """Yield these columns of a day's calls, by time and id; `at_once` are read from the database
    together. Within `patience` (stores/sql.py) none of it is gathered first.
    """
    return store().rows_of(day, columns, at_once)


def changed_days(stored: Sequence[date]) -> dict[date, datetime]:
    """Return day → when what is known of it changed last, of those of some stored days that were
    added up or brought back; two queries, which read the hours of these days. stored: oldest first.
    """
    if not stored:
        return {}
    changed: dict[date, datetime] = {}
    sums = HourlyUsage.objects.filter(
        hour__gte=start_of_day(stored[0]), hour__lt=end_of_day(stored[-1])
    )
    by_day = sums.order_by().annotate(day=TruncDate("hour", tzinfo=ZONE)).values_list("day")
    back = ArchivedDay.objects.filter(restored_at__isnull=False).order_by()
    for day, at in (
        *by_day.annotate(at=Max("rolled_up_at")),
        *back.values_list("day").annotate(at=Max("restored_at")),
    ):
        changed[day] = max(at, changed.get(day, at))
    return {day: changed[day] for day in stored if day in changed}


def unchecked_days(stored: Sequence[date]) -> list[date]:
    """Return those of some stored days, oldest first, whose ids were not looked for among other
    days' since they changed; three queries, which read the hours of these days.
    """
    changed = changed_days(stored)
    if not changed:
        return []
    checked = dict(CheckedDay.objects.values_list("day", "checked_at"))
    return [day for day, at in changed.items() if day not in checked or checked[day] <= at]


def shared_ids(day: date, other: date) -> list[UUID]:
    """Return the ids that calls of both days have, in order; one query, which reads the keys of
    these two days alone. None for a day that was dropped meanwhile.
    """
    return store().shared_ids(day, other)


def drop_day(day: date, *, now: datetime) -> bool:
    """Drop the calls of a day that is archived. False where it is not what was archived any more,
    or an hour of it is still to be added up.

    Raises IntegrityError for a day that is not archived, OperationalError where somebody uses it.
    """
    return store().drop_day(day, now=now)


def restore_day(
    day: date, columns: Sequence[str], rows: Iterable[Sequence[object]], *, now: datetime
) -> int:
    """Make room for a day that was dropped, and store its calls again; return how many.

    Raises IntegrityError for a day that was not dropped.
    """
    return store().restore_day(day, columns, rows, now=now)
