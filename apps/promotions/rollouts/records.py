"""What the worker writes about a rollout: commits, phases, decisions, where it stands, its end.

Each transition once, with its audit event; a rollout that a person changed meanwhile (another
generation) is left alone.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.catalog.models import RegisteredModel
from apps.common.tasks import enqueue_on_commit
from apps.integrations.git.types import CommitRef
from apps.promotions.models import (
    VERSION_NAME,
    GateResult,
    Rollout,
    RolloutCommit,
    RolloutPhase,
)
from apps.promotions.rollouts.drift import DRIFT, Check, Json, kept, words
from apps.promotions.rollouts.health import Measured
from apps.promotions.rollouts.phases import Seen

WORKER = System("promotions.reconcile_rollout")
WOKEN_AT_MOST = timedelta(seconds=10)


@transaction.atomic
def record_commit(
    *, rollout: Rollout, step: str, commit: CommitRef, now: datetime, container: Json | None = None
) -> RolloutCommit:
    """Store the one commit of a step; the first time with its audit event. container: image and
    arguments of the version's replicas, where the step starts it.
    """
    row, created = RolloutCommit.objects.get_or_create(
        rollout=rollout,
        attempt=rollout.attempt,
        step=step,
        defaults={"sha": commit.sha, "committed_at": commit.committed_at},
    )
    if created:
        begun = {} if container is None else {"container": container}
        Rollout.objects.filter(pk=rollout.pk).update(moved_at=now, **begun)
        data = {"step": str(step), "commit": commit.sha, "detail": row.words}
        record(action=Action.ROLLOUT_COMMITTED, actor=WORKER, target=rollout, now=now, data=data)
    return row


def record_accepted(*, commit: RolloutCommit, now: datetime) -> None:
    """Store, once, when the gateway was seen to have accepted a step's weights: from then on they
    are held.
    """
    if RolloutCommit.objects.filter(pk=commit.pk, observed_at=None).update(observed_at=now):
        Rollout.objects.filter(pk=commit.rollout_id).update(moved_at=now)
    commit.refresh_from_db(fields=["observed_at"])


@transaction.atomic
def record_gate(
    *, rollout: Rollout, commit: RolloutCommit, measured: Measured, now: datetime
) -> bool:
    """Store the one decision at a weight; a failed one sends all callers back. False when it was
    changed meanwhile.
    """
    rows = (
        Rollout.objects.open()
        .select_for_update()
        .filter(pk=rollout.pk, generation=rollout.generation)
    )
    if not rows.filter(return_reason="").exists():
        return False
    decision = measured.decision
    _, created = GateResult.objects.get_or_create(
        commit=commit,
        defaults={
            "verdict": decision.verdict,
            "judged_at": now,
            "candidate": measured.candidate.as_json(),
            "baseline": measured.baseline.as_json(),
            "words": decision.words,
        },
    )
    if not created:
        return False
    data = {"weight": commit.weight, "verdict": str(decision.verdict), "message": decision.words}
    record(action=Action.ROLLOUT_JUDGED, actor=WORKER, target=rollout, now=now, data=data)
    Rollout.objects.filter(pk=rollout.pk).update(moved_at=now, next_check_at=now)
    if decision.verdict == GateResult.Verdict.FAILED:
        return begin_return(rollout=rollout, reason="GATE", message=decision.words, now=now)
    return True


@transaction.atomic
def begin_return(*, rollout: Rollout, reason: str, message: str, now: datetime) -> bool:
    """Decide, once, that all callers go back to the baseline. False when it was decided or changed
    meanwhile.
    """
    rows = Rollout.objects.open().filter(
        pk=rollout.pk, generation=rollout.generation, return_reason=""
    )
    changed = rows.update(
        status=Rollout.Status.PROGRESSING,
        return_reason=reason[:24],
        return_message=message,
        reason="RETURNING",
        message=message,
        observed_at=now,
        paused_at=None,
        moved_at=now,
        next_check_at=now,
    )
    if changed:
        data = {"code": reason, "message": message}
        record(action=Action.ROLLOUT_RETURNING, actor=WORKER, target=rollout, now=now, data=data)
    return bool(changed)


def record_phases(*, rollout: Rollout, phases: Iterable[Seen], now: datetime) -> None:
    """Store the phases that were not stored yet."""
    known = set(rollout.phases.values_list("phase", flat=True))
    rows = [
        RolloutPhase(
            rollout=rollout,
            phase=seen.phase,
            reached_at=seen.reached_at,
            learned_at=now,
            detail=seen.detail[:300],
        )
        for seen in phases
        if seen.phase not in known
    ]
    if rows:
        RolloutPhase.objects.bulk_create(rows, ignore_conflicts=True)
        Rollout.objects.filter(pk=rollout.pk).update(moved_at=now)
        rollout.moved_at = now


def record_progress(
    *,
    rollout: Rollout,
    reason: str,
    message: str,
    now: datetime,
    next_check_at: datetime | None,
    **observed: object,
) -> None:
    """Store where an open rollout stands. observed: weight, engine, instance_type, health as
    seen.
    """
    rows = Rollout.objects.open().filter(pk=rollout.pk, generation=rollout.generation)
    rows.update(
        status=Rollout.Status.PROGRESSING,
        reason=reason,
        message=message,
        observed_at=now,
        observed_generation=rollout.generation,
        attempts=0,
        next_check_at=next_check_at,
        **observed,
    )


def record_trouble(
    *, rollout: Rollout, message: str, now: datetime, next_check_at: datetime
) -> None:
    """Store that something the worker needs is away; it is tried again, whatever the rollout's
    state.
    """
    rows = Rollout.objects.filter(pk=rollout.pk, generation=rollout.generation)
    reason, words = _with_drift(rollout, rollout.differences, "AWAY", message)
    rows.update(reason=reason, message=words, observed_at=now, next_check_at=next_check_at)


@transaction.atomic
def record_checked(
    *,
    rollout: Rollout,
    now: datetime,
    next_check_at: datetime | None,
    reason: str = "",
    message: str = "",
    unready_since: datetime | None = None,
    checks: Sequence[Check] | None = None,
) -> None:
    """Store that a finished rollout was looked at, and what was found. unready_since: while it
    answers no callers. checks: what serves, held against what was approved; None where nobody
    looked at that.
    """
    rows = Rollout.objects.exclude(status__in=Rollout.OPEN).filter(
        pk=rollout.pk, generation=rollout.generation
    )
    differences = rollout.differences if checks is None else kept(rollout.differences, checks)
    reason, message = _with_drift(rollout, differences, reason, message)
    seen = {} if checks is None else {"checks": [check.as_json() for check in checks]}
    changed = rows.update(
        reason=reason,
        message=message,
        observed_at=now,
        observed_generation=rollout.generation,
        attempts=0,
        next_check_at=next_check_at,
        unready_since=unready_since,
        differences=differences,
        drifted_at=(rollout.drifted_at or now) if differences else None,
        **seen,
    )
    if changed:
        _tell_of_drift(rollout, differences, now)


def _with_drift(
    rollout: Rollout, differences: Sequence[Json], reason: str, message: str
) -> tuple[str, str]:
    """Return a reason with its words, but drift where it is known of and was not seen to be right
    again: nothing else ends it.
    """
    if not differences or reason == DRIFT:
        return reason, message
    drifted = words(rollout.model_version.name, differences)
    return DRIFT, f"{drifted} It was not seen to be right again. {message}".strip()


def _tell_of_drift(rollout: Rollout, differences: list[Json], now: datetime) -> None:
    """Record that drift began, became another, or ended. rollout: as it was before."""
    if differences == rollout.differences:
        return
    action = Action.ROLLOUT_DRIFTED if differences else Action.ROLLOUT_DRIFT_ENDED
    told = differences or rollout.differences
    message = words(rollout.model_version.name, told) if differences else "Seen to be right again."
    data = {"differences": told, "message": message}
    record(action=action, actor=WORKER, target=rollout, now=now, data=data)


def wake_live(*, services: Collection[str], now: datetime) -> int:
    """Make due the live versions of these InferenceServices of which nothing wrong is known; return
    how many.

    Not those that a worker looks at now, or did lately: what the observer stored may be older than
    that.
    """
    rows = (
        Rollout.objects.live()
        .alias(service=VERSION_NAME)
        .filter(service__in=services, reason="", attempts=0)
    )
    return rows.filter(next_check_at__gt=now, observed_at__lt=now - WOKEN_AT_MOST).update(
        next_check_at=now
    )


@transaction.atomic
def fail_rollout(
    *,
    rollout: Rollout,
    reason: str,
    message: str,
    now: datetime,
    lost: Collection[str] = (),
    **observed: object,
) -> bool:
    """End an open rollout that cannot go on by itself. False when it was changed meanwhile.

    lost: its commits that the branch no longer has. observed: weight, engine and instance_type,
    where the cluster was seen.
    """
    rows = Rollout.objects.open().filter(pk=rollout.pk, generation=rollout.generation)
    changed = rows.update(
        status=Rollout.Status.FAILED,
        reason=reason,
        message=message,
        observed_at=now,
        observed_generation=rollout.generation,
        finished_at=now,
        paused_at=None,
        next_check_at=None,
        **observed,
    )
    if changed:
        rollout.commits.filter(sha__in=lost, lost_at=None).update(lost_at=now)
        data = {"reason": reason, "message": message}
        record(action=Action.ROLLOUT_FAILED, actor=WORKER, target=rollout, now=now, data=data)
    return bool(changed)


@transaction.atomic
def finish_rollout(
    *, rollout: Rollout, now: datetime, next_check_at: datetime, **observed: object
) -> bool:
    """Make an open rollout LIVE; the one that was live becomes REPLACED. False when it was changed
    meanwhile.
    """
    # The model's row first, as those take it who approve and roll back: what is live must not
    # change under them.
    RegisteredModel.objects.select_for_update(of=("self",)).get(pk=rollout.registered_model_id)
    rows = (
        Rollout.objects.open()
        .select_for_update()
        .filter(pk=rollout.pk, generation=rollout.generation)
    )
    if not rows.exists():
        return False
    replaced = Rollout.objects.live().filter(registered_model=rollout.registered_model).first()
    if replaced is not None:
        Rollout.objects.filter(pk=replaced.pk).update(
            status=Rollout.Status.REPLACED,
            weight=0,
            reason="",
            message="",
            unready_since=None,
            differences=[],
            drifted_at=None,
            generation=F("generation") + 1,
        )
        if replaced.differences:
            by = f"{rollout.model_version} serves in its place."
            ended = {"differences": replaced.differences, "message": by}
            record(
                action=Action.ROLLOUT_DRIFT_ENDED,
                actor=WORKER,
                target=replaced,
                now=now,
                data=ended,
            )
    Rollout.objects.filter(pk=rollout.pk).update(
        status=Rollout.Status.LIVE,
        weight=100,
        reason="",
        message="",
        observed_at=now,
        observed_generation=rollout.generation,
        attempts=0,
        finished_at=now,
        paused_at=None,
        unready_since=None,
        next_check_at=next_check_at,
        **observed,
    )
    data = {"replaced": str(replaced.model_version) if replaced else ""}
    record(action=Action.ROLLOUT_FINISHED, actor=WORKER, target=rollout, now=now, data=data)
    # another version serves: what was approved over the one before counts no more
    enqueue_on_commit("promotions.start_approved_promotions")
    return True
