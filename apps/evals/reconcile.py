"""Carries an evaluation run out: serve the candidate, ask it every packet, score, take it away
again.

PENDING   commit the InferenceService to serving/evals/: its namespace is named by no route
STARTING  wait until the cluster says Ready and the engine answers; say in words for what
RUNNING   ask the packets that have no result yet, for at most half a minute a pass; then score
ended     commit the removal, and look until the candidate is gone

A commit is found again by its trailers and a packet by its id, so a pass may die anywhere.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.catalog.models import ModelVersion
from apps.common.leases import retry_at, take_lease
from apps.evals import actions
from apps.evals.models import EvalRun
from apps.evals.packets.packet import Packet
from apps.evals.scoring.packets import score
from apps.evals.scoring.scores import PacketScore, Timing
from apps.evals.suites.queries import packets_of
from apps.evals.suites.questions import Question
from apps.gitops import sync, trouble
from apps.gitops.trouble import Trouble
from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.types import Delta, GatewayRefusal
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import ApplicationStatus, ServingStatus
from apps.manifests import names
from apps.manifests.serving import (
    ServedVersion,
    inference_service,
    longest_start,
    runtime_objects,
)
from apps.manifests.text import CannotRender, to_yaml

POLL = timedelta(seconds=3)
RUN_LIMIT = timedelta(hours=1)
PASS_SECONDS = 30.0
Status = EvalRun.Status


@dataclass(frozen=True)
class Surroundings:
    """What a pass works with."""

    git: GitClient
    # made late: a run is committed even while the cluster is away
    cluster: Callable[[], KubernetesReader]
    engine: Callable[[str], EngineClient]  # base address → client
    bucket: str
    image: str
    role_arn: str
    s3_endpoint: str
    application: str
    argocd_namespace: str
    start_seconds: int  # how long the kubelet lets an engine load


class CannotRun(Exception):
    """The run has to end with an error."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reconcile_eval_run(
    *,
    run: EvalRun,
    around: Surroundings,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do the next step of a run that is due; nothing when it is not."""
    if not take_lease(run, now=now):
        return
    try:
        _require_usable(run)
        if run.status == Status.PENDING:
            _commit(run, around, now)
        elif run.status == Status.STARTING:
            _watch(run, around, now)
        elif run.status == Status.RUNNING:
            _ask(run, around, now, clock)
        else:
            _remove(run, around, now)
    except TemporaryError as error:
        _wait_or_give_up(run, around, error, now)
    except (PermanentError, CannotRender) as error:
        _end(run, "REFUSED", str(error), now)
    except CannotRun as error:
        _end(run, error.reason, str(error), now)


def _require_usable(run: EvalRun) -> None:
    """End a run whose version was quarantined since it was asked for."""
    version = run.model_version
    if run.status in EvalRun.OPEN and version.status == ModelVersion.Status.QUARANTINED:
        raise CannotRun("QUARANTINED", f"{version.name} has been quarantined.")


def base_url(run: EvalRun) -> str:
    """Return where the candidate answers: its Service's name in the cluster, reachable by no
    route.
    """
    return f"http://{run.inference_service}-predictor.{names.EVALS}.svc.cluster.local"


# -- Serving the candidate -------------------------------------------------------------------------


def _commit(run: EvalRun, around: Surroundings, now: datetime) -> None:
    ref = around.git.commit(
        changes={
            _path(run): to_yaml([inference_service(_served(run, around.bucket))]),
            **_runtime(around),
        },
        message=f"Evaluate {run.model_version.name} on {run.suite}",
        trailers=_trailers(run, "SERVE"),
    )
    actions.record_deployed(run=run, commit=ref.sha, now=now)


def _served(run: EvalRun, bucket: str) -> ServedVersion:
    version = run.model_version
    return ServedVersion(
        model=version.registered_model.name,
        number=version.number,
        name=run.inference_service,
        namespace=names.EVALS,
        storage_uri=f"s3://{bucket}/{version.prefix}",
        manifest_digest=version.manifest_digest,
        max_model_len=version.registered_model.context_length,
    )


def _runtime(around: Surroundings) -> dict[str, bytes]:
    objects = runtime_objects(
        names.EVALS, around.image, around.role_arn, around.s3_endpoint, around.start_seconds
    )
    return {names.runtime_path(names.EVALS): to_yaml(objects)}


def _watch(run: EvalRun, around: Surroundings, now: datetime) -> None:
    status = around.cluster().serving_status(run.inference_service, names.EVALS)
    if not status.ready:
        found = _what_it_waits_for(run, status, around, now)
        limit = longest_start(around.start_seconds)
        if now - run.requested_at > limit:
            minutes = int(limit.total_seconds() // 60)
            words = f"The candidate was not ready after {minutes} minutes. {found.words}"
            raise CannotRun("NOT_READY", words)
        actions.record_waiting(
            run=run, reason=found.code, message=found.words, at=now + POLL, now=now
        )
        return
    _check_measured(run, status)
    with around.engine(base_url(run)) as engine:
        version = engine.version()
    node_claim = status.node_claim
    actions.record_serving(
        run=run,
        engine=version,
        instance_type=node_claim.instance_type if node_claim is not None else "",
        now=now,
    )


def _check_measured(run: EvalRun, status: ServingStatus) -> None:
    """Raise CannotRun unless the candidate's loader says that it read the very version: what is
    scored is what will be approved.
    """
    version = run.model_version
    for pod in (pod for pod in status.pods if not pod.deleting):
        if pod.loaded is None:
            words = "The candidate's loader left no word of what it read, so nothing is scored."
            raise CannotRun("NOT_MEASURED", f"{words} It must be the product's own (README).")
        if pod.loaded.digest != version.manifest_digest:
            words = f"Its loader read {pod.loaded.digest}, {version.name} is"
            raise CannotRun("OTHER_WEIGHTS", f"{words} {version.manifest_digest}.")


def _what_it_waits_for(
    run: EvalRun, status: ServingStatus, around: Surroundings, now: datetime
) -> Trouble:
    """Return what it waits for. Raises CannotRun when waiting cannot help."""
    if not status.exists:
        application = _look_at_argo_cd(run, around, now)
        return sync.not_applied(
            application,
            "InferenceService",
            run.inference_service,
            names.EVALS,
            run.deploy_commit,
            contained=around.git.contains(application.revision, run.deploy_commit),
        )
    found = trouble.of_serving(status)
    if found is None:
        return Trouble("STARTING", "KServe does not call the candidate ready yet.")
    if found.final:
        raise CannotRun(found.code, found.words)
    return found


def _look_at_argo_cd(run: EvalRun, around: Surroundings, now: datetime) -> ApplicationStatus:
    """Return how far Argo CD is; where it does nothing more, have it look again."""
    applied = around.cluster().application_status(around.application, around.argocd_namespace)
    sync.ask_again(around.git, applied, since=run.finished_at or run.requested_at, now=now)
    return applied


# -- Asking ----------------------------------------------------------------------------------------


def _ask(run: EvalRun, around: Surroundings, now: datetime, clock: Callable[[], float]) -> None:
    question, packets = Question.of_json(run.suite.question), packets_of(run.suite)
    done = set(run.packet_results.values_list("packet_id", flat=True))
    started = clock()
    with around.engine(base_url(run)) as engine:
        for packet in (packet for packet in packets if packet.id not in done):
            if clock() - started > PASS_SECONDS:
                actions.continue_soon(run=run, now=now)
                return
            found = _answer(engine, run.inference_service, question, packet)
            actions.record_packet(run=run, packet_id=packet.id, score=found, now=now)
    actions.record_eval_run(run=run, now=now)


def _answer(engine: EngineClient, model: str, question: Question, packet: Packet) -> PacketScore:
    """Ask one packet. The answer's text is read for codes and dropped."""
    pieces: list[str] = []
    last = Delta()
    try:
        for delta in engine.stream_chat(
            model=model, messages=question.turns(packet), max_tokens=question.max_tokens
        ):
            pieces.append(delta.text)
            last = delta
    except GatewayRefusal as error:
        raise CannotRun(
            "ENGINE_REFUSED", f"The engine refused {packet.id}: {error.message}"
        ) from error
    latency = last.latency_ms or 0.0
    timing = Timing(
        ttft_ms=round(last.ttft_ms if last.ttft_ms is not None else latency, 1),
        latency_ms=round(latency, 1),
        output_tokens=last.usage.output_tokens if last.usage else 0,
    )
    return score(packet, "".join(pieces), timing, question.form)


