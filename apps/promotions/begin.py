"""Starting the rollout of an approved promotion: what it waits for, and the start itself.

Where nothing stands in the way, the rollout starts in the transaction of the last approval;
otherwise a sweep starts it as soon as it may. What it waits for is told in words, and nothing is
guessed: a change that cannot be read keeps it waiting. An approval older than the policy lets it
be ends the promotion instead.

Freeze windows are those of the policy in force now: a window announced today holds what was
approved yesterday. Everything else is as the promotion was approved under. A rollout that has
started goes on through a window, for half a rollout is worse than a whole one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Coalesce

from apps.audit.actions import Actor, System, record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.constraints import broken_rule
from apps.common.counts import counted
from apps.common.errors import DomainError
from apps.common.tasks import enqueue_on_commit
from apps.promotions import queries
from apps.promotions.binding.actions import void_if_changed
from apps.promotions.changes.gate import gate_of
from apps.promotions.emergencies.models import Emergency
from apps.promotions.gates import blocked, evaluate_gates
from apps.promotions.holding.models import RolloutHold
from apps.promotions.models import Approval, Promotion, PromotionQuerySet, Rollout
from apps.promotions.policy.queries import rules_for

WORKER = System("promotions.start_promotion")


class WrongRolloutState(DomainError):
    """The rollout is not in a state that allows this."""

    code = "wrong_rollout_state"


class WaitCode(StrEnum):
    """FROZEN: a freeze window. HELD: what serves is in trouble. CHANGE: its change in ServiceNow.
    CONDITION: what must hold for an approval does not hold.
    """

    FROZEN = "FROZEN"
    HELD = "HELD"
    CHANGE = "CHANGE"
    CONDITION = "CONDITION"


@dataclass(frozen=True)
class Wait:
    """One thing that an approved promotion's rollout waits for. until: when it is over, where that
    is known.
    """

    code: WaitCode
    words: str
    until: datetime | None = None


def waits_for(promotion: Promotion, now: datetime) -> list[Wait]:
    """Return what the rollout of an approved promotion waits for; nothing where it may start. About
    fourteen queries.
    """
    found = [*_freeze(promotion, now), *_held(promotion)]
    found += [*_change(promotion, now), *_persons(promotion)]
    evidence = queries.evidence_for(promotion.model_version, now, promotion)
    found += [Wait(WaitCode.CONDITION, one.words) for one in blocked(evaluate_gates(evidence))]
    return found


def _freeze(promotion: Promotion, now: datetime) -> Iterator[Wait]:
    model = promotion.registered_model
    if frozen := rules_for(model, now).rules.frozen(model.name, now):
        freeze, until = frozen
        words = f"{freeze.words.strip().removesuffix('.')}. Nothing starts {freeze.when()}."
        yield Wait(WaitCode.FROZEN, words, until)


def _held(promotion: Promotion) -> Iterator[Wait]:
    for hold in RolloutHold.objects.of(promotion.registered_model):
        yield Wait(WaitCode.HELD, hold.words)


def _change(promotion: Promotion, now: datetime) -> Iterator[Wait]:
    gate = gate_of(promotion, now, policy=promotion.policy_revision.rules.change)
    if not gate.is_open_for_start:
        yield Wait(WaitCode.CHANGE, gate.words)


def _persons(promotion: Promotion) -> Iterator[Wait]:
    """Yield that fewer persons approved than accounts did: some were found to be one person's."""
    if promotion.status != Promotion.Status.APPROVED:
        return
    if promotion.approvals.counting().persons() < promotion.policy_revision.rules.approvals:
        again = "Withdraw it and propose the version again."
        yield Wait(WaitCode.CONDITION, f"{REFUSED['rollout_of_an_approval']} {again}")


def expires_at(promotion: Promotion) -> datetime | None:
    """Return when the oldest approval that counts is too old for the rollout to start; None while
    there is none. One query.
    """
    first = Approval.objects.counting().filter(promotion=promotion).order_by("decided_at").first()
    return first.decided_at + promotion.policy_revision.rules.approval_max_age if first else None


