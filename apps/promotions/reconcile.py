"""Making rollouts true: one Git commit per step, everything else observed. Safe to run again at any time.

Each run reads the whole situation, asks the planner for one next thing and does it. A crash at any point is repaired by
the next run: commits are found again by their trailers, rows are unique, times come from the cluster's own objects.
"""

import re
from datetime import datetime, timedelta

from django.conf import settings

from apps.catalog.models import ModelVersion
from apps.common.leases import claim, retry_at
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import ApplicationStatus, RouteStatus, ServingStatus
from apps.manifests.names import MODELS
from apps.manifests.text import CannotRender
from apps.promotions import phases, queries, records, render
from apps.promotions.models import Promotion, Rollout
from apps.promotions.plan import Do, Next, Situation, fail, is_waking, plan_rollout

FAST = timedelta(seconds=2)
SLOW = timedelta(seconds=10)
LOOK_AFTER = timedelta(minutes=2)
AGAIN_AT_MOST = timedelta(seconds=15)
STALLED = timedelta(minutes=45)
STALLED_SOONER = {"NO_RUNTIME": timedelta(minutes=5)}  # it is committed together with the version
LATE_SYNC = timedelta(seconds=45)
_SHA = re.compile(r"^[0-9a-f]{40}$")
NO_ROUTE = RouteStatus(exists=False, weights={})
Step = Rollout.Step


def reconcile_rollout(*, rollout: Rollout, git: GitClient, cluster: KubernetesReader, now: datetime) -> None:
    """Do the next thing for one rollout: advance it, look after it, or take it back."""
    if not claim(rollout, now=now):
        return
    try:
        if rollout.status in Rollout.OPEN:
            _advance(rollout, git, cluster, now)
        elif rollout.status == Rollout.Status.ABORTED:
            _take_back(rollout, git, now)
        else:
            _look_after(rollout, git, cluster, now)
    except TemporaryError as error:
        again = min(retry_at(rollout, now=now, retry_after=error.retry_after), now + AGAIN_AT_MOST)
        records.record_trouble(rollout=rollout, message=str(error), now=now, next_check_at=again)
    except (PermanentError, CannotRender) as error:
        if not records.fail_rollout(rollout=rollout, reason="REFUSED", message=str(error), now=now):
            again = now + LOOK_AFTER
            records.record_checked(rollout=rollout, reason="REFUSED", message=str(error), now=now, next_check_at=again)


# -- Advancing ----------------------------------------------------------------------------------------------------


def _advance(rollout: Rollout, git: GitClient, cluster: KubernetesReader, now: datetime) -> None:
    situation = _observe(rollout, git, cluster)
    _record_phases(rollout, situation, now)
    step = _unless_stalled(rollout, plan_rollout(situation), now)
    if step.do == Do.COMMIT and step.step is not None:
        _commit(rollout, step.step, git, now)
    elif step.do == Do.FINISH:
        _finish(rollout, situation, now)
    elif step.do == Do.FAIL:
        records.fail_rollout(rollout=rollout, reason=step.reason, message=step.message, now=now)
    else:
        _check_history(rollout, situation, step, git, now)
        _record_wait(rollout, situation, step, now)


def _observe(rollout: Rollout, git: GitClient, cluster: KubernetesReader) -> Situation:
    name = rollout.model_version.name
    commits = {row.step: row.sha for row in rollout.commits.all()}
    if Step.SERVE not in commits:  # nothing of it can be in the cluster yet, and Git need not wait for the cluster
        application, serving = ApplicationStatus(exists=False), ServingStatus(exists=False)
    else:
        application = cluster.application_status(settings.ARGOCD_APPLICATION, settings.ARGOCD_NAMESPACE)
        serving = cluster.serving_status(name, MODELS)
    revision = application.revision
    contained = {step for step, sha in commits.items() if _SHA.match(revision) and git.contains(revision, sha)}
    return Situation(
        name=name,
        digest=rollout.promotion.manifest_digest,
        model=rollout.registered_model.name,
        namespace=MODELS,
        commits=commits,
        contained=frozenset(contained),
        application=application,
        serving=serving,
        route=cluster.route_status(rollout.registered_model.name, MODELS) if Step.SERVE in commits else NO_ROUTE,
        sleeps=rollout.sleeps,
    )


