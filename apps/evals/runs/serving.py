"""Serves the sides of an evaluation run: candidate and baseline, each as an InferenceService of its
own in the namespace `evals`, started and removed together.

The baseline is served once more, though it serves callers already. Asked where callers are, it
would answer beside their calls, on another machine and other engine arguments perhaps, and its
latency would say nothing beside the candidate's; and 200 packets would slow a member's call down.
It costs a second machine for the minutes of the run, within the run's bound. Each side has one
replica, whatever it has in front of callers, and its own serving settings: the candidate's as they
were chosen for the run, the baseline's as it serves now.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from apps.evals.models import EvalRun, Side
from apps.evals.runs.surroundings import CannotRun, Surroundings
from apps.gitops import sync, trouble
from apps.gitops.trouble import Trouble
from apps.integrations.errors import TemporaryError
from apps.integrations.git.types import CommitRef
from apps.integrations.kubernetes.types import ApplicationStatus, NodeClaimStatus, ServingStatus
from apps.manifests import names
from apps.manifests.serving import (
    ServedVersion,
    inference_service,
    service_accounts,
    serving_runtime,
)
from apps.manifests.serving_settings import ServingSettings
from apps.manifests.text import to_yaml

OF_A_SIDE = {Side.CANDIDATE: "The candidate", Side.BASELINE: "The baseline"}


def base_url(run: EvalRun, side: Side) -> str:
    """Return where a side answers: its Service's name in the cluster, reachable by no route."""
    return f"http://{run.service_of(side)}-predictor.{names.EVALS}.svc.cluster.local"


def commit(run: EvalRun, around: Surroundings) -> CommitRef:
    """Commit everything that serves the sides. Raises CannotRender for settings that no engine
    takes.
    """
    files = {_path(run, side): _manifests(run, side, around) for side in run.sides}
    for model in {run.version_of(side).registered_model.name for side in run.sides}:
        accounts = service_accounts(model, around.role_arn, around.s3_endpoint)
        files[names.account_path(model)] = to_yaml(accounts)
    return around.git.commit(
        changes={
            names.runtime_path(names.EVALS): None,  # that all runs once shared
            **files,
        },
        message=f"Evaluate {_what(run)} on {run.suite}",
        trailers=_trailers(run, "SERVE"),
    )


def remove(run: EvalRun, around: Surroundings) -> CommitRef | None:
    """Commit that nothing of the run is served any more; None where nothing ever was."""
    paths = [_path(run, side) for side in run.sides]
    if not run.deploy_commit and all(around.git.read(path) is None for path in paths):
        return None
    return around.git.commit(
        changes=dict.fromkeys(paths),
        message=f"Remove {' and '.join(map(run.service_of, run.sides))} after the evaluation",
        trailers=_trailers(run, "RETIRE"),
    )


def statuses(run: EvalRun, around: Surroundings) -> dict[Side, ServingStatus]:
    """Return what the cluster says of each side."""
    cluster = around.cluster()
    return {side: cluster.serving_status(run.service_of(side), names.EVALS) for side in run.sides}


