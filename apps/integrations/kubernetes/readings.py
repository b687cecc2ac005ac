"""Kubernetes objects → typed readings. Pure: what is missing or odd in an object becomes an empty
value, no error.
"""

import json
import re
from collections.abc import Iterable
from datetime import datetime

from apps.integrations.engine.identity import engine_of_image
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    Condition,
    ContainerStatus,
    EventNote,
    Loaded,
    Manifest,
    NodeClaimStatus,
    PodStatus,
    ResourceStatus,
    RouteStatus,
    ServingStatus,
)

DIGEST = "quartermaster.dev/manifest-digest"
LISTEN = "quartermaster.dev/listen"
ENGINE = "quartermaster.dev/engine"
INITIALIZER, ENGINE_CONTAINER = "storage-initializer", "kserve-container"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PULLED = re.compile(r".+@(sha256:[0-9a-f]{64})")
_DRY_RUN = re.compile(r"server side apply in dryrun mode for resource (\w+)/(\S+): (.+)", re.DOTALL)
_NOMINATED = re.compile(r"nodeclaim/([a-z0-9.-]+)")


def parse_time(value: object) -> datetime | None:
    """Return an RFC 3339 time of the API, or None."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None


def conditions(obj: Manifest) -> dict[str, Condition]:
    """Return status.conditions by type."""
    return {
        found.type: found for found in map(condition, obj.get("status", {}).get("conditions") or [])
    }


def condition(raw: Manifest) -> Condition:
    """Read one entry of a list of conditions."""
    return Condition(
        type=raw.get("type", ""),
        status=raw.get("status", "Unknown"),
        reason=raw.get("reason", ""),
        message=raw.get("message", ""),
        at=parse_time(raw.get("lastTransitionTime")),
    )


def application(obj: Manifest) -> ApplicationStatus:
    """Read an Argo CD Application."""
    status = obj.get("status", {})
    sync, operation = status.get("sync", {}), status.get("operationState", {})
    result = operation.get("syncResult") or {}
    said = {
        (item.get("kind"), item.get("namespace"), item.get("name")): item.get("message", "")
        for item in result.get("resources") or []
        # A sync that was tried again and succeeded keeps what it said of objects that were taken
        # out meanwhile.
        if item.get("status") == "SyncFailed" and operation.get("phase") != "Succeeded"
    }
    errors = [
        found
        for found in map(condition, status.get("conditions") or [])
        if found.type.endswith("Error")
    ]
    refused = _refused_on_trial(errors)
    resources = tuple(
        ResourceStatus(
            kind=item.get("kind", ""),
            namespace=item.get("namespace", ""),
            name=item.get("name", ""),
            sync=item.get("status", ""),
            message=refused.get((item.get("kind"), item.get("name")))
            or said.get((item.get("kind"), item.get("namespace"), item.get("name")), ""),
        )
        for item in status.get("resources") or []
    )
    return ApplicationStatus(
        exists=True,
        sync=sync.get("status", "Unknown"),
        revision=sync.get("revision", ""),
        health=status.get("health", {}).get("status", "Unknown"),
        operation_phase=operation.get("phase", ""),
        operation_revision=result.get("revision", ""),
        message=operation.get("message", ""),
        finished_at=parse_time(operation.get("finishedAt")),
        reconciled_at=parse_time(status.get("reconciledAt")),
        errors=tuple(error for error in errors if not _DRY_RUN.search(error.message)),
        resources=resources,
    )


def _refused_on_trial(errors: Iterable[Condition]) -> dict[tuple[str, str], str]:
    """Return (kind, name) → what the API server said when Argo CD compared: it applies on trial
    before it applies.
    """
    found = (_DRY_RUN.search(error.message) for error in errors)
    return {(match.group(1), match.group(2)): match.group(3) for match in found if match}


def pod(obj: Manifest) -> PodStatus:
    """Read a serving pod."""
    metadata, status = obj.get("metadata", {}), obj.get("status", {})
    annotations = metadata.get("annotations") or {}
    spec = _named(obj.get("spec", {}).get("containers"), ENGINE_CONTAINER)
    initializer = _container(status.get("initContainerStatuses"), INITIALIZER)
    engine = _container(status.get("containerStatuses"), ENGINE_CONTAINER)
    return PodStatus(
        name=metadata.get("name", ""),
        phase=status.get("phase", "Pending"),
        node=obj.get("spec", {}).get("nodeName", ""),
        created_at=parse_time(metadata.get("creationTimestamp")),
        deleting=bool(metadata.get("deletionTimestamp")),
        conditions=conditions(obj),
        initializer=initializer,
        engine_container=engine,
        manifest_digest=annotations.get(DIGEST, ""),
        loaded=loaded(initializer),
        image=spec.get("image", ""),
        image_digest=_image_digest(_named(status.get("containerStatuses"), ENGINE_CONTAINER)),
        arguments=(*(spec.get("command") or ()), *(spec.get("args") or ())),
        limits=dict((spec.get("resources") or {}).get("limits") or {}),
        listen=annotations.get(LISTEN, ""),
        engine=_engine(annotations, engine, spec.get("image", "")),
        ip=status.get("podIP", ""),
    )


def _engine(annotations: Manifest, container: ContainerStatus, image: str) -> str:
    """Return the engine of a pod: as its kubelet says where that starts something else than the
    image, else by the image that runs; "" before it does.
    """
    if said := annotations.get(ENGINE):
        return str(said)
    return engine_of_image(image) if container.state == "running" else ""


def loaded(initializer: ContainerStatus) -> Loaded | None:
    """Return what a loader that ended well left as its termination message; None where it left
    something else, or has not ended.
    """
    if initializer.state != "terminated" or initializer.exit_code != 0:
        return None
    try:
        said = json.loads(initializer.message)
        digest = _DIGEST.fullmatch(said["digest"])
        return (
            Loaded(
                digest=said["digest"],
                files=int(said.get("files", 0)),
                bytes=int(said.get("bytes", 0)),
                seconds=float(said.get("seconds", 0)),
                signer=str(said.get("signer", "")),
            )
            if digest
            else None
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _image_digest(container_status: Manifest) -> str:
    """Return the digest of the image that a container runs, as its node tells it, or "". An id
    without a repository is that of the image's configuration, which nobody approves.
    """
    found = _PULLED.fullmatch(container_status.get("imageID") or "")
    return found.group(1) if found else ""


def _named(entries: Iterable[Manifest] | None, name: str) -> Manifest:
    return next((item for item in entries or [] if item.get("name") == name), {})


def _container(statuses: Iterable[Manifest] | None, name: str) -> ContainerStatus:
    found = _named(statuses, name)
    if not found:
        return ContainerStatus()
    states: Manifest = found.get("state") or {}
    state_name = next(iter(states), "")
    state: Manifest = states.get(state_name) or {}
    last: Manifest = (found.get("lastState") or {}).get("terminated") or {}
    return ContainerStatus(
        state=state_name,
        reason=state.get("reason", ""),
        message=state.get("message", ""),
        exit_code=state.get("exitCode"),
        started_at=parse_time(state.get("startedAt")),
        finished_at=parse_time(state.get("finishedAt")),
        ready=bool(found.get("ready")),
        restarts=int(found.get("restartCount", 0)),
        last_reason=last.get("reason", ""),
        last_message=last.get("message", ""),
        last_exit_code=last.get("exitCode"),
    )


def node_claim(obj: Manifest) -> NodeClaimStatus:
    """Read a NodeClaim."""
    metadata, known = obj.get("metadata", {}), conditions(obj)
    labels = metadata.get("labels") or {}

    def since(name: str) -> datetime | None:
        found = known.get(name)
        return found.at if found is not None and found.is_true else None

    return NodeClaimStatus(
        name=metadata.get("name", ""),
        node=obj.get("status", {}).get("nodeName", ""),
        instance_type=labels.get("node.kubernetes.io/instance-type", ""),
        capacity_type=labels.get("karpenter.sh/capacity-type", ""),
        zone=labels.get("topology.kubernetes.io/zone", ""),
        created_at=parse_time(metadata.get("creationTimestamp")),
        launched_at=since("Launched"),
        registered_at=since("Registered"),
        initialized_at=since("Initialized"),
    )


def event(obj: Manifest) -> EventNote:
    """Read an event."""
    last = (
        obj.get("lastTimestamp")
        or obj.get("eventTime")
        or obj.get("metadata", {}).get("creationTimestamp")
    )
    return EventNote(
        type=obj.get("type", ""),
        reason=obj.get("reason", ""),
        message=obj.get("message", ""),
        at=parse_time(last),
        about=obj.get("involvedObject", {}).get("name", ""),
    )


def promised_claim(reason: str, message: str) -> str:
    """Return the NodeClaim that Karpenter says a waiting pod should land on, "" where an event
    tells none.
    """
    found = _NOMINATED.search(message) if reason == "Nominated" else None
    return found.group(1) if found else ""


def serving(obj: Manifest) -> ServingStatus:
    """Read an InferenceService; its pods and nodes are not in it."""
    metadata, ready = obj["metadata"], conditions(obj).get("Ready")
    is_ready = ready is not None and ready.is_true
    reason, message = failure(obj)
    return ServingStatus(
        exists=True,
        ready=is_ready,
        ready_at=ready.at if ready is not None and is_ready else None,
        created_at=parse_time(metadata.get("creationTimestamp")),
        reason=reason,
        message=message,
        transition=(obj.get("status", {}).get("modelStatus") or {}).get("transitionStatus", ""),
        manifest_digest=(metadata.get("annotations") or {}).get(DIGEST, ""),
    )


def failure(obj: Manifest) -> tuple[str, str]:
    """Return reason and message of an InferenceService that cannot become ready, or of what it
    waits for.
    """
    model = obj.get("status", {}).get("modelStatus") or {}
    last = model.get("lastFailureInfo") or {}
    if model.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
        return last.get("reason", "") or str(model["transitionStatus"]), last.get("message", "")
    waiting = conditions(obj).get("PredictorReady")
    return (
        (waiting.reason, waiting.message)
        if waiting is not None and not waiting.is_true
        else ("", "")
    )


def _weights(rule: Manifest) -> dict[str, int]:
    return {
        item.get("name", ""): int(item.get("weight", 1)) for item in rule.get("backendRefs") or []
    }


def route(obj: Manifest) -> RouteStatus:
    """Read an AIGatewayRoute. A verdict about an older generation of it counts as none."""
    rules = obj.get("spec", {}).get("rules") or [{}]
    first, *others = [_weights(rule) for rule in rules]
    generation = obj.get("metadata", {}).get("generation", 0)
    raw = obj.get("status", {}).get("conditions") or []
    known = {
        found.type: found
        for found in (
            condition(item)
            for item in raw
            if item.get("observedGeneration", generation) >= generation
        )
    }
    verdict, refusal = known.get("Accepted"), known.get("NotAccepted")
    if verdict is not None and not verdict.is_true:
        verdict, refusal = None, verdict
    return RouteStatus(
        exists=True,
        weights=next((weights for weights in others if weights != first), first),
        accepted=verdict,
        refused=refusal if verdict is None else None,
    )