def _record_phases(rollout: Rollout, situation: Situation, now: datetime) -> None:
    found = phases.seen_phases(situation.serving)
    if Step.SERVE in situation.contained and (situation.serving.exists or situation.application.sync == "Synced"):
        found.append(phases.synced(situation.application, now))
    records.record_phases(rollout=rollout, phases=found, now=now)


def _unless_stalled(rollout: Rollout, step: Next, now: datetime) -> Next:
    if step.do != Do.WAIT or now - rollout.moved_at < STALLED_SOONER.get(step.reason, STALLED):
        return step
    minutes = int((now - rollout.moved_at).total_seconds() // 60)
    return fail(step.reason, f"Nothing has moved for {minutes} minutes. {step.message}")


def _commit(rollout: Rollout, step: Rollout.Step, git: GitClient, now: datetime) -> None:
    """Commit a step, unless somebody aborted the rollout while this run was looking."""
    if not Rollout.objects.open().filter(pk=rollout.pk, generation=rollout.generation).exists():
        return
    around = render.surroundings()
    version = rollout.model_version
    closed = render.closed_policy(rollout.registered_model.name, around) if step == Step.SERVE else None
    commit = git.commit(
        changes=render.serve(version, around, rollout.promotion.serving_class)
        if step == Step.SERVE
        else render.shift(version, around),
        message=_message(rollout, step),
        trailers=trailers(rollout, step),
        unless_present=closed,
    )
    records.record_commit(rollout=rollout, step=step, commit=commit, now=now)
    if step == Step.SERVE:
        seen = phases.Seen(phases.Phase.COMMITTED, commit.committed_at, commit.sha[:8])
        records.record_phases(rollout=rollout, phases=[seen], now=now)
    words = f"Committed {commit.sha[:8]}; waiting for Argo CD to apply it."
    records.record_progress(rollout=rollout, reason="SYNCING", message=words, now=now, next_check_at=now + FAST)


def trailers(rollout: Rollout, step: str) -> dict[str, str]:
    """Return the trailers of a step's commit: the same for the same step, for good."""
    return {"Quartermaster-Rollout": str(rollout.pk), "Quartermaster-Step": str(step)}


def _message(rollout: Rollout, step: Rollout.Step) -> str:
    name, baseline = rollout.model_version.name, rollout.promotion.baseline
    subject = {
        Step.SERVE: f"Start {name}",
        Step.SHIFT: f"Send all callers of {rollout.registered_model} to {name}",
        Step.RETIRE: f"Stop {baseline}, replaced by {name}",
        Step.REMOVE: f"Take {name} back",
    }[step]
    return f"{subject}\n\nPromotion {rollout.promotion_id}, manifest {rollout.promotion.manifest_digest}."


def _check_history(rollout: Rollout, situation: Situation, step: Next, git: GitClient, now: datetime) -> None:
    """Tell a slow Argo CD from a branch whose history was rewritten: then our commit never arrives."""
    if step.reason != "SYNCING" or now - rollout.moved_at < LATE_SYNC:
        return
    for made, sha in situation.commits.items():
        if made not in situation.contained and not git.is_on_branch(sha):
            raise PermanentError(
                f"Commit {sha[:8]} is no longer on branch {git.branch}: its history was rewritten. "
                "Take the version back and propose it again."
            )


def _record_wait(rollout: Rollout, situation: Situation, step: Next, now: datetime) -> None:
    records.record_progress(
        rollout=rollout,
        reason=step.reason,
        message=step.message,
        now=now,
        next_check_at=now + (SLOW if step.is_problem else FAST),
        **_observed(rollout, situation),
    )


def _observed(rollout: Rollout, situation: Situation) -> dict[str, object]:
    serving = situation.serving
    pod, claim_of_pod = serving.pod, serving.node_claim
    return {
        "weight": min(situation.route.weights.get(situation.name, 0), 100),
        "engine": (pod.engine if pod else "")[:60] or rollout.engine,
        "instance_type": (claim_of_pod.instance_type if claim_of_pod else "")[:40] or rollout.instance_type,
    }


def _finish(rollout: Rollout, situation: Situation, now: datetime) -> None:
    seen = phases.Seen(phases.Phase.SHIFTED, now, "weight 100")
    observed = {key: value for key, value in _observed(rollout, situation).items() if key != "weight"}
    if records.finish_rollout(rollout=rollout, now=now, next_check_at=now + LOOK_AFTER, **observed):
        records.record_phases(rollout=rollout, phases=[seen], now=now)
        rollout.refresh_from_db()
        due = _retire_at(rollout)
        if due is not None and due < now + LOOK_AFTER:
            records.record_checked(rollout=rollout, now=now, next_check_at=due)


# -- After the end ------------------------------------------------------------------------------------------------


def _look_after(rollout: Rollout, git: GitClient, cluster: KubernetesReader, now: datetime) -> None:
    """Retire the baseline when its time has come; while live, check that what serves is what was approved (I1)."""
    due = _retire_at(rollout)
    if due is not None and due <= now:
        _retire(rollout, git, now)
        due = None
    if rollout.status == Rollout.Status.LIVE:
        reason, message = _drift(rollout, cluster)
        again = min(now + LOOK_AFTER, due) if due else now + LOOK_AFTER
        records.record_checked(rollout=rollout, now=now, reason=reason, message=message, next_check_at=again)
    else:
        records.record_checked(
            rollout=rollout, now=now, next_check_at=due, reason=rollout.reason, message=rollout.message
        )


def _retire_at(rollout: Rollout) -> datetime | None:
    """Return when the baseline is to be stopped; None when there is none, it was stopped, or it serves again."""
    baseline = rollout.promotion.baseline
    if baseline is None or rollout.finished_at is None or rollout.commits.filter(step=Step.RETIRE).exists():
        return None
    if rollout.status not in (Rollout.Status.LIVE, Rollout.Status.REPLACED) or _is_in_use(baseline):
        return None
    return rollout.finished_at + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)


