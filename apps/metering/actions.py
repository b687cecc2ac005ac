"""Storing usage once, and summing it by the hour.

Both doors (OTLP and file) call ingest_usage. An hour whose events changed is marked in the same
transaction; roll_up_hours recomputes it from the events, so that nothing that is retried, reordered
or killed can count twice.
"""

import logging
from collections import Counter
from collections.abc import Collection, Generator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, transaction

from apps.catalog.models import RegisteredModel
from apps.common.periods import DAY, day_of, hour_of, month_bounds, month_of, months_before
from apps.common.tasks import enqueue_on_commit
from apps.fleet.metrics.counts import EngineCount, engine_hours
from apps.manifests.names import MODELS
from apps.metering import days, sealing, settled, store
from apps.metering.access_log import Entry, UsageRecord
from apps.metering.estimates import with_estimates
from apps.metering.gate import actions as gate
from apps.metering.met import actions as met
from apps.metering.models import DirtyHour, EngineHour, HourlyUsage, LogPosition
from apps.metering.quarantine.models import Doubt, QuarantinedRecord
from apps.metering.screening import Known, doubt_of

MINUTES_ARE_IN = timedelta(minutes=5)  # after its end every minute of an hour is stored
LOOKED_BACK = 24  # hours: as long as the workers may be away without losing one
ROWS_AT_ONCE = 1000  # a statement
OTHER_DAY = "x-request-id is the id of an earlier call, of another day"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """How far a file log was read: `offset` bytes of the file with this inode."""

    path: str
    inode: int
    offset: int


@dataclass(frozen=True)
class Ingested:
    """What came of a batch: calls stored for the first time, and the entries put in quarantine, by
    the kind of doubt. What was stored before, either way, is in neither.
    """

    stored: int
    quarantined: Counter[str]


@transaction.atomic
def ingest_usage(
    *, entries: Sequence[Entry], via: str, now: datetime, position: Position | None = None
) -> Ingested:
    """Store the calls not stored yet, and keep apart what is in doubt. via: "OTLP" or "FILE".

    position: saved in the same transaction, so that a killed follower neither skips nor loses a
    line.
    """
    fresh, doubted = store_entries(entries, via=via, received_at=now, now=now)
    keep_apart(doubted, via=via, now=now)
    if position:
        LogPosition.objects.update_or_create(
            path=position.path,
            defaults={"inode": position.inode, "offset": position.offset, "updated_at": now},
        )
    return Ingested(fresh, Counter(entry.doubt for entry in doubted))


def ingest_storable(*, entries: Sequence[Entry], via: str, now: datetime) -> Ingested:
    """Store what can be stored; what the database refuses whatever happens goes into quarantine.

    A batch with one such record would come again for ever: it is halved until only that one is
    left. Raises what the database raises while it is away.
    """
    try:
        return ingest_usage(entries=entries, via=via, now=now)
    except (DataError, IntegrityError):
        if len(entries) == 1:
            log.exception("the database refuses a usage record")
            refused = replace(
                entries[0], doubt=Doubt.REFUSED, problem="the database refuses the record"
            )
            return ingest_usage(entries=[refused], via=via, now=now)
        middle = len(entries) // 2
        halves = [
            ingest_storable(entries=half, via=via, now=now)
            for half in (entries[:middle], entries[middle:])
        ]
        return Ingested(
            sum(half.stored for half in halves), halves[0].quarantined + halves[1].quarantined
        )


def store_entries(
    entries: Sequence[Entry], *, via: str, received_at: datetime, now: datetime
) -> tuple[int, list[Entry]]:
    """Store the calls that are new and not in doubt, and mark their hours, in the caller's
    transaction. Returns how many were new, and the entries in doubt.

    received_at: when they came; now: when they are stored.
    """
    known = _known(entries, now)
    judged = [_judged(entry, known, received_at) for entry in entries]
    judged = _with_archived(_with_doubles(judged))
    records: dict[UUID, UsageRecord] = {}
    for entry in judged:
        if entry.record and not entry.doubt:
            records.setdefault(entry.record.event_id, entry.record)
    fresh = store_records(records, via=via, received_at=received_at, now=now)
    judged = _with_other_counts(judged, records, fresh, now)
    return len(fresh), [entry for entry in judged if entry.doubt]


def store_records(
    records: Mapping[UUID, UsageRecord], *, via: str, received_at: datetime, now: datetime
) -> set[UUID]:
    """Store the calls that are new, of days there is room for, and mark their hours, in the
    caller's transaction; return the ids of the new ones. records: event id → call.
    """
    fresh = store.insert(records.values(), via=via, now=received_at) if records else set()
    if fresh:
        hours = Counter(hour_of(records[event_id].occurred_at) for event_id in fresh)
        mark_hours(set(hours), now)
        sealing.note_late(hours, now=now)
        gate.note_others((records[event_id] for event_id in fresh), now=now)
        enqueue_on_commit("metering.roll_up_dirty_hours")
    return fresh


