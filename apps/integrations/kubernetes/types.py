"""What the cluster says, as small typed readings. Times are the objects' own; None where they have
none yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

Manifest = dict[str, Any]
Manifests = list[Manifest]


class Coordinates(NamedTuple):
    """Where the API serves a kind."""

    group: str
    version: str
    plural: str
    namespaced: bool = True


class Kind(Enum):
    """The kinds that the portal reads. The chart's rbac.yaml grants exactly these; a new one needs
    its line there.
    """

    POD = Coordinates("", "v1", "pods")
    EVENT = Coordinates("", "v1", "events")
    NODE = Coordinates("", "v1", "nodes", namespaced=False)
    INFERENCE_SERVICE = Coordinates("serving.kserve.io", "v1beta1", "inferenceservices")
    NODE_CLAIM = Coordinates("karpenter.sh", "v1", "nodeclaims", namespaced=False)
    NODE_POOL = Coordinates("karpenter.sh", "v1", "nodepools", namespaced=False)
    AI_GATEWAY_ROUTE = Coordinates("aigateway.envoyproxy.io", "v1beta1", "aigatewayroutes")
    SECURITY_POLICY = Coordinates("gateway.envoyproxy.io", "v1alpha1", "securitypolicies")
    TRAFFIC_POLICY = Coordinates("gateway.envoyproxy.io", "v1alpha1", "backendtrafficpolicies")
    EXTENSION_POLICY = Coordinates("gateway.envoyproxy.io", "v1alpha1", "envoyextensionpolicies")
    APPLICATION = Coordinates("argoproj.io", "v1alpha1", "applications")

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the API path of the kind, of one namespace, or of one object."""
        group, version, plural, namespaced = self.value
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        inside = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{inside}/{plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True)
class Condition:
    """One entry of status.conditions. at: its last transition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    at: datetime | None = None

    @property
    def is_true(self) -> bool:
        """Tell whether its status is True."""
        return self.status == "True"


@dataclass(frozen=True)
class ResourceStatus:
    """One object of an Argo CD application."""

    kind: str
    namespace: str
    name: str
    sync: str
    message: str = ""


@dataclass(frozen=True)
class ApplicationStatus:
    """An Argo CD application. revision: the commit compared last; a branch's name when the
    comparison failed.
    """

    exists: bool
    sync: str = "Unknown"
    revision: str = ""
    health: str = "Unknown"
    operation_phase: str = ""
    operation_revision: str = ""
    message: str = ""
    finished_at: datetime | None = None
    reconciled_at: datetime | None = None
    errors: tuple[Condition, ...] = ()
    resources: tuple[ResourceStatus, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Tell whether the commit compared last was applied, and compared once more after that."""
        applied = self.operation_phase == "Succeeded" and self.operation_revision == self.revision
        ended, compared = self.finished_at, self.reconciled_at
        return applied and ended is not None and compared is not None and compared >= ended

    @property
    def gave_up(self) -> bool:
        """Tell whether Argo CD failed at the commit that it compared last: it tries that one no
        more by itself.
        """
        return (
            self.operation_phase in ("Failed", "Error") and self.operation_revision == self.revision
        )

    @property
    def is_at_rest(self) -> bool:
        """Tell whether Argo CD does nothing more about the commit compared last: it is applied, or
        was given up.

        A comparison that failed counts as given up. Argo CD keeps its empty result for that commit
        and says "Synced" of it later, though nothing was applied: whoever asks must see for himself
        that something is missing.
        """
        is_running = self.operation_phase in ("Running", "Terminating")
        return not is_running and (self.gave_up or self.sync != "OutOfSync")

    def resource(self, kind: str, name: str, namespace: str) -> ResourceStatus | None:
        """Return what the application says about one object."""
        wanted = (kind, name, namespace)
        return next(
            (item for item in self.resources if (item.kind, item.name, item.namespace) == wanted),
            None,
        )


@dataclass(frozen=True)
class ContainerStatus:
    """A container of a pod now (state: waiting, running, terminated or "") and how it ended the
    last time.
    """

    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ready: bool = False
    restarts: int = 0
    last_reason: str = ""
    last_message: str = ""
    last_exit_code: int | None = None


@dataclass(frozen=True)
class Loaded:
    """What a pod's loader says that it read, in its termination message: the manifest digest as
    measured, how many files and bytes in how long, and whose signature they carry.
    """

    digest: str
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    signer: str = ""


@dataclass(frozen=True)
class PodStatus:
    """A serving pod. manifest_digest: what its annotation says, which nobody measured; loaded: what
    was measured, None where nobody says so. image: as its spec names it; image_digest: of what was
    pulled, "" where the node does not tell. arguments: the engine's command and arguments; limits:
    its container's, resource → quantity. listen: what the local kubelet publishes, "" in
    production. engine: which one runs, "" before one does.
    """

    name: str
    phase: str = "Pending"
    node: str = ""
    created_at: datetime | None = None
    deleting: bool = False
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    initializer: ContainerStatus = ContainerStatus()
    engine_container: ContainerStatus = ContainerStatus()
    manifest_digest: str = ""
    loaded: Loaded | None = None
    image: str = ""
    image_digest: str = ""
    arguments: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    listen: str = ""
    engine: str = ""
    ip: str = ""

    def at(self, condition: str) -> datetime | None:
        """Return since when the condition is True, or None."""
        found = self.conditions.get(condition)
        return found.at if found is not None and found.is_true else None


@dataclass(frozen=True)
class NodeClaimStatus:
    """The node that Karpenter made, or is making, for a pod."""

    name: str
    node: str = ""
    instance_type: str = ""
    capacity_type: str = ""
    zone: str = ""
    created_at: datetime | None = None
    launched_at: datetime | None = None
    registered_at: datetime | None = None
    initialized_at: datetime | None = None


@dataclass(frozen=True)
class EventNote:
    """A Kubernetes event, newest last. about: the name of the object that it is about."""

    type: str
    reason: str
    message: str
    at: datetime | None = None
    about: str = ""


@dataclass(frozen=True)
class ServingStatus:
    """One InferenceService with its pods, newest first, and the node of the newest pod."""

    exists: bool
    ready: bool = False
    ready_at: datetime | None = None
    created_at: datetime | None = None
    reason: str = ""
    message: str = ""
    transition: str = ""  # modelStatus.transitionStatus
    manifest_digest: str = ""
    pods: tuple[PodStatus, ...] = ()
    node_claim: NodeClaimStatus | None = None
    events: tuple[EventNote, ...] = ()
    # of the nodes and claims under its pods, while the newest is not ready
    node_events: tuple[EventNote, ...] = ()

    @property
    def ready_pods(self) -> int:
        """Return how many of its pods are ready and not going away."""
        return sum(pod.at("Ready") is not None and not pod.deleting for pod in self.pods)

    @property
    def pod(self) -> PodStatus | None:
        """Return the newest pod that is not going away."""
        return next((pod for pod in self.pods if not pod.deleting), None)

    @property
    def is_waiting_for_runtime(self) -> bool:
        """Tell whether KServe has not seen its ServingRuntime: applied together, it may see the
        service first.
        """
        return self.transition == "InvalidSpec" and self.reason == "RuntimeNotRecognized"


@dataclass(frozen=True)
class RouteStatus:
    """A model's AIGatewayRoute as the cluster has it. weights: backend name → weight, of every
    rule; where they differ, of the first that says otherwise than the first of all.

    accepted, refused: the gateway's verdict about the present spec; neither while it has not looked
    yet.
    """

    exists: bool
    weights: Mapping[str, int]
    accepted: Condition | None = None
    refused: Condition | None = None