def is_expired(promotion: Promotion, now: datetime) -> bool:
    """Tell whether an approval is too old for its rollout to start."""
    end = expires_at(promotion)
    return end is not None and end <= now


def waiting() -> PromotionQuerySet:
    """Return the promotions that a sweep looks at: approved ones whose rollout has not started, and
    those that somebody approved and that wait for more.
    """
    approved = Approval.objects.counting().filter(promotion=OuterRef("pk"))
    return Promotion.objects.undone().filter(Exists(approved))


@transaction.atomic
def start_if_free(*, promotion: Promotion, actor: Actor, now: datetime) -> Rollout | None:
    """Start the rollout of a promotion that is approved and waits for nothing; return it, or None.

    One whose approval is too old expires instead; where something changed that its approvals were
    over, they are voided. Does nothing where it is not approved, or has started.
    """
    locked(promotion.registered_model)
    waits = Promotion.objects.undone().select_for_update(of=("self",)).filter(pk=promotion.pk)
    found = waits.first()
    if found is None or void_if_changed(promotion=promotion, now=now):
        return None
    if is_expired(promotion, now):
        expire_promotion(promotion=promotion, now=now)
        return None
    if found.status != Promotion.Status.APPROVED or waits_for(promotion, now):
        return None
    return start_rollout(promotion=promotion, actor=actor, now=now)


@transaction.atomic
def expire_promotion(*, promotion: Promotion, now: datetime) -> bool:
    """End a promotion whose approval is too old for its rollout to start. False where it started,
    or was ended, meanwhile.
    """
    rows = Promotion.objects.undone().filter(pk=promotion.pk)
    expired = Promotion.Status.EXPIRED
    if not rows.update(status=expired, decided_at=Coalesce("decided_at", now)):
        return False
    promotion.refresh_from_db()
    days = promotion.policy_revision.rules.approval_max_age_days
    data = {"message": f"Its rollout did not start within {counted(days, 'day')} of an approval."}
    record(action=Action.PROMOTION_EXPIRED, actor=WORKER, target=promotion, now=now, data=data)
    return True


def supersede_waiting(newer: Promotion, actor: Actor, now: datetime) -> None:
    """End the model's other approved promotions whose rollout has not started: a newer one is
    approved.
    """
    others = Promotion.objects.undone().filter(
        registered_model=newer.registered_model, status=Promotion.Status.APPROVED
    )
    for old in others.exclude(pk=newer.pk).select_related("model_version__registered_model"):
        Promotion.objects.filter(pk=old.pk).update(status=Promotion.Status.SUPERSEDED)
        data = {"by": str(newer.pk), "version": newer.model_version.name}
        record(action=Action.PROMOTION_SUPERSEDED, actor=actor, target=old, now=now, data=data)


@transaction.atomic
def start_rollout(*, promotion: Promotion, actor: Actor, now: datetime) -> Rollout:
    """Start carrying out an approved promotion, whatever it waits for. A rollout of its model under
    way is superseded: its version goes.

    Raises WrongRolloutState when it was started before.
    """
    locked(promotion.registered_model)
    baseline = queries.live_version(promotion.registered_model)
    supersede_rollout(promotion.model_version, actor, now)
    steps = promotion.policy_revision.rules.steps if baseline else (100,)
    rollout = create_rollout(promotion, now, baseline=baseline, steps=list(steps))
    data = {"promotion": str(promotion.pk), "manifest_digest": promotion.manifest_digest}
    record(action=Action.ROLLOUT_STARTED, actor=actor, target=rollout, now=now, data=data)
    wake(rollout)
    return rollout


# why the database takes no such row, by the rule that it breaks
REFUSED = {
    "rollout_one_per_promotion": "This rollout has already started.",
    "rollout_one_open_per_model": "Another rollout of this model is under way.",
    "rollout_of_an_approval": "Fewer people approved it than its policy asks for: some of their "
    "accounts, or the one that proposed it, were found to belong to one person.",
    "rollout_goes_back": "That version was never carried out, so nothing goes back to it.",
}


