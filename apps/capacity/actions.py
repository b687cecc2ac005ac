"""Asking for a change of a pool, and deciding about it.

Nobody decides on their own request: the action refuses it, and so does a check constraint. What was
approved is the file's whole text, which never changes afterwards; the worker commits exactly that
(reconcile.py).
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.models import Role, User
from apps.accounts.roles import ASKS_FOR_CAPACITY, DECIDES_CAPACITY
from apps.audit.actions import record
from apps.audit.models import Action
from apps.capacity import effect, queries
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.common import decisions
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.fleet import prices
from apps.manifests import capacity
from apps.manifests.capacity import BadCapacity, Budget
from apps.manifests.text import to_yaml

Status = CapacityRequest.Status
HIGHEST_GPUS = 10_000
HIGHEST_CPU = 1_000_000
HIGHEST_MEMORY_GIB = 10_000_000


class CannotChangeCapacity(DomainError):
    """The change cannot be asked for as it stands."""

    code = "cannot_change_capacity"


class PoolChanged(DomainError):
    """The pool is no longer what the request was made on."""

    code = "pool_changed"


class CannotRetry(DomainError):
    """The request cannot be tried again."""

    code = "cannot_retry"


@dataclass(frozen=True)
class Wish:
    """What a pool should say. cpu (vCPUs), memory_gib: None for no limit. capacity_types: the Spot
    share.
    """

    families: tuple[str, ...]
    gpus: int
    capacity_types: tuple[str, ...]
    consolidation_policy: str
    consolidate_after: str
    budgets: tuple[Budget, ...]
    cpu: int | None = None
    memory_gib: int | None = None


def may_ask(person: User) -> bool:
    """Tell whether this person may ask for a change of a pool: a platform engineer."""
    return person.has_role(*ASKS_FOR_CAPACITY)


def permit_asking(person: User) -> None:
    """Raise NotPermitted unless this person may ask for a change of a pool."""
    require(may_ask(person), "Only a platform engineer can ask for a change of capacity.")


@transaction.atomic
def request_capacity(
    *, pool: str, base: int, wish: Wish, justification: str, requester: User, now: datetime
) -> CapacityRequest:
    """Ask to change `pool` as its revision `base` is to what `wish` says.

    Raises NotPermitted unless the requester is a platform engineer; PoolChanged where the pool has
    a newer revision; CannotChangeCapacity where the wish is out of bounds, changes nothing, or
    another request is open.
    """
    permit_asking(requester)
    revision = NodePoolRevision.objects.current_of(pool)
    if revision is None:
        raise CannotChangeCapacity(f"The portal knows of no pool {pool} in Git.")
    if revision.number != base:
        raise PoolChanged(
            f"{pool} has changed in the meantime: it is now at revision {revision.number}. "
            f"Look at it, then ask again."
        )
    text = _rendered(revision, wish)
    try:
        with transaction.atomic():
            request = CapacityRequest.objects.create(
                pool=pool,
                base=revision,
                text=text,
                digest=digest(text),
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise CannotChangeCapacity(
            f"A change of {pool} is under way. One at a time: wait for it to end."
        ) from None
    changed = effect.changes(queries.read_text(revision.text), queries.read_text(text))
    data: dict[str, object] = {
        "justification": justification,
        "base": revision.number,
        "digest": request.digest,
    }
    data["changes"] = [[item.label, item.before, item.after] for item in changed]
    record(action=Action.CAPACITY_REQUESTED, actor=requester, target=request, now=now, data=data)
    return request


def digest(text: str) -> str:
    """Return what names a file's content."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _rendered(revision: NodePoolRevision, wish: Wish) -> str:
    unknown = sorted(set(wish.families) - set(prices.families()))
    if unknown:
        raise CannotChangeCapacity(
            f"Unknown instance families: {', '.join(unknown)}. Known: {known_families()}."
        )
    highest = (
        (wish.gpus, HIGHEST_GPUS),
        (wish.cpu or 0, HIGHEST_CPU),
        (wish.memory_gib or 0, HIGHEST_MEMORY_GIB),
    )
    if any(value > limit for value, limit in highest):
        raise CannotChangeCapacity(
            "One of the limits is higher than any fleet. Write the limit that you mean."
        )
    try:
        before = queries.read_revision(revision)
        after = replace(
            before,
            families=wish.families,
            gpus=wish.gpus,
            cpu=wish.cpu,
            memory_gib=wish.memory_gib,
            capacity_types=tuple(
                name for name in capacity.CAPACITY_TYPES if name in wish.capacity_types
            ),
            consolidation_policy=wish.consolidation_policy,
            consolidate_after=wish.consolidate_after,
            budgets=wish.budgets,
        )
        text = to_yaml([capacity.node_pool(after)]).decode()
    except BadCapacity as error:
        raise CannotChangeCapacity(str(error)) from error
    if words := effect.too_small(after):
        raise CannotChangeCapacity(words)
    if after == before:
        raise CannotChangeCapacity("Nothing would change: the pool already has these settings.")
    return text


