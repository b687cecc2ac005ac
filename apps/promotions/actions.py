"""Proposing a version, deciding about it, and steering its rollout. People's changes; records.py
has the worker's.

Nobody decides on their own proposal: the action refuses it, and so does a check constraint. A
decision is bound to the evidence that was on the page; where that has changed since, nothing is
decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.accounts.roles import STEERS_ROLLOUTS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion
from apps.common import decisions
from apps.common.canonical import canonical, digest_of
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.evals.queries import current_suite, deciding_run
from apps.manifests.scaling import BadScaling, pre_warm_of
from apps.manifests.serving_settings import USUAL, ServingSettings
from apps.manifests.text import CannotRender
from apps.promotions import begin, queries
from apps.promotions.begin import WrongRolloutState
from apps.promotions.binding.actions import void_if_changed
from apps.promotions.binding.bound import Binding
from apps.promotions.binding.models import KeptBytes
from apps.promotions.binding.present import Chosen, present
from apps.promotions.changes.actions import ask_for_change
from apps.promotions.dossier import Change, document, evidence
from apps.promotions.gates import blocked, evaluate_gates
from apps.promotions.models import (
    Approval,
    GateResult,
    Promotion,
    Rollout,
    RolloutCommit,
    ServingClass,
)
from apps.promotions.policy.actions import revision_for
from apps.promotions.policy.reviewers import exclusion, is_named, next_words
from apps.promotions.rollouts.render import surroundings

PROPOSAL = "proposal"  # what people call a promotion that waits


NOT_SHOWN = Change()


class NotEligible(DomainError):
    """The version may not be proposed, or no longer be approved."""

    code = "not_eligible"


class BadHours(DomainError):
    """What was written for the hours in which a replica is kept ready names no hours."""

    code = "bad_hours"


class StaleEvidence(DomainError):
    """What the reviewer saw is not what the promotion is bound to."""

    code = "stale_evidence"


@dataclass(frozen=True)
class Seen:
    """The evidence that was in front of the reviewer. baseline: a ModelVersion's key, None for no
    baseline.
    """

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
    pre_warm: str = "",
    settings: ServingSettings = USUAL,
    without_traffic: bool = False,
) -> Promotion:
    """Propose that `version` serves its model's callers, always warm or asleep while nobody calls.

    pre_warm: hours in which one that sleeps is kept ready, "mon-fri 07:30-19:00 America/New_York";
    "" for none. settings: with what it is served. without_traffic: its rollout may go on where too
    few calls came to compare. Raises NotPermitted unless the requester owns the model; BadHours;
    NotEligible when a gate does not hold or another proposal for the model waits.
    """
    model = begin.locked(version.registered_model)
    require(
        model.is_owned_by(requester),
        f"Only a model owner of {model.owner_team} can propose its versions.",
    )
    hours = _hours(serving_class, pre_warm)
    version.refresh_from_db()
    facts = queries.evidence_for(version, now, serving_class=serving_class, settings=settings)
    _refuse(problem.words for problem in blocked(evaluate_gates(facts)))
    suite = current_suite(model)
    run, live = deciding_run(version, suite), queries.live_version(model)
    if run is None:
        raise NotEligible("The evaluation run is gone. Start one on the version's page.")
    revision = revision_for(model.data_class, now)
    policy = (revision.number, revision.digest)
    chosen = Chosen(serving_class, hours, policy, revision.rules.steps, settings)
    binding = _bind(version, chosen, run=run, suite=suite, baseline=live)
    try:
        with transaction.atomic():
            promotion = Promotion.objects.create(
                registered_model=model,
                model_version=version,
                baseline=live,
                eval_run=run,
                manifest_digest=version.manifest_digest,
                policy_revision=revision,
                binding=binding.as_json(),
                binding_digest=binding.digest,
                requested_by=requester,
                requested_at=now,
                justification=justification,
                serving_class=serving_class,
                pre_warm=hours,
                serving_settings=settings.as_json(),
                without_traffic=without_traffic,
            )
    except IntegrityError:
        raise NotEligible(
            f"A promotion of {model} is already waiting for a reviewer. Withdraw it first."
        ) from None
    record(
        action=Action.PROMOTION_REQUESTED,
        actor=requester,
        target=promotion,
        now=now,
        data=_bound_to(promotion),
    )
    ask_for_change(promotion=promotion, actor=requester, now=now)
    enqueue_on_commit("chargeback.estimate_effect", promotion_id=str(promotion.pk))
    return promotion


def _bind(version: ModelVersion, chosen: Chosen, **rests_on: Any) -> Binding:
    """Return what every approval of the proposal will be over, and keep the bytes that it names.
    Raises NotEligible where its steps would write what does not work.
    """
    try:
        made = present(version, chosen, surroundings(), **rests_on)
    except CannotRender as error:
        raise NotEligible(str(error)) from None
    KeptBytes.objects.keep(made.contents)
    return made.binding


def _hours(serving_class: str, pre_warm: str) -> str:
    """Return the hours as they are kept. Raises BadHours."""
    if not pre_warm:
        return ""
    if serving_class != ServingClass.SCALE_TO_ZERO:
        raise BadHours("A warm version always runs, so it has no hours in which it is kept ready.")
    try:
        return str(pre_warm_of(pre_warm))
    except BadScaling as error:
        raise BadHours(str(error)) from None


def _refuse(problems: Iterable[str]) -> None:
    """Raise NotEligible with what does not hold, where anything does not."""
    if words := " ".join(problems):
        raise NotEligible(words)


def _bound_to(promotion: Promotion) -> dict[str, str | int | bool]:
    return {
        "manifest_digest": promotion.manifest_digest,
        "eval_run": str(promotion.eval_run_id),
        "baseline": str(promotion.baseline) if promotion.baseline else "",
        "serving_class": promotion.serving_class,
        "pre_warm": promotion.pre_warm,
        "serving_settings": digest_of(promotion.settings.as_json()),
        "without_traffic": promotion.without_traffic,
        "policy": promotion.policy_revision.number,
        "binding": promotion.binding_digest,
    }


def question(promotion: Promotion, person: User) -> decisions.Question:
    """Return who decides about a promotion, as this person meets it: whom its policy names, without
    those whom it excludes. Owners of the model may withdraw it.
    """
    model = promotion.registered_model
    named = is_named(promotion, person)
    return decisions.Question(
        promotion,
        person,
        decider=promotion.policy_revision.rules.decider,
        is_decider=named,
        barred=exclusion(promotion, person) if named else "",
        noun=PROPOSAL,
        asked="proposed",
        withdrawer=f"model owner of {model.owner_team}",
        is_withdrawer=model.is_owned_by(person),
    )


def approve_promotion(
    *,
    promotion: Promotion,
    approver: User,
    seen: Seen,
    reason: str,
    now: datetime,
    change: Change = NOT_SHOWN,
) -> Rollout | None:
    """Approve a pending promotion. With the last approval that its policy asks for it is approved,
    and where nothing stands in the way its rollout starts, which is returned; one under way of
    another version is superseded. None while it waits: for more approvals, or for its start.

    change: the change to Git as it was on the page; it is kept with the rest of the evidence.
    Where something changed that earlier approvals were over, those are voided, and stay so though
    this one is refused. Raises NotPermitted unless the policy lets the approver decide and they did
    not propose it; StaleEvidence when `seen` is not what the promotion is bound to; AlreadyDecided
    if it is not pending, or this person approved it already; NotEligible when a gate no longer
    holds or an earlier approval is too old.
    """
    decisions.permit(question(promotion, approver))
    void_if_changed(promotion=promotion, now=now)
    return _approve(promotion, approver, seen, reason, change, now)


@transaction.atomic
def _approve(
    promotion: Promotion, approver: User, seen: Seen, reason: str, change: Change, now: datetime
) -> Rollout | None:
    begin.locked(promotion.registered_model)
    decisions.permit(question(promotion, approver))
    _must_match(promotion, seen)
    _still_pending(promotion)
    _not_twice(promotion, approver)
    promotion.model_version.refresh_from_db()
    shown = evidence(promotion, change, now)
    _refuse(item["words"] for item in shown["conditions"] if not item["passed"])
    if begin.is_expired(promotion, now):
        raise NotEligible("An earlier approval is too old by now. Propose the version again.")
    dossier = _keep(promotion, approver, Approval.Decision.APPROVE, reason, shown, now)
    given = promotion.approvals.counting().persons()
    needed = promotion.policy_revision.rules.approvals
    data = _bound_to(promotion) | {"reason": reason, "evidence": digest_of(shown)}
    data |= {"approvals": given, "needed": needed, "dossier": dossier}
    if given < needed:
        done = Action.PROMOTION_ENDORSED
        record(action=done, actor=approver, target=promotion, now=now, data=data)
        return None
    _settle(promotion, Promotion.Status.APPROVED, now)
    done = Action.PROMOTION_APPROVED
    record(action=done, actor=approver, target=promotion, now=now, data=data)
    begin.supersede_waiting(promotion, approver, now)
    return begin.start_if_free(promotion=promotion, actor=approver, now=now)


@transaction.atomic
def reject_promotion(
    *,
    promotion: Promotion,
    approver: User,
    seen: Seen,
    reason: str,
    now: datetime,
    change: Change = NOT_SHOWN,
) -> Promotion:
    """Reject a pending promotion: one person's no is enough. Raises as approve_promotion does, but
    needs no gate to hold.
    """
    decisions.permit(question(promotion, approver))
    _must_match(promotion, seen)
    shown = evidence(promotion, change, now)
    _settle(promotion, Promotion.Status.REJECTED, now)
    _not_twice(promotion, approver)
    dossier = _keep(promotion, approver, Approval.Decision.REJECT, reason, shown, now)
    data = _bound_to(promotion) | {"reason": reason, "evidence": digest_of(shown)}
    data["dossier"] = dossier
    record(action=Action.PROMOTION_REJECTED, actor=approver, target=promotion, now=now, data=data)
    return promotion


def _must_match(promotion: Promotion, seen: Seen) -> None:
    if not seen.matches(promotion):
        raise StaleEvidence(
            "The evidence has changed since you opened the page. Nothing was decided: look at it "
            "again, then decide."
        )


def _settle(promotion: Promotion, status: str, now: datetime) -> None:
    """Take the promotion out of pending, exactly once. Raises AlreadyDecided."""
    decisions.settle(
        Promotion.objects.pending(), promotion, noun=PROPOSAL, status=status, decided_at=now
    )


def _still_pending(promotion: Promotion) -> None:
    """Hold the promotion as it is until this ends. Raises AlreadyDecided where it waits no more."""
    if not Promotion.objects.pending().select_for_update().filter(pk=promotion.pk).exists():
        promotion.refresh_from_db()
        state = promotion.get_status_display().lower()
        raise decisions.AlreadyDecided(f"This {PROPOSAL} is {state} already.")


def _not_twice(promotion: Promotion, approver: User) -> None:
    """Raise AlreadyDecided where this person approved it already."""
    if words := approved_already(promotion, approver):
        raise decisions.AlreadyDecided(words)


def approved_already(promotion: Promotion, person: User) -> str:
    """Return that this person approved it already, with whichever account, and who gives the next
    approval; "" where they did not. One query.
    """
    if not promotion.approvals.counting().filter(approver__person=person.person).exists():
        return ""
    return f"You approved this already. It needs {next_words(promotion, given=1)} now."


def _keep(
    promotion: Promotion,
    approver: User,
    decision: str,
    reason: str,
    shown: dict[str, Any],
    now: datetime,
) -> str:
    """Keep a decision with its evidence; return the digest of the dossier that it is over."""
    (dossier,) = KeptBytes.objects.keep([canonical(document(promotion, shown))])
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
        evidence=shown,
        binding_digest=promotion.binding_digest,
        dossier_digest=dossier,
    )
    return dossier


@transaction.atomic
def withdraw_promotion(*, promotion: Promotion, actor: User, now: datetime) -> Promotion:
    """Take back a proposal that waits for reviewers, or approved for its start. Raises NotPermitted
    unless actor owns the model; AlreadyDecided otherwise.
    """
    decisions.permit_withdrawal(question(promotion, actor))
    begin.locked(promotion.registered_model)  # so that it does not begin meanwhile
    decisions.settle(
        Promotion.objects.undone(),
        promotion,
        noun=PROPOSAL,
        status=Promotion.Status.WITHDRAWN,
        decided_at=Coalesce("decided_at", now),
    )
    record(action=Action.PROMOTION_WITHDRAWN, actor=actor, target=promotion, now=now)
    return promotion


def may_steer(rollout: Rollout, user: User) -> bool:
    """Tell whether this person may steer it: an owner of the model, a reviewer, or a platform
    engineer.
    """
    return rollout.registered_model.is_owned_by(user) or user.has_role(*STEERS_ROLLOUTS)


@transaction.atomic
def pause_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Leave the weights of an open rollout where they are. It still goes back by itself when its
    gate fails.

    Raises WrongRolloutState unless it is under way, not paused and not going back.
    """
    _may_steer(rollout, actor)
    rows = Rollout.objects.open().filter(pk=rollout.pk, paused_at=None, return_reason="")
    if not rows.update(paused_at=now, **begin.renewed(now)):
        raise WrongRolloutState("Only a rollout that is moving forward can be paused.")
    return _steered(rollout, Action.ROLLOUT_PAUSED, actor, now, {"reason": reason})


