"""Counts the calls of a day anew from where they are kept: the database, or the archive where they
are there alone. Nothing is written, and no sum that was kept is read.

A day is counted twice: as it was known at a moment, and as it is known now. What was stored later,
tried again later or taken out later makes the difference.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby, islice
from typing import Any

import pyarrow
import pyarrow.compute as pc

from apps.audit.models import Action, AuditEvent
from apps.common.periods import end_of_day, start_of_day
from apps.integrations.s3.client import RegistryStore
from apps.metering import days
from apps.metering.access_log import UsageRecord, read_entry
from apps.metering.actions import hours_of_engines
from apps.metering.archive import parquet
from apps.metering.archive.actions import NotWhole
from apps.metering.archive.models import ArchivedDay
from apps.metering.estimates import OF_THE_GATE, with_estimates
from apps.metering.gate.counts import Basis
from apps.metering.models import HourlyUsage, Operation, Outcome
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.queries import HourOfWork, of_hours
from apps.metering.store import DIMENSIONS, TOKENS

KEY = ("hour", *DIMENSIONS)
COUNTED = (
    "metered_calls",
    "unmetered_calls",
    "cached_unknown_calls",
    "rerank_requests",
    "embedding_input_tokens",
    *TOKENS,
    *OF_THE_GATE,
)
Key = tuple[Any, ...]
Sums = dict[Key, list[int]]


@dataclass
class Counted:
    """A day counted anew. then, now: its hours as they were known at the moment, and as they are
    known now; no row is stored. source: where its calls are.
    """

    day: date
    source: str
    then: list[HourlyUsage] = field(default_factory=list)
    now: list[HourlyUsage] = field(default_factory=list)

    def work(self, *, then: bool) -> list[HourOfWork]:
        """Return the hours in which versions worked, as machines are shared out by them."""
        return of_hours(self.then if then else self.now)


def count_day(day: date, *, known_at: datetime, archive: RegistryStore) -> Counted:
    """Count a day anew. known_at: the moment that `then` is of.

    Raises NotWhole or NotParquet where the archive does not hold what it should; TemporaryError and
    PermanentError as the archive's client.
    """
    kept = ArchivedDay.objects.filter(day=day, status=ArchivedDay.Status.DROPPED).first()
    source = "the database" if kept is None else "the archive"
    calls = _of_database(day) if kept is None else _of_archive(kept, archive)
    before, after = _of_day(calls, known_at, _replayed_since(day, known_at))
    now = _added(before, after)
    taken_out = _of_records(_taken_out_since(day, known_at))
    then = _added(before, taken_out) if taken_out else before
    return Counted(day, source, _hours(then), _hours(now))


def _replayed_since(day: date, known_at: datetime) -> set[Any]:
    """Return the ids of calls that came before the moment and were counted after it."""
    replayed = QuarantinedRecord.objects.filter(
        status=QuarantinedRecord.Status.REPLAYED,
        occurred_at__gte=start_of_day(day),
        occurred_at__lt=end_of_day(day),
        resolved_at__gt=known_at,
    )
    return set(replayed.values_list("event_id", flat=True))


def _taken_out_since(day: date, known_at: datetime) -> list[UsageRecord]:
    """Return the calls that were counted at the moment, and were taken out after it."""
    events = AuditEvent.objects.filter(action=Action.USAGE_TAKEN_OUT, occurred_at__gt=known_at)
    records = QuarantinedRecord.objects.filter(
        pk__in=list(events.values_list("target_id", flat=True)),
        occurred_at__gte=start_of_day(day),
        occurred_at__lt=end_of_day(day),
        received_at__lte=known_at,
    )
    entries = (read_entry(record.values) for record in records)
    return [entry.record for entry in entries if entry and entry.record]


def _of_day(
    found: Iterable[pyarrow.RecordBatch], known_at: datetime, later: set[Any]
) -> tuple[Sums, Sums]:
    """Return what the calls of a day come to: those known at the moment, and the others. A batch of
    them is in memory at a time.
    """
    known: Sums = {}
    others: Sums = {}
    moment = pyarrow.scalar(known_at, parquet.SCHEMA.field("received_at").type)
    ids = pyarrow.array([one.bytes for one in later], pyarrow.binary(16))
    for batch in found:
        stored = batch["event_id"].cast(pyarrow.binary(16))
        is_known = pc.and_(
            pc.less_equal(batch["received_at"], moment), pc.invert(pc.is_in(stored, ids))
        )
        _add(known, batch.filter(is_known))
        _add(others, batch.filter(pc.invert(is_known)))
    return known, others


def _of_database(day: date) -> Iterator[pyarrow.RecordBatch]:
    """Yield the stored calls of a day."""
    with closing(days.rows_of(day, _COLUMNS, parquet.GROUP)) as rows:  # type: ignore[type-var]
        while group := list(islice(rows, parquet.GROUP)):
            yield parquet.batch(group, _COLUMNS)


def _of_archive(row: ArchivedDay, archive: RegistryStore) -> Iterator[pyarrow.RecordBatch]:
    """Yield the calls of a day's object, once it is the one that was written."""
    body = b"".join(archive.read(row.object_key, version_id=row.version_id))
    if hashlib.sha256(body).hexdigest() != row.sha256:
        raise NotWhole(f"{row.object_key} is not what was written there.")
    yield from parquet.batches(body, _COLUMNS, days.DEFAULTS)


