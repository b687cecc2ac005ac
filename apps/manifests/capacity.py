"""Karpenter's objects: the pools that buy GPU machines, and the class of machine they buy. Pure,
and both ways.

`node_pool` renders a pool and `read_node_pool` reads one; a manifest that the dataclass cannot hold
whole is refused, so that rendering never drops what somebody wrote by hand.

Traps held here: nodeClassRef needs group, kind and name; the GPU taint is always there, and
`nvidia.com/gpu` never among the requirements (it is a resource, not a label); a pool has a GPU
limit; consolidateAfter is always written; schedule and duration of a budget come together; names
fit a label's value; the second disk holds image and weights; a family sells whole GPUs.

Spot share: Karpenter has no percentage. A pool names the capacity types it may buy, and Karpenter
takes the cheapest that is to be had: with both types that is Spot first and on-demand where there
is none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from apps.manifests.durations import NEVER, is_duration
from apps.manifests.names import OWNER_LABELS
from apps.manifests.schedules import is_schedule
from apps.manifests.text import Manifest

GPU = "nvidia.com/gpu"
POOL_LABEL = "quartermaster.dev/node-pool"
FAMILY = "karpenter.k8s.aws/instance-family"
CAPACITY_TYPE = "karpenter.sh/capacity-type"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
SPOT, ON_DEMAND = "spot", "on-demand"
CAPACITY_TYPES = (SPOT, ON_DEMAND)
POLICIES = ("WhenEmpty", "WhenEmptyOrUnderutilized")
REASONS = ("Empty", "Underutilized", "Drifted")
FOLDER = "capacity"
# families whose machines have a part of a GPU, which no pod can ask for
FRACTIONAL = ("g6f", "gr6f")
SPARE_GIB = 20  # logs, the container runtime, what pods write
MOST_BUDGETS = 50
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")  # a label's value holds 63
_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_WINDOW = re.compile(r"([0-9]+h[0-9]+m|[0-9]+(h|m))")
_ALIAS = re.compile(r"(al2|al2023|bottlerocket)@v?[0-9][0-9.a-z-]*")
_NODES = re.compile(r"((100|[0-9]{1,2})%|[0-9]+)")
_MACHINES = ({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
             {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]})  # fmt: skip


class BadCapacity(ValueError):
    """The pool or class cannot be rendered as asked, or not be read; the text says what is
    wrong.
    """


@dataclass(frozen=True)
class NodeClassRef:
    """Which class of machine a pool buys. group and kind cannot change once the pool is there."""

    group: str
    kind: str
    name: str


@dataclass(frozen=True)
class Budget:
    """How many nodes may be disrupted at once: "10%" or "2". reasons: () for all. schedule: five
    cron fields, UTC.
    """

    nodes: str
    reasons: tuple[str, ...] = ()
    schedule: str = ""
    duration: str = ""


@dataclass(frozen=True)
class NodePool:
    """One pool. Limits: at most so much at once over all its nodes; cpu (vCPUs) and memory_gib:
    None for no limit.
    """

    name: str
    node_class: NodeClassRef
    families: tuple[str, ...]
    gpus: int
    capacity_types: tuple[str, ...] = CAPACITY_TYPES
    cpu: int | None = None
    memory_gib: int | None = None
    consolidation_policy: str = "WhenEmptyOrUnderutilized"
    consolidate_after: str = "2m"
    budgets: tuple[Budget, ...] = (Budget("10%"),)
    expire_after: str = "720h"
    termination_grace_period: str = "30m"
    weight: int | None = None


def pool_path(name: str) -> str:
    """Return where a pool lives in the repository."""
    return f"{FOLDER}/{name}.yaml"


def node_pool(pool: NodePool) -> Manifest:
    """Return the NodePool. Raises BadCapacity with words for people."""
    _check(pool)
    limits = {GPU: str(pool.gpus)}
    if pool.cpu is not None:
        limits["cpu"] = str(pool.cpu)
    if pool.memory_gib is not None:
        limits["memory"] = f"{pool.memory_gib}Gi"
    spec: Manifest = {
        "template": {"metadata": {"labels": {POOL_LABEL: pool.name}}, "spec": _template(pool)},
        "limits": limits,
        "disruption": {
            "consolidationPolicy": pool.consolidation_policy,
            "consolidateAfter": pool.consolidate_after,
            "budgets": [_budget(budget) for budget in pool.budgets],
        },
    }
    if pool.weight is not None:
        spec["weight"] = pool.weight
    metadata = {"name": pool.name, "labels": dict(OWNER_LABELS)}
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": metadata, "spec": spec}


def _template(pool: NodePool) -> Manifest:
    chosen = ((FAMILY, pool.families), (CAPACITY_TYPE, pool.capacity_types))
    requirements = [
        {"key": key, "operator": "In", "values": list(values)} for key, values in chosen
    ]
    return {
        "nodeClassRef": {
            "group": pool.node_class.group,
            "kind": pool.node_class.kind,
            "name": pool.node_class.name,
        },
        "requirements": [*requirements, *(dict(fixed) for fixed in _MACHINES)],
        "taints": [{"key": GPU, "value": "true", "effect": "NoSchedule"}],
        "expireAfter": pool.expire_after,
        "terminationGracePeriod": pool.termination_grace_period,
    }


def _budget(budget: Budget) -> Manifest:
    made: Manifest = {"nodes": budget.nodes}
    if budget.reasons:
        made["reasons"] = list(budget.reasons)
    if budget.schedule:
        made |= {"schedule": budget.schedule, "duration": budget.duration}
    return made


def read_node_pool(manifest: Mapping[str, object]) -> NodePool:
    """Return the pool that a NodePool's manifest says.

    Raises BadCapacity where it is not one, or says something that `node_pool` would not render
    again.
    """
    try:
        pool = _read(dict(manifest))
        rendered = node_pool(pool)
    except BadCapacity:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadCapacity(
            f"This is not a NodePool that the portal can read: {error!r:.120}"
        ) from error
    lost = _lost(manifest, rendered)
    if lost:
        raise BadCapacity(
            f"It says {lost}, which the portal does not know. Change this pool in Git by hand."
        )
    return pool


def _read(manifest: Manifest) -> NodePool:
    if (manifest.get("apiVersion"), manifest.get("kind")) != ("karpenter.sh/v1", "NodePool"):
        raise BadCapacity("This is not a NodePool of karpenter.sh/v1.")
    spec, template = manifest["spec"], manifest["spec"]["template"]["spec"]
    values = {
        item["key"]: tuple(item["values"])
        for item in template["requirements"]
        if item["operator"] == "In"
    }
    limits, disruption, reference = (
        spec.get("limits") or {},
        spec["disruption"],
        template["nodeClassRef"],
    )
    if GPU not in limits:
        raise BadCapacity(
            "The pool has no GPU limit, so it may buy without limit. Give it one in Git."
        )
    return NodePool(
        name=manifest["metadata"]["name"],
        node_class=NodeClassRef(reference["group"], reference["kind"], reference["name"]),
        families=values.get(FAMILY, ()),
        capacity_types=values.get(CAPACITY_TYPE, ()),
        gpus=int(limits[GPU]),
        cpu=int(limits["cpu"]) if "cpu" in limits else None,
        memory_gib=int(str(limits["memory"]).removesuffix("Gi")) if "memory" in limits else None,
        consolidation_policy=disruption.get("consolidationPolicy", POLICIES[1]),
        consolidate_after=disruption["consolidateAfter"],
        budgets=tuple(
            _read_budget(item) for item in disruption.get("budgets") or [{"nodes": "10%"}]
        ),
        expire_after=template.get("expireAfter", "720h"),
        termination_grace_period=template.get("terminationGracePeriod", "30m"),
        weight=spec.get("weight"),
    )


def _read_budget(item: Manifest) -> Budget:
    return Budget(
        str(item["nodes"]),
        tuple(item.get("reasons") or ()),
        item.get("schedule", ""),
        item.get("duration", ""),
    )


def _lost(found: object, rendered: object, path: str = "") -> str:
    """Return the path of what `rendered` would drop or change of `found`; "". 64 and "64" are the
    same quantity.
    """
    if isinstance(found, Mapping) and isinstance(rendered, Mapping):
        below = (
            _lost(value, rendered.get(key), f"{path}.{key}" if path else str(key))
            for key, value in found.items()
        )
        return next(filter(None, below), "")
    if isinstance(found, list) and isinstance(rendered, list) and len(found) == len(rendered):
        pairs = enumerate(zip(found, rendered, strict=True))
        return next(filter(None, (_lost(*pair, f"{path}[{place}]") for place, pair in pairs)), "")
    return "" if rendered is not None and str(found) == str(rendered) else path


def carries(found: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    """Tell whether an object of the cluster has the wanted spec; what the API server filled in does
    not count.
    """
    return _contains(found.get("spec"), wanted["spec"])


def _contains(found: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _contains(found.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        return all(_contains(*pair) for pair in zip(found, wanted, strict=True))
    return found is not None and str(found) == str(wanted)


# -- What a pool may say ---------------------------------------------------------------------------


def _check(pool: NodePool) -> None:
    if not _NAME.fullmatch(pool.name):
        raise BadCapacity(
            f"{pool.name!r} cannot name a NodePool: lower-case letters, digits, dashes, at most 63."
        )
    if not pool.families or not all(_VALUE.fullmatch(family) for family in pool.families):
        raise BadCapacity("A pool needs at least one instance family.")
    if fractional := sorted(set(pool.families) & set(FRACTIONAL)):
        raise BadCapacity(f"A machine of {fractional[0]} has a part of a GPU: no replica fits it.")
    if not pool.capacity_types or not set(pool.capacity_types) <= set(CAPACITY_TYPES):
        raise BadCapacity("A pool buys Spot machines, on-demand machines, or both.")
    if min(pool.gpus, pool.cpu or 0, pool.memory_gib or 0) < 0:
        raise BadCapacity("A limit is 0 or more.")
    if pool.weight is not None and not 1 <= pool.weight <= 100:
        raise BadCapacity("A weight is 1 to 100.")
    _check_times(pool)
    if not 1 <= len(pool.budgets) <= MOST_BUDGETS:
        raise BadCapacity(
            f"A pool has 1 to {MOST_BUDGETS} disruption budgets; without one Karpenter takes 10%."
        )
    for budget in pool.budgets:
        check_budget(budget)


def _check_times(pool: NodePool) -> None:
    if pool.consolidation_policy not in POLICIES:
        raise BadCapacity(f"The consolidation policy is one of: {', '.join(POLICIES)}.")
    if pool.consolidate_after != NEVER and not is_duration(pool.consolidate_after):
        raise BadCapacity("Consolidation starts after a duration such as 2m or 1h30m, or Never.")
    if pool.expire_after != NEVER and not is_duration(pool.expire_after):
        raise BadCapacity("A node expires after a duration such as 720h, or Never.")
    if not is_duration(pool.termination_grace_period):
        raise BadCapacity("A node may take a duration such as 30m to end.")


def check_budget(budget: Budget) -> None:
    """Raise BadCapacity where a budget is not one that Karpenter takes."""
    if not _NODES.fullmatch(budget.nodes):
        raise BadCapacity(
            f"{budget.nodes!r} is not a number of nodes: write a number such as 2, or a "
            f"share such as 10%."
        )
    if not set(budget.reasons) <= set(REASONS):
        raise BadCapacity(f"A budget's reasons are among: {', '.join(REASONS)}.")
    if bool(budget.schedule) != bool(budget.duration):
        raise BadCapacity(
            "A budget's schedule and duration come together: when the window opens, "
            "and for how long."
        )
    if budget.schedule and not is_schedule(budget.schedule):
        raise BadCapacity(
            f"{budget.schedule!r} is not a schedule: five cron fields in UTC (minute, hour, day, "
            f"month, weekday), such as "
            "0 12 * * mon-fri."
        )
    if budget.duration and not _WINDOW.fullmatch(budget.duration):
        raise BadCapacity(
            f"{budget.duration!r} is not the length of a window: write 8h, 90m or 1h30m."
        )


# -- Node classes ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class EC2NodeClass:
    """How a GPU machine is started on AWS. discovery: the value of the tag karpenter.sh/discovery.
    Sizes in GiB.

    ami_alias names a version: with @latest every new image would drift every node.
    """

    name: str
    role: str
    discovery: str
    ami_alias: str
    image_gib: int = 40  # the engine's image, compressed and unpacked
    weights_gib: int = 200  # the largest version's files
    volume_gib: int = 300
    iops: int = 6000
    throughput_mib: int = 600


def ec2_node_class(wanted: EC2NodeClass) -> Manifest:
    """Return the EC2NodeClass. Raises BadCapacity."""
    if not _NAME.fullmatch(wanted.name):
        raise BadCapacity(
            f"{wanted.name!r} cannot name a node class: lower-case letters, digits, "
            f"dashes, at most 63."
        )
    if not _ALIAS.fullmatch(wanted.ami_alias):
        words = "The machine image is pinned: an alias such as bottlerocket@v1.40.0, never @latest"
        raise BadCapacity(f"{words}; Karpenter takes the NVIDIA variant of it by itself.")
    needed = wanted.image_gib + wanted.weights_gib + SPARE_GIB
    if wanted.volume_gib < needed:
        raise BadCapacity(
            f"A disk of {wanted.volume_gib} GiB does not hold image and weights: at "
            f"least {needed} GiB."
        )
    tags = [{"tags": {"karpenter.sh/discovery": wanted.discovery}}]
    data_disk = {"iops": wanted.iops, "throughput": wanted.throughput_mib}
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": wanted.name, "labels": dict(OWNER_LABELS)},
        "spec": {
            "amiSelectorTerms": [{"alias": wanted.ami_alias}],
            "role": wanted.role,
            "subnetSelectorTerms": tags,
            "securityGroupSelectorTerms": [dict(tags[0])],
            "metadataOptions": {
                "httpEndpoint": "enabled",
                "httpTokens": "required",
                "httpPutResponseHopLimit": 1,
            },
            "blockDeviceMappings": [
                _disk("/dev/xvda", 4),
                _disk("/dev/xvdb", wanted.volume_gib, data_disk),
            ],
            "instanceStorePolicy": "RAID0",
        },
    }


def _disk(device: str, size_gib: int, more: Mapping[str, int] | None = None) -> Manifest:
    ebs = {"volumeSize": f"{size_gib}Gi", "volumeType": "gp3", "encrypted": True} | dict(more or {})
    return {"deviceName": device, "ebs": ebs}


@dataclass(frozen=True)
class KwokNodeClass:
    """What takes the EC2NodeClass's place where no machine is real: the delay stands for booting
    and joining.
    """

    name: str
    registration_delay: str = "5s"


def kwok_node_class(wanted: KwokNodeClass) -> Manifest:
    """Return the KWOKNodeClass. Raises BadCapacity."""
    if not _NAME.fullmatch(wanted.name) or not is_duration(wanted.registration_delay):
        raise BadCapacity("A KWOKNodeClass needs a name and a delay such as 5s.")
    return {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": wanted.name, "labels": dict(OWNER_LABELS)},
        "spec": {"nodeRegistrationDelay": wanted.registration_delay},
    }
