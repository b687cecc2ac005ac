"""The UTC days that raw calls are kept by: made, counted, dropped once they are archived, and made
anew when they are brought back.

The database's functions do it (migrations 0008 and 0010): the portal's role owns no table, and they
refuse what would lose a call.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import TruncDate

from apps.common.periods import ZONE, day_of, end_of_day, start_of_day
from apps.metering.models import ArchivedDay, CheckedDay, HourlyUsage, UsageEvent

TABLE = UsageEvent._meta.db_table
# what a column is in a call that was archived before there was such a column
DEFAULTS = {str(field.column): field.get_default() for field in UsageEvent._meta.concrete_fields}
STORED_DAYS = """
SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = %s::regclass ORDER BY 1
"""
LONGEST = "10min"  # a statement that reads a whole day
AT_ONCE = 50_000  # calls that one statement stores


@dataclass(frozen=True)
class Held:
    """What a day holds: how many calls, and the sum of their hashes, which every change changes."""

    calls: int
    fingerprint: Decimal


@contextmanager
def patience() -> Iterator[None]:
    """Let statements that read a whole day take the time of a large one, in a transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        (usual,) = cursor.fetchone()
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [LONGEST])
        yield
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [usual])


def make_days(days: Collection[date]) -> frozenset[date]:
    """Make room for the calls of these days where there is none; return those that have none,
    because they are in the archive alone. One query.

    No day that is asked for goes away until the caller's transaction ends.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM unnest(%s::date[]) AS day WHERE NOT make_usage_day(day)",
            [sorted(days)],
        )
        return frozenset(row[0] for row in cursor.fetchall())


def stored_days() -> list[date]:
    """Return the days that there is room for, oldest first; one query."""
    with connection.cursor() as cursor:
        cursor.execute(STORED_DAYS, [TABLE])
        return [row[0] for row in cursor.fetchall()]


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
    return UsageEvent.objects.filter(
        occurred_at__gte=start_of_day(day), occurred_at__lt=end_of_day(day)
    )


def held_by(day: date) -> Held:
    """Return what a day holds. Reads the whole day."""
    with patience(), connection.cursor() as cursor:
        cursor.execute("SELECT calls, fingerprint FROM usage_day_fingerprint(%s)", [day])
        return Held(*cursor.fetchone())


def rows_of(day: date, columns: Sequence[str], at_once: int) -> Iterator[tuple[object, ...]]:
    """Yield these columns of a day's calls, by time and id; `at_once` are read from the database
    together. Within `patience` none of it is gathered first.
    """
    rows = calls_of(day).order_by("occurred_at", "event_id").values_list(*columns)
    yield from rows.iterator(chunk_size=at_once)


def unchecked_days(stored: Sequence[date]) -> list[date]:
    """Return those of some stored days, oldest first, whose ids were not looked for among other
    days' since they changed; three queries, which read the hours of these days.
    """
    if not stored:
        return []
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
    checked = dict(CheckedDay.objects.values_list("day", "checked_at"))
    return [
        day
        for day in stored
        if day in changed and (day not in checked or checked[day] <= changed[day])
    ]


def shared_ids(day: date, other: date) -> list[UUID]:
    """Return the ids that calls of both days have, in order; one query, which reads the keys of
    these two days alone. None for a day that was dropped meanwhile.
    """
    with patience(), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM shared_usage_ids(%s, %s) AS id ORDER BY id", [day, other])
        return [row[0] for row in cursor.fetchall()]


def drop_day(day: date, *, now: datetime) -> bool:
    """Drop the calls of a day that is archived. False where it is not what was archived any more,
    or an hour of it is still to be added up.

    Raises IntegrityError for a day that is not archived, OperationalError where somebody uses it.
    """
    with patience(), connection.cursor() as cursor:
        cursor.execute("SELECT drop_usage_day(%s, %s)", [day, now])
        return bool(cursor.fetchone()[0])


def restore_day(
    day: date, columns: Sequence[str], rows: Iterable[Sequence[object]], *, now: datetime
) -> int:
    """Make room for a day that was dropped, and store its calls again; return how many.

    Raises IntegrityError for a day that was not dropped.
    """
    names, pending, stored = ", ".join(columns), iter(rows), 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT restore_usage_day(%s, %s)", [day, now])
        while part := list(islice(pending, AT_ONCE)):
            copying = cursor.copy(f"COPY {TABLE} ({names}) FROM STDIN")
            with connection.wrap_database_errors, copying as copy:
                for row in part:
                    copy.write_row(row)
            stored += len(part)
    return stored