@transaction.atomic
def resume_rollout(*, rollout: Rollout, actor: User, now: datetime) -> Rollout:
    """Let a paused rollout go on from the weights it has. Raises WrongRolloutState unless it is
    paused.
    """
    _may_steer(rollout, actor)
    rows = Rollout.objects.open().filter(pk=rollout.pk, paused_at__isnull=False)
    if not rows.update(paused_at=None, moved_at=now, **begin.renewed(now)):
        raise WrongRolloutState("Only a paused rollout can be resumed.")
    return _steered(rollout, Action.ROLLOUT_RESUMED, actor, now, {})


def going_on(rollout: Rollout, person: User) -> decisions.Question:
    """Return who decides whether a rollout goes on without a comparison, as this person meets it:
    who may steer it, but not who proposed it.
    """
    return decisions.Question(
        rollout.promotion,
        person,
        decider="model owner, reviewer or platform engineer",
        is_decider=may_steer(rollout, person),
        noun=PROPOSAL,
        asked="proposed",
    )


@transaction.atomic
def go_on_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Let a rollout go on from a weight at which too few calls came to compare it.

    The numbers as they stand are kept with the decision. Raises NotPermitted for whoever proposed
    it; WrongRolloutState unless it waits for this.
    """
    decisions.permit(going_on(rollout, actor))
    waiting = Rollout.objects.open().filter(pk=rollout.pk, reason="NO_TRAFFIC", paused_at=None)
    found = waiting.select_for_update().first()
    commit = _unjudged(found) if found is not None else None
    if found is None or commit is None:
        raise WrongRolloutState("This rollout is not waiting for a decision.")
    GateResult.objects.create(
        commit=commit,
        verdict=GateResult.Verdict.NO_TRAFFIC,
        judged_at=now,
        candidate=found.health["candidate"],
        baseline=found.health["baseline"],
        words=found.health["words"],
        decided_by=actor,
        reason=reason,
    )
    Rollout.objects.filter(pk=rollout.pk).update(moved_at=now, **begin.renewed(now))
    data = {"weight": commit.weight, "verdict": "NO_TRAFFIC", "reason": reason, **found.health}
    return _steered(rollout, Action.ROLLOUT_JUDGED, actor, now, data)


def may_go_on(rollout: Rollout, user: User) -> bool:
    """Tell whether the rollout waits for somebody to let it go on, and this person may."""
    waits = rollout.status in Rollout.OPEN and rollout.reason == "NO_TRAFFIC"
    return waits and not rollout.paused_at and going_on(rollout, user).may_decide


def _unjudged(rollout: Rollout) -> RolloutCommit | None:
    """Return the commit of the weight that is held now and has no decision yet."""
    rows = rollout.commits.filter(
        attempt=rollout.attempt, lost_at=None, observed_at__isnull=False, gate=None
    )
    return next((row for row in reversed(rows) if row.weight), None)


@transaction.atomic
def retry_rollout(*, rollout: Rollout, actor: User, now: datetime) -> Rollout:
    """Take a failed rollout up again where it stopped; after a return to the baseline, or where the
    branch lost its commits, from its first weight.

    Raises WrongRolloutState unless it failed, its version is verified and its baseline still
    serves; and in a freeze window, or where the approval is too old or its emergency was found not
    justified, unless it goes back.
    """
    _may_steer(rollout, actor)
    model = begin.locked(rollout.registered_model)
    rollout.refresh_from_db()
    held = "" if rollout.rolls_back_id else begin.may_not_go_forward(rollout.promotion, now)
    if held:
        raise WrongRolloutState(held)
    if rollout.model_version.status != ModelVersion.Status.VERIFIED:
        state = rollout.model_version.get_status_display().lower()
        raise WrongRolloutState(
            f"{rollout.model_version.name} is now {state}; only a verified version can serve."
        )
    live = queries.live_version(model)
    if (
        rollout.status == Rollout.Status.FAILED
        and (live.pk if live else None) != rollout.baseline_id
    ):
        raise WrongRolloutState(
            "Another version has been serving since it failed. Take this one back and propose it "
            "again."
        )
    anew = (
        rollout.return_reason
        or rollout.commits.filter(lost_at__isnull=False, attempt=rollout.attempt).exists()
    )
    again = {"attempt": F("attempt") + 1, "return_reason": "", "return_message": ""} if anew else {}
    rows = Rollout.objects.filter(pk=rollout.pk, status=Rollout.Status.FAILED)
    try:
        with transaction.atomic():
            changed = rows.update(
                status=Rollout.Status.PROGRESSING,
                finished_at=None,
                moved_at=now,
                paused_at=None,
                unready_since=None,
                health={},
                **again,
                **begin.renewed(now),
            )
    except IntegrityError:
        raise WrongRolloutState("Another rollout of this model is under way.") from None
    if not changed:
        raise WrongRolloutState("Only a failed rollout can be retried.")
    return _steered(rollout, Action.ROLLOUT_STARTED, actor, now, {"again": True})


@transaction.atomic
def abort_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Stop a rollout that is not live yet and take its version back; callers stay with, or return
    to, the baseline.

    Raises WrongRolloutState when it is live, replaced, aborted or superseded.
    """
    _may_steer(rollout, actor)
    rows = Rollout.objects.filter(pk=rollout.pk, status__in=(*Rollout.OPEN, Rollout.Status.FAILED))
    if not rows.update(
        status=Rollout.Status.ABORTED, finished_at=now, paused_at=None, **begin.renewed(now)
    ):
        rollout.refresh_from_db()
        raise WrongRolloutState(
            f"The rollout is {rollout.get_status_display().lower()}; there is nothing to abort. "
            "A live one is rolled back instead."
        )
    return _steered(rollout, Action.ROLLOUT_ABORTED, actor, now, {"reason": reason})


