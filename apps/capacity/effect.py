"""What a change of a pool would do: what changes, what it may cost at most, which nodes have to go.
Pure.

Every figure is an estimate and says of what: the most that the limits allow at list prices, never a
forecast.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.capacity.fit import is_within, machines_of
from apps.common.counts import counted
from apps.common.periods import HOURS_PER_MONTH
from apps.fleet import prices, sightings, words
from apps.manifests import durations, schedules
from apps.manifests.capacity import CAPACITY_TYPES, GPU, ON_DEMAND, SPOT, Budget, NodePool

SPOT_SHARES = {
    (ON_DEMAND,): "On-demand only",
    (SPOT, ON_DEMAND): "Spot first, on-demand where there is no Spot",
    (SPOT,): "Spot only; warm versions, which run on no Spot machine, need another pool",
}
POLICY_WORDS = {
    "WhenEmpty": "Remove empty nodes",
    "WhenEmptyOrUnderutilized": "Remove empty nodes, and move replicas off poorly used ones",
}


@dataclass(frozen=True)
class Change:
    """One setting that changes."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Spend:
    """The most that a pool's limits allow, in USD at list prices. unpriced: allowed types without a
    listed price.
    """

    usd_per_hour: Decimal
    unpriced: tuple[str, ...]

    @property
    def usd_per_month(self) -> Decimal:
        """Return the same for a month of 730 hours."""
        return self.usd_per_hour * HOURS_PER_MONTH


@dataclass(frozen=True)
class Machine:
    """A node of the pool as it is now."""

    name: str
    instance_type: str
    capacity_type: str


@dataclass(frozen=True)
class Span:
    """A stretch of a machine's time that was observed, at one price."""

    instance_type: str
    capacity_type: str
    usd_per_hour: Decimal | None
    is_simulated: bool
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True)
class SpotMeasure:
    """What Spot was worth. share: of the machine hours; discount: against list prices, None where
    nothing compares.
    """

    hours: Decimal
    spot_hours: Decimal
    discount: Decimal | None
    is_simulated: bool

    @property
    def share_percent(self) -> Decimal:
        """Return the Spot share of the hours in percent."""
        return 100 * self.spot_hours / self.hours

    @property
    def discount_percent(self) -> Decimal | None:
        """Return the discount in percent."""
        return None if self.discount is None else 100 * self.discount


def spot_share(pool: NodePool) -> str:
    """Return a pool's Spot share in words: which capacity types it may buy."""
    return SPOT_SHARES[tuple(name for name in CAPACITY_TYPES if name in pool.capacity_types)]


def settings(pool: NodePool) -> dict[str, str]:
    """Return a pool's settings in words, in the page's order."""
    return {
        "GPUs at most": f"{pool.gpus:,}",
        "vCPUs at most": "no limit" if pool.cpu is None else f"{pool.cpu:,}",
        "Memory at most": "no limit" if pool.memory_gib is None else f"{pool.memory_gib:,} GiB",
        "Instance families": ", ".join(pool.families),
        "Spot share": spot_share(pool),
        "Consolidation": f"{POLICY_WORDS[pool.consolidation_policy]}, "
        f"{_after(pool.consolidate_after)}",
        "Disruption budgets": "; ".join(budget_words(budget) for budget in pool.budgets),
    }


def _after(length: str) -> str:
    return "never" if length == durations.NEVER else f"after {durations.words(length)}"


def budget_words(budget: Budget) -> str:
    """Return a budget in words."""
    found = [name.lower() for name in budget.reasons]
    reasons = f", when {' or '.join(found)}" if found else ", for any reason"
    window = ""
    if budget.schedule:
        window = f", {schedules.words(budget.schedule)} UTC, for {durations.words(budget.duration)}"
    share = budget.nodes.endswith("%")
    nodes = (
        f"{budget.nodes.removesuffix('%')} % of the nodes"
        if share
        else f"{budget.nodes} node{'' if budget.nodes == '1' else 's'}"
    )
    return f"{nodes} at once{reasons}{window}"


