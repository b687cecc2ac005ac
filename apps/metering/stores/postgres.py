"""Calls in Postgres, in the database of everything else: one table a day.

The database's functions do what concerns whole days (migrations 0008 and 0010): the portal's role
owns no table, and they refuse what would lose a call.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import CharField, QuerySet

from apps.common.periods import end_of_day, start_of_day
from apps.metering.access_log import UsageRecord
from apps.metering.models import UsageEvent
from apps.metering.stores import sql
from apps.metering.stores.base import AT_ONCE, Held
from apps.metering.stores.columns import RECORD, RECORD_VALUES, STORED
from apps.metering.stores.sql import patience

TABLE = UsageEvent._meta.db_table
_ID, _TIME = RECORD.index("event_id"), RECORD.index("occurred_at")
_COLUMNS = {field.column: field for field in UsageEvent._meta.concrete_fields}


def _value(place: int) -> str:
    """Return how a column's value is read from its place in a JSON array. Text stays text of any
    length, so that what is too long for its column is refused, and never cut.
    """
    field, text = _COLUMNS[RECORD[place]], f"one->>{place}"
    return text if isinstance(field, CharField) else f"({text})::{field.db_type(connection)}"


_VALUES = ", ".join(_value(place) for place in range(len(RECORD)))
# only names of our own table are put into the statement
_INSERT = (
    f"INSERT INTO {TABLE} ({', '.join(STORED)}) SELECT {_VALUES}, %s, %s"  # noqa: S608
    " FROM jsonb_array_elements(%s) AS one ON CONFLICT DO NOTHING RETURNING event_id"
)


class Postgres:
    """The calls of metering_usageevent."""

    def calls(self) -> QuerySet[UsageEvent]:
        """Return all calls."""
        return UsageEvent.objects.all()

    def insert(self, records: Iterable[UsageRecord], *, via: str, now: datetime) -> set[UUID]:
        """Store what is new; return its ids. One statement.

        They are stored in the order of their ids, so that two batches with the same calls do not
        wait for each other in a ring. They travel as one JSON text: the portal's role may make no
        table to COPY into, and arrays of values take several times as long to write (`make
        bench-ingest`).
        """
        rows = []
        for record in sorted(records, key=lambda one: one.event_id.int):
            row = list(RECORD_VALUES(record))
            row[_ID], row[_TIME] = record.event_id.hex, record.occurred_at.isoformat()
            rows.append(row)
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [now, via, json.dumps(rows)])
            return {row[0] for row in cursor.fetchall()}

    def take_out(self, event: UsageEvent) -> None:
        """Take a call out, by the database's function."""
        sql.call("take_out_usage_event", event.event_id, event.occurred_at)

    def known(self, start: datetime, end: datetime) -> None:
        """Return None: what is in the table counts."""

    def counted(self, start: datetime, end: datetime) -> QuerySet[UsageEvent]:
        """Return the calls of [start, end)."""
        return UsageEvent.objects.filter(occurred_at__gte=start, occurred_at__lt=end)

    def keys(self) -> QuerySet[Any]:
        """Return the calls."""
        return UsageEvent.objects.all()

    def make_days(self, days: Collection[date]) -> frozenset[date]:
        """Make room for days; one query."""
        return sql.days_not_made("make_usage_day", days)

    def stored_days(self) -> list[date]:
        """Return the days there is room for; one query."""
        return sql.days_of(TABLE)

    def held_by(self, day: date) -> Held:
        """Return what a day holds. Reads the whole day."""
        with patience():
            return Held(*sql.row("usage_day_fingerprint", day))

    def rows_of(
        self, day: date, columns: Sequence[str], at_once: int
    ) -> Iterator[tuple[object, ...]]:
        """Yield a day's calls; `at_once` are read from the database together. Within `patience`
        none of it is gathered first.
        """
        rows = self.counted(start_of_day(day), end_of_day(day))
        ordered = rows.order_by("occurred_at", "event_id").values_list(*columns)
        yield from ordered.iterator(chunk_size=at_once)

    def shared_ids(self, day: date, other: date) -> list[UUID]:
        """Return the ids of both days; one query, which reads the keys of these two days alone.
        None for a day that was dropped meanwhile.
        """
        with patience():
            return sql.ids("shared_usage_ids", day, other)

    def drop_day(self, day: date, *, now: datetime) -> bool:
        """Drop a day, by the database's function."""
        with patience():
            return bool(sql.call("drop_usage_day", day, now))

    def forget_dropped(self) -> None:
        """Do nothing: a day's table is dropped in the transaction that says so."""

    def restore_day(
        self, day: date, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, now: datetime
    ) -> int:
        """Store a day's calls again."""
        pending, stored = iter(rows), 0
        with transaction.atomic():
            sql.call("restore_usage_day", day, now)
            while part := list(islice(pending, AT_ONCE)):
                sql.copy(TABLE, columns, part)
                stored += len(part)
        return stored
