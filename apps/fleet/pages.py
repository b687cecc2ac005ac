"""What the fleet's pages show, from loaded rows: badges, time lines. Formats and compares,
never decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.common.badges import Badge
from apps.common.charts import Look, Span, TimeLine, Unit, length
from apps.common.progress import took
from apps.fleet import gpu_map, intervals, sightings, words
from apps.fleet.metrics.loads import ReplicaLoad
from apps.fleet.metrics.models import ReplicaSample
from apps.fleet.models import Node, NodeClaim, NodeInterval, NodePool, Replica, ReplicaPhase

NODE_PHASES = frozenset({"CLAIM", "LAUNCHED", "REGISTERED", "INITIALIZED"})
PHASE_ORDER = list(ReplicaPhase.Phase.values)
LONGEST_CHART = timedelta(hours=24)
# of a bar on a time line, whose axis has times
LASTING = Unit("", length)
# of the kinds of machine on the time line
HUES = {"on-demand": 0, "spot": 1, "reserved": 2}
# Quantities of a NodePool's limits that people compare; the rest stays in the API.
_RESOURCES = (("nvidia.com/gpu", "GPUs"), ("nodes", "Nodes"), ("cpu", "vCPU"), ("memory", "Memory"))


@dataclass(frozen=True)
class ReplicaLine:
    """A replica with its cold start and its load. steps: (label, how long after the step before,
    when).

    figures: running, waiting, KV cache, first token's p95, tokens out per second; none where nobody
    measured it lately.
    """

    replica: Replica
    badge: Badge
    steps: list[tuple[str, str, datetime]]
    total: str
    node_was_warm: bool
    load: ReplicaLoad
    load_badge: Badge
    figures: tuple[str, ...]

    @property
    def counts(self) -> str:
        """Return how many requests run and wait; "" where nobody measured it lately."""
        return f"{self.figures[0]}, {self.figures[1]}" if self.figures else ""


@dataclass(frozen=True)
class PoolLine:
    """A pool with its limits: (label, used, limit, words, tone)."""

    pool: NodePool
    badge: Badge
    meters: list[tuple[str, float, float, str, str]]


def node_badge(node: Node) -> Badge:
    """Return whether a node takes replicas."""
    if node.deleting_at:
        return Badge("warn", "circle-dot", "Being removed")
    if not node.is_ready:
        return Badge("busy", "circle-dot", "Not ready")
    if node.is_unschedulable:
        return Badge("warn", "circle-pause", "Cordoned")
    return Badge("ok", "circle-check", "Ready")


def claim_chart(claims: Iterable[NodeClaim], now: datetime) -> TimeLine:
    """Return the claims' intervals on one axis: until the last of them ended, from the oldest on, a
    day at most. What ended before that is left out.
    """
    rows = list(claims)
    finish = max((claim.ended_at or now for claim in rows), default=now)
    oldest = min((claim.created_at for claim in rows), default=finish - timedelta(hours=1))
    begin = max(oldest, finish - LONGEST_CHART)
    labels = _labels(rows)
    spans = [
        _claim_span(labels[claim.pk], span)
        for claim in rows
        for span in claim.intervals.all()
        if (span.ended_at or now) > begin
    ]
    return TimeLine(
        name="claims",
        title="Node claims over time",
        unit=LASTING,
        from_at=begin,
        to_at=max(finish, begin + timedelta(minutes=1)),
        spans=spans,
        note="Of the claims in the table below, at most the last 24 hours.",
    )


def _labels(claims: Sequence[NodeClaim]) -> dict[int, str]:
    """Return claim → its name without its pool's, which Karpenter begins it with; the whole names
    where two would be the same.
    """
    names = {claim.pk: claim.name for claim in claims}
    short = {claim.pk: claim.name.removeprefix(f"{claim.node_pool}-") for claim in claims}
    return short if len(set(short.values())) == len(set(names.values())) else names


def _claim_span(label: str, span: NodeInterval) -> Span:
    kind = words.capacity_type(span.capacity_type) or "Unknown kind"
    hue = HUES.get(span.capacity_type, len(HUES))
    look: Look = "" if span.observed else "idle"
    said = kind if span.observed else "Unobserved, and counted"
    return Span(label, said, span.started_at, span.ended_at, hue, look)


def claim_badge(claim: NodeClaim) -> Badge:
    """Return how far a claim is."""
    if claim.ended_at:
        return Badge("idle", "circle", "Ended" if claim.end_observed else "Ended, unobserved")
    if claim.deleting_at:
        return Badge("warn", "circle-dot", "Being removed")
    if claim.initialized_at:
        return Badge("ok", "circle-check", "Initialized")
    reached = (
        "Registered" if claim.registered_at else "Launched" if claim.launched_at else "Claimed"
    )
    return Badge("busy", "circle-dot", reached)


def part_badge(part: intervals.Part) -> Badge:
    """Return whether an interval was seen from end to end."""
    if not part.span.observed:
        return Badge("warn", "eye-off", "Unobserved")
    if part.span.ended_at is None:
        return Badge("busy", "circle-dot", "Seen so far")
    return Badge("ok", "eye", "Observed")


def claim_times(claim: NodeClaim) -> list[tuple[str, datetime | None]]:
    """Return when a claim reached each condition, by its own times, and when we learned of it."""
    return [
        ("Claimed", claim.created_at),
        ("Launched", claim.launched_at),
        ("Registered", claim.registered_at),
        ("Initialized", claim.initialized_at),
        ("Removal asked for", claim.deleting_at),
        ("Ended", claim.ended_at),
        ("First seen by the observer", claim.learned_at),
    ]


def load_figures(load: ReplicaLoad) -> tuple[str, ...]:
    """Return a replica's newest figures as people read them."""
    return sample_figures(load.sample) if load.sample is not None else ()


