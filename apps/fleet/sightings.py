"""Objects of the API → what a row should say, and what follows from them. Pure: no clock, no
database, no network.

A reading names only what the object says; `changes` compares it with what is known, so that nothing
is written twice, an older state changes nothing, and a time that was learned once is never replaced
by a later one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from apps.integrations.kubernetes import readings
from apps.integrations.kubernetes.types import Condition, ContainerStatus, Manifest

GPU = "nvidia.com/gpu"
# a MIG instance by the number of its slices of a card: nvidia.com/mig-3g.40gb
_MIG = re.compile(r"nvidia\.com/mig-([1-7])g\.")
PRICE = "eks-node-viewer/instance-price"
PRICE_BASIS = "quartermaster.dev/price-basis"
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
# an end learned this soon after the last sight of the cluster was seen
LIVE = timedelta(seconds=10)
PROMISED_WITHIN = timedelta(minutes=15)  # Karpenter names the claim to its pods while it makes it
ENDINGS = frozenset({"Finalized", "InstanceTerminating"})
_MACHINE = {
    "node_pool": "karpenter.sh/nodepool",
    "instance_type": "node.kubernetes.io/instance-type",
    "zone": "topology.kubernetes.io/zone",
    "capacity_type": "karpenter.sh/capacity-type",
}
_ENGINE_IMAGE = "spec.containers{kserve-container}"
# a condition's own event: its reason is the condition's type
_TRANSITION = "Status condition transitioned"
NOT_BOUGHT = "No machine could be bought"
RECLAIMED = "AWS took the Spot machine back"
TAKEN_BACK = "AWS took the machine back"
REMOVED = "Karpenter removed it: "
# what ran on it moved to other machines, or to a cheaper one
UNDERUTILIZED = f"{REMOVED}Underutilized"
_CAUSES = {
    "SpotInterrupted": RECLAIMED,
    "InsufficientCapacityError": NOT_BOUGHT,
    "CapacityReservationInstanceInterrupted": "The capacity reservation ended",
}
_FOLLOWS = {
    "InstanceStopping": "The machine was stopped in AWS",
    "InstanceTerminating": "The machine was terminated in AWS",
    "TerminatingOnInterruption": TAKEN_BACK,
}
_KINDS = ("Pod", "Node", "NodeClaim", "NodePool", "InferenceService")


@dataclass(frozen=True)
class Seen:
    """One object as it was read. fields: column → value. phases: (phase, when), of pods."""

    uid: str
    name: str
    version: int
    created_at: datetime
    fields: Mapping[str, object]
    phases: tuple[tuple[str, datetime], ...] = ()


@dataclass(frozen=True)
class SeenEvent:
    """One event as it was read."""

    uid: str
    type: str
    reason: str
    object_kind: str
    object_namespace: str
    object_name: str
    object_uid: str
    field_path: str
    message: str
    first_at: datetime
    last_at: datetime
    count: int


@dataclass(frozen=True)
class Terms:
    """What a machine is and costs: an interval holds one set of terms."""

    instance_type: str
    zone: str
    capacity_type: str
    price_usd_per_hour: Decimal | None
    price_basis: str


@dataclass(frozen=True)
class IntervalChange:
    """begin_at: open an interval with the terms; end_at: close the open one; neither: complete the
    open one's terms.
    """

    terms: Terms
    begin_at: datetime | None = None
    end_at: datetime | None = None


@dataclass(frozen=True)
class Ending:
    """When an object ended. unobserved_from: the last moment at which it was seen, where nobody saw
    its end.

    told_since: the same where nobody saw it, but an event tells when it was.
    """

    at: datetime
    unobserved_from: datetime | None = None
    told_since: datetime | None = None


def node_pool(obj: Manifest) -> Seen | None:
    """Read a NodePool."""
    status, ready = obj.get("status") or {}, readings.conditions(obj).get("Ready")
    return _seen(
        obj,
        {
            "limits": dict((obj.get("spec") or {}).get("limits") or {}),
            "usage": dict(status.get("resources") or {}),
            "disruption": dict((obj.get("spec") or {}).get("disruption") or {}),
            "is_ready": ready is not None and ready.is_true,
            "message": ready.message if ready is not None and not ready.is_true else "",
        },
    )


def node_claim(obj: Manifest) -> Seen | None:
    """Read a NodeClaim: its machine, how far it is, and what stands in the way."""
    status, known = obj.get("status") or {}, readings.conditions(obj)
    reached = {name: found.at for name, found in known.items() if found.is_true}
    waits = next(
        (
            f"{name}: {known[name].message or known[name].reason}"
            for name in ("Launched", "Registered", "Initialized")
            if name in known
            and not known[name].is_true
            and (known[name].message or known[name].reason)
        ),
        "",
    )
    why = known.get("DisruptionReason")
    return _seen(
        obj,
        _machine(obj)
        | {
            "node_name": status.get("nodeName", ""),
            "provider_id": str(status.get("providerID", ""))[:255],
            "launched_at": reached.get("Launched"),
            "registered_at": reached.get("Registered"),
            "initialized_at": reached.get("Initialized"),
            "end_reason": f"{REMOVED}{why.reason}" if why is not None and why.is_true else "",
            "message": waits,
        },
    )


def node(obj: Manifest) -> Seen | None:
    """Read a Node."""
    ready = readings.conditions(obj).get("Ready")
    return _seen(
        obj,
        _machine(obj)
        | {
            "is_ready": ready is not None and ready.is_true,
            "is_unschedulable": bool((obj.get("spec") or {}).get("unschedulable")),
        },
    )


def replica(obj: Manifest) -> Seen | None:
    """Read a serving pod; None for any other pod."""
    metadata = obj.get("metadata") or {}
    labels = metadata.get("labels") or {}
    if SERVICE_LABEL not in labels:
        return None
    pod = readings.pod(obj)
    init, engine = pod.initializer, pod.engine_container
    loaded = init.finished_at if init.state == "terminated" and init.exit_code == 0 else None
    started = engine.started_at if engine.state == "running" else None
    ready = pod.at("Ready")
    times = (
        ("SCHEDULED", pod.at("PodScheduled")),
        ("WEIGHTS", loaded),
        ("ENGINE", started),
        ("READY", ready),
    )
    return _seen(
        obj,
        {
            "namespace": metadata.get("namespace", ""),
            "service": labels[SERVICE_LABEL],
            "model": labels.get("quartermaster.dev/model", ""),
            "version": labels.get("quartermaster.dev/version", ""),
            "node_name": pod.node,
            "gpu_count": _pod_gpus(obj),
            "mig_slices": _pod_slices(obj),
            "engine": pod.engine[:63],
            "address": f"{pod.ip}:{_engine_port(obj)}" if pod.ip else "",
            "manifest_digest": pod.manifest_digest[:80],
            "started_at": started,
            "ready_at": ready,
            "is_ready": ready is not None,
            "restarts": engine.restarts,
            "message": _trouble(pod.conditions, init, engine),
        },
        phases=tuple((name, at) for name, at in times if at is not None),
    )


def event(obj: Manifest) -> SeenEvent | None:
    """Read an event about a kind that the fleet shows; None for any other."""
    about, metadata = obj.get("involvedObject") or {}, obj.get("metadata") or {}
    note = readings.event(obj)
    first = readings.parse_time(obj.get("firstTimestamp")) or note.at
    if (
        about.get("kind") not in _KINDS
        or note.at is None
        or first is None
        or not metadata.get("uid")
    ):
        return None
    return SeenEvent(
        uid=metadata["uid"],
        type=note.type,
        reason=note.reason[:128],
        object_kind=about["kind"],
        object_namespace=about.get("namespace", ""),
        object_name=about.get("name", ""),
        object_uid=about.get("uid", ""),
        field_path=str(about.get("fieldPath", ""))[:255],
        message=note.message,
        first_at=first,
        last_at=max(first, note.at),
        count=int(obj.get("count") or (obj.get("series") or {}).get("count") or 1),
    )


def told(row: object) -> SeenEvent:
    """Return an event as it was read, from the row that keeps it."""
    return SeenEvent(**{name: getattr(row, name) for name in SeenEvent.__dataclass_fields__})


def changes(known: Mapping[str, object], seen: Seen) -> dict[str, object]:
    """Return the columns that the reading changes; {} for an older state, the same, or a row that
    has ended.

    A time, text or price that is known is not taken back by a state that does not say it; of two
    times of the same transition the first stays.
    """
    version = known.get("resource_version")
    if known.get("ended_at") is not None or (isinstance(version, int) and seen.version < version):
        return {}
    found: dict[str, object] = {}
    for name, value in seen.fields.items():
        before = known.get(name)
        if value == before or (value in (None, "") and name not in ("message",)):
            continue
        if isinstance(before, datetime) and isinstance(value, datetime):
            continue
        found[name] = value
    return found


def plan_interval(
    current: Terms | None, *, has_history: bool, claim: Mapping[str, object], now: datetime
) -> list[IntervalChange]:
    """Return what a claim's columns mean for its intervals. current: the open interval's terms,
    None without one.

    Money begins when the machine is launched, by the condition's own time; other terms begin when
    we learn them.
    """
    launched = claim.get("launched_at")
    if not isinstance(launched, datetime):
        return []
    terms = terms_of(claim)
    if current is None:
        return [] if has_history else [IntervalChange(terms, begin_at=launched)]
    if terms == current:
        return []
    if _completes(current, terms):
        return [IntervalChange(terms)]
    return [IntervalChange(current, end_at=now), IntervalChange(terms, begin_at=now)]


def terms_of(fields: Mapping[str, object]) -> Terms:
    """Return the terms among a machine's columns."""
    price = fields.get("price_usd_per_hour")
    return Terms(
        instance_type=str(fields.get("instance_type") or ""),
        zone=str(fields.get("zone") or ""),
        capacity_type=str(fields.get("capacity_type") or ""),
        price_usd_per_hour=price if isinstance(price, Decimal) else None,
        price_basis=str(fields.get("price_basis") or ""),
    )