_ESTIMATES = ("estimated_input_tokens", "estimated_output_tokens")
_COLUMNS = (
    "event_id", "occurred_at", "received_at", "outcome", "operation", *DIMENSIONS, *TOKENS, "basis",
    *_ESTIMATES,
)  # fmt: skip


def _add(found: Sums, batch: pyarrow.RecordBatch) -> None:
    """Add the calls of a batch to what was found before."""
    if not batch.num_rows:
        return
    columns = {name: batch[name] for name in (*DIMENSIONS, *TOKENS)}
    columns["hour"] = pc.floor_temporal(batch["occurred_at"], unit="hour")
    is_metered, is_unmetered = (
        pc.equal(batch["outcome"], outcome.value)
        for outcome in (Outcome.METERED, Outcome.UNMETERED)
    )
    is_rerank, is_embedding = (
        pc.equal(batch["operation"], operation.value)
        for operation in (Operation.RERANK, Operation.EMBEDDING)
    )
    is_told = pc.or_(pc.is_valid(batch["cached_input_tokens"]), pc.or_(is_rerank, is_embedding))
    columns["cached_unknown_calls"] = pc.and_(is_metered, pc.invert(is_told)).cast(pyarrow.int64())
    columns["metered_calls"] = is_metered.cast(pyarrow.int64())
    columns["unmetered_calls"] = is_unmetered.cast(pyarrow.int64())
    columns["rerank_requests"] = pc.and_(is_metered, is_rerank).cast(pyarrow.int64())
    columns["embedding_input_tokens"] = pc.if_else(is_embedding, batch["input_tokens"], 0)
    columns |= _of_the_gate(batch, is_unmetered)
    table = pyarrow.table(columns).group_by(list(KEY))
    sums = table.aggregate([(name, "sum") for name in COUNTED])
    names = [*KEY, *(f"{name}_sum" for name in COUNTED)]
    for row in zip(*(sums[name].to_pylist() for name in names), strict=True):
        _add_row(found, row[: len(KEY)], [count or 0 for count in row[len(KEY) :]])


def _of_the_gate(batch: pyarrow.RecordBatch, is_unmetered: Any) -> dict[str, Any]:
    """Return what the gate estimated of each call, as store.hour_sums adds it up."""
    read, written = (batch[name] for name in _ESTIMATES)
    both = pc.and_(pc.is_valid(read), pc.is_valid(written))
    is_told = pc.and_(pc.equal(batch["basis"], Basis.ESTIMATED.value), pc.and_(is_unmetered, both))
    return {
        "gate_calls": is_told.cast(pyarrow.int64()),
        "gate_input_tokens": pc.if_else(is_told, read, 0),
        "gate_output_tokens": pc.if_else(is_told, written, 0),
    }


def _of_records(records: Sequence[UsageRecord]) -> Sums:
    """Return what some calls come to."""
    found: Sums = {}
    rows = [
        [record.event_id, record.occurred_at, record.occurred_at,
         *(getattr(record, name) for name in _COLUMNS[3:])]
        for record in records
    ]  # fmt: skip
    if rows:
        _add(found, parquet.batch(rows, _COLUMNS))
    return found


def _added(one: Sums, other: Sums) -> Sums:
    if not other:
        return one
    both = {key: list(counts) for key, counts in one.items()}
    for key, counts in other.items():
        _add_row(both, key, counts)
    return both


def _add_row(found: Sums, key: Key, counts: Iterable[int]) -> None:
    before = found.get(key)
    found[key] = (
        list(counts) if before is None else [a + b for a, b in zip(before, counts, strict=True)]
    )


def _hours(sums: Sums) -> list[HourlyUsage]:
    """Return sums as the hours that the roll-up would make of them, estimates included."""
    rows = [
        dict(zip(KEY, key, strict=True)) | dict(zip(COUNTED, sums[key], strict=True))
        for key in sorted(sums)
    ]
    counted, contexts = hours_of_engines({row["hour"] for row in rows})
    return [
        HourlyUsage(**row)
        for hour, found in groupby(rows, lambda row: row["hour"])
        for row in with_estimates(found, counted.get(hour, {}), contexts)
    ]
