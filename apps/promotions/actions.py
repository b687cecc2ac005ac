"""Proposing a version, deciding about it, and steering its rollout. People's changes; records.py has the worker's.

Nobody decides on their own proposal: the action refuses it, and so does a check constraint. A decision is bound to the
evidence that was on the page; where that has changed since, nothing is decided.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.models import Role, User
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.promotions import queries
from apps.promotions.gates import blocked, evaluate_gates
from apps.promotions.models import Approval, Promotion, Rollout, ServingClass


class NotEligible(DomainError):
    """The version may not be proposed, or no longer be approved."""

    code = "not_eligible"


class AlreadyDecided(DomainError):
    """The promotion is no longer pending."""

    code = "already_decided"


class StaleEvidence(DomainError):
    """What the reviewer saw is not what the promotion is bound to."""

    code = "stale_evidence"


class WrongRolloutState(DomainError):
    """The rollout is not in a state that allows this."""

    code = "wrong_rollout_state"


@dataclass(frozen=True)
class Seen:
    """The evidence that was in front of the reviewer. baseline: a ModelVersion's key, None for no baseline."""

    manifest_digest: str
    eval_run: str
    baseline: int | None

    def matches(self, promotion: Promotion) -> bool:
        """Tell whether the promotion is bound to exactly this."""
        return (self.manifest_digest, self.eval_run, self.baseline) == (
            promotion.manifest_digest,
            str(promotion.eval_run_id),
            promotion.baseline_id,
        )


@transaction.atomic
def request_promotion(
    *,
    version: ModelVersion,
    requester: User,
    justification: str,
    now: datetime,
    serving_class: str = ServingClass.WARM,
) -> Promotion:
    """Propose that `version` serves its model's callers, always warm or asleep while nobody calls.

    Raises NotPermitted unless the requester owns the model; NotEligible when a gate does not hold or another proposal
    for the model waits.
    """
    model = _locked(version.registered_model)
    require(model.is_owned_by(requester), f"Only a model owner of {model.owner_team} proposes its versions.")
    version.refresh_from_db()
    _check(version, None)
    suite = queries.current_suite()
    run = queries.deciding_run(version, suite)
    if run is None:
        raise NotEligible("The evaluation run is gone. Start one on the version's page.")
    try:
        with transaction.atomic():
            promotion = Promotion.objects.create(
                registered_model=model,
                model_version=version,
                baseline=queries.live_version(model),
                eval_run=run,
                manifest_digest=version.manifest_digest,
                requested_by=requester,
                requested_at=now,
                justification=justification,
                serving_class=serving_class,
            )
    except IntegrityError:
        raise NotEligible(f"A promotion of {model} waits for a reviewer already. Withdraw it first.") from None
    record(action=Action.PROMOTION_REQUESTED, actor=requester, target=promotion, now=now, data=_bound_to(promotion))
    return promotion


def _locked(model: RegisteredModel) -> RegisteredModel:
    """Take the model's row, so that only one person at a time changes what serves it."""
    return RegisteredModel.objects.select_for_update(of=("self",)).select_related("owner_team").get(pk=model.pk)


def _check(version: ModelVersion, promotion: Promotion | None) -> None:
    problems = blocked(evaluate_gates(queries.evidence_for(version, promotion)))
    if problems:
        raise NotEligible(" ".join(problem.words for problem in problems))


def _bound_to(promotion: Promotion) -> dict[str, str]:
    return {
        "manifest_digest": promotion.manifest_digest,
        "eval_run": str(promotion.eval_run_id),
        "baseline": str(promotion.baseline) if promotion.baseline else "",
        "serving_class": promotion.serving_class,
    }


@transaction.atomic
def approve_promotion(*, promotion: Promotion, approver: User, seen: Seen, reason: str, now: datetime) -> Rollout:
    """Approve a pending promotion and start its rollout.

    Raises NotPermitted unless the approver is a reviewer who did not propose it; StaleEvidence when `seen` is not what
    the promotion is bound to; AlreadyDecided if it is not pending; NotEligible when a gate no longer holds.
    """
    _locked(promotion.registered_model)
    _may_decide(promotion, approver)
    _must_match(promotion, seen)
    promotion.model_version.refresh_from_db()
    if Promotion.objects.pending().filter(pk=promotion.pk).exists():
        _check(promotion.model_version, promotion)
    _decide(promotion, approver, Approval.Decision.APPROVE, Promotion.Status.APPROVED, reason, now)
    record(
        action=Action.PROMOTION_APPROVED,
        actor=approver,
        target=promotion,
        now=now,
        data=_bound_to(promotion) | {"reason": reason},
    )
    return start_rollout(promotion=promotion, actor=approver, now=now)


@transaction.atomic
def reject_promotion(*, promotion: Promotion, approver: User, seen: Seen, reason: str, now: datetime) -> Promotion:
    """Reject a pending promotion. Raises as approve_promotion does, but needs no gate to hold."""
    _may_decide(promotion, approver)
    _must_match(promotion, seen)
    _decide(promotion, approver, Approval.Decision.REJECT, Promotion.Status.REJECTED, reason, now)
    data = _bound_to(promotion) | {"reason": reason}
    record(action=Action.PROMOTION_REJECTED, actor=approver, target=promotion, now=now, data=data)
    return promotion


def _may_decide(promotion: Promotion, approver: User) -> None:
    require(approver.has_role(Role.REVIEWER), "Only a reviewer decides about a promotion.")
    own = promotion.requested_by_id == approver.pk
    require(not own, "Nobody decides on their own proposal. Another reviewer must.")


