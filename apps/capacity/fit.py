"""Whether some NodePool can buy what a version's serving settings ask for, and where not, why.
Pure: pools and settings in.

Karpenter would only say so after the approval, of a pod that waits for ever. A machine leaves its
pods less than it is sold with: what the kubelet keeps is taken off as EKS takes it off
(`amazon-eks-ami`: max pods, reserved CPU and memory), and what the hypervisor keeps as Karpenter
guesses it. What other versions hold of a pool's limits is not taken off: it comes and goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.common.counts import counted
from apps.fleet import prices
from apps.fleet.prices import InstanceType
from apps.manifests.capacity import FRACTIONAL, ON_DEMAND, NodePool
from apps.manifests.serving_settings import ServingSettings

HYPERVISOR = Decimal("0.075")  # of a machine's memory; karpenter's VM_MEMORY_OVERHEAD_PERCENT
MIB_FOR_KUBELET, MIB_PER_POD, MIB_BEFORE_EVICTION = 255, 11, 100
# vCPUs up to which a machine has so many pods at most: of the network cards of its size
PODS = ((4, 58), (64, 234), (10_000, 737))
SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """machines: pool → the cheapest type that it may buy for a replica, by list price. problem:
    why it cannot be bought, in sentences; "" where it can, or where no pool is known.
    """

    machines: dict[str, InstanceType]
    problem: str = ""
    is_known: bool = True

    @property
    def machine(self) -> InstanceType | None:
        """Return the cheapest machine that some pool buys for a replica, by list price."""
        return min(self.machines.values(), key=_price, default=None)

    @property
    def words(self) -> str:
        """Return what can be bought, in words."""
        if not self.is_known:
            return "no NodePool is known, so nobody can say whether one can buy it"
        found = [f"{pool} buys {item.name}" for pool, item in sorted(self.machines.items())]
        return ", ".join(found) + " for it" if found else "no NodePool can buy it"


def fit(
    settings: ServingSettings, pools: Sequence[NodePool], *, needs_on_demand: bool, whole: bool
) -> Fit:
    """Return which pools can buy what the settings ask for. needs_on_demand: a Spot machine will
    not do. whole: these are all the pools that there are, so what they cannot buy nobody can.
    """
    left = {pool.name: _usable(settings, pool, needs_on_demand) for pool in pools}
    machines = {name: min(found, key=_price) for name, found in left.items() if found}
    if not pools or not (machines or whole):
        return Fit({}, is_known=False)
    if not machines:
        why = " ".join(_why(settings, pool, needs_on_demand) for pool in pools[:SHOWN])
        return Fit({}, f"No NodePool can buy it. {why} {_would(settings)}".strip())
    most = sum(max(_replicas(settings, pool, item) for item in left[pool.name]) for pool in pools
               if left[pool.name])  # fmt: skip
    if whole and most < settings.replicas_most:
        words = (
            f"{' and '.join(sorted(machines))} may buy machines for {counted(most, 'replica')} at "
            f"most, and {settings.replicas_most} are asked for. Ask for fewer, or have the limit "
            "raised under Capacity."
        )
        return Fit(machines, words)
    return Fit(machines)


def holds(item: InstanceType, settings: ServingSettings) -> bool:
    """Tell whether a machine of a type holds one replica."""
    return not _lacks(item, settings)


def _usable(settings: ServingSettings, pool: NodePool, needs_on_demand: bool) -> list[InstanceType]:
    """Return the types that a pool may buy for a replica."""
    if needs_on_demand and ON_DEMAND not in pool.capacity_types:
        return []
    return [
        item
        for item in machines_of(pool)
        if _is_named(item, settings) and is_within(item, pool) and holds(item, settings)
    ]


def machines_of(pool: NodePool) -> list[InstanceType]:
    """Return the types that a pool's families have."""
    return [item for item in prices.instance_types() if item.family in pool.families]


def _is_named(item: InstanceType, settings: ServingSettings) -> bool:
    return not settings.instance_types or item.name in settings.instance_types