def _known(entries: Sequence[Entry], now: datetime) -> Known:
    """Return what there is of the names in a batch."""
    records = [entry.record for entry in entries if entry.record]
    return store.known(
        teams={record.team for record in records},
        models={record.model for record in records},
        versions={record.version for record in records},
        since=first_kept(now),
    )


def _judged(entry: Entry, known: Known, received_at: datetime) -> Entry:
    if entry.record is None or entry.doubt:
        return entry
    found = doubt_of(entry.record, known, received_at=received_at)
    return replace(entry, doubt=found[0], problem=found[1]) if found else entry


def _with_doubles(entries: list[Entry]) -> list[Entry]:
    """Doubt what was taken out before, because its id is that of an earlier call of another day."""
    ids = [each.record.event_id for each in entries if each.record and not each.doubt]
    taken_out = store.taken_out(ids)
    if not taken_out:
        return entries
    return [
        replace(entry, doubt=Doubt.OTHER_DAY, problem=OTHER_DAY)
        if entry.record
        and not entry.doubt
        and (entry.record.event_id, day_of(entry.record.occurred_at)) in taken_out
        else entry
        for entry in entries
    ]


def _with_archived(entries: list[Entry]) -> list[Entry]:
    """Make room for what is in no doubt, and doubt what belongs to a day that must be brought back
    from the archive first.
    """
    archived = days.make_days(
        {day_of(each.record.occurred_at) for each in entries if each.record and not each.doubt}
    )
    if not archived:
        return entries
    words = "its day is in the archive, and is brought back"
    return [
        replace(entry, doubt=Doubt.ARCHIVED, problem=words)
        if entry.record and not entry.doubt and day_of(entry.record.occurred_at) in archived
        else entry
        for entry in entries
    ]


def _with_other_counts(
    entries: Sequence[Entry],
    records: Mapping[UUID, UsageRecord],
    fresh: Set[UUID],
    now: datetime,
) -> list[Entry]:
    """Doubt the entries whose id belongs to a call of their day with other counts, or, in this
    batch, of another day; that call stays as it is. So does one that was counted by the gate's
    figures before its own line came, which is in no doubt.
    """
    old = store.counts_of(one for one in records.values() if one.event_id not in fresh)
    unlike = [records[key] for key, counts in old.items() if records[key].counts != counts]
    by_gate = store.counted_by_gate(unlike) if unlike else {}
    gate.note_late(unlike, by_gate, now=now)

    def is_other(record: UsageRecord) -> bool:
        first = records[record.event_id]
        if record.event_id in by_gate:
            return False
        if record.event_id in old:
            return record.counts != old[record.event_id]
        same_day = day_of(record.occurred_at) == day_of(first.occurred_at)
        return record is not first and (record.counts != first.counts or not same_day)

    words = "x-request-id is the id of another call"
    return [
        replace(entry, doubt=Doubt.OTHER_COUNTS, problem=words)
        if entry.record and not entry.doubt and is_other(entry.record)
        else entry
        for entry in entries
    ]


def keep_apart(entries: Sequence[Entry], *, via: str, now: datetime) -> None:
    """Keep entries apart, each once: what was kept before stays as it is, whatever became of it."""
    rows = []
    for entry in entries:
        values, record = entry.kept, entry.record
        rows.append(
            QuarantinedRecord(
                fingerprint=entry.fingerprint,
                doubt=entry.doubt,
                detail=entry.problem[:300],
                received_at=now,
                received_via=via,
                occurred_at=record.occurred_at if record else None,
                event_id=record.event_id if record else None,
                team=values.get("team", "")[:63],
                model=values.get("gen_ai.request.model", "")[:40],
                values=values,
            )
        )
    QuarantinedRecord.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def make_days_ahead(*, now: datetime) -> None:
    """Make room for the calls of today and of tomorrow."""
    days.make_days({day_of(now), day_of(now + DAY)})


def first_kept(now: datetime) -> datetime:
    """Return the start of the first month whose usage is kept and can still be counted."""
    return month_bounds(months_before(month_of(now), settings.USAGE_KEPT_MONTHS))[0]


def mark_hours(hours: set[datetime], now: datetime) -> None:
    """Have hours added up anew."""
    # Sorted, so that two batches lock the same rows in the same order.
    marks = [DirtyHour(hour=hour, marked_at=now) for hour in sorted(hours)]
    DirtyHour.objects.bulk_create(
        marks, update_conflicts=True, update_fields=["marked_at"], unique_fields=["hour"]
    )


