"""What becomes of a day in the archive: asked for, written and verified, dropped, brought back.

Nothing is overwritten: a day that changed, or was brought back, becomes another row and another
object.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from django.conf import settings
from django.db import transaction

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.common.leases import change_from
from apps.common.periods import DAY, day_of
from apps.common.tasks import enqueue_on_commit
from apps.metering import days
from apps.metering.archive.models import ArchivedDay
from apps.metering.archive.parquet import File
from apps.metering.archive.queries import held_against
from apps.metering.models import DirtyHour
from apps.metering.quarantine.models import Doubt, QuarantinedRecord
from apps.metering.stores.base import Held

Status = ArchivedDay.Status
ACTOR = System("metering.archive_days")
AT_REST = DAY  # that a day which was brought back is left alone, for late calls seldom come alone


class NotWhole(Exception):
    """The archive's object does not hold what its row tells."""


def ask_due_days(*, now: datetime) -> int:
    """Ask for every day to be archived that is old enough, added up, checked for ids of other days,
    those in the archive too, and not in the archive; return how many.
    """
    last = day_of(now) - settings.USAGE_RAW_DAYS * DAY
    busy = set(
        ArchivedDay.objects.filter(status__in=ArchivedDay.OPEN).values_list("day", flat=True)
    )
    busy |= _dirty_days()
    rested = ArchivedDay.objects.filter(status=Status.RESTORED, restored_at__gt=now - AT_REST)
    busy |= set(rested.values_list("day", flat=True))
    old = [day for day in days.stored_days() if day < last and day not in busy]
    unchecked = set(days.unchecked_days(old)) | _unsearched(old)
    due = [day for day in old if day not in unchecked]
    ArchivedDay.objects.bulk_create(
        [ArchivedDay(day=day, asked_at=now, next_check_at=now) for day in due],
        ignore_conflicts=True,
    )
    return len(due)


def _unsearched(old: Sequence[date]) -> set[date]:
    """Return those of some days that changed since the archive was searched for their ids."""
    held = held_against()
    if not held:
        return set()
    until = held[0][1]
    return {day for day, at in days.changed_days(old).items() if at > until}


def want_restored(*, now: datetime) -> int:
    """Have every day brought back that late calls, or an hour to be added up, wait for; return how
    many.
    """
    late = QuarantinedRecord.objects.filter(
        status=QuarantinedRecord.Status.WAITING, doubt=Doubt.ARCHIVED
    )
    begun = late.values_list("occurred_at", flat=True)
    wanted = {day_of(at) for at in begun if at} | _dirty_days()
    dropped = ArchivedDay.objects.filter(status=Status.DROPPED, day__in=wanted, next_check_at=None)
    return dropped.update(next_check_at=now, attempts=0)


def _dirty_days() -> set[date]:
    return {day_of(hour) for hour in DirtyHour.objects.values_list("hour", flat=True)}


@transaction.atomic
def record_verified(
    *, row: ArchivedDay, file: File, held: Held, key: str, version_id: str, now: datetime
) -> bool:
    """Say that a day was written, and read back as it was written. False where it is not waiting
    for that any more.
    """
    done = change_from(
        row,
        [Status.WAITING],
        now=now,
        status=Status.VERIFIED,
        object_key=key,
        version_id=version_id,
        sha256=file.sha256,
        size_bytes=len(file.body),
        rows=file.rows,
        fingerprint=held.fingerprint,
        last_call_at=file.last_call_at,
        archived_at=now,
        next_check_at=now,
        attempts=0,
        reason="",
        message="",
    )
    if done:
        record(action=Action.USAGE_ARCHIVED, actor=ACTOR, target=row, now=now, data=_about(row))
    return done


@transaction.atomic
def drop_day(*, row: ArchivedDay, now: datetime) -> bool:
    """Drop a day that is in the archive. False where it changed meanwhile: then it is archived
    anew.

    Raises OperationalError where somebody uses the day: it is tried again.
    """
    dropped = days.drop_day(row.day, now=now)
    if not dropped:
        change_from(row, [Status.VERIFIED], now=now, status=Status.REPLACED, next_check_at=None)
        return False
    change_from(row, [Status.DROPPED], now=now, next_check_at=None, reason="", message="")
    record(action=Action.USAGE_DROPPED, actor=ACTOR, target=row, now=now, data=_about(row))
    return True


@transaction.atomic
def restore_day(
    *, row: ArchivedDay, columns: Sequence[str], calls: Iterable[Sequence[object]], now: datetime
) -> None:
    """Store a day's calls again, as they were. Raises NotWhole, and then nothing of it is done."""
    stored = days.restore_day(row.day, columns, calls, now=now)
    if stored != row.rows:
        raise NotWhole(f"{row.object_key} holds {stored:,} calls instead of {row.rows:,}.")
    change_from(row, [Status.RESTORED], now=now, next_check_at=None, reason="", message="")
    record(action=Action.USAGE_RESTORED, actor=ACTOR, target=row, now=now, data=_about(row))
    enqueue_on_commit("metering.replay_waiting")
    enqueue_on_commit("metering.roll_up_dirty_hours")


def record_waiting(
    *, row: ArchivedDay, reason: str, message: str, at: datetime, now: datetime
) -> None:
    """Say what stands in the way, and try again at `at`."""
    ArchivedDay.objects.filter(pk=row.pk).update(
        reason=reason, message=message, observed_at=now, next_check_at=at
    )


def _about(row: ArchivedDay) -> dict[str, str | int | None]:
    return {
        "day": row.day.isoformat(),
        "object": row.object_key,
        "version": row.version_id,
        "sha256": row.sha256,
        "calls": row.rows,
    }