def _completes(before: Terms, after: Terms) -> bool:
    """Tell whether `after` only says what `before` left open, or leaves out what it said."""
    names = ("instance_type", "zone", "capacity_type", "price_usd_per_hour", "price_basis")
    pairs = [(getattr(before, name), getattr(after, name)) for name in names]
    return all(old in (None, "") or new in (None, "") or old == new for old, new in pairs)


def completed(before: Terms, after: Terms) -> Terms:
    """Return `after` with what only `before` says."""
    return Terms(
        instance_type=after.instance_type or before.instance_type,
        zone=after.zone or before.zone,
        capacity_type=after.capacity_type or before.capacity_type,
        price_usd_per_hour=before.price_usd_per_hour
        if after.price_usd_per_hour is None
        else after.price_usd_per_hour,
        price_basis=after.price_basis or before.price_basis,
    )


def ending(
    events: Iterable[SeenEvent], *, began_at: datetime, seen_until: datetime, now: datetime
) -> Ending:
    """Return when an object that is gone ended: seen, told by an event, or somewhere in a time that
    nobody saw.

    seen_until: until when the cluster was watched before it was found gone. Never before began_at.
    An event's time has whole seconds of another clock, and what happened just before a stream broke
    never came: both within LIVE.
    """
    if now - seen_until <= LIVE:
        return Ending(max(began_at, now))
    told = [note.last_at for note in events if note.reason in ENDINGS]
    near = [at for at in told if seen_until - LIVE <= at <= now + LIVE]
    if near:
        return Ending(max(began_at, min(now, max(near))), told_since=max(began_at, seen_until))
    return Ending(max(began_at, now), unobserved_from=max(began_at, seen_until))


