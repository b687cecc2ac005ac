"""Moves old days of calls into the archive, and brings those back that are needed again.

Each step can be repeated: an object that is there with the same bytes is taken as written, and a
day is dropped only by the database, which compares what it holds with what was archived. So a
worker may die at any line.

WAITING    calls → Parquet → S3, locked → read back, digest and count compared
VERIFIED   dropped, where nothing changed meanwhile; else archived anew
DROPPED    brought back, where a late call or an hour to be added up waits for it
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import OperationalError

from apps.common.leases import retry_at, take_lease
from apps.common.periods import DAY
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, RegistryStore
from apps.metering import days
from apps.metering.archive import actions, parquet
from apps.metering.archive.actions import NotWhole
from apps.metering.archive.models import ArchivedDay
from apps.metering.archive.parquet import NotParquet
from apps.metering.stores.base import store
from apps.metering.stores.sql import patience

PASS_SECONDS = 60.0
MOST_PLACES = 5  # names that are tried for an object before a person must look
REFUSED_AGAIN = timedelta(hours=1)
MONTH = 31 * DAY
Status = ArchivedDay.Status


def archive_days(
    *, archive: RegistryStore, now: datetime, clock: Callable[[], float] = time.monotonic
) -> int:
    """Ask for what is due, and do the next step of days until the pass is over, those first that
    somebody waits for. Returns how many days it looked at.
    """
    store().forget_dropped()
    actions.ask_due_days(now=now)
    actions.want_restored(now=now)
    due = ArchivedDay.objects.filter(next_check_at__lte=now)
    rows = [*due.filter(status=Status.DROPPED), *due.exclude(status=Status.DROPPED).order_by("day")]
    started, looked_at = clock(), 0
    for row in rows:
        if clock() - started > PASS_SECONDS:
            break
        looked_at += reconcile_day(row=row, archive=archive, now=now)
    return looked_at


def reconcile_day(*, row: ArchivedDay, archive: RegistryStore, now: datetime) -> bool:
    """Do the next steps of a day that is due; False when it is not."""
    if not take_lease(row, now=now):
        return False
    try:
        if row.status == Status.DROPPED:
            _restore(row, archive, now)
        if row.status == Status.WAITING:
            _write(row, archive, now)
        if row.status == Status.VERIFIED:
            actions.drop_day(row=row, now=now)
    except TemporaryError as error:
        _wait(
            row, "WAITING", str(error), retry_at(row, now=now, retry_after=error.retry_after), now
        )
    except OperationalError:
        _wait(row, "BUSY", "Its calls are being used.", retry_at(row, now=now), now)
    except (PermanentError, NotWhole, NotParquet) as error:
        _wait(row, "REFUSED", str(error), now + REFUSED_AGAIN, now)
    return True


def _wait(row: ArchivedDay, reason: str, message: str, at: datetime, now: datetime) -> None:
    actions.record_waiting(
        row=row, reason=reason, message=f"{message} Trying again by itself.", at=at, now=now
    )


def _write(row: ArchivedDay, archive: RegistryStore, now: datetime) -> None:
    """Write a day, read it back, and say so.

    What it holds is counted before it is read: a call that comes in between makes the two differ,
    now or when it would be dropped.
    """
    held = days.held_by(row.day)
    with patience():
        file = parquet.write(days.rows_of(row.day, parquet.COLUMNS, parquet.GROUP))
    if file.rows != held.calls:
        raise TemporaryError("Calls of that day arrived while it was written.")
    key, version_id = _put(archive, row, file, now)
    actions.record_verified(row=row, file=file, held=held, key=key, version_id=version_id, now=now)


def _put(
    archive: RegistryStore, row: ArchivedDay, file: parquet.File, now: datetime
) -> tuple[str, str]:
    """Store a file under the first name of its own where it is, or becomes, what it should be;
    return key and version.
    """
    until = now + settings.USAGE_KEPT_MONTHS * MONTH
    for place in range(MOST_PLACES):
        suffix = f".{place}" if place else ""
        key = f"usage/{row.day:%Y/%m}/{row.day:%Y-%m-%d}-{file.sha256[:16]}{suffix}.parquet"
        # it is there where a worker died, or where a day holds again what it held before
        with suppress(AlreadyExists):
            archive.put_new(key, file.body, locked_until=until)
        stored = archive.head(key)
        if stored and _digest(archive, key, stored.version_id) == file.sha256:
            archive.lock(stored, until=until)
            return key, stored.version_id
    raise PermanentError(f"No object of {row.day:%Y-%m-%d} can be read back as it was written.")


def _digest(archive: RegistryStore, key: str, version_id: str) -> str:
    digest = hashlib.sha256()
    for chunk in archive.read(key, version_id=version_id):
        digest.update(chunk)
    return digest.hexdigest()


def _restore(row: ArchivedDay, archive: RegistryStore, now: datetime) -> None:
    """Bring a day back from the very version of the object that was verified."""
    body = b"".join(archive.read(row.object_key, version_id=row.version_id))
    if hashlib.sha256(body).hexdigest() != row.sha256:
        raise NotWhole(f"{row.object_key} is not what was written there.")
    calls = parquet.read(body, days.DEFAULTS)
    actions.restore_day(row=row, columns=parquet.COLUMNS, calls=calls, now=now)