def _is_in_use(version: ModelVersion) -> bool:
    """Tell whether a version is proposed, on its way, or serving again: then it must stay."""
    statuses = (*Rollout.OPEN, Rollout.Status.LIVE, Rollout.Status.FAILED)
    proposed = Promotion.objects.pending().filter(model_version=version)
    return Rollout.objects.filter(model_version=version, status__in=statuses).exists() or proposed.exists()


def _retire(rollout: Rollout, git: GitClient, now: datetime) -> None:
    baseline = rollout.promotion.baseline
    if baseline is None:
        return
    changes = render.retire(baseline)
    commit = git.commit(
        changes=changes, message=_message(rollout, Step.RETIRE), trailers=trailers(rollout, Step.RETIRE)
    )
    records.record_commit(rollout=rollout, step=Step.RETIRE, commit=commit, now=now)


def _drift(rollout: Rollout, cluster: KubernetesReader) -> tuple[str, str]:
    name, approved = rollout.model_version.name, rollout.promotion.manifest_digest
    serving = cluster.serving_status(name, MODELS)
    digests = {serving.manifest_digest, *(pod.manifest_digest for pod in serving.pods if not pod.deleting)}
    if not serving.exists:
        return "DRIFT", f"{name} is approved and should serve, but the cluster has no such InferenceService."
    if digests - {approved}:
        return "DRIFT", f"What serves as {name} is not what was approved: its pods carry another manifest digest."
    if not serving.ready and not (rollout.sleeps and is_waking(serving)):
        return "NOT_READY", f"{name} is not ready now: {serving.message or serving.reason or 'no pod is ready'}."
    return "", ""


def _take_back(rollout: Rollout, git: GitClient, now: datetime) -> None:
    """Remove an aborted version, and give the route to what is live."""
    if not rollout.commits.filter(step=Step.REMOVE).exists():
        live = queries.live_version(rollout.registered_model)
        commit = git.commit(
            changes=render.remove(rollout.model_version, live, render.surroundings()),
            message=_message(rollout, Step.REMOVE),
            trailers=trailers(rollout, Step.REMOVE),
        )
        records.record_commit(rollout=rollout, step=Step.REMOVE, commit=commit, now=now)
    records.record_checked(rollout=rollout, now=now, next_check_at=None)
