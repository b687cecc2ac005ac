"""Steering a rollout: pausing it, letting it go on, taking it up again, going back. People's
changes; records.py has the worker's.

Going back or stopping is never held up: it asks for no approval, for no open change and for no end
of a freeze. Going forward again is held to what the rollout began with (begin.py).
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F

from apps.accounts.models import User
from apps.accounts.roles import STEERS_ROLLOUTS
from apps.audit.actions import Actor, System, record
from apps.audit.models import Action
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.retirement.models import Retirement
from apps.common import decisions
from apps.common.errors import require
from apps.promotions import begin, queries
from apps.promotions.actions import PROPOSAL, NotEligible
from apps.promotions.begin import WrongRolloutState
from apps.promotions.models import GateResult, Rollout, RolloutCommit
from apps.promotions.rollouts.holds import hold_of

RETIRING = System("promotions.stop_retired")


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
    paused, and where something holds it up.
    """
    _may_steer(rollout, actor)
    _may_go_forward(rollout, now)
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
    it; WrongRolloutState unless it waits for this, and where something else holds it up.
    """
    decisions.permit(going_on(rollout, actor))
    _may_go_forward(rollout, now)
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
    except IntegrityError as error:
        raise begin.refused(error) from None
    if not changed:
        raise WrongRolloutState("Only a failed rollout can be retried.")
    return _steered(rollout, Action.ROLLOUT_STARTED, actor, now, {"again": True})


@transaction.atomic
def abort_rollout(*, rollout: Rollout, actor: User, reason: str, now: datetime) -> Rollout:
    """Stop a rollout that is not live yet and take its version back; callers stay with, or return
    to, the baseline. One that is live, with no version to go back to, is stopped as well: from then
    on its model answers nobody, and one that was to take its place is aborted with it.

    Raises WrongRolloutState when it is live and can be rolled back, replaced, aborted or
    superseded.
    """
    _may_steer(rollout, actor)
    begin.locked(rollout.registered_model)
    rollout.refresh_from_db()
    is_live = may_stop(rollout)
    if not is_live and rollout.status not in (*Rollout.OPEN, Rollout.Status.FAILED):
        raise WrongRolloutState(
            f"The rollout is {rollout.get_status_display().lower()}; there is nothing to abort. "
            "A live one is rolled back instead."
        )
    data: dict[str, object] = {"reason": reason}
    if is_live:
        data["was"] = rollout.status
        for other in Rollout.objects.open().filter(registered_model=rollout.registered_model):
            abort_rollout(rollout=other, actor=actor, reason=reason, now=now)
    _set_aborted(rollout, now)
    return _steered(rollout, Action.ROLLOUT_ABORTED, actor, now, data)


def _set_aborted(rollout: Rollout, now: datetime) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(
        status=Rollout.Status.ABORTED,
        finished_at=now,
        paused_at=None,
        unready_since=None,
        differences=[],
        drifted_at=None,
        **begin.renewed(now),
    )


def stop_retired(*, now: datetime) -> int:
    """Take out of the cluster what serves, or was to serve, of models that are retired; return how
    many rollouts that ends.
    """
    gone = Retirement.objects.filter(status=Retirement.Status.RETIRED)
    ended = 0
    for model in RegisteredModel.objects.filter(pk__in=gone.values("registered_model")):
        ended += _stop_all_of(model, now)
    return ended


@transaction.atomic
def _stop_all_of(model: RegisteredModel, now: datetime) -> int:
    begin.locked(model)
    rows = Rollout.objects.filter(registered_model=model)
    # a failed one holds its GPU until somebody takes it back
    going = list(
        rows.filter(status__in=(*Rollout.OPEN, Rollout.Status.LIVE, Rollout.Status.FAILED))
    )
    for rollout in going:
        data: dict[str, object] = {"reason": f"{model} is retired.", "was": rollout.status}
        _set_aborted(rollout, now)
        _steered(rollout, Action.ROLLOUT_ABORTED, RETIRING, now, data)
    return len(going)


def may_stop(rollout: Rollout) -> bool:
    """Tell whether it is live with no version to go back to, so that stopping it is the only way.
    One query where it is live.
    """
    return rollout.status == Rollout.Status.LIVE and queries.approval_before(rollout) is None


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


def _may_go_forward(rollout: Rollout, now: datetime) -> None:
    """Raise WrongRolloutState where a rollout under way may not go forward now."""
    hold = hold_of(rollout, now)
    if hold is not None:
        raise WrongRolloutState(hold.words)


def _may_steer(rollout: Rollout, actor: User) -> None:
    require(
        may_steer(rollout, actor),
        "Only an owner of the model, a reviewer or a platform engineer can steer a rollout.",
    )


def _steered(
    rollout: Rollout, action: Action, actor: Actor, now: datetime, data: dict[str, object]
) -> Rollout:
    record(action=action, actor=actor, target=rollout, now=now, data=data)
    begin.wake(rollout)
    rollout.refresh_from_db()
    return rollout
