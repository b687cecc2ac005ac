"""Making rollouts true: one Git commit per step, everything else observed. Safe to run again at any
time.

Each run reads the whole situation, asks the planner for one next thing and does it. A crash at any
point is repaired by the next run: commits are found again by their trailers, rows are unique, times
come from the cluster's own objects.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings

from apps.catalog.models import ModelVersion
from apps.common.leases import retry_at, take_lease
from apps.gitops import history, trouble
from apps.gitops.history import Diverged
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import ApplicationStatus, RouteStatus, ServingStatus
from apps.manifests.names import MODELS
from apps.manifests.serving import longest_start
from apps.manifests.text import CannotRender
from apps.promotions import queries
from apps.promotions.binding import writes
from apps.promotions.binding.writes import NotAsApproved
from apps.promotions.models import Rollout, RolloutCommit, shift_to
from apps.promotions.rollouts import commits, drift, live, phases, records, render
from apps.promotions.rollouts.commits import REFUSALS
from apps.promotions.rollouts.health import Calls, Health, Limits, Measured
from apps.promotions.rollouts.holds import hold_of
from apps.promotions.rollouts.plan import (
    NOT_AS_APPROVED,
    Do,
    Held,
    Next,
    Situation,
    fail,
    is_accepted,
    or_return,
    plan_rollout,
)

FAST = timedelta(seconds=2)
SLOW = timedelta(seconds=5)
AGAIN_AT_MOST = timedelta(seconds=15)
REFUSED_AGAIN = timedelta(seconds=30)
COMMITS_AGAIN = "A retry commits again what is missing; find out first who took it away, and why."
NO_ROUTE = RouteStatus(exists=False, weights={})
Step = Rollout.Step
# The calls of a model's versions since a moment, by version. The metering app, which is above this
# one, has them.
CallsOf = Callable[[str, datetime], Mapping[str, Calls]]


def reconcile_rollout(
    *, rollout: Rollout, git: GitClient, cluster: KubernetesReader, calls: CallsOf, now: datetime
) -> None:
    """Do the next thing for one rollout: advance it, look after it, or take it back."""
    if not take_lease(rollout, now=now):
        return
    try:
        if rollout.status in Rollout.OPEN:
            _advance(rollout, git, cluster, calls, now)
        elif rollout.status in Rollout.LEAVING:
            _take_back(rollout, git, now)
        else:
            live.look_after(rollout, git, cluster, now)
    except TemporaryError as error:
        again = min(retry_at(rollout, now=now, retry_after=error.retry_after), now + AGAIN_AT_MOST)
        records.record_trouble(rollout=rollout, message=str(error), now=now, next_check_at=again)
    except (PermanentError, CannotRender) as error:
        reason = REFUSALS.get(type(error), "REFUSED")
        lost = error.lost if isinstance(error, Diverged) else ()
        if not records.fail_rollout(
            rollout=rollout, reason=reason, message=str(error), now=now, lost=lost
        ):
            again, words = now + REFUSED_AGAIN, f"{error} It is tried again by itself."
            records.record_checked(
                rollout=rollout, reason=reason, message=words, now=now, next_check_at=again
            )


# -- Advancing -------------------------------------------------------------------------------------


def _advance(
    rollout: Rollout, git: GitClient, cluster: KubernetesReader, calls: CallsOf, now: datetime
) -> None:
    made = queries.counting_commits(rollout)
    situation = _observe(rollout, made, git, cluster, now)
    _record_phases(rollout, situation, now)
    held = _held_commit(situation, made, now)
    measured = _measure(rollout, situation, held, cluster, calls)
    # noted just now: a phase that was reached, or a weight that was accepted
    still_for = now - rollout.moved_at
    situation = replace(situation, held=_held(rollout, held, measured, now), still_for=still_for)
    step = plan_rollout(situation)
    if step.do == Do.COMMIT:
        _commit(rollout, step.step, situation, git, now)
    elif step.do == Do.JUDGE and held is not None and measured is not None:
        records.record_gate(rollout=rollout, commit=held, measured=measured, now=now)
    elif step.do == Do.RETURN:
        records.begin_return(rollout=rollout, reason=step.reason, message=step.message, now=now)
    elif step.do == Do.FINISH:
        _finish(rollout, situation, now)
    elif step.do == Do.FAIL:
        records.fail_rollout(
            rollout=rollout,
            reason=step.reason,
            message=step.message,
            now=now,
            lost=(),
            **_observed(rollout, situation),
        )
    else:
        history.check(step.look_for, git, advice=COMMITS_AGAIN)
        if step.ask_again:
            git.ask_again(situation.application.revision, since=rollout.moved_at, now=now)
        _record_wait(rollout, situation, step, measured, now)


def _observe(
    rollout: Rollout,
    made: Mapping[str, RolloutCommit],
    git: GitClient,
    cluster: KubernetesReader,
    now: datetime,
) -> Situation:
    name = rollout.model_version.name
    shas = {step: row.sha for step, row in made.items()}
    application, serving, route = (
        ApplicationStatus(exists=False),
        ServingStatus(exists=False),
        NO_ROUTE,
    )
    leaving = _leaving(rollout, shas, cluster)
    # before it nothing is in the cluster, and Git need not wait for the cluster
    if leaving or Step.SERVE in shas:
        application = cluster.application_status(
            settings.ARGOCD_APPLICATION, settings.ARGOCD_NAMESPACE
        )
    if Step.SERVE in shas:
        serving = cluster.serving_status(name, MODELS, live.known_claims(rollout))
        route = cluster.route_status(rollout.registered_model.name, MODELS)
    revision = application.revision
    contained = {step for step, sha in shas.items() if git.contains(revision, sha)}
    return Situation(
        name=name,
        digest=rollout.promotion.manifest_digest,
        model=rollout.registered_model.name,
        namespace=MODELS,
        commits=shas,
        contained=frozenset(contained),
        application=application,
        serving=serving,
        route=route,
        sleeps=rollout.sleeps,
        steps=tuple(rollout.steps),
        baseline=rollout.baseline.name if rollout.baseline else "",
        judged=frozenset(step for step, row in made.items() if hasattr(row, "gate")),
        leaving=leaving,
        paused=rollout.paused_at is not None,
        hold=hold_of(rollout, now),
        return_reason=rollout.return_reason,
        return_message=rollout.return_message,
        quarantined=_quarantined(rollout.model_version),
        unready_for=now - rollout.unready_since if rollout.unready_since else None,
        may_start_for=longest_start(settings.SERVING_START_SECONDS),
        without_traffic=rollout.promotion.without_traffic,
        container=rollout.container,
    )


def _leaving(rollout: Rollout, shas: Mapping[str, str], cluster: KubernetesReader) -> str:
    """Return the name of a version that must be out of the cluster first, "" for none.

    The same version too, after an earlier rollout of it: what failed there would be told of this
    one.
    """
    other = queries.leaving_version(rollout.registered_model)
    if other is not None or Step.SERVE in shas or not queries.was_taken_back(rollout):
        return other.name if other else ""
    name = rollout.model_version.name
    left = cluster.serving_status(name, MODELS)
    return name if left.exists or left.pod is not None else ""


def _record_phases(rollout: Rollout, situation: Situation, now: datetime) -> None:
    found = phases.seen_phases(situation.serving)
    if Step.SERVE in situation.contained and (
        situation.serving.exists or situation.application.sync == "Synced"
    ):
        found.append(phases.synced(situation.application, now))
    records.record_phases(rollout=rollout, phases=found, now=now)


def _held_commit(
    situation: Situation, made: Mapping[str, RolloutCommit], now: datetime
) -> RolloutCommit | None:
    """Return the commit of the weight below 100 that the gateway has accepted; when it is first
    seen so is noted.
    """
    weight = situation.weight
    if (
        not weight
        or situation.return_message
        or not is_accepted(situation, situation.weights(weight))
    ):
        return None
    commit = made[shift_to(weight)]
    if commit.observed_at is None:
        records.record_accepted(commit=commit, now=now)
    return commit if weight < 100 else None


def _measure(
    rollout: Rollout,
    situation: Situation,
    held: RolloutCommit | None,
    cluster: KubernetesReader,
    calls: CallsOf,
) -> Measured | None:
    """Return both versions as callers met them since the weight was accepted, and what that
    means.
    """
    if held is None or held.observed_at is None or not situation.baseline:
        return None
    found = calls(situation.model, held.observed_at)
    baseline = cluster.serving_status(situation.baseline, MODELS)
    limits = Limits.of(rollout.promotion.policy_revision.rules)
    return Measured.of(
        Health(found.get(situation.name, Calls()), situation.serving.ready_pods),
        Health(found.get(situation.baseline, Calls()), baseline.ready_pods),
        limits,
    )


def _held(
    rollout: Rollout, held: RolloutCommit | None, measured: Measured | None, now: datetime
) -> Held | None:
    if held is None or held.observed_at is None:
        return None
    return Held(
        time=now - held.observed_at,
        length=timedelta(seconds=rollout.promotion.policy_revision.rules.hold_seconds),
        decision=measured.decision if measured else None,
    )


def _commit(
    rollout: Rollout, step: str, situation: Situation, git: GitClient, now: datetime
) -> None:
    """Commit a step, unless somebody steered the rollout while this run was looking. Where it would
    write something else than what was approved, callers that are with the version go back.
    """
    if not Rollout.objects.open().filter(pk=rollout.pk, generation=rollout.generation).exists():
        return
    around = render.surroundings()
    try:
        changes = commits.changes_of(rollout, step, around)
    except NotAsApproved as error:
        stop = or_return(situation, fail(NOT_AS_APPROVED, str(error)))
        if stop.do != Do.RETURN:
            raise
        records.begin_return(rollout=rollout, reason=stop.reason, message=stop.message, now=now)
        return
    name = rollout.model_version.name
    container = drift.container_of(changes, name) if step == Step.SERVE else None
    commit = commits.write(rollout, step, changes, git, _unless_present(rollout, step, around))
    records.record_commit(rollout=rollout, step=step, commit=commit, now=now, container=container)
    if step == Step.SERVE:
        seen = phases.Seen(phases.Phase.COMMITTED, commit.committed_at, commit.sha[:8])
        records.record_phases(rollout=rollout, phases=[seen], now=now)
    words = f"Committed {commit.sha[:8]}; waiting for Argo CD to apply it."
    records.record_progress(
        rollout=rollout, reason="SYNCING", message=words, now=now, next_check_at=now + FAST
    )


def _unless_present(
    rollout: Rollout, step: str, around: render.Surroundings
) -> Mapping[str, bytes] | None:
    """Return what is committed with a version's start where the branch has none."""
    if step != Step.SERVE:
        return None
    closed = render.closed_policy(rollout.registered_model.name, around)
    return {**closed, **writes.account_of(rollout, step, around)}