def machines_of(
    run: EvalRun, found: dict[Side, ServingStatus], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return the machines that the run is known to have, those that are seen now included: each
    since it was launched, with those that it took the place of.
    """
    seen = dict(run.machines)
    for side, status in found.items():
        claim, before = status.node_claim, seen.get(side)
        if claim is None or not claim.instance_type:
            continue
        if before is None:
            seen[str(side)] = _machine(claim, now)
        elif before.get("name", claim.name) != claim.name:
            left = before | {"until": now.isoformat()}
            earlier = [*left.pop("earlier", ()), left]
            seen[str(side)] = _machine(claim, now) | {"earlier": earlier}
    return seen


def check_measured(run: EvalRun, side: Side, status: ServingStatus) -> None:
    """Raise CannotRun unless a side's loader says that it read the very version: what is scored is
    what will be approved. Raises TemporaryError while none of its pods is seen.
    """
    version, whose = run.version_of(side), OF_A_SIDE[side]
    pods = [pod for pod in status.pods if not pod.deleting]
    if not pods:
        raise TemporaryError(f"{whose} is ready, but none of its pods is seen.")
    for pod in pods:
        if pod.loaded is None:
            words = f"{whose}'s loader left no word of what it read, so nothing is scored."
            raise CannotRun("NOT_MEASURED", f"{words} It must be the product's own (README).")
        if pod.loaded.digest != version.manifest_digest:
            words = f"{whose}'s loader read {pod.loaded.digest}, {version.name} is"
            raise CannotRun("OTHER_WEIGHTS", f"{words} {version.manifest_digest}.")


def what_it_waits_for(
    run: EvalRun, side: Side, status: ServingStatus, around: Surroundings, now: datetime
) -> Trouble:
    """Return what a side that is not ready waits for. Raises CannotRun when waiting cannot help."""
    if not status.exists:
        application = look_at_argo_cd(run, around, now)
        return sync.not_applied(
            application,
            "InferenceService",
            run.service_of(side),
            names.EVALS,
            run.deploy_commit,
            contained=around.git.contains(application.revision, run.deploy_commit),
        )
    found = trouble.of_serving(status)
    if found is None:
        return Trouble("STARTING", f"KServe does not call {_whose(side)} ready yet.")
    words = found.words if side == Side.CANDIDATE else f"{OF_A_SIDE[side]}: {found.words}"
    if found.final:
        raise CannotRun(found.code, words)
    return replace(found, words=words)


def look_at_argo_cd(run: EvalRun, around: Surroundings, now: datetime) -> ApplicationStatus:
    """Return how far Argo CD is; where it does nothing more, have it look again."""
    applied = around.cluster().application_status(around.application, around.argocd_namespace)
    sync.ask_again(around.git, applied, since=run.finished_at or run.requested_at, now=now)
    return applied


def _manifests(run: EvalRun, side: Side, around: Surroundings) -> bytes:
    """Return what serves a side: a runtime of its own, for /dev/shm is among its settings, and its
    InferenceService.
    """
    served = _served(run, side, around.bucket)
    runtime = serving_runtime(
        names.EVALS, around.image, around.start_seconds, served.runtime, served.settings
    )
    return to_yaml([runtime, inference_service(served)])


def _served(run: EvalRun, side: Side, bucket: str) -> ServedVersion:
    version, name = run.version_of(side), run.service_of(side)
    kept = run.serving_settings if side == Side.CANDIDATE else run.baseline_settings
    one = replace(ServingSettings.of_json(kept), replicas_least=1, replicas_most=1)
    return ServedVersion(
        model=version.registered_model.name,
        number=version.number,
        name=name,
        namespace=names.EVALS,
        storage_uri=f"s3://{bucket}/{version.prefix}",
        manifest_digest=version.manifest_digest,
        max_model_len=version.registered_model.context_length,
        settings=one,
        runtime=name,
    )


def _machine(claim: NodeClaimStatus, now: datetime) -> dict[str, Any]:
    return {
        "name": claim.name,
        "instance_type": claim.instance_type,
        "capacity_type": claim.capacity_type,
        "zone": claim.zone,
        "since": (claim.launched_at or claim.created_at or now).isoformat(),
    }


def _whose(side: Side) -> str:
    return OF_A_SIDE[side].lower()


def _what(run: EvalRun) -> str:
    against = f" against {run.baseline.name}" if run.baseline else ""
    return f"{run.model_version.name}{against}"


def _path(run: EvalRun, side: Side) -> str:
    return names.candidate_path(run.service_of(side))


def _trailers(run: EvalRun, step: str) -> dict[str, str]:
    return {"Quartermaster-EvalRun": str(run.pk), "Quartermaster-Step": step}
