"""What keeps a version from serving, with a short code and plain words: what happened, and what to
do. Pure.

Read from the conditions and events of Kubernetes, KServe, Karpenter and Argo CD, as they word them.
`final`: it cannot pass by itself. The messages are shown as the systems said them, cut at 300
characters.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from apps.integrations.kubernetes.types import (
    ContainerStatus,
    EventNote,
    PodStatus,
    ServingStatus,
)

CRASHES = 5
# an event this much older than the pod is about a node it never was on
STALE = timedelta(minutes=5)
ENDS = frozenset(
    {
        "SpotInterrupted", "TerminatingOnInterruption", "DisruptionTerminating", "Disrupted",
        "Evicted", "Finalized",
        "TerminationGracePeriodExpiring",
    }
)  # fmt: skip
OUT_OF_MEMORY_ENDS = 3
IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
QUOTA = ("vcpulimitexceeded", "instancelimitexceeded", "maxspotinstancecountexceeded", "quota")
# what a warm version asks for
NO_ON_DEMAND = "capacity-type notin [spot] not in karpenter.sh/capacity-type in [spot]"
# only that Karpenter is needed
SCHEDULER = ("nodes are available", "no nodes available to schedule")
LIMIT = ("exceed limits for nodepool", "limits of nodepool")
DENIED = (
    "accessdenied",
    "access denied",
    "invalidaccesskeyid",
    "signaturedoesnotmatch",
    "403",
    "forbidden",
)
MISSING = (
    "missing in the registry",
    "nosuchkey",
    "nosuchbucket",
    "404",
    "nothing under this prefix",
)
WRONG_BYTES = (
    "sha-256",
    "digest",
    "checksum",
    "approved was",
    "bytes in the registry",
    "not listed in",
    "a manifest",
    "may not be served",
    # as the rules of signatures put it
    "model.sig was made",
    "model.sig was not made",
    "model.sig is not",
    "model.sig describes",
    "model.sig holds",
)
BAD_ARGUMENT = (
    "unrecognized arguments",
    "invalid choice",
    "expected one argument",
    "invalid value:",
    "error: argument",
)
USAGE_ERROR = 2  # how argparse, and with it vLLM, ends on a command line that it cannot read
NO_MEMORY = (
    "out of memory",
    "outofmemory",
    "no available memory for the cache",
    "kv cache is larger",
)
# Something is wrong, as opposed to not finished.
PROBLEMS = frozenset(
    {
        "NO_CAPACITY", "NODEPOOL_LIMIT", "QUOTA", "SPOT", "CONSOLIDATED", "NODE_LOST", "IMAGE",
        "S3_DENIED",
        "OBJECT_MISSING", "LOAD_FAILED", "OUT_OF_MEMORY", "LOAD_TIMEOUT", "ENGINE_CRASHED", "ROUTE",
        "NO_APPLICATION", "COMPARISON", "SYNC_FAILED", "SYNC_BLOCKED", "OUT_OF_SYNC",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Trouble:
    """What stands in the way, or what is not finished. words: what happened, then what to do."""

    code: str
    words: str
    final: bool = False

    @property
    def is_problem(self) -> bool:
        """Tell whether something is wrong, as opposed to not finished."""
        return self.final or self.code in PROBLEMS


def is_asleep(serving: ServingStatus) -> bool:
    """Tell a version that was let go to sleep from one that has no pod yet: KServe calls the former
    ready.
    """
    return serving.ready and serving.pod is None


def of_serving(serving: ServingStatus) -> Trouble | None:
    """Return what keeps an InferenceService from being ready; None when it is."""
    if serving.is_waiting_for_runtime:
        return Trouble(
            "NO_RUNTIME", "KServe is waiting for the runtime that this version is served with."
        )
    if serving.transition == "InvalidSpec":
        said = serving.message or serving.reason
        return Trouble(
            "INVALID_SPEC",
            f"KServe cannot serve this: {said}. Correct it and publish a new version.",
            final=True,
        )
    pod = serving.pod
    if serving.ready and pod is not None:
        return None
    if pod is None:
        return _lost(serving) or Trouble("STARTING", "KServe is creating the pod.")
    return _unscheduled(serving) if not pod.node else _starting(serving, pod)


# -- Nodes -----------------------------------------------------------------------------------------


def _lost(serving: ServingStatus) -> Trouble | None:
    """Return why the node under it went away, where Karpenter or the cloud says so."""
    end = next((note for note in reversed(_fresh(serving)) if note.reason in ENDS), None)
    if end is None:
        return None
    same = [note for note in _fresh(serving) if note.about == end.about]
    for note in same:
        if note.reason in ("SpotInterrupted", "TerminatingOnInterruption"):
            words = (
                "AWS took the Spot node back. Karpenter brings another one by itself; on-demand "
                "avoids it."
            )
            return Trouble("SPOT", f"{words} ({cut(note.message)})")
    for note in same:
        if note.reason == "DisruptionTerminating":
            words = (
                "Karpenter is moving it to save money (consolidation). It starts again on another "
                "node by itself."
            )
            return Trouble("CONSOLIDATED", f"{words} ({cut(note.message)})")
    words = (
        "The node under it was taken away. Karpenter brings another one by itself; Fleet shows who "
        "ended it."
    )
    return Trouble("NODE_LOST", f"{words} ({cut(end.message)})")


def _fresh(serving: ServingStatus) -> list[EventNote]:
    """Return the events of its nodes that may be about the pod that waits now, newest last.

    A version that was rolled out before has the same name: what happened before its object was made
    is not about it.
    """
    since = [serving.created_at] if serving.created_at else []
    if serving.pod is not None and serving.pod.created_at is not None:
        since.append(serving.pod.created_at - STALE)
    return [
        note
        for note in serving.node_events
        if note.at is None or all(note.at >= moment for moment in since)
    ]


def _unscheduled(serving: ServingStatus) -> Trouble:
    claim = serving.node_claim
    refused = _refused(serving)
    if refused is not None:
        return refused
    if claim is None:
        return _again(serving, "SCHEDULING", "The pod waits for a node with a free GPU.")
    return _again(
        serving,
        "NODE",
        f"Karpenter is bringing a {claim.instance_type or 'GPU node'} ({claim.name}).",
    )


def _refused(serving: ServingStatus) -> Trouble | None:
    """Return why no node is to be had: what a launch was answered, rather than what Karpenter
    planned after it.

    Once all that fits was refused, Karpenter only says that nothing fits. A newer promise outdates
    every refusal.
    """
    planned: Trouble | None = None
    notes = sorted(
        (*serving.events, *serving.node_events),
        key=lambda note: note.at.timestamp() if note.at else 0.0,
    )
    for note in reversed(notes):
        if note.reason == "Nominated":
            break
        found = _refused_node(note)
        if found is not None and note.reason == "InsufficientCapacityError":
            return found if planned is None or planned.code == "NO_CAPACITY" else planned
        planned = planned or found
    return planned


def _refused_node(note: EventNote) -> Trouble | None:
    """Return why no node is to be had. The scheduler's own "0/n nodes" only says that Karpenter is
    needed.
    """
    text = note.message.lower()
    if note.reason not in ("FailedScheduling", "InsufficientCapacityError") or "nominated" in text:
        return None
    if any(word in text for word in QUOTA):
        words = (
            "The AWS account's quota for these GPU instances is used up. A platform engineer "
            "can raise it with AWS."
        )
        return Trouble("QUOTA", f"{words} ({cut(note.message)})")
    if any(word in text for word in LIMIT):
        words = (
            "The NodePool's limit is reached. A platform engineer can raise it, or another "
            "model can give its GPU back."
        )
        return Trouble("NODEPOOL_LIMIT", f"{words} ({cut(note.message)})")
    if note.reason == "FailedScheduling" and any(words in text for words in SCHEDULER):
        return None
    if NO_ON_DEMAND in text:
        words = (
            "A warm version runs on no Spot machine, and the NodePool buys Spot only. A platform "
            "engineer can let it buy"
        )
        return Trouble(
            "NO_CAPACITY",
            f"{words} on-demand machines; or propose the version as scale to zero. "
            f"({cut(note.message)})",
        )
    advice = (
        "It is tried again by itself; a platform engineer can widen the NodePool gpu-inference."
    )
    return Trouble(
        "NO_CAPACITY", f"No GPU node fits or is available: {cut(note.message)}. {advice}"
    )


# -- Pods ------------------------------------------------------------------------------------------


def _starting(serving: ServingStatus, pod: PodStatus) -> Trouble:
    init, engine = pod.initializer, pod.engine_container
    for container in (init, engine):
        if container.reason in IMAGE_REASONS:
            said = container.message[:200] or container.reason
            words = (
                f"The image cannot be pulled: {said}. Check SERVING_IMAGE and that the node may "
                f"read its registry."
            )
            return Trouble("IMAGE", words, final=container.reason == "InvalidImageName")
    if init.exit_code != 0 or init.state != "terminated":
        return _failed_load(serving, pod) or _again(
            serving, "WEIGHTS", "The node is pulling and checking the weights."
        )
    return _engine(serving.events, engine) or _again(
        serving, "ENGINE", "The engine is loading the weights."
    )


def _again(serving: ServingStatus, code: str, words: str) -> Trouble:
    """Return what it is doing now; where it starts once more because its node went away, that
    first.
    """
    lost = _lost(serving)
    return Trouble(lost.code, f"{lost.words} Now: {words}") if lost else Trouble(code, words)


def _engine(events: Iterable[EventNote], engine: ContainerStatus) -> Trouble | None:
    """Return why the engine keeps ending; None while it has not ended yet."""
    said = cut(engine.message if engine.state == "terminated" else engine.last_message)
    exit_code = engine.exit_code if engine.state == "terminated" else engine.last_exit_code
    if engine.ready or not (engine.restarts or exit_code):
        return None
    text, ended = said.lower(), {engine.reason, engine.last_reason}
    if exit_code == USAGE_ERROR or any(word in text for word in BAD_ARGUMENT):
        which = said or "exit code 2, the pod's log names it"
        words = (
            f"The engine does not know an argument: {which}. Correct the arguments and propose "
            f"the version again."
        )
        return Trouble("BAD_ARGUMENT", words, final=True)
    if "OOMKilled" in ended or any(word in text for word in NO_MEMORY):
        words = (
            f"The engine ran out of memory ({said or 'OOMKilled'}). It needs a larger GPU or a "
            f"shorter context."
        )
        return Trouble("OUT_OF_MEMORY", words, final=engine.restarts >= OUT_OF_MEMORY_ENDS)
    if any(note.reason == "Killing" and "startup probe" in note.message for note in events):
        words = (
            "The engine did not become ready in the time its start-up probe allows, and is started "
            "again."
        )
        advice = "See the pod's log; a larger model needs a longer probe or a faster disk."
        return Trouble(
            "LOAD_TIMEOUT", f"{words} {advice}", final=engine.restarts >= OUT_OF_MEMORY_ENDS
        )
    said = said or f"exit code {exit_code}"
    if engine.restarts >= CRASHES:
        words = f"The engine crashed {engine.restarts} times: {said}. See the pod's log."
        return Trouble("CRASH_LOOP", words, final=True)
    return Trouble("ENGINE_CRASHED", f"The engine crashed ({said}) and is started again.")


def _failed_load(serving: ServingStatus, pod: PodStatus) -> Trouble | None:
    """Return why the weights cannot be pulled; None while they are."""
    init = pod.initializer
    if init.exit_code in (None, 0) and init.last_exit_code in (None, 0):
        return None
    said = (init.message if init.exit_code else "") or init.last_message or serving.message
    text, said = said.lower(), cut(said)
    if any(word in text for word in MISSING):
        words = (
            f"A file of the version is not in the registry: {said}. Put it back from the replica, "
            f"or publish a new version."
        )
        return Trouble("OBJECT_MISSING", f"{words} The node tries again by itself.")
    if any(word in text for word in WRONG_BYTES):
        words = f"The weights are not the approved ones: {said}. Nothing was served."
        advice = "Take the version back and publish it again as a new version."
        return Trouble("CHECKSUM", f"{words} {advice}", final=True)
    if any(word in text for word in DENIED):
        words = f"The registry does not let the node read the weights: {said}."
        advice = (
            "A platform engineer must give the role of the model's service account access; the "
            "node tries again by itself."
        )
        return Trouble("S3_DENIED", f"{words} {advice}")
    advice = (
        "The node tries again by itself; check that the registry answers and that the role of the "
        "model's service account may read it."
    )
    return Trouble(
        "LOAD_FAILED", f"The weights could not be pulled: {said or 'no message'}. {advice}"
    )


def cut(text: str) -> str:
    """Return at most 300 characters of somebody else's words, without their last full stop."""
    words = " ".join(text.split())
    return words.rstrip(".") if len(words) <= 300 else f"{words[:299].rstrip()}…"