def _record_wait(
    rollout: Rollout, situation: Situation, step: Next, measured: Measured | None, now: datetime
) -> None:
    unready = situation.weight > 0 and trouble.of_serving(situation.serving) is not None
    records.record_progress(
        rollout=rollout,
        reason=step.reason,
        message=step.message,
        now=now,
        next_check_at=now + (SLOW if step.is_problem and not unready else FAST),
        unready_since=(rollout.unready_since or now) if unready else None,
        health=measured.as_json() if measured else rollout.health,
        **_observed(rollout, situation),
    )


def _observed(rollout: Rollout, situation: Situation) -> dict[str, object]:
    serving = situation.serving
    pod, claim_of_pod = serving.pod, serving.node_claim
    return {
        "weight": min(situation.route.weights.get(situation.name, 0), 100),
        "engine": (pod.engine if pod else "")[:60] or rollout.engine,
        "instance_type": (claim_of_pod.instance_type if claim_of_pod else "")[:40]
        or rollout.instance_type,
        "checks": [check.as_json() for check in situation.checks] if serving.exists else [],
    }


def _finish(rollout: Rollout, situation: Situation, now: datetime) -> None:
    seen = phases.Seen(phases.Phase.SHIFTED, now, "weight 100")
    observed = {
        key: value for key, value in _observed(rollout, situation).items() if key != "weight"
    }
    again = now + timedelta(
        seconds=min(settings.ROLLOUT_LOOK_SECONDS, settings.ROLLOUT_RETIRE_AFTER_SECONDS)
    )
    if records.finish_rollout(rollout=rollout, now=now, next_check_at=again, **observed):
        records.record_phases(rollout=rollout, phases=[seen], now=now)


# -- Taking back -----------------------------------------------------------------------------------


def _take_back(rollout: Rollout, git: GitClient, now: datetime) -> None:
    """Remove an aborted or superseded version, and give the route to what is live; the newer
    rollout waits for it.
    """
    if not rollout.commits.filter(step=Step.REMOVE).exists():
        serving = queries.live_rollout(rollout.registered_model)
        changes = writes.removal(rollout, serving, render.surroundings())
        if serving is None and (left := live.left_behind(rollout)):
            changes = {**changes, **render.retire(left)}
        commit = commits.write(rollout, Step.REMOVE, changes, git)
        records.record_commit(rollout=rollout, step=Step.REMOVE, commit=commit, now=now)
    records.record_checked(rollout=rollout, now=now, next_check_at=None)


def _quarantined(version: ModelVersion) -> str:
    """Return why a version was taken out of use; "" while it was not."""
    if version.status != ModelVersion.Status.QUARANTINED:
        return ""
    return version.message or "Its page says why."
