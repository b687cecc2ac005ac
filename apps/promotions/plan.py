"""What a rollout does next, from what its rows and the cluster say. Pure: a table of situations, no I/O.

A problem that may pass (no capacity, registry away, image being fetched) is shown and waited for: the baseline serves
meanwhile. One that cannot pass by itself (wrong bytes, an engine that crashes again and again) fails the rollout.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.integrations.kubernetes.types import ApplicationStatus, PodStatus, RouteStatus, ServingStatus
from apps.promotions.models import Rollout

Step = Rollout.Step
CRASHES = 5
WRONG_BYTES = ("sha-256", "digest", "checksum", "manifest.json", "approved was")
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


class Do(StrEnum):
    """What to do next."""

    COMMIT = "COMMIT"
    WAIT = "WAIT"
    FINISH = "FINISH"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Situation:
    """commits: step → commit. contained: the steps whose commit is in the revision that Argo CD compared last."""

    name: str
    digest: str
    model: str
    namespace: str
    commits: Mapping[str, str]
    contained: frozenset[str]
    application: ApplicationStatus
    serving: ServingStatus
    route: RouteStatus
    sleeps: bool = False  # its serving class is scale-to-zero


@dataclass(frozen=True)
class Next:
    """do, with the step to commit, or with a short code and the words for people."""

    do: Do
    step: Step | None = None
    reason: str = ""
    message: str = ""

    @property
    def is_problem(self) -> bool:
        """Tell whether something is wrong, as opposed to not finished."""
        return self.do == Do.FAIL or self.reason in PROBLEMS


PROBLEMS = frozenset({"SYNC_ERROR", "NO_CAPACITY", "IMAGE", "LOAD_FAILED", "ENGINE_CRASHED", "NOT_READY", "ROUTE"})


def wait(reason: str, message: str) -> Next:
    """Return: nothing to do but look again."""
    return Next(Do.WAIT, reason=reason, message=message)


def fail(reason: str, message: str) -> Next:
    """Return: this cannot get better by itself."""
    return Next(Do.FAIL, reason=reason, message=message)


def plan_rollout(now: Situation) -> Next:
    """Return what an open rollout does next."""
    if Step.SERVE not in now.commits:
        return Next(Do.COMMIT, Step.SERVE)
    if not now.serving.exists:
        return _not_applied(now, Step.SERVE, "InferenceService", now.name)
    pods = {pod.manifest_digest for pod in now.serving.pods if not pod.deleting and pod.manifest_digest}
    if {now.serving.manifest_digest, *pods} != {now.digest}:
        return fail(
            "DRIFT",
            f"The cluster's {now.name} carries another manifest digest than the approved one. Somebody changed it "
            "outside this promotion: abort, then find out who in the Git history.",
        )
    waiting = _asleep(now) if _is_asleep(now) else _serving(now.serving)
    if waiting is not None:
        return waiting
    if Step.SHIFT not in now.commits:
        return _before_shift(now)
    return _shifted(now)


def _is_asleep(now: Situation) -> bool:
    """Tell a version that was let go to sleep from one that has no pod yet: KServe calls the former ready."""
    return now.sleeps and now.serving.ready and now.serving.pod is None


def _asleep(now: Situation) -> Next | None:
    """SCALED_TO_ZERO: idle, not broken. But it must have been ready once before callers are sent to it."""
    if Step.SHIFT in now.commits:
        return None
    return wait("SCALED_TO_ZERO", "No replica runs yet. The portal tells KEDA to start one, as this rollout is open.")


def is_waking(serving: ServingStatus) -> bool:
    """Tell whether a version that sleeps is on its way to ready, with nothing in the way."""
    waiting = _serving(serving)
    return waiting is not None and not waiting.is_problem


def _not_applied(now: Situation, step: Step, kind: str, name: str) -> Next:
    problem = _sync_problem(now, kind, name)
    if problem is not None:
        return problem
    if step in now.contained and now.application.sync == "Synced":
        return wait("APPLIED", f"Argo CD has applied the commit; {kind} {name} should appear any moment.")
    return wait("SYNCING", f"Waiting for Argo CD to apply commit {now.commits[step][:8]}.")


def _sync_problem(now: Situation, kind: str, name: str) -> Next | None:
    application = now.application
    if not application.exists:
        return wait("SYNC_ERROR", "Argo CD has no application for the models yet. A platform engineer creates it.")
    for error in application.errors:
        advice = "It tries again by itself; a platform engineer finds more with: kubectl describe application."
        return wait("SYNC_ERROR", f"Argo CD cannot apply Git: {error.message[:300]} {advice}")
    resource = application.resource(kind, name, now.namespace)
    if resource is not None and resource.message:
        return wait("SYNC_ERROR", f"The cluster refused {kind} {name}: {resource.message[:300]}")
    return None


def _serving(serving: ServingStatus) -> Next | None:
    """Return what keeps the version from being ready; None when it is."""
    if serving.is_invalid:
        return fail("INVALID_SPEC", f"KServe cannot serve this: {serving.message or serving.reason}.")
    pod = serving.pod
    if serving.ready and pod is not None:
        return None
    if pod is None:
        return wait("STARTING", "KServe is making the pod.")
    return _unscheduled(serving) if not pod.node else _starting(serving, pod)


def _unscheduled(serving: ServingStatus) -> Next:
    claim = serving.node_claim
    if claim is not None:
        return wait("NODE", f"Karpenter is bringing a {claim.instance_type or 'GPU node'} ({claim.name}).")
    for note in reversed(serving.events):
        if note.reason in ("FailedScheduling", "InsufficientCapacityError") and "nominated" not in note.message.lower():
            advice = "It is tried again by itself; a platform engineer can widen the NodePool gpu-inference."
            return wait("NO_CAPACITY", f"No GPU node fits or is to be had: {note.message[:300]} {advice}")
    return wait("SCHEDULING", "The pod waits for a node with a free GPU.")


def _starting(serving: ServingStatus, pod: PodStatus) -> Next:
    init, engine = pod.initializer, pod.engine_container
    for container in (init, engine):
        if container.reason in IMAGE_REASONS:
            final = container.reason == "InvalidImageName"
            words = f"The image cannot be pulled: {container.message[:200] or container.reason}. Check SERVING_IMAGE."
            return fail("IMAGE", words) if final else wait("IMAGE", words)
    if init.exit_code != 0 or init.state != "terminated":
        return _loading(serving, pod)
    if engine.restarts >= CRASHES and not engine.ready:
        said = engine.last_message or engine.message or f"exit code {engine.last_exit_code}"
        return fail("CRASH_LOOP", f"The engine crashed {engine.restarts} times: {said[:300]}. See the pod's log.")
    if engine.restarts:
        said = engine.last_message or f"exit code {engine.last_exit_code}"
        return wait("ENGINE_CRASHED", f"The engine crashed ({said[:200]}) and is started again.")
    return wait("ENGINE", "The engine is loading the weights.")


def _loading(serving: ServingStatus, pod: PodStatus) -> Next:
    init = pod.initializer
    failed = init.exit_code not in (None, 0) or init.last_exit_code not in (None, 0)
    said = (init.message if init.exit_code else "") or init.last_message or (serving.message if failed else "")
    if not failed:
        return wait("WEIGHTS", "The node is pulling and checking the weights.")
    if any(word in said.lower() for word in WRONG_BYTES):
        return fail(
            "CHECKSUM",
            f"The weights are not the approved ones: {said[:300]}. Nothing was served. Take the version back and "
            "publish it again as a new version.",
        )
    advice = "The node tries again by itself; check that the registry answers and that model-reader may read it."
    return wait("LOAD_FAILED", f"The weights could not be pulled: {said[:300] or 'no message'}. {advice}")


def _before_shift(now: Situation) -> Next:
    """Ready: shift once its backends are applied, so that no caller meets a route that leads nowhere."""
    for kind in ("AIServiceBackend", "Backend"):
        resource = now.application.resource(kind, now.name, now.namespace)
        if resource is None or resource.sync != "Synced":
            problem = _sync_problem(now, kind, now.name)
            return problem or wait("SYNCING", f"Waiting for Argo CD to apply {kind} {now.name}.")
    return Next(Do.COMMIT, Step.SHIFT)


def _shifted(now: Situation) -> Next:
    route = now.route
    if route.weights != {now.name: 100}:
        return _not_applied(now, Step.SHIFT, "AIGatewayRoute", now.model)
    if route.refused is not None:
        return wait("ROUTE", f"The gateway refuses the route: {route.refused.message[:300]}")
    if route.accepted is None:
        return wait("SHIFTING", "The gateway is taking the route over.")
    return Next(Do.FINISH)
