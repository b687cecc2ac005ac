"""Looking after what was rolled out: that it answers callers, that it is what was approved (I1),
that the rest stops.

The steady look is two small reads of the API server, so that a thousand versions may serve. What
the observer sees to be not ready is looked at within seconds (`wake_unready`), and again every few
seconds until it answers.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from apps.catalog.models import ModelVersion
from apps.fleet.models import Replica
from apps.fleet.queries import latest_claims
from apps.gitops import trouble
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import ServingStatus
from apps.manifests.names import MODELS
from apps.promotions.models import Promotion, Rollout
from apps.promotions.queries import is_stopped
from apps.promotions.rollouts import commits, phases, records, render

SOON = timedelta(seconds=5)
Step = Rollout.Step


@dataclass(frozen=True)
class Look:
    """What a look found. reason, message: "" where nothing is wrong. is_answered: its callers get
    answers.
    """

    reason: str = ""
    message: str = ""
    is_answered: bool = True


def look_after(rollout: Rollout, git: GitClient, cluster: KubernetesReader, now: datetime) -> None:
    """Look at a live version; stop the baseline when that is due, but not while the version answers
    nobody.
    """
    is_live, due = rollout.status == Rollout.Status.LIVE, retire_at(rollout)
    found = look(rollout, cluster) if is_live else Look(rollout.reason, rollout.message)
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
    )


def _next(found: Look, due: datetime | None, now: datetime) -> datetime:
    """Return when a live version is looked at again. due: when its baseline is to be stopped."""
    again = now + (SOON if found.reason else timedelta(seconds=settings.ROLLOUT_LOOK_SECONDS))
    return min(again, due) if due is not None and due > now else again


def look(rollout: Rollout, cluster: KubernetesReader) -> Look:
    """Return what is wrong with a live version; where all is well, from two reads."""
    name = rollout.model_version.name
    found = _judge(rollout, cluster.replicas_status(name, MODELS))
    return (
        _judge(rollout, cluster.serving_status(name, MODELS, known_claims(rollout)))
        if found.reason
        else found
    )


def _judge(rollout: Rollout, serving: ServingStatus) -> Look:
    name, approved = rollout.model_version.name, rollout.promotion.manifest_digest
    answered = serving.ready_pods > 0
    if not serving.exists:
        words = (
            f"{name} is approved and should serve, but the cluster has no such InferenceService."
        )
        return Look("DRIFT", words, answered)
    if trouble.digests(serving) - {approved}:
        words = (
            f"What serves as {name} is not what was approved: its pods carry another manifest "
            f"digest."
        )
        return Look("DRIFT", words, answered)
    if rollout.sleeps and trouble.is_asleep(serving):
        return Look()
    found = trouble.of_serving(serving)
    if found is None or (rollout.sleeps and not found.is_problem):
        return Look()
    ready = (
        "One replica answers"
        if serving.ready_pods == 1
        else f"{serving.ready_pods} replicas answer"
    )
    first = (
        f"{ready} the callers of {name}, another one is not ready."
        if answered
        else f"No replica of {name} is ready."
    )
    return Look(found.code, f"{first} {found.words}", answered)


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


def _is_in_use(version: ModelVersion) -> bool:
    """Tell whether a version is proposed, on its way, or serving again: then it must stay."""
    statuses = (*Rollout.OPEN, Rollout.Status.LIVE, Rollout.Status.FAILED)
    proposed = Promotion.objects.pending().filter(model_version=version)
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