def changes(before: NodePool, after: NodePool) -> list[Change]:
    """Return the settings that differ, in words."""
    old, new = settings(before), settings(after)
    return [Change(label, old[label], new[label]) for label in new if old[label] != new[label]]


def most(pool: NodePool) -> Spend:
    """Return the most that a pool may cost at once.

    A limit allows at most limit × the highest allowed price per unit of it; the tightest limit
    decides. An upper bound: the most expensive machine may not divide a limit evenly, and Spot is
    cheaper than its list price.
    """
    allowed = [item for item in machines_of(pool) if is_within(item, pool)]
    priced = [(item, item.usd_per_hour) for item in allowed if item.usd_per_hour is not None]
    unpriced = tuple(item.name for item in allowed if item.usd_per_hour is None)
    if not priced:
        return Spend(Decimal(0), unpriced)
    bounds = [max(usd / Decimal(item.gpus) for item, usd in priced) * pool.gpus]
    if pool.cpu is not None:
        bounds.append(max(usd / Decimal(item.vcpus) for item, usd in priced) * pool.cpu)
    if pool.memory_gib is not None:
        bounds.append(max(usd / item.memory_gib for item, usd in priced) * pool.memory_gib)
    return Spend(min(bounds), unpriced)


def too_small(pool: NodePool) -> str:
    """Return, in words, why the limits leave no single machine to buy; "" where one fits, or the
    pool is closed (0).
    """
    machines = machines_of(pool)
    if not pool.gpus or not machines or any(is_within(item, pool) for item in machines):
        return ""
    least = min(machines, key=lambda item: (item.gpus, item.vcpus))
    size = f"{counted(least.gpus, 'GPU')}, {least.vcpus} vCPUs and {least.memory_gib:,.0f} GiB"
    families = ", ".join(pool.families)
    return (
        f"No machine of {families} fits within these limits: the smallest, {least.name}, has "
        f"{size}."
    )


def drifting(machines: Iterable[Machine], after: NodePool) -> list[tuple[Machine, str]]:
    """Return the machines that the pool would not allow any more, each with why."""
    found = []
    for machine in machines:
        family = prices.family_of(machine.instance_type)
        if family and family not in after.families:
            found.append((machine, f"family {family} is no longer allowed"))
        elif machine.capacity_type and machine.capacity_type not in after.capacity_types:
            kind = words.capacity_type(machine.capacity_type)
            found.append((machine, f"{kind} is no longer allowed"))
    return found


def exceeded(usage: Mapping[str, object], after: NodePool) -> list[str]:
    """Return, in words, the limits that are below what is in use now."""
    wanted = (
        (GPU, after.gpus, "GPUs", 1.0),
        ("cpu", after.cpu, "vCPUs", 1.0),
        ("memory", after.memory_gib, "GiB of memory", 1024.0**3),
    )
    found = []
    for name, limit, unit, scale in wanted:
        used = sightings.quantity(usage.get(name, "0")) / scale
        if limit is not None and used > limit:
            found.append(f"{used:,.0f} {unit} in use, and the limit would be {limit:,}")
    return found


def measure_spot(spans: Sequence[Span]) -> SpotMeasure | None:
    """Return what Spot was worth over the spans; None without any."""
    hours = sum((_hours(span) for span in spans), Decimal(0))
    if not hours:
        return None
    spot = [span for span in spans if span.capacity_type == SPOT]
    paid = listed = Decimal(0)
    for span in spot:
        price = prices.list_price(span.instance_type)
        if price is not None and span.usd_per_hour is not None:
            paid += span.usd_per_hour * _hours(span)
            listed += price * _hours(span)
    return SpotMeasure(
        hours=hours,
        spot_hours=sum((_hours(span) for span in spot), Decimal(0)),
        discount=1 - paid / listed if listed else None,
        is_simulated=any(span.is_simulated for span in spot),
    )


def _hours(span: Span) -> Decimal:
    return Decimal(str(max((span.to_at - span.from_at).total_seconds(), 0.0))) / 3600
