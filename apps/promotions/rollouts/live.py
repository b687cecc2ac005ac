"""Looking after what was rolled out: that it answers callers, that it is what was approved (I1),
that the rest stops.

The steady look is three small reads of the API server, so that a thousand versions may serve. What
the observer sees to be not ready is looked at within seconds (`wake_unready`), and again every few
seconds until it answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from apps.catalog.models import ModelVersion, RegisteredModel
from apps.fleet.models import Replica
from apps.fleet.queries import latest_claims
from apps.gitops import trouble
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import RouteStatus, ServingStatus
from apps.manifests.names import MODELS
from apps.promotions import queries
from apps.promotions.models import Promotion, Rollout, RolloutCommit
from apps.promotions.queries import is_stopped
from apps.promotions.rollouts import commits, drift, phases, records, render
from apps.promotions.rollouts.drift import DRIFT, UNMEASURED, Approved, Check

SOON = timedelta(seconds=5)
ROUTE_GRACE = timedelta(minutes=1)  # a commit of weights that has not arrived by then is drift
Step = Rollout.Step


@dataclass(frozen=True)
class Look:
    """What a look found. reason, message: "" where nothing is wrong. is_answered: its callers get
    answers. checks: what serves, held against what was approved.
    """

    reason: str = ""
    message: str = ""
    is_answered: bool = True
    checks: tuple[Check, ...] = ()


def look_after(rollout: Rollout, git: GitClient, cluster: KubernetesReader, now: datetime) -> None:
    """Look at a live version; stop the baseline when that is due, but not while the version answers
    nobody.
    """
    is_live, due = rollout.status == Rollout.Status.LIVE, retire_at(rollout)
    found = look(rollout, cluster, now) if is_live else Look(rollout.reason, rollout.message)
    if due is not None and due <= now and found.is_answered:
        _retire(rollout, git, now)
        due = None
    records.record_checked(
        rollout=rollout,
        now=now,
        reason=found.reason,
        message=found.message,
        next_check_at=_next(found, due, now) if is_live else due,
        unready_since=None if found.is_answered else rollout.unready_since or now,
        checks=found.checks if is_live else None,
    )


def _next(found: Look, due: datetime | None, now: datetime) -> datetime:
    """Return when a live version is looked at again. due: when its baseline is to be stopped."""
    is_urgent = found.reason not in ("", UNMEASURED)
    again = now + (SOON if is_urgent else timedelta(seconds=settings.ROLLOUT_LOOK_SECONDS))
    return min(again, due) if due is not None and due > now else again


def look(rollout: Rollout, cluster: KubernetesReader, now: datetime) -> Look:
    """Return what is wrong with a live version; where all is well, from three reads."""
    name, model = rollout.model_version.name, rollout.registered_model
    approved = Approved(
        name,
        rollout.promotion.manifest_digest,
        rollout.container,
        {name: 100} if _is_route_settled(model, now) else None,
    )
    route = cluster.route_status(model.name, MODELS) if approved.weights else None
    found = _judge(rollout, approved, cluster.replicas_status(name, MODELS), route)
    if not found.reason:
        return found
    serving = cluster.serving_status(name, MODELS, known_claims(rollout))
    return _judge(rollout, approved, serving, route)


def _judge(
    rollout: Rollout, approved: Approved, serving: ServingStatus, route: RouteStatus | None
) -> Look:
    checks = tuple(drift.checks(approved, serving, route))
    reason, message = _reason(rollout, approved, serving, checks)
    return Look(reason, message, serving.ready_pods > 0 or not reason, checks)


def _reason(
    rollout: Rollout, approved: Approved, serving: ServingStatus, checks: Sequence[Check]
) -> tuple[str, str]:
    """Return what is wrong, as a short code with its words; twice "" where nothing is."""
    differences = drift.kept((), checks)
    if differences:
        return DRIFT, drift.words(approved.name, differences)
    if rollout.sleeps and trouble.is_asleep(serving):
        return "", ""
    found = trouble.of_serving(serving)
    if found is None and drift.is_unmeasured(checks):
        words = "It answers, but nobody measured what it serves. Only pods that the product's own"
        return UNMEASURED, f"{words} loader fills are held against the approval: see README."
    if found is None or (rollout.sleeps and not found.is_problem):
        return "", ""
    ready = (
        "One replica answers"
        if serving.ready_pods == 1
        else f"{serving.ready_pods} replicas answer"
    )
    first = (
        f"{ready} the callers of {approved.name}, another one is not ready."
        if serving.ready_pods
        else f"No replica of {approved.name} is ready."
    )
    return found.code, f"{first} {found.words}"


def _is_route_settled(model: RegisteredModel, now: datetime) -> bool:
    """Tell whether nobody moves the route: no rollout is under way or being taken back, and what
    was committed last had time to arrive.
    """
    rollouts = Rollout.objects.filter(registered_model=model)
    if rollouts.open().exists() or queries.leaving_version(model) is not None:
        return False
    recent = RolloutCommit.objects.filter(
        rollout__registered_model=model, committed_at__gt=now - ROUTE_GRACE
    )
    return not recent.exclude(step__in=(Step.SERVE, Step.RETIRE)).exists()


def known_claims(rollout: Rollout) -> set[str]:
    """Return the NodeClaims that the version was seen on: their events say why they went away."""
    first = (
        rollout.phases.filter(phase=phases.Phase.CLAIMED)
        .exclude(detail="")
        .values_list("detail", flat=True)
    )
    return {*first, *latest_claims(rollout.model_version.name, MODELS)}


def wake_unready(now: datetime) -> int:
    """Have those live versions looked at now that have a replica which is not ready, as the
    observer sees it; return how many.
    """
    rows = Replica.objects.present().filter(
        namespace=MODELS, is_ready=False, deleting_at__isnull=True
    )
    services = set(rows.values_list("service", flat=True))
    return records.wake_live(services=services, now=now) if services else 0


# -- The baseline ----------------------------------------------------------------------------------


def retire_at(rollout: Rollout) -> datetime | None:
    """Return when the baseline is to be stopped; None when there is none, it was stopped, or it
    serves again. Three queries.
    """
    baseline, took_over = rollout.baseline, (Rollout.Status.LIVE, Rollout.Status.REPLACED)
    if baseline is None or rollout.finished_at is None or rollout.status not in took_over:
        return None
    if is_stopped(rollout) or _is_in_use(baseline):
        return None
    return rollout.finished_at + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)


def left_behind(rollout: Rollout) -> ModelVersion | None:
    """Return the baseline of a version that was stopped while it was live, where that still runs
    and serves nobody: it has to go with it. Four queries.
    """
    baseline = rollout.baseline
    if baseline is None or is_stopped(rollout) or _is_in_use(baseline):
        return None
    return baseline


def _is_in_use(version: ModelVersion) -> bool:
    """Tell whether a version is proposed or approved, on its way, or serving again: then it must
    stay.
    """
    statuses = (*Rollout.OPEN, Rollout.Status.LIVE, Rollout.Status.FAILED)
    proposed = Promotion.objects.undone().filter(model_version=version)
    return (
        Rollout.objects.filter(model_version=version, status__in=statuses).exists()
        or proposed.exists()
    )


def _retire(rollout: Rollout, git: GitClient, now: datetime) -> None:
    baseline = rollout.baseline
    if (
        baseline is None
        or not Rollout.objects.filter(pk=rollout.pk, generation=rollout.generation).exists()
    ):
        return
    commit = commits.write(rollout, Step.RETIRE, render.retire(baseline), git)
    records.record_commit(rollout=rollout, step=Step.RETIRE, commit=commit, now=now)
