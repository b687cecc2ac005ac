"""Builds what a kubelet reports: container statuses, conditions and the phase of a pod. Pure
functions.

A container's record is changed by replacing it, one function per event in its life; `pod_status`
then says everything about the pod that follows from its records. Times are RFC 3339 in whole
seconds, as Kubernetes writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

CREATING = "ContainerCreating"
INITIALIZING = "PodInitializing"
CRASH_LOOP = "CrashLoopBackOff"
UNKNOWN = "ContainerStatusUnknown"
MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class Record:
    """One container as the kubelet knows it. `last` is the state of the run before this one."""

    name: str
    image: str
    state: Json
    container_id: str = ""
    ready: bool = False
    started: bool = False
    restarts: int = 0
    last: Json | None = None

    @property
    def running(self) -> bool:
        """Return whether its process runs."""
        return "running" in self.state

    @property
    def succeeded(self) -> bool:
        """Return whether it ended well."""
        return bool(self.state.get("terminated", {}).get("exitCode", 1) == 0)


def timestamp(moment: datetime) -> str:
    """Return a time as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def waiting(record: Record, reason: str, message: str = "") -> Record:
    """Return the record of a container that waits; what it was before becomes its last state."""
    state: Json = {"reason": reason, **({"message": message} if message else {})}
    last = record.state if "terminated" in record.state else record.last
    return replace(record, state={"waiting": state}, ready=False, started=False, last=last)


def running(record: Record, container_id: str, now: datetime, *, again: bool) -> Record:
    """Return the record of a container whose process was started; `again` counts a restart."""
    last = record.state if "terminated" in record.state else record.last
    return replace(
        record,
        state={"running": {"startedAt": timestamp(now)}},
        container_id=container_id,
        ready=False,
        started=False,
        restarts=record.restarts + (1 if again else 0),
        last=last,
    )


def terminated(record: Record, code: int, reason: str, message: str, now: datetime) -> Record:
    """Return the record of a container whose process ended."""
    started = record.state.get("running", {}).get("startedAt", timestamp(now))
    state: Json = {
        "exitCode": code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": timestamp(now),
    }
    if record.container_id:
        state["containerID"] = record.container_id
    if message:
        state["message"] = message.encode()[-MESSAGE_BYTES:].decode(errors="ignore")
    return replace(record, state={"terminated": state}, ready=False, started=False)


def lost(record: Record, now: datetime) -> Record:
    """Return the record of a container whose process ended while nobody watched."""
    return terminated(
        record, 137, UNKNOWN, "The container could not be located: this machine stopped it", now
    )


def from_reported(reported: Json, image: str) -> Record:
    """Return the record that a container status in the API came from."""
    return Record(
        name=reported["name"],
        image=image,
        state=reported.get("state") or {"waiting": {"reason": CREATING}},
        container_id=reported.get("containerID", ""),
        ready=bool(reported.get("ready")),
        started=bool(reported.get("started")),
        restarts=int(reported.get("restartCount", 0)),
        last=reported.get("lastState") or None,
    )


def container_status(record: Record, *, init: bool) -> Json:
    """Return one entry of containerStatuses or initContainerStatuses."""
    status: Json = {
        "name": record.name,
        "image": record.image,
        # without a digest: nothing was pulled, so nobody may read one out of it
        "imageID": f"not-pulled://{record.image.partition('@')[0]}" if record.container_id else "",
        "ready": record.succeeded if init else record.ready,
        "started": record.running if init else record.started,
        "restartCount": record.restarts,
        "state": record.state,
        "lastState": record.last or {},
    }
    if record.container_id:
        status["containerID"] = record.container_id
    return status


def pod_status(
    *,
    previous: Json,
    generation: int,
    pod_ip: str,
    inits: Sequence[Record],
    mains: Sequence[Record],
    now: datetime,
) -> Json:
    """Return a pod's whole status as far as a kubelet writes it.

    previous: the status in the API; a condition that keeps its value keeps its transition time.
    pod_ip: "" until the pod's network is there.
    """
    initialized = all(record.succeeded for record in inits)
    begun = initialized and any(record.container_id for record in mains)
    unready = [record.name for record in mains if not record.ready]
    unfinished = [record.name for record in inits if not record.succeeded]
    not_ready = (
        ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
        if unready
        else None
    )
    incomplete = f"containers with incomplete status: [{' '.join(unfinished)}]"
    not_initialized = ("ContainersNotInitialized", incomplete) if unfinished else None
    conditions = [
        _condition("PodReadyToStartContainers", bool(pod_ip), None),
        _condition("Initialized", initialized, not_initialized),
        _condition("Ready", not unready and initialized, not_ready or not_initialized),
        _condition("ContainersReady", not unready and initialized, not_ready or not_initialized),
    ]
    status: Json = {
        "phase": "Running" if begun else "Pending",
        "conditions": [_dated(entry, previous, generation, now) for entry in conditions],
        "hostIP": "127.0.0.1",
        "hostIPs": [{"ip": "127.0.0.1"}],
        "startTime": previous.get("startTime") or timestamp(now),
        "observedGeneration": generation,
        "initContainerStatuses": [container_status(record, init=True) for record in inits],
        "containerStatuses": [container_status(record, init=False) for record in mains],
    }
    if pod_ip:
        status |= {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]}
    return status


def back_off_message(seconds: float, record_name: str, pod_name: str) -> str:
    """Return a kubelet's words for a container that crashes again and again."""
    return f"back-off {_span(seconds)} restarting failed container={record_name} pod={pod_name}"


def _span(seconds: float) -> str:
    """Return a duration as Go writes it: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _condition(kind: str, true: bool, otherwise: tuple[str, str] | None) -> Json:
    condition: Json = {
        "type": kind,
        "status": "True" if true else "False",
        "reason": None,
        "message": None,
    }
    if not true and otherwise:
        condition |= {"reason": otherwise[0], "message": otherwise[1]}
    return condition


def _dated(condition: Json, previous: Json, generation: int, now: datetime) -> Json:
    before = next(
        (old for old in previous.get("conditions", ()) if old["type"] == condition["type"]), None
    )
    unchanged = before is not None and before["status"] == condition["status"]
    moment = before["lastTransitionTime"] if before and unchanged else timestamp(now)
    return {
        **condition,
        "lastTransitionTime": moment,
        "lastProbeTime": None,
        "observedGeneration": generation,
    }
