"""The phases of a rollout, read from the times that the cluster's objects carry themselves.
Pure.
"""

from dataclasses import dataclass
from datetime import datetime

from apps.fleet.words import capacity_type
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    NodeClaimStatus,
    PodStatus,
    ServingStatus,
)
from apps.promotions.models import RolloutPhase

Phase = RolloutPhase.Phase
# What one start on the local cluster took: its nodes are simulated, and the pages say so.
TYPICAL_BASIS = "typical times were measured on simulated nodes"
TYPICAL = {
    Phase.COMMITTED: "≈ 1 s",
    Phase.SYNCED: "≈ 3 s",
    Phase.CLAIMED: "≈ 2 s",
    Phase.LAUNCHED: "≈ 5 s",
    Phase.REGISTERED: "≈ 40 s",
    Phase.INITIALIZED: "≈ 20 s",
    Phase.SCHEDULED: "≈ 1 s",
    Phase.WEIGHTS: "by size",
    Phase.ENGINE: "≈ 5 s",
    Phase.READY: "≈ 60 s",
    Phase.SHIFTED: "≈ 5 s",
}


@dataclass(frozen=True)
class Seen:
    """A phase that was reached: when, by the object's own clock, and what there is to say about
    it.
    """

    phase: RolloutPhase.Phase
    reached_at: datetime
    detail: str = ""


def seen_phases(serving: ServingStatus) -> list[Seen]:
    """Return the phases that the InferenceService, its newest pod and that pod's node have
    reached.
    """
    found: list[Seen] = []
    if serving.node_claim is not None:
        found += _node(serving.node_claim)
    if serving.pod is not None:
        found += _pod(serving.pod)
    if serving.ready and serving.ready_at is not None:
        found.append(Seen(Phase.READY, serving.ready_at))
    return found


def _node(claim: NodeClaimStatus) -> list[Seen]:
    what = " · ".join(
        part
        for part in (claim.instance_type, capacity_type(claim.capacity_type), claim.zone)
        if part
    )
    times = (
        (Phase.CLAIMED, claim.created_at, claim.name),
        (Phase.LAUNCHED, claim.launched_at, what),
        (Phase.REGISTERED, claim.registered_at, claim.node),
        (Phase.INITIALIZED, claim.initialized_at, ""),
    )
    return [Seen(phase, at, detail) for phase, at, detail in times if at is not None]


def _pod(pod: PodStatus) -> list[Seen]:
    init, engine = pod.initializer, pod.engine_container
    pulled = init.finished_at if init.state == "terminated" and init.exit_code == 0 else None
    started = engine.started_at if engine.state == "running" else None
    times = (
        (Phase.SCHEDULED, pod.at("PodScheduled"), pod.node),
        (Phase.WEIGHTS, pulled, ""),
        (Phase.ENGINE, started, pod.engine),
    )
    return [Seen(phase, at, detail) for phase, at, detail in times if at is not None]


def synced(application: ApplicationStatus, now: datetime) -> Seen:
    """Return the phase that Argo CD's application tells when it has applied the commit."""
    at = (
        application.finished_at
        if application.operation_phase == "Succeeded"
        else application.reconciled_at
    )
    return Seen(Phase.SYNCED, at or now, application.revision[:8])
