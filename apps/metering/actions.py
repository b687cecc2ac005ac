"""Storing usage once, and summing it by the hour.

Both doors (OTLP and file) call ingest_usage. An hour whose events changed is marked in the same
transaction; roll_up_hour recomputes it from the events, so that nothing that is retried, reordered
or killed can count twice.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import DataError, IntegrityError, transaction

from apps.common.tasks import enqueue_on_commit
from apps.metering import store
from apps.metering.access_log import UsageRecord
from apps.metering.models import DirtyHour, HourlyUsage, LogPosition, UsageEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    """How far a file log was read: `offset` bytes of the file with this inode."""

    path: str
    inode: int
    offset: int


@transaction.atomic
def ingest_usage(
    *, records: Iterable[UsageRecord], via: str, now: datetime, position: Position | None = None
) -> int:
    """Store the calls not stored yet; return how many. via: "OTLP" or "FILE".

    position: saved in the same transaction, so that a killed follower neither skips nor loses a
    line.
    """
    batch = {record.event_id: record for record in records}
    known = store.known_ids(batch)
    fresh = [record for record in batch.values() if record.event_id not in known]
    UsageEvent.objects.bulk_create(
        [UsageEvent(received_at=now, received_via=via, **asdict(record)) for record in fresh],
        ignore_conflicts=True,
    )
    _mark_hours({_hour(record.occurred_at) for record in fresh}, now)
    if position:
        LogPosition.objects.update_or_create(
            path=position.path,
            defaults={"inode": position.inode, "offset": position.offset, "updated_at": now},
        )
    if fresh:
        enqueue_on_commit("metering.roll_up_dirty_hours")
    return len(fresh)


def ingest_storable(
    *, records: Sequence[UsageRecord], via: str, now: datetime
) -> list[UsageRecord]:
    """Store the calls that can be stored; return those that the database refuses whatever happens.

    A batch with one such record would come again for ever: it is halved until only that one is
    left out. Raises what the database raises while it is away.
    """
    try:
        ingest_usage(records=records, via=via, now=now)
    except (DataError, IntegrityError):
        if len(records) == 1:
            log.exception("the database refuses a usage record")
            return [*records]
        middle = len(records) // 2
        halves = (records[:middle], records[middle:])
        return [one for half in halves for one in ingest_storable(records=half, via=via, now=now)]
    return []


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _mark_hours(hours: set[datetime], now: datetime) -> None:
    # Sorted, so that two batches lock the same rows in the same order.
    marks = [DirtyHour(hour=hour, marked_at=now) for hour in sorted(hours)]
    DirtyHour.objects.bulk_create(
        marks, update_conflicts=True, update_fields=["marked_at"], unique_fields=["hour"]
    )


@transaction.atomic
def roll_up_hour(*, hour: datetime, now: datetime) -> bool:
    """Recompute one dirty hour from its events. False when it is clean or another worker has it.

    The mark is locked first: a batch that arrives meanwhile waits for us, then marks the hour
    again.
    """
    mark = DirtyHour.objects.select_for_update(skip_locked=True).filter(hour=hour).first()
    if mark is None:
        return False
    HourlyUsage.objects.filter(hour=hour).delete()
    HourlyUsage.objects.bulk_create(
        [HourlyUsage(hour=hour, rolled_up_at=now, **sums) for sums in store.hour_sums(hour)],
        batch_size=1000,
    )
    mark.delete()
    return True


def roll_up_dirty_hours(*, now: datetime) -> int:
    """Recompute every dirty hour, each in its own transaction; return how many."""
    hours = list(DirtyHour.objects.order_by("hour").values_list("hour", flat=True))
    return sum(roll_up_hour(hour=hour, now=now) for hour in hours)