def _must_match(promotion: Promotion, seen: Seen) -> None:
    if not seen.matches(promotion):
        raise StaleEvidence(
            "The evidence has changed since you opened the page. Nothing was decided: look at it again, then decide."
        )


def _decide(promotion: Promotion, approver: User, decision: str, status: str, reason: str, now: datetime) -> None:
    """Take the promotion out of pending, exactly once, and keep the decision with its evidence."""
    if not Promotion.objects.pending().filter(pk=promotion.pk).update(status=status, decided_at=now):
        promotion.refresh_from_db()
        raise AlreadyDecided(f"This promotion is {promotion.get_status_display().lower()} already.")
    Approval.objects.create(
        promotion=promotion,
        approver=approver,
        requested_by_id=promotion.requested_by_id,
        decision=decision,
        reason=reason,
        decided_at=now,
        manifest_digest=promotion.manifest_digest,
        eval_run_id=promotion.eval_run_id,
        baseline_id=promotion.baseline_id,
    )
    promotion.refresh_from_db(fields=["status", "decided_at"])


@transaction.atomic
def withdraw_promotion(*, promotion: Promotion, actor: User, now: datetime) -> Promotion:
    """Take back a pending proposal. Raises NotPermitted unless actor owns the model; AlreadyDecided if not pending."""
    may = promotion.requested_by_id == actor.pk or promotion.registered_model.is_owned_by(actor)
    require(may, "Only an owner of the model withdraws its proposal.")
    changed = Promotion.objects.pending().filter(pk=promotion.pk)
    if not changed.update(status=Promotion.Status.WITHDRAWN, decided_at=now):
        promotion.refresh_from_db()
        raise AlreadyDecided(f"This promotion is {promotion.get_status_display().lower()} already.")
    record(action=Action.PROMOTION_WITHDRAWN, actor=actor, target=promotion, now=now)
    promotion.refresh_from_db()
    return promotion


@transaction.atomic
def start_rollout(*, promotion: Promotion, actor: User, now: datetime) -> Rollout:
    """Start carrying out an approved promotion. Raises WrongRolloutState when another rollout is under way."""
    try:
        with transaction.atomic():
            rollout = Rollout.objects.create(
                promotion=promotion,
                registered_model=promotion.registered_model,
                model_version=promotion.model_version,
                started_at=now,
                moved_at=now,
                next_check_at=now,
            )
    except IntegrityError:
        raise WrongRolloutState("A rollout of this model is under way. Wait for it, or abort it.") from None
    data = {"promotion": str(promotion.pk), "manifest_digest": promotion.manifest_digest}
    record(action=Action.ROLLOUT_STARTED, actor=actor, target=rollout, now=now, data=data)
    _wake(rollout)
    return rollout


def _wake(rollout: Rollout) -> None:
    enqueue_on_commit("promotions.reconcile_rollout", rollout_id=str(rollout.pk))


def may_steer(rollout: Rollout, user: User) -> bool:
    """Tell whether this person may retry or abort: an owner of the model, a reviewer, or a platform engineer."""
    return rollout.registered_model.is_owned_by(user) or user.has_role(Role.REVIEWER, Role.PLATFORM_ENGINEER)


@transaction.atomic
def retry_rollout(*, rollout: Rollout, actor: User, now: datetime) -> Rollout:
    """Take a failed rollout up again where it stopped. Raises WrongRolloutState unless it failed."""
    _may_steer(rollout, actor)
    rows = Rollout.objects.filter(pk=rollout.pk, status=Rollout.Status.FAILED)
    try:
        with transaction.atomic():
            changed = rows.update(status=Rollout.Status.PROGRESSING, finished_at=None, moved_at=now, **_renewed(now))
    except IntegrityError:
        raise WrongRolloutState("Another rollout of this model is under way.") from None
    if not changed:
        raise WrongRolloutState("Only a failed rollout can be retried.")
    record(action=Action.ROLLOUT_STARTED, actor=actor, target=rollout, now=now, data={"again": True})
    _wake(rollout)
    rollout.refresh_from_db()
    return rollout


@transaction.atomic
def abort_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Stop a rollout that is not live yet and take its version back; callers stay with, or return to, the baseline.

    Raises WrongRolloutState when it is live, replaced or aborted.
    """
    _may_steer(rollout, actor)
    rows = Rollout.objects.filter(pk=rollout.pk, status__in=(*Rollout.OPEN, Rollout.Status.FAILED))
    if not rows.update(status=Rollout.Status.ABORTED, finished_at=now, **_renewed(now)):
        rollout.refresh_from_db()
        raise WrongRolloutState(
            f"The rollout is {rollout.get_status_display().lower()}; there is nothing to abort. "
            "To go back, propose the earlier version."
        )
    record(action=Action.ROLLOUT_ABORTED, actor=actor, target=rollout, now=now, data={"reason": reason})
    _wake(rollout)
    rollout.refresh_from_db()
    return rollout


def _may_steer(rollout: Rollout, actor: User) -> None:
    require(
        may_steer(rollout, actor), "Only an owner of the model, a reviewer or a platform engineer steers a rollout."
    )


def _renewed(now: datetime) -> dict[str, object]:
    """Return the columns that wake a reconciler for a changed desired state."""
    return {
        "generation": F("generation") + 1,
        "attempts": 0,
        "next_check_at": now,
        "reason": "",
        "message": "",
        "observed_at": now,
    }