def sample_figures(row: ReplicaSample) -> tuple[str, ...]:
    """Return a minute's figures: running, waiting, KV cache, first token's p95, tokens out and in
    per second.
    """
    counts = (gpu_map.number(row.running), gpu_map.number(row.waiting))
    return (
        *counts,
        gpu_map.percent(row.kv_use),
        gpu_map.seconds(row.ttft_p95),
        gpu_map.number(row.generation_rate),
        gpu_map.number(row.prompt_rate),
    )


@dataclass(frozen=True)
class MinuteLine:
    """A replica's minute in the table. requests: finished ones by outcome, in words."""

    sample: ReplicaSample
    figures: tuple[str, ...]
    requests: str
    cache_hit: str


def minute_lines(samples: Iterable[ReplicaSample]) -> list[MinuteLine]:
    """Return the table's lines, in the order given."""
    return [
        MinuteLine(row, sample_figures(row), _requests(row), gpu_map.percent(row.cache_hit))
        for row in samples
    ]


def _requests(row: ReplicaSample) -> str:
    told = [
        f"{gpu_map.number(count)} {outcome}"
        for outcome, count in sorted(row.requests.items())
        if count
    ]
    return ", ".join(told) or ("none" if row.requests else "—")


def replica_line(replica: Replica, now: datetime, load: ReplicaLoad) -> ReplicaLine:
    """Return a replica with its phases, in the order in which they happened, and its load."""
    end = replica.ready_at or replica.ended_at or now
    length = max(end - replica.created_at, timedelta(seconds=1))
    phases = _in_order(replica)
    steps: list[tuple[str, str, datetime]] = []
    before = replica.created_at
    for phase in phases:
        at = max(before, min(phase.occurred_at, end))
        label = str(ReplicaPhase.Phase(phase.phase).label)
        steps.append((label, took(at - before), phase.occurred_at))
        before = at
    warm = bool(replica.node_name) and not any(phase.phase in NODE_PHASES for phase in phases)
    return ReplicaLine(
        replica=replica,
        badge=replica_badge(replica),
        steps=steps,
        total=took(length),
        node_was_warm=warm,
        load=load,
        load_badge=gpu_map.state_badge(load.state),
        figures=load_figures(load),
    )


def _in_order(replica: Replica) -> list[ReplicaPhase]:
    """Return a replica's phases. The cluster tells whole seconds: those of the same one stand in
    the order in which they happen.
    """
    return sorted(
        replica.phases.all(), key=lambda row: (row.occurred_at, PHASE_ORDER.index(row.phase))
    )


def start_line(replica: Replica, now: datetime) -> TimeLine:
    """Return a replica's cold start, a row a phase; what still goes on stands in the last row."""
    end = replica.ready_at or replica.ended_at or now
    spans, before = [], replica.created_at
    for phase in _in_order(replica):
        at = max(before, min(phase.occurred_at, end))
        label = str(ReplicaPhase.Phase(phase.phase).label)
        spans.append(Span(label, label, before, at, kind="Done"))
        before = at
    if not (replica.ready_at or replica.ended_at):
        spans.append(Span("Goes on", "Goes on", before, None, hue=4, kind="Goes on"))
    return TimeLine(
        name="start",
        title="Cold start, phase by phase",
        unit=LASTING,
        from_at=replica.created_at,
        to_at=max(end, replica.created_at + timedelta(seconds=1)),
        spans=spans,
        newest=took(end - replica.created_at),
    )


def replica_badge(replica: Replica) -> Badge:
    """Return what a replica does."""
    if replica.ended_at:
        return Badge("idle", "circle", "Ended" if replica.end_observed else "Ended, unobserved")
    if replica.deleting_at:
        return Badge("warn", "circle-dot", "Stopping")
    if replica.is_ready:
        return Badge("ok", "circle-check", "Ready")
    if replica.message and replica.node_name:
        return Badge("bad", "circle-x", "In trouble")
    return Badge("busy", "circle-dot", "Starting" if replica.node_name else "Waits for a node")


def pool_lines(pools: Iterable[NodePool]) -> list[PoolLine]:
    """Return the pools with what their limits leave."""
    ready = Badge("ok", "circle-check", "Ready")
    broken = Badge("bad", "circle-x", "Not ready")
    return [PoolLine(pool, ready if pool.is_ready else broken, meters(pool)) for pool in pools]


def meters(pool: NodePool) -> list[tuple[str, float, float, str, str]]:
    """Return a pool's limits as (label, used, limit, words, tone)."""
    found = []
    for name, label in _RESOURCES:
        if name not in pool.limits:
            continue
        limit, used = (
            sightings.quantity(pool.limits[name]),
            sightings.quantity(pool.usage.get(name, "0")),
        )
        tone = "bad" if used >= limit else "warn" if used >= limit * 0.8 else ""
        found.append(
            (label, used, limit, f"{pool.usage.get(name, '0')} of {pool.limits[name]}", tone)
        )
    return found