def launched_at(events: Iterable[SeenEvent]) -> datetime | None:
    """Return when a claim's machine was launched, as the event of its condition says; None where
    none does.
    """
    told = [
        note.first_at for note in events if note.reason == "Launched" and "-> True" in note.message
    ]
    return min(told, default=None)


def launch_reason(name: str, events: Iterable[SeenEvent]) -> str:
    """Return why Karpenter launched the claim `name`: the pod that was promised it, or the
    disruption it replaces.
    """
    for note in sorted(events, key=lambda note: note.last_at):
        if note.reason == "DisruptionLaunching" and note.object_name == name:
            return f"Replaces a node: {note.message.rpartition(': ')[2]}"[:300]
        if promised_claim(note) == name:
            return f"Pod {note.object_namespace}/{note.object_name} waited for a GPU"[:300]
    return ""


def end_reason(events: Iterable[SeenEvent]) -> str:
    """Return why a claim or its node was removed, as Karpenter's events say; "" where none does.

    A cause comes before what only follows from it: a machine that Karpenter removes is terminated
    in AWS, too.
    """
    notes = sorted(events, key=lambda note: note.last_at)
    told = {note.reason for note in notes if not note.message.startswith(_TRANSITION)}
    removed = next(
        (note for note in reversed(notes) if note.reason == "DisruptionTerminating"), None
    )
    cause = next((words for reason, words in _CAUSES.items() if reason in told), "")
    if cause or removed is None:
        return cause or next((words for reason, words in _FOLLOWS.items() if reason in told), "")
    return f"{REMOVED}{removed.message.rpartition(': ')[2]}"[:300]


def replica_end_reason(events: Iterable[SeenEvent]) -> str:
    """Return why a pod was removed, as its events say; "" where none does."""
    words = ("Evicted", "Preempted", "TaintManagerEviction", "Disrupted")
    notes = [note for note in events if note.reason in words]
    return f"{notes[-1].reason}: {notes[-1].message}"[:300] if notes else ""


def promised_claim(note: SeenEvent) -> str:
    """Return the claim that Karpenter promised to the pod of an event, "" where it is none of
    those.
    """
    return readings.promised_claim(note.reason, note.message) if note.object_kind == "Pod" else ""