# -- Ending ----------------------------------------------------------------------------------------


def _remove(run: EvalRun, around: Surroundings, now: datetime) -> None:
    if not run.remove_commit:
        path = _path(run)
        if around.git.read(path) is None and not run.deploy_commit:
            actions.record_removed(run=run, now=now)
            return
        ref = around.git.commit(
            changes={path: None},
            message=f"Remove {run.inference_service} after its evaluation",
            trailers=_trailers(run, "RETIRE"),
        )
        actions.record_remove_commit(run=run, commit=ref.sha, at=now + POLL, now=now)
        return
    status = around.cluster().serving_status(run.inference_service, names.EVALS)
    if status.exists or status.pods:
        if status.exists:
            _look_at_argo_cd(run, around, now)
        actions.record_waiting(
            run=run, reason=run.reason, message=run.message, at=now + POLL, now=now
        )
    else:
        actions.record_removed(run=run, now=now)


def _wait_or_give_up(
    run: EvalRun, around: Surroundings, error: TemporaryError, now: datetime
) -> None:
    starts = run.status == Status.STARTING
    limit = longest_start(around.start_seconds) if starts else RUN_LIMIT
    since = run.serving_at or run.requested_at
    if run.status in EvalRun.OPEN and now - since > limit:
        _end(run, "AWAY_TOO_LONG", str(error), now)
        return
    at = retry_at(run, now=now, retry_after=error.retry_after)
    ended = run.status not in EvalRun.OPEN
    reason, message = (
        (run.reason, run.message) if ended else ("WAITING", f"{error} Trying again by itself.")
    )
    actions.record_waiting(run=run, reason=reason, message=message, at=at, now=now)


def _end(run: EvalRun, reason: str, message: str, now: datetime) -> None:
    """End an open run with an error; of an ended one, only its removal can fail, and that is tried
    again.
    """
    if run.status in EvalRun.OPEN:
        actions.fail_eval_run(run=run, reason=reason, message=message, now=now)
    else:
        actions.record_waiting(
            run=run, reason=run.reason, message=run.message, at=retry_at(run, now=now), now=now
        )


def _path(run: EvalRun) -> str:
    return names.candidate_path(run.inference_service)


def _trailers(run: EvalRun, step: str) -> dict[str, str]:
    return {"Quartermaster-EvalRun": str(run.pk), "Quartermaster-Step": step}
