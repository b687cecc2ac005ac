"""What becomes of records in quarantine: they are tried again, or left out for good with a reason.

A record is doubted when it comes (screening.py). Once its cause is mended, somebody tries it again,
and it is a call like any other: it counts in the hour in which it began.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from django.db import transaction
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.accounts.roles import MENDS_USAGE
from apps.audit.actions import Actor, System, record
from apps.audit.models import Action
from apps.common.errors import DomainError, require
from apps.metering import actions
from apps.metering.access_log import read_entry
from apps.metering.archive.models import ArchivedDay
from apps.metering.quarantine.models import Doubt, QuarantinedRecord

MOST_AT_ONCE = 2000  # records that one order tries again
# what becomes known without anybody touching the record: a team signs in, a model is registered
MENDED_BY_THEMSELVES = (Doubt.TEAM, Doubt.MODEL, Doubt.VERSION)


class AlreadyResolved(DomainError):
    """The record in quarantine was resolved meanwhile."""

    code = "already_resolved"


def replay_waiting(*, now: datetime) -> int:
    """Count the records whose team, model or version is known, or whose day is brought back, by
    now; return how many.
    """
    waiting = QuarantinedRecord.objects.filter(status=QuarantinedRecord.Status.WAITING)
    archived = ArchivedDay.objects.filter(status=ArchivedDay.Status.DROPPED)
    late = waiting.filter(doubt=Doubt.ARCHIVED).exclude(
        occurred_at__date__in=archived.values("day")
    )
    actor = System("metering.replay_waiting")
    mended = waiting.filter(doubt__in=MENDED_BY_THEMSELVES)
    return _replay(late, actor=actor, now=now) + _replay(mended, actor=actor, now=now)


def replay_records(*, records: QuerySet[QuarantinedRecord], actor: User, now: datetime) -> int:
    """Try records in quarantine again; return how many are counted now. The others keep waiting,
    with the reason that holds today.

    At most MOST_AT_ONCE, the oldest first. Raises NotPermitted.
    """
    permit_quarantine(actor)
    return _replay(records.filter(status=QuarantinedRecord.Status.WAITING), actor=actor, now=now)


@transaction.atomic
def _replay(records: QuerySet[QuarantinedRecord], *, actor: Actor, now: datetime) -> int:
    # what was taken out of the calls was counted once, and never is again
    records = records.exclude(doubt=Doubt.OTHER_DAY)
    rows = list(
        records.select_for_update(skip_locked=True, of=("self",)).order_by("received_at", "id")[
            :MOST_AT_ONCE
        ]
    )
    counted = 0
    for (via, received_at), batch in groupby(rows, attrgetter("received_via", "received_at")):
        counted += _replay_batch(list(batch), via, received_at, actor, now)
    return counted


def _replay_batch(
    rows: Sequence[QuarantinedRecord], via: str, received_at: datetime, actor: Actor, now: datetime
) -> int:
    """Store again what came together; return how many rows are counted now."""
    entries = {row.fingerprint: read_entry(row.values) for row in rows}
    readable = [entry for entry in entries.values() if entry]
    _, doubted = actions.store_entries(readable, via=via, received_at=received_at, now=now)
    still = {entry.fingerprint: entry for entry in doubted}
    mended = [row for row in rows if row.fingerprint not in still and entries[row.fingerprint]]
    for row in mended:
        row.status, row.resolved_at = QuarantinedRecord.Status.REPLAYED, now
        row.resolved_by = actor if isinstance(actor, User) else None
        record(action=Action.USAGE_REPLAYED, actor=actor, target=row, now=now, data=_about(row))
    for row in rows:
        if row.fingerprint in still:
            again = still[row.fingerprint]
            row.doubt, row.detail = again.doubt, again.problem[:300]
    QuarantinedRecord.objects.bulk_update(
        rows, ["status", "resolved_at", "resolved_by", "doubt", "detail"], batch_size=500
    )
    return len(mended)


@transaction.atomic
def leave_out(*, item: QuarantinedRecord, actor: User, reason: str, now: datetime) -> None:
    """Decide that a record in quarantine never counts. Raises NotPermitted, AlreadyResolved."""
    permit_quarantine(actor)
    changed = QuarantinedRecord.objects.filter(pk=item.pk, status="WAITING").update(
        status=QuarantinedRecord.Status.LEFT_OUT,
        resolved_at=now,
        resolved_by=actor,
        resolution=reason,
    )
    if not changed:
        raise AlreadyResolved("Somebody resolved this record meanwhile.")
    item.refresh_from_db()
    data = _about(item) | {"reason": reason}
    record(action=Action.USAGE_LEFT_OUT, actor=actor, target=item, now=now, data=data)


def permit_quarantine(user: User) -> None:
    """Raise NotPermitted unless the person may resolve what is in quarantine."""
    require(
        user.has_role(*MENDS_USAGE),
        "Only finance and platform engineers resolve what is in quarantine.",
    )


def _about(row: QuarantinedRecord) -> dict[str, str]:
    """Return what the audit record says of a record: which call it was, and what was doubted."""
    event_id = str(row.event_id) if row.event_id else ""
    return {"doubt": row.doubt, "event_id": event_id, "team": row.team, "model": row.model}
