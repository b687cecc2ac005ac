"""Calls in ClickHouse, for those who outgrow one Postgres; their keys stay in Postgres.

ClickHouse knows no transaction that Postgres is a part of. So a call counts where its key is
(metering_callkey: id, start, hash), and keys are stored, marked and committed as calls in Postgres
are. Of every key ClickHouse has the call, for it is written before the key's transaction is
committed, and taken away after. It may have more: of a transaction that is under way, or was never
committed because its process died. Those are in no sum (`counted`), and a sender that got no answer
sends them again: then their keys are new, and their rows take the place of the ones that are there,
as rows with one id within a day always do (ReplacingMergeTree, read with FINAL).
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from apps.common.periods import end_of_day, start_of_day
from apps.integrations.clickhouse.backend import connection_of
from apps.integrations.clickhouse.client import ClickHouseClient
from apps.metering.access_log import UsageRecord
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import CallKey, UsageEvent
from apps.metering.stores import sql, tables
from apps.metering.stores.base import AT_ONCE, Held
from apps.metering.stores.columns import RECORD_VALUES, STORED
from apps.metering.stores.sql import patience

ALIAS = "usage"
KEYS, TABLE = CallKey._meta.db_table, UsageEvent._meta.db_table
KEY = ("event_id", "occurred_at", "received_at", "hash")
_KEY_PLACES = [STORED.index(name) for name in KEY[:3]]
_INSERT = f"""
INSERT INTO {KEYS} ({", ".join(KEY)})
SELECT (one->>0)::uuid, (one->>1)::timestamptz, (one->>2)::timestamptz, (one->>3)::bigint
FROM jsonb_array_elements(%s) AS one ON CONFLICT DO NOTHING RETURNING event_id
"""  # noqa: S608 - our own names


def after_commit(what: Callable[[], None]) -> None:
    """Do something once the transaction is committed. Where the process dies before, or ClickHouse
    is away, calls stay that do not count.
    """
    transaction.on_commit(what, robust=True)


class ClickHouse:
    """The calls of a table in ClickHouse, and their keys in Postgres."""

    def __init__(self, client: ClickHouseClient) -> None:
        self.client = client

    def make_table(self) -> None:
        """Make the table where there is none, and the columns that it lacks."""
        for statement in tables.statements(connection_of(self.client, ALIAS)):
            self.client.command(statement)

    def calls(self) -> QuerySet[UsageEvent]:
        """Return all calls, those included that do not count yet."""
        return UsageEvent.objects.using(connection_of(self.client, ALIAS))

    def insert(self, records: Iterable[UsageRecord], *, via: str, now: datetime) -> set[UUID]:
        """Settle whose key is new, then store those calls; return their ids.

        The keys are stored in their order, as Postgres does it with calls.
        """
        ordered = sorted(records, key=lambda one: one.event_id.int)
        rows = [(*RECORD_VALUES(record), now, via) for record in ordered]
        with connection.cursor() as cursor:
            cursor.execute(_INSERT, [json.dumps([_key(STORED, row) for row in rows])])
            fresh = {found for (found,) in cursor.fetchall()}
        self._store(STORED, [row for row in rows if row[_KEY_PLACES[0]] in fresh])
        return fresh

    def take_out(self, event: UsageEvent) -> None:
        """Take a call's key out, by the database's function, and the call once that is so."""
        sql.call("take_out_call_key", event.event_id, event.occurred_at)
        gone = f"""DELETE FROM {TABLE} WHERE event_id = toUUID('{event.event_id}')
            AND toDate(occurred_at) = '{event.occurred_at.astimezone(UTC):%Y-%m-%d}'"""  # noqa: S608
        after_commit(partial(self.client.command, gone))

    def known(self, start: datetime, end: datetime) -> int:
        """Return how many calls of [start, end) count."""
        return self._keys(start, end).count()

    def counted(self, start: datetime, end: datetime) -> QuerySet[UsageEvent]:
        """Return the calls of [start, end) by their keys. For a time in which there are others,
        too: it sends every id.
        """
        ids = list(self._keys(start, end).values_list("event_id", flat=True))
        return self._within(start, end).filter(event_id__in=ids)

    def keys(self) -> QuerySet[Any]:
        """Return the keys."""
        return CallKey.objects.all()

    def make_days(self, days: Collection[date]) -> frozenset[date]:
        """Make room for the keys of days; one query."""
        return sql.days_not_made("make_key_day", days)

    def stored_days(self) -> list[date]:
        """Return the days there is room for; one query."""
        return sql.days_of(KEYS)

    def held_by(self, day: date) -> Held:
        """Return what a day holds, by its keys."""
        with patience():
            return Held(*sql.row("key_day_fingerprint", day))

    def rows_of(
        self, day: date, columns: Sequence[str], at_once: int
    ) -> Iterator[tuple[object, ...]]:
        """Yield a day's calls that count; ClickHouse sends them in blocks."""
        start, end = start_of_day(day), end_of_day(day)
        keys = self._keys(start, end)
        wanted = None
        if keys.count() != self._within(start, end).count():
            wanted = set(keys.values_list("event_id", flat=True))
        names = ", ".join(columns)
        asked = f"""SELECT event_id, {names} FROM {TABLE}
            WHERE occurred_at >= %s AND occurred_at < %s
            ORDER BY occurred_at, toString(event_id)"""  # noqa: S608 - our own names
        for block in self.client.blocks(asked, [start, end]):
            for found, *row in block:
                if wanted is None or found in wanted:
                    yield tuple(row)

    def shared_ids(self, day: date, other: date) -> list[UUID]:
        """Return the ids of both days, by their keys."""
        with patience():
            return sql.ids("shared_key_ids", day, other)

    def drop_day(self, day: date, *, now: datetime) -> bool:
        """Drop a day's keys, by the database's function, and its calls once that is so."""
        with patience():
            is_dropped = bool(sql.call("drop_key_day", day, now))
        if is_dropped:
            after_commit(partial(self._forget, day))
        return is_dropped

    @transaction.atomic
    def forget_dropped(self) -> None:
        """Drop the partitions of days that are in the archive alone. A day that is being brought
        back is locked, and left alone.
        """
        there = "SELECT DISTINCT partition FROM system.parts WHERE table = %s AND active"
        days = {
            datetime.strptime(name, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
            for (name,) in self.client.rows(there, [TABLE])[1]
        }
        dropped = ArchivedDay.objects.select_for_update(skip_locked=True)
        for row in dropped.filter(day__in=days, status=ArchivedDay.Status.DROPPED):
            self._forget(row.day)

    def restore_day(
        self, day: date, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, now: datetime
    ) -> int:
        """Store a day's calls again."""
        with transaction.atomic():
            sql.call("restore_key_day", day, now)
            return self._fill(day, columns, rows)

    def take_over(self, day: date, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Store the calls of a day that another store holds; return how many. Raises IntegrityError
        where this one has calls of it that count.
        """
        self.make_days({day})
        return self._fill(day, columns, rows)

    def _fill(self, day: date, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
        """Store a day's calls; what a drop or a move that was cut off may have left goes first."""
        names, pending, stored = tuple(columns), iter(rows), 0
        self._forget(day)
        while part := list(islice(pending, AT_ONCE)):
            sql.copy(KEYS, KEY, [_key(names, row) for row in part])
            self._store(names, part)
            stored += len(part)
        return stored

    def _keys(self, start: datetime, end: datetime) -> QuerySet[CallKey]:
        return CallKey.objects.filter(occurred_at__gte=start, occurred_at__lt=end)

    def _within(self, start: datetime, end: datetime) -> QuerySet[UsageEvent]:
        return self.calls().filter(occurred_at__gte=start, occurred_at__lt=end)

    def _store(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Store calls of one or several days; a statement may write into a hundred days at once."""
        if rows:
            self.client.insert(TABLE, columns, rows)

    def _forget(self, day: date) -> None:
        self.client.command(f"ALTER TABLE {TABLE} DROP PARTITION {day:%Y%m%d}")


def _key(columns: Sequence[str], row: Sequence[Any]) -> tuple[str, str, str, int]:
    """Return the key of a row: its id, start and arrival, and a hash of all that is stored."""
    told = dict(zip(columns, row, strict=True))
    at, came = (told[name].astimezone(UTC).isoformat() for name in KEY[1:3])
    values = [told["event_id"].hex, at, came, *(told[name] for name in sorted(told)
              if name not in KEY)]  # fmt: skip
    digest = blake2b(json.dumps(values).encode(), digest_size=8).digest()
    return told["event_id"].hex, at, came, int.from_bytes(digest, signed=True)
