"""Beginning a backfill, saying how far it has got, and finishing it.

What is stored is said in the transaction that stores it, so that a backfill that is killed goes on
where it was.
"""

from datetime import datetime

from apps.metering.backfill.models import Backfill


def begin_backfill(
    *, name: str, since: datetime, until: datetime, is_sample: bool, now: datetime
) -> Backfill:
    """Return the backfill of this name, begun now where there is none; one that was begun before
    keeps its time.
    """
    found, _ = Backfill.objects.get_or_create(
        name=name,
        defaults={
            "since": since,
            "until": until,
            "stored_until": since,
            "is_sample": is_sample,
            "begun_at": now,
        },
    )
    return found


def advance_backfill(*, backfill: Backfill, stored_until: datetime) -> None:
    """Say that everything before a moment is stored, in the caller's transaction."""
    backfill.stored_until = stored_until
    backfill.save(update_fields=["stored_until"])


def finish_backfill(*, backfill: Backfill, now: datetime) -> None:
    """Say that it is done, with all that was to follow from it."""
    backfill.finished_at = now
    backfill.save(update_fields=["finished_at"])
