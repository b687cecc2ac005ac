"""What the worker writes about pools and requests. Each transition once, with its audit event in
the transaction.
"""

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.capacity.actions import digest
from apps.capacity.models import CapacityRequest, NodePoolRevision

WORKER = System("capacity.reconcile_capacity_request")
FINDER = System("capacity.find_pools")
Status = CapacityRequest.Status


@transaction.atomic
def record_found(*, pool: str, text: str, now: datetime) -> NodePoolRevision | None:
    """Keep what a pool's file says, where that is new; return the revision, or None.

    What an open request is about to record as its own is left to it.
    """
    found = digest(text)
    current = NodePoolRevision.objects.current_of(pool)
    if current is not None and current.digest == found:
        return None
    if (
        CapacityRequest.objects.open()
        .filter(pool=pool, digest=found, status__in=CapacityRequest.MOVING)
        .exists()
    ):
        return None
    number = current.number + 1 if current else 1
    try:
        with transaction.atomic():
            row = NodePoolRevision.objects.create(
                pool=pool, number=number, text=text, digest=found, recorded_at=now
            )
    except IntegrityError:  # another worker was first
        return None
    data = {
        "revision": row.number,
        "digest": found,
        "note": "Found in Git; no capacity request made it.",
    }
    record(action=Action.POOL_FOUND, actor=FINDER, target=row, now=now, data=data)
    return row


@transaction.atomic
def record_commit(
    *, request: CapacityRequest, commit: str, now: datetime, next_check_at: datetime
) -> bool:
    """Store the request's one commit and the revision it made. False when it was changed
    meanwhile.
    """
    rows = CapacityRequest.objects.filter(
        pk=request.pk, generation=request.generation, status=Status.APPROVED
    )
    changed = rows.update(
        status=Status.COMMITTED,
        commit=commit,
        moved_at=now,
        observed_at=now,
        reason="SYNCING",
        message=f"Committed {commit[:8]}; waiting for Argo CD to apply it.",
        attempts=0,
        next_check_at=next_check_at,
    )
    if not changed:
        return False
    current = NodePoolRevision.objects.current_of(request.pool)
    if current is None or current.digest != request.digest:
        NodePoolRevision.objects.create(
            pool=request.pool,
            number=current.number + 1 if current else 1,
            text=request.text,
            digest=request.digest,
            commit=commit,
            request=request,
            recorded_at=now,
        )
    data = {"commit": commit, "digest": request.digest}
    record(action=Action.CAPACITY_COMMITTED, actor=WORKER, target=request, now=now, data=data)
    return True


def record_waiting(
    *,
    request: CapacityRequest,
    reason: str,
    message: str,
    now: datetime,
    next_check_at: datetime,
    is_trouble: bool,
) -> None:
    """Store what a request waits for. is_trouble: something is away, so the pauses grow with the
    attempts.
    """
    rows = CapacityRequest.objects.filter(
        pk=request.pk, generation=request.generation, status=request.status
    )
    more = {} if is_trouble else {"attempts": 0}
    rows.update(
        reason=reason, message=message, observed_at=now, next_check_at=next_check_at, **more
    )


@transaction.atomic
def fail_request(*, request: CapacityRequest, reason: str, message: str, now: datetime) -> bool:
    """End a request that cannot go on by itself. False when it was changed meanwhile."""
    return _end(request, Status.FAILED, Action.CAPACITY_FAILED, reason, message, now)


@transaction.atomic
def finish_request(*, request: CapacityRequest, message: str, now: datetime) -> bool:
    """End a request that the cluster carries. False when it was changed meanwhile."""
    return _end(request, Status.APPLIED, Action.CAPACITY_APPLIED, "", message, now)


def _end(
    request: CapacityRequest, status: str, action: Action, reason: str, message: str, now: datetime
) -> bool:
    rows = CapacityRequest.objects.filter(
        pk=request.pk, generation=request.generation, status__in=CapacityRequest.MOVING
    )
    changed = rows.update(
        status=status,
        reason=reason,
        message=message,
        observed_at=now,
        observed_generation=request.generation,
        finished_at=now,
        next_check_at=None,
    )
    if changed:
        data = {"code": reason, "message": message, "commit": request.commit}
        record(action=action, actor=WORKER, target=request, now=now, data=data)
    return bool(changed)