@transaction.atomic
def roll_back_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Go back from a live rollout to the version that served before it; return the rollout that
    does it.

    No new approval is needed: the version was approved by somebody other than its requester, has
    served, and is the same to the byte. Everybody who may steer may do it, with a reason. Raises
    WrongRolloutState unless it is live; NotEligible where no such approved, verified version is
    left.
    """
    _may_steer(rollout, actor)
    begin.locked(rollout.registered_model)
    rollout.refresh_from_db()
    if rollout.status != Rollout.Status.LIVE:
        raise WrongRolloutState(
            f"The rollout is {rollout.get_status_display().lower()}; only a live one is rolled "
            f"back."
        )
    approved = queries.approval_before(rollout)
    if approved is None:
        raise NotEligible(
            "No earlier version is still approved and verified. Propose the one that should serve."
        )
    begin.supersede_rollout(approved.model_version, actor, now)
    back = begin.create_rollout(
        approved, now, baseline=rollout.model_version, rolls_back=rollout, steps=[100]
    )
    Rollout.objects.filter(pk=rollout.pk).update(**begin.renewed(now))
    data = {"promotion": str(approved.pk), "manifest_digest": approved.manifest_digest}
    data |= {"reason": reason, "rolls_back": rollout.model_version.name}
    record(action=Action.ROLLOUT_STARTED, actor=actor, target=back, now=now, data=data)
    begin.wake(back)
    return back


def _may_steer(rollout: Rollout, actor: User) -> None:
    require(
        may_steer(rollout, actor),
        "Only an owner of the model, a reviewer or a platform engineer can steer a rollout.",
    )


def _steered(
    rollout: Rollout, action: Action, actor: User, now: datetime, data: dict[str, object]
) -> Rollout:
    record(action=action, actor=actor, target=rollout, now=now, data=data)
    begin.wake(rollout)
    rollout.refresh_from_db()
    return rollout