def create_rollout(promotion: Promotion, now: datetime, **more: object) -> Rollout:
    """Make the row of a rollout. Raises WrongRolloutState with the reason where there may be none;
    whatever else the database refuses is a fault of ours, and is raised as it is.
    """
    try:
        with transaction.atomic():
            return Rollout.objects.create(
                promotion=promotion,
                registered_model=promotion.registered_model,
                model_version=promotion.model_version,
                started_at=now,
                moved_at=now,
                next_check_at=now,
                **more,
            )
    except IntegrityError as error:
        raise refused(error) from None


def refused(error: IntegrityError) -> WrongRolloutState:
    """Return what people are told of a rollout's row that the database refused. Raises the error
    where it broke no rule that they can do something about.
    """
    words = REFUSED.get(broken_rule(error))
    if words is None:
        raise error
    return WrongRolloutState(words)


def supersede_rollout(newer: ModelVersion, actor: Actor, now: datetime) -> None:
    """End the model's open rollout, whose version is then taken back before the newer one
    starts.
    """
    rows = (
        Rollout.objects.open()
        .select_for_update(of=("self",))
        .select_related("model_version__registered_model")
    )
    old = rows.filter(registered_model=newer.registered_model).first()
    if old is None:
        return
    if old.model_version_id == newer.pk:
        raise WrongRolloutState(
            f"A rollout of {newer.name} is already under way. Follow it, or abort it."
        )
    ended = Rollout.objects.filter(pk=old.pk)
    ended.update(status=Rollout.Status.SUPERSEDED, finished_at=now, paused_at=None, **renewed(now))
    record(
        action=Action.ROLLOUT_SUPERSEDED, actor=actor, target=old, now=now, data={"by": newer.name}
    )
    wake(old)


NOT_JUSTIFIED = (
    "It was rolled forward in an emergency that was found not justified. Take it back and propose "
    "the version again."
)


def may_not_go_forward(promotion: Promotion, now: datetime) -> str:
    """Return why a rollout of the promotion that stopped may not be taken up again now, in words;
    "" where it may. Going back is never held up.

    What an emergency did not wait for holds nothing up again: approvals, its change, and the freeze
    window that it was declared in. It grows too old as an approval does.
    """
    days = promotion.policy_revision.rules.approval_max_age_days
    emergency = Emergency.objects.filter(promotion=promotion).first()
    if emergency is not None:
        if emergency.status == Emergency.Status.OBJECTED:
            return NOT_JUSTIFIED
        if emergency.requested_at + promotion.policy_revision.rules.approval_max_age <= now:
            since = f"Its emergency was declared more than {counted(days, 'day')} ago."
            return f"{since} Propose the version again."
        if _is_same_freeze(promotion.registered_model, emergency.requested_at, now):
            return ""
    elif is_expired(promotion, now):
        return f"It was approved more than {counted(days, 'day')} ago. Propose the version again."
    waits = [*_freeze(promotion, now)]
    if promotion.status == Promotion.Status.APPROVED:
        waits += [*_held(promotion), *_change(promotion, now)]
    return " ".join(wait.words for wait in waits)


def _is_same_freeze(model: RegisteredModel, then: datetime, now: datetime) -> bool:
    """Tell whether the freeze window that a model is in began before an earlier moment."""
    rules = rules_for(model, now).rules
    before, present = rules.frozen(model.name, then), rules.frozen(model.name, now)
    return before is not None and before == present


def locked(model: RegisteredModel) -> RegisteredModel:
    """Take the model's row, so that only one person at a time changes what serves it."""
    return (
        RegisteredModel.objects.select_for_update(of=("self",))
        .select_related("owner_team")
        .get(pk=model.pk)
    )


def wake(rollout: Rollout) -> None:
    """Ask a worker to look at a rollout once this is committed."""
    enqueue_on_commit("promotions.reconcile_rollout", rollout_id=str(rollout.pk))


def renewed(now: datetime) -> dict[str, object]:
    """Return the columns that wake a reconciler for a changed desired state."""
    return {
        "generation": F("generation") + 1,
        "attempts": 0,
        "next_check_at": now,
        "reason": "",
        "message": "",
        "observed_at": now,
    }