def node_phases(
    pod_created_at: datetime, claim: Mapping[str, object]
) -> list[tuple[str, datetime]]:
    """Return the phases that a pod waited for its node; none where the node was there before the
    pod.
    """
    made = claim.get("created_at")
    if not isinstance(made, datetime) or made < pod_created_at:
        return []
    names = (("CLAIM", "created_at"), ("LAUNCHED", "launched_at"), ("REGISTERED", "registered_at"))
    times = [
        (phase, claim.get(name)) for phase, name in (*names, ("INITIALIZED", "initialized_at"))
    ]
    return [(phase, at) for phase, at in times if isinstance(at, datetime)]


def image_pulled_at(events: Iterable[SeenEvent]) -> datetime | None:
    """Return when the engine's image was there for the first time, by the kubelet's events."""
    pulled = [
        note.first_at
        for note in events
        if note.reason == "Pulled" and note.field_path == _ENGINE_IMAGE
    ]
    return min(pulled, default=None)


def quantity(text: object) -> float:
    """Return a Kubernetes quantity as a number: 64, 1500m, 512Gi; 0 for what is none."""
    found = re.fullmatch(r"([0-9.]+)(m|[kMGTP]i?|)", str(text))
    if found is None:
        return 0.0
    unit = found.group(2)
    scale = (
        0.001
        if unit == "m"
        else (1024.0 if unit.endswith("i") else 1000.0) ** " kMGTP".find(unit[:1] or " ")
    )
    return float(found.group(1)) * scale


def gpus(text: object) -> int:
    """Return a GPU quantity as a number; 0 for what is none."""
    return int(str(text)) if str(text).isdecimal() else 0


def _seen(
    obj: Manifest, fields: Mapping[str, object], phases: Sequence[tuple[str, datetime]] = ()
) -> Seen | None:
    metadata = obj.get("metadata") or {}
    created, version = (
        readings.parse_time(metadata.get("creationTimestamp")),
        str(metadata.get("resourceVersion", "")),
    )
    if created is None or not metadata.get("uid"):
        return None
    deleting = readings.parse_time(metadata.get("deletionTimestamp"))
    return Seen(
        uid=metadata["uid"],
        name=metadata.get("name", ""),
        version=int(version) if version.isdecimal() else 0,
        created_at=created,
        fields={**fields, "deleting_at": deleting},
        phases=tuple(phases),
    )


def _machine(obj: Manifest) -> dict[str, object]:
    metadata = obj.get("metadata") or {}
    labels = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    capacity = (obj.get("status") or {}).get("capacity") or {}
    found: dict[str, object] = {column: labels.get(label, "") for column, label in _MACHINE.items()}
    count = gpus(capacity.get(GPU)) or gpus(labels.get("karpenter.k8s.aws/instance-gpu-count"))
    return found | {
        "gpu_count": count,
        "price_usd_per_hour": _price(labels.get(PRICE)),
        "price_basis": labels.get(PRICE_BASIS, ""),
    }


def _price(text: object) -> Decimal | None:
    try:
        price = Decimal(str(text)).quantize(Decimal(1).scaleb(-10))
    except InvalidOperation:
        return None
    if not price.is_finite():
        return None
    return price if 0 <= price < 1_000_000 else None


def _pod_gpus(obj: Manifest) -> int:
    containers = (obj.get("spec") or {}).get("containers") or []
    return sum(
        gpus(((each.get("resources") or {}).get("limits") or {}).get(GPU)) for each in containers
    )


def _pod_slices(obj: Manifest) -> int:
    """Return how many slices of cards a pod's MIG instances have together."""
    containers = (obj.get("spec") or {}).get("containers") or []
    limits = [(each.get("resources") or {}).get("limits") or {} for each in containers]
    return sum(
        int(found.group(1)) * gpus(count)
        for each in limits
        for name, count in each.items()
        if (found := _MIG.match(name)) is not None
    )


def _engine_port(obj: Manifest) -> int:
    """Return the port that the engine's container declares: the first one, as KServe takes it."""
    containers = (obj.get("spec") or {}).get("containers") or []
    engine: Manifest = next(
        (each for each in containers if each.get("name") == "kserve-container"), {}
    )
    return next(
        (
            int(port["containerPort"])
            for port in engine.get("ports") or []
            if "containerPort" in port
        ),
        8080,
    )


def _trouble(
    conditions: Mapping[str, Condition], init: ContainerStatus, engine: ContainerStatus
) -> str:
    """Return why a pod is not ready, in the words of what stopped it; "" where it is ready or on
    its way.
    """
    scheduled = conditions.get("PodScheduled")
    if scheduled is not None and not scheduled.is_true:
        return scheduled.message
    for container in (init, engine):
        if container.state == "waiting" and container.reason not in (
            "",
            "PodInitializing",
            "ContainerCreating",
        ):
            return f"{container.reason}: {container.message or container.last_message}".strip(": ")
    return ""