def is_within(item: InstanceType, pool: NodePool) -> bool:
    """Tell whether one machine of the type is within the pool's limits."""
    within_cpu = pool.cpu is None or item.vcpus <= pool.cpu
    within_memory = pool.memory_gib is None or item.memory_gib <= pool.memory_gib
    return item.gpus <= pool.gpus and within_cpu and within_memory


def _lacks(item: InstanceType, settings: ServingSettings) -> str:
    """Return what a machine has too little of for one replica; "" where it holds it."""
    if item.gpus < settings.gpus:
        return f"{item.name} has {counted(item.gpus, 'GPU')}"
    if cpu_left(item) < settings.cpu_millis:
        return f"{item.name} leaves {cpu_left(item) / 1000:.2f} CPUs to its pods"
    if memory_left(item) < settings.memory_mib:
        return f"{item.name} leaves {memory_left(item) / 1024:.1f} GiB of memory to its pods"
    return ""


def cpu_left(item: InstanceType) -> int:
    """Return the thousandths of CPUs that a machine leaves to its pods."""
    kept = sum(
        share * max(min(item.vcpus, until) - since, 0)
        for since, until, share in ((0, 1, 60), (1, 2, 10), (2, 4, 5), (4, 10_000, 2.5))
    )
    return int(item.vcpus * 1000 - kept)


def memory_left(item: InstanceType) -> int:
    """Return the MiB of memory that a machine leaves to its pods."""
    pods = next(most for vcpus, most in PODS if item.vcpus <= vcpus)
    kept = MIB_FOR_KUBELET + MIB_PER_POD * pods + MIB_BEFORE_EVICTION
    return int(item.memory_gib * 1024 * (1 - HYPERVISOR)) - kept


def _replicas(settings: ServingSettings, pool: NodePool, item: InstanceType) -> int:
    """Return how many replicas a pool's limits allow on machines of a type."""
    bounds = [pool.gpus // item.gpus]
    if pool.cpu is not None:
        bounds.append(pool.cpu // item.vcpus)
    if pool.memory_gib is not None:
        bounds.append(int(pool.memory_gib // item.memory_gib))
    on_one = min(
        item.gpus // settings.gpus,
        cpu_left(item) // settings.cpu_millis,
        memory_left(item) // settings.memory_mib,
    )
    return min(bounds) * on_one


def _price(item: InstanceType) -> tuple[bool, Decimal, str]:
    return (item.usd_per_hour is None, item.usd_per_hour or Decimal(0), item.name)


def _why(settings: ServingSettings, pool: NodePool, needs_on_demand: bool) -> str:
    """Return why a pool buys nothing for a replica, as a sentence."""
    if needs_on_demand and ON_DEMAND not in pool.capacity_types:
        return f"{pool.name} buys Spot machines only, and a warm version runs on none."
    named = [item for item in machines_of(pool) if _is_named(item, settings)]
    if not named:
        wanted = ", ".join(settings.instance_types) or "machine that is known"
        return f"{pool.name} buys no {wanted}."
    able = [item for item in named if holds(item, settings)]
    if able:
        least = min(able, key=lambda item: (item.gpus, item.vcpus, item.name))
        size = f"{counted(least.gpus, 'GPU')}, {least.vcpus} vCPUs, {least.memory_gib:,.0f} GiB"
        return f"The limits of {pool.name} are below one {least.name} ({size}), which holds it."
    largest = max(named, key=lambda item: (item.gpus, item.memory_gib, item.vcpus))
    return f"The largest machine of {pool.name} is too small: {_lacks(largest, settings)}."


def _would(settings: ServingSettings) -> str:
    """Return which pool would do: one with the cheapest family that holds a replica."""
    able = _able(prices.instance_types(), settings)
    if not able:
        return "No machine that is known holds it."
    best = min(able, key=_price)
    return f"A pool that buys {best.family} would: {best.name} holds it."


def _able(items: Iterable[InstanceType], settings: ServingSettings) -> list[InstanceType]:
    return [
        item
        for item in items
        if item.family not in FRACTIONAL and _is_named(item, settings) and holds(item, settings)
    ]
