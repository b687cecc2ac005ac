"""What becomes of an evidence pack: asked for, made, or failed and tried again."""

from collections.abc import Mapping
from datetime import date, datetime

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.roles import TAKES_EVIDENCE
from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.common import stored
from apps.common.errors import DomainError, require
from apps.common.leases import change_from, lease
from apps.common.periods import month_of
from apps.common.tasks import enqueue_on_commit
from apps.oversight.evidence.models import EvidencePack
from apps.promotions.models import Promotion

Status = EvidencePack.Status
ACTOR = System("oversight.make_evidence")
TASK = "oversight.make_evidence"


class NotYet(DomainError):
    """The month has not begun: there is nothing to take away."""

    code = "month_not_begun"


class NotFailed(DomainError):
    """The pack is made, or being made: there is nothing to try again."""

    code = "not_failed"


def may_take(person: User) -> bool:
    """Tell whether this person may take evidence away: who oversees the record."""
    return person.has_role(*TAKES_EVIDENCE)


def ask_for_promotion(*, promotion: Promotion, actor: User, now: datetime) -> EvidencePack:
    """Have the evidence of a promotion put together. One that is being made is returned instead.
    Raises NotPermitted unless the actor may take evidence away.
    """
    kind = EvidencePack.Kind.PROMOTION
    return _ask({"kind": kind, "promotion": promotion}, actor=actor, now=now)


def ask_for_month(*, month: date, actor: User, now: datetime) -> EvidencePack:
    """Have the evidence of a month put together; of the present one, what there is so far. month:
    its first day. Raises as ask_for_promotion does, and NotYet.
    """
    if month > month_of(now):
        raise NotYet(f"{month:%B %Y} has not begun.")
    return _ask({"kind": EvidencePack.Kind.MONTH, "month": month}, actor=actor, now=now)


@transaction.atomic
def _ask(about: Mapping[str, object], *, actor: User, now: datetime) -> EvidencePack:
    require(may_take(actor), "Only those who oversee the record take evidence away.")
    begun = {"asked_by": actor, "asked_at": now, "next_check_at": now}
    pack, created = EvidencePack.objects.get_or_create(
        **about, status=Status.WAITING, defaults=begun
    )
    if created:
        data = {"about": pack.label}
        record(action=Action.EVIDENCE_REQUESTED, actor=actor, target=pack, now=now, data=data)
        enqueue_on_commit(TASK, pack_id=str(pack.pk))
    return pack


def record_begun(*, pack: EvidencePack, checkpoint_size: int, total: int) -> None:
    """Say under which checkpoint a pack is made: the first time for good."""
    waiting = EvidencePack.objects.filter(pk=pack.pk, status=Status.WAITING)
    waiting.filter(checkpoint_size=None).update(checkpoint_size=checkpoint_size)
    waiting.update(done=0, total=total, reason="", message="")
    pack.refresh_from_db(fields=["checkpoint_size", "done", "total"])


def record_progress(*, pack: EvidencePack, done: int, working_on: str, now: datetime) -> None:
    """Say how far the making of a pack is, and keep other workers from it for another lease."""
    EvidencePack.objects.filter(pk=pack.pk, status=Status.WAITING).update(
        done=done, working_on=working_on[:200], next_check_at=now + lease()
    )


@transaction.atomic
def record_made(
    *,
    pack: EvidencePack,
    key: str,
    version_id: str,
    sha256: str,
    size_bytes: int,
    now: datetime,
) -> bool:
    """Say that a pack was stored, and read back as it was made. False where it is not waiting for
    that any more.
    """
    file = stored.made(
        key=key, version_id=version_id, sha256=sha256, size_bytes=size_bytes, now=now
    )
    done = change_from(pack, [Status.WAITING], now=now, status=Status.MADE, working_on="", **file)
    if done:
        data = {
            "about": pack.label,
            "object": key,
            "version": version_id,
            "sha256": sha256,
            "checkpoint": pack.checkpoint_size,
        }
        record(action=Action.EVIDENCE_MADE, actor=ACTOR, target=pack, now=now, data=data)
    return done


@transaction.atomic
def record_failed(*, pack: EvidencePack, reason: str, message: str, now: datetime) -> None:
    """Say why a pack cannot be made; a person has it tried again."""
    values = {"reason": reason, "message": message, "next_check_at": None}
    if change_from(pack, [Status.WAITING], now=now, status=Status.FAILED, **values):
        data = {"about": pack.label, "reason": reason, "message": message}
        record(action=Action.EVIDENCE_FAILED, actor=ACTOR, target=pack, now=now, data=data)


def record_waiting(
    *, pack: EvidencePack, reason: str, message: str, at: datetime, now: datetime
) -> None:
    """Say what stands in the way, and try again at `at`."""
    EvidencePack.objects.filter(pk=pack.pk, status=Status.WAITING).update(
        reason=reason, message=message, observed_at=now, next_check_at=at
    )


@transaction.atomic
def record_taken(*, pack: EvidencePack, actor: User, now: datetime) -> None:
    """Say who took a pack away. Raises NotPermitted unless the actor may."""
    require(may_take(actor), "Only those who oversee the record take evidence away.")
    data = {"about": pack.label, "sha256": pack.sha256}
    record(action=Action.EVIDENCE_TAKEN, actor=actor, target=pack, now=now, data=data)


@transaction.atomic
def try_again(*, pack: EvidencePack, actor: User, now: datetime) -> None:
    """Have a pack that failed made again. Raises NotPermitted unless the actor may; NotFailed."""
    require(may_take(actor), "Only those who oversee the record take evidence away.")
    values = {"attempts": 0, "reason": "", "message": "", "next_check_at": now}
    if not change_from(pack, [Status.FAILED], now=now, status=Status.WAITING, **values):
        raise NotFailed(f"The evidence pack is {pack.get_status_display().lower()} already.")
    data = {"about": pack.label}
    record(action=Action.EVIDENCE_RETRIED, actor=actor, target=pack, now=now, data=data)
    enqueue_on_commit(TASK, pack_id=str(pack.pk))