@transaction.atomic
def roll_up_hours(
    *, hours: Collection[datetime], now: datetime, looked_at: datetime | None = None
) -> int:
    """Recompute the dirty ones of some hours of one day from their events; return how many. None
    while that day must be brought back from the archive first; what another worker has is left to
    it.

    looked_at: the moment from which burn rates look back; now where left out.

    The marks are locked first: a batch that arrives meanwhile waits for us, then marks its hours
    again. While there is a mark, its day is not dropped.
    """
    mine = DirtyHour.objects.select_for_update(skip_locked=True).filter(hour__in=hours)
    marked = list(mine.order_by("hour").values_list("hour", flat=True))
    if not marked or days.in_archive({day_of(marked[0])}):
        return 0
    HourlyUsage.objects.filter(hour__in=marked).delete()
    with closing(_summed(marked, now)) as rows:
        while together := list(islice(rows, ROWS_AT_ONCE)):
            HourlyUsage.objects.bulk_create(together)
    met.sum_up(marked, now=looked_at or now)
    settled.take_in(marked, now)
    DirtyHour.objects.filter(hour__in=marked).delete()
    return len(marked)


def _summed(hours: Sequence[datetime], now: datetime) -> Generator[HourlyUsage]:
    """Yield the sums of some hours of one day, with what is estimated of each hour."""
    counted, contexts = hours_of_engines(hours)
    with closing(store.hour_sums(hours)) as sums:
        for hour, rows in groupby(sums, key=itemgetter("hour")):
            for row in with_estimates(rows, counted.get(hour, {}), contexts):
                yield HourlyUsage(rolled_up_at=now, **row)


def hours_of_engines(
    hours: Collection[datetime],
) -> tuple[dict[datetime, dict[str, EngineCount]], dict[str, int]]:
    """Return hour → version → what its engines counted in it, and model → its context."""
    counted: dict[datetime, dict[str, EngineCount]] = {}
    for row in EngineHour.objects.filter(hour__in=hours):
        count = EngineCount(
            row.prompt_tokens,
            row.generation_tokens,
            row.is_whole,
            row.cached_prompt_tokens,
            row.further_answers,
        )
        counted.setdefault(row.hour, {})[row.version] = count
    models = {name.rpartition("-v")[0] for versions in counted.values() for name in versions}
    contexts = RegisteredModel.objects.filter(name__in=models)
    return counted, dict(contexts.values_list("name", "context_length"))


@transaction.atomic
def record_engine_hours(*, now: datetime) -> int:
    """Keep what engines counted in the hours that ended lately; return how many are new.

    An hour is read once, when its last minutes are in; its sums are made anew with it.
    """
    last = hour_of(now - MINUTES_ARE_IN)
    hours = [last - timedelta(hours=back) for back in range(1, LOOKED_BACK + 1)]
    known = set(EngineHour.objects.filter(hour__in=hours).values_list("hour", flat=True))
    counted = engine_hours(namespace=MODELS, hours=[hour for hour in hours if hour not in known])
    rows = [
        EngineHour(
            hour=hour,
            version=version,
            prompt_tokens=count.prompt_tokens,
            generation_tokens=count.generation_tokens,
            cached_prompt_tokens=count.cached_prompt_tokens,
            further_answers=count.further_answers,
            is_whole=count.is_whole,
            recorded_at=now,
        )
        for hour, versions in counted.items()
        for version, count in versions.items()
    ]
    EngineHour.objects.bulk_create(rows, ignore_conflicts=True)
    mark_hours({row.hour for row in rows}, now)
    if rows:
        enqueue_on_commit("metering.roll_up_dirty_hours")
    return len(rows)


def roll_up_dirty_hours(*, now: datetime) -> int:
    """Recompute every dirty hour, those of one day in one transaction; return how many.

    An hour that cannot be summed stays marked and is told in the log; the others go on.
    """
    done = 0
    dirty = DirtyHour.objects.order_by("hour").values_list("hour", flat=True)
    for _, hours in groupby(dirty, key=day_of):
        done += _roll_up(list(hours), now)
    if done:
        enqueue_on_commit("chargeback.price_due_days")
    return done


def _roll_up(hours: list[datetime], now: datetime) -> int:
    """Recompute hours of one day: together, or one by one where one of them cannot be summed."""
    try:
        return roll_up_hours(hours=hours, now=now)
    except (DataError, IntegrityError):
        if len(hours) == 1:
            log.exception("the hour %s cannot be summed", f"{hours[0]:%Y-%m-%d %H:00}")
            return 0
        return sum(_roll_up([hour], now) for hour in hours)