def known_families() -> str:
    """Return the known families in words."""
    return ", ".join(prices.families())


def question(request: CapacityRequest, person: User) -> decisions.Question:
    """Return who decides about a request, as this person meets it: a platform engineer or a
    reviewer.
    """
    return decisions.Question(
        request,
        person,
        decider="platform engineer or reviewer",
        is_decider=person.has_role(*DECIDES_CAPACITY),
    )


@transaction.atomic
def approve_capacity(
    *, request: CapacityRequest, approver: User, reason: str, now: datetime
) -> CapacityRequest:
    """Approve a pending request; the worker commits it.

    Raises NotPermitted unless the approver is a platform engineer or reviewer who did not ask;
    AlreadyDecided; PoolChanged where the pool is no longer what the request was made on.
    """
    asks = question(request, approver)
    decisions.permit(asks)
    current = NodePoolRevision.objects.current_of(request.pool)
    if current is None or current.pk != request.base_id:
        raise PoolChanged(
            f"{request.pool} has changed since this was asked for: revision {request.base.number} "
            f"then, "
            f"{current.number if current else 'none'} now. Reject it and ask for a new one."
        )
    decisions.decide(
        asks, status=Status.APPROVED, reason=reason, now=now, next_check_at=now, moved_at=now
    )
    data = {"reason": reason, "digest": request.digest}
    record(action=Action.CAPACITY_APPROVED, actor=approver, target=request, now=now, data=data)
    enqueue_on_commit("capacity.reconcile_capacity_request", request_id=str(request.pk))
    return request


@transaction.atomic
def reject_capacity(
    *, request: CapacityRequest, approver: User, reason: str, now: datetime
) -> CapacityRequest:
    """Reject a pending request. Raises NotPermitted as approve_capacity does, AlreadyDecided."""
    decisions.reject(question(request, approver), reason=reason, now=now, finished_at=now)
    record(
        action=Action.CAPACITY_REJECTED,
        actor=approver,
        target=request,
        now=now,
        data={"reason": reason},
    )
    return request


@transaction.atomic
def withdraw_capacity(*, request: CapacityRequest, actor: User, now: datetime) -> CapacityRequest:
    """Take back a pending request. Raises NotPermitted unless actor asked; AlreadyDecided if it is
    not pending.
    """
    decisions.withdraw(question(request, actor), now=now, finished_at=now)
    record(action=Action.CAPACITY_WITHDRAWN, actor=actor, target=request, now=now)
    return request


@transaction.atomic
def retry_capacity(*, request: CapacityRequest, actor: User, now: datetime) -> CapacityRequest:
    """Try an approved request that failed again, from where it stopped.

    Raises NotPermitted unless actor is a platform engineer; CannotRetry where it did not fail, the
    pool is another now, or a newer request is open.
    """
    require(
        actor.has_role(Role.PLATFORM_ENGINEER),
        "Only a platform engineer can retry a change of capacity.",
    )
    current = NodePoolRevision.objects.current_of(request.pool)
    if current is None or (current.pk != request.base_id and current.digest != request.digest):
        raise CannotRetry(
            f"{request.pool} has other settings by now. Ask for a new change instead."
        )
    again = Status.COMMITTED if request.commit else Status.APPROVED
    failed = CapacityRequest.objects.filter(pk=request.pk, status=Status.FAILED)
    fresh = {
        "reason": "",
        "message": "",
        "attempts": 0,
        "finished_at": None,
        "next_check_at": now,
        "moved_at": now,
    }
    try:
        with transaction.atomic():
            changed = failed.update(status=again, generation=F("generation") + 1, **fresh)
    except IntegrityError:
        raise CannotRetry(
            f"Another change of {request.pool} is under way. Wait for it to end."
        ) from None
    request.refresh_from_db()
    if not changed:
        raise CannotRetry(
            f"Only a failed request can be retried; this one is "
            f"{request.get_status_display().lower()}."
        )
    record(action=Action.CAPACITY_RETRIED, actor=actor, target=request, now=now)
    enqueue_on_commit("capacity.reconcile_capacity_request", request_id=str(request.pk))
    return request
