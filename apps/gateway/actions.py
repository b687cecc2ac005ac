"""What the portal knows of published policy: what should be, what was committed, what the cluster
carries.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.gateway.models import PolicyRevision

PUBLISHER = System("gateway.publish_policy")


@transaction.atomic
def request_publication(*, model: RegisteredModel, now: datetime) -> PolicyRevision:
    """Ask for a model's policy to be compiled and published again: its grants changed."""
    revision, _ = PolicyRevision.objects.get_or_create(registered_model=model)
    PolicyRevision.objects.filter(pk=revision.pk).update(
        generation=F("generation") + 1,
        attempts=0,
        next_check_at=now,
        status=PolicyRevision.Status.PENDING,
    )
    revision.refresh_from_db()
    return revision


@transaction.atomic
def record_commit(*, revision: PolicyRevision, digest: str, commit: str, now: datetime) -> None:
    """Store which commit carries the policy; once per digest, with its audit event."""
    changed = PolicyRevision.objects.filter(pk=revision.pk).exclude(digest=digest, commit=commit)
    if changed.update(
        digest=digest,
        commit=commit,
        status=PolicyRevision.Status.COMMITTED,
        published_at=now,
        reason="",
        message="",
    ):
        data = {"digest": digest, "commit": commit}
        record(action=Action.POLICY_PUBLISHED, actor=PUBLISHER, target=revision, now=now, data=data)
    revision.refresh_from_db()


def record_lost(*, revision: PolicyRevision, now: datetime) -> None:
    """Have a policy published anew: its file was taken out or changed, or the branch's history was
    rewritten.
    """
    current = PolicyRevision.objects.filter(pk=revision.pk, generation=revision.generation)
    current.update(
        generation=F("generation") + 1,
        digest="",
        status=PolicyRevision.Status.PENDING,
        next_check_at=now,
        attempts=0,
        reason="GIT_DIVERGED",
        message=f"The branch no longer holds what commit {revision.commit[:8]} brought: the policy "
        f"is published again.",
    )


def record_active(*, revision: PolicyRevision, now: datetime) -> None:
    """Store that the cluster carries the committed policy; nothing more to do until the grants
    change.
    """
    current = PolicyRevision.objects.filter(pk=revision.pk, generation=revision.generation)
    current.update(
        status=PolicyRevision.Status.ACTIVE,
        observed_generation=revision.generation,
        observed_at=now,
        next_check_at=None,
        attempts=0,
        reason="",
        message="",
    )


def record_problem(
    *,
    revision: PolicyRevision,
    reason: str,
    message: str,
    now: datetime,
    next_check_at: datetime | None,
) -> None:
    """Store why the policy is not active yet. next_check_at None: FAILED, not tried again until the
    grants change.
    """
    current = PolicyRevision.objects.filter(pk=revision.pk, generation=revision.generation)
    values = {
        "reason": reason,
        "message": message,
        "observed_at": now,
        "next_check_at": next_check_at,
    }
    if next_check_at is None:
        values["status"] = PolicyRevision.Status.FAILED
    current.update(**values)
