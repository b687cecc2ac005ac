"""The lease by which exactly one worker reconciles a row at a time, and the columns it needs.

A row is due when `next_check_at` has passed. Taking the lease pushes it forward
in one UPDATE, so a crashed worker's row becomes due again by itself. This is the only write
outside `actions.py`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import F

RETRY_CAP = timedelta(minutes=5)


class Reconciled(models.Model):
    """A row whose desired state a reconciler makes true. NULL in next_check_at: nothing to do until
    the row changes.
    """

    next_check_at = models.DateTimeField(null=True, blank=True, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(default=1)
    observed_generation = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.TextField(blank=True, default="")
    observed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


Row = TypeVar("Row", bound=Reconciled)


def lease() -> timedelta:
    """Return for how long whoever takes a row has it."""
    return timedelta(seconds=settings.RECONCILE_LEASE_SECONDS)


def take_lease(row: Row, *, now: datetime) -> bool:
    """Take the lease on `row`. False when it is not due or another worker has it. Updates `row` in
    place.
    """
    rows = type(row)._default_manager.filter(pk=row.pk, next_check_at__lte=now)
    if not rows.update(next_check_at=now + lease(), attempts=F("attempts") + 1):
        return False
    row.refresh_from_db()
    return True


def keep_lease(row: Reconciled, *, now: datetime) -> None:
    """Have the row for longer: whoever works at one for minutes says so every second or so. Nothing
    happens where an action changed its desired state meanwhile.
    """
    rows = type(row)._default_manager.filter(pk=row.pk, generation=row.generation)
    rows.update(next_check_at=now + lease())


def change_from(row: Row, statuses: Collection[str], *, now: datetime, **fields: Any) -> bool:
    """Change `row` if it is still in one of `statuses`; the object in hand follows. False when it
    was not.

    For an action that records what a reconciler observed of this generation.
    """
    rows = type(row)._default_manager.filter(pk=row.pk, status__in=statuses)
    if not rows.update(observed_at=now, observed_generation=row.generation, **fields):
        return False
    row.refresh_from_db()
    return True


def retry_at(row: Reconciled, *, now: datetime, retry_after: float | None = None) -> datetime:
    """Return when to try again: when the vendor wishes, else after 2 s doubled per attempt; 5 min
    at most.
    """
    if retry_after is not None:
        return now + min(timedelta(seconds=retry_after), RETRY_CAP)
    return now + min(timedelta(seconds=2 * 2 ** min(row.attempts, 10)), RETRY_CAP)


def reschedule(row: Reconciled, *, at: datetime | None) -> None:
    """Set the next check, unless an action changed the row's desired state meanwhile (then it stays
    due).
    """
    rows = type(row)._default_manager.filter(pk=row.pk, generation=row.generation)
    rows.update(next_check_at=at)
