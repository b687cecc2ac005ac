"""Proposing a version and deciding about it. rollouts/actions.py steers what follows.

Nobody decides on their own proposal: the action refuses it, and so does a check constraint. A
decision is bound to the evidence that was on the page; where that has changed since, nothing is
decided.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.audit.actions import record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion
from apps.common import decisions
from apps.common.canonical import canonical, digest_of
from apps.common.constraints import broken_rule
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.evals.queries import deciding_runs
from apps.evals.suites.queries import suites_judging
from apps.manifests.scaling import BadScaling, pre_warm_of
from apps.manifests.serving_settings import USUAL, ServingSettings
from apps.manifests.text import CannotRender
from apps.promotions import begin, queries
from apps.promotions.binding.actions import void_if_changed
from apps.promotions.binding.bound import Binding
from apps.promotions.binding.models import KeptBytes
from apps.promotions.binding.present import Chosen, Evaluated, present
from apps.promotions.changes.actions import ask_for_change
from apps.promotions.dossier import Change, digest_shown, document, evidence
from apps.promotions.gates import blocked, evaluate_gates
from apps.promotions.models import Approval, Promotion, Rollout, ServingClass
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
    baseline. figures: the digest of everything that the page showed (dossier.digest_shown).
    """

    manifest_digest: str
    eval_run: str
    baseline: int | None
    figures: str

    def matches(self, promotion: Promotion, shown: dict[str, Any]) -> bool:
        """Tell whether the promotion is bound to exactly this, and shows it now. shown: its
        evidence.
        """
        return (self.manifest_digest, self.eval_run, self.baseline, self.figures) == (
            promotion.manifest_digest,
            str(promotion.eval_run_id),
            promotion.baseline_id,
            digest_shown(shown),
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
    suites = suites_judging(model)
    evaluated = Evaluated(suites, deciding_runs(version, suites))
    (_, run), live = evaluated.first, queries.live_version(model)
    if run is None:
        raise NotEligible("The evaluation run is gone. Start one on the version's page.")
    revision = revision_for(model.data_class, now)
    policy = (revision.number, revision.digest)
    chosen = Chosen(serving_class, hours, policy, revision.rules.steps, settings)
    binding = _bind(
        version, chosen, evaluated=evaluated, baseline=live, baseline_with=queries.served_with(live)
    )
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
    except IntegrityError as error:
        if broken_rule(error) != "promotion_one_pending_per_model":
            raise
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
    not propose it; StaleEvidence when `seen` is not what the promotion shows now; AlreadyDecided
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
    _still_pending(promotion)
    _not_twice(promotion, approver)
    shown = _as_seen(promotion, seen, change, now)
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
    _still_pending(promotion)
    shown = _as_seen(promotion, seen, change, now)
    _settle(promotion, Promotion.Status.REJECTED, now)
    _not_twice(promotion, approver)
    dossier = _keep(promotion, approver, Approval.Decision.REJECT, reason, shown, now)
    data = _bound_to(promotion) | {"reason": reason, "evidence": digest_of(shown)}
    data["dossier"] = dossier
    record(action=Action.PROMOTION_REJECTED, actor=approver, target=promotion, now=now, data=data)
    return promotion


def _as_seen(promotion: Promotion, seen: Seen, change: Change, now: datetime) -> dict[str, Any]:
    """Return the evidence as the rows have it now, which is kept as what was decided over. Raises
    StaleEvidence where the reviewer saw another.
    """
    # what was worked out since the row was read is shown too
    promotion.refresh_from_db(fields=["status", "cost_effect"])
    promotion.model_version.refresh_from_db()
    shown = evidence(promotion, change, now)
    if not seen.matches(promotion, shown):
        raise StaleEvidence(
            "This page is out of date: what it showed has changed since you opened it. Nothing was "
            "decided: look at it again, then decide."
        )
    return shown


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
