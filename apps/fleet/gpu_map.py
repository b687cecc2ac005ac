"""The GPU map and what a click on a cell shows, from loaded rows. Formats and compares, never
decides.

A cell is filled by the KV-cache use of the replica that holds the GPU and dotted while requests
wait. GPU utilization is among the details only: it reads the same at one request and at 128.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apps.common import money
from apps.common.badges import Badge
from apps.fleet.costs import gpu_usd_per_hour
from apps.fleet.metrics import signals
from apps.fleet.metrics.loads import GpuUse, Now, ReplicaLoad
from apps.fleet.metrics.models import ReplicaSample, UtilizationSample
from apps.fleet.models import Node, Replica

_BADGES = {
    "IDLE": Badge("idle", "circle", "Idle"),
    "WORKING": Badge("ok", "circle-check", "Working"),
    "SATURATED": Badge("warn", "gauge", "Saturated"),
    "UNOBSERVED": Badge("draft", "circle-dashed", "Unobserved"),
}


@dataclass(frozen=True)
class Cell:
    """One GPU on the map. state: EMPTY where nobody holds it, else its replica's. fill: percent of
    the cell's height.

    words: all of it for those who do not see the map.
    """

    key: str
    label: str
    state: str
    fill: str
    is_queued: bool
    words: str
    node: Node
    use: GpuUse | None
    replica: Replica | None
    load: ReplicaLoad | None

    @property
    def badge(self) -> Badge:
        """Return its state as a badge."""
        if self.state == "EMPTY":
            return Badge("idle", "circle", "Empty")
        return state_badge(self.load.state if self.load else signals.State("UNOBSERVED"))


@dataclass(frozen=True)
class MapRow:
    """A node with its GPUs."""

    node: Node
    cells: list[Cell]


def state_badge(state: signals.State) -> Badge:
    """Return a replica's state as a badge; its title names the signs."""
    return replace(_BADGES[state.name], title="; ".join(state.signs))


def map_rows(nodes: Iterable[Node], replicas: Iterable[Replica], now: Now) -> list[MapRow]:
    """Return the nodes' cells. GPUs that no exporter told of lately are there too, held in the
    replicas' order.
    """
    by_node: dict[str, list[Replica]] = {}
    for replica in replicas:
        by_node.setdefault(replica.node_name, []).append(replica)
    return [MapRow(node, _cells(node, by_node.get(node.name, []), now)) for node in nodes]


def _cells(node: Node, replicas: Sequence[Replica], now: Now) -> list[Cell]:
    uses = now.gpus.get(node.name, [])
    if uses:
        return [
            _cell(f"d{use.device.pk}", use.device.label, node, use, holder, now)
            for use, holder in zip(uses, _holders(uses, replicas), strict=True)
        ]
    holders: list[Replica | None] = [
        replica for replica in replicas for _ in range(replica.gpu_count)
    ]
    holders += [None] * (node.gpu_count - len(holders))
    return [
        _cell(f"n{node.pk}-{number}", f"GPU {number}", node, None, holder, now)
        for number, holder in enumerate(holders[: node.gpu_count])
    ]


def _holders(uses: Sequence[GpuUse], replicas: Sequence[Replica]) -> list[Replica | None]:
    """Return who holds each GPU: by the exporter's word, and where it names nobody, the replicas it
    does not name.
    """
    by_name = {(replica.namespace, replica.name): replica for replica in replicas}
    named = [by_name.get((use.device.namespace, use.device.pod)) for use in uses]
    known = {replica.pk for replica in named if replica is not None}
    left = [
        replica for replica in replicas if replica.pk not in known for _ in range(replica.gpu_count)
    ]
    return [replica or (left.pop(0) if left else None) for replica in named]


def _cell(
    key: str, label: str, node: Node, use: GpuUse | None, replica: Replica | None, now: Now
) -> Cell:
    load = now.load(replica) if replica is not None else None
    state = load.state.name if load is not None else "EMPTY"
    sample = load.sample if load is not None else None
    waiting = (sample.waiting_max or 0) if sample else 0
    kv = sample.kv_use if sample else None
    words = [f"{label} of {node.name}"]
    words.append(
        f"{_BADGES[state].words.lower()}, held by {replica.service}"
        if replica is not None
        else "empty"
    )
    if kv is not None:
        words.append(f"KV cache {percent(kv)}")
    if waiting:
        words.append(f"up to {waiting:.0f} waiting")
    if load is not None and load.is_simulated:
        words.append("simulated")
    # A cache in use is seen: what is not zero fills a sliver at least.
    fill = f"{max(4.0 if kv else 0.0, 100 * (kv or 0)):.1f}"
    return Cell(key, label, state, fill, waiting > 0, ", ".join(words), node, use, replica, load)


def details(cell: Cell) -> list[tuple[str, object]]:
    """Return what a click on a cell shows, as a key-value list."""
    rows: list[tuple[str, object]] = [("Node", {"text": cell.node.name, "mono": True})]
    if cell.replica is not None:
        rows.append(
            ("Pod", {"text": f"{cell.replica.namespace}/{cell.replica.name}", "mono": True})
        )
    rows += (
        load_details(cell.load.sample if cell.load else None) if cell.replica is not None else []
    )
    rows += gpu_details(cell.use)
    share = gpu_usd_per_hour(cell.node)
    basis = ", simulated" if cell.node.is_price_simulated else ""
    rows.append(
        (
            "Price",
            f"{money.unit_price(round(share, 4))} per GPU and hour{basis}"
            if share is not None
            else "no price",
        )
    )
    return rows


def load_details(sample: ReplicaSample | None) -> list[tuple[str, object]]:
    """Return a replica's minute in words."""
    if sample is None:
        return [("Load", "not measured in the last few minutes")]
    running, waiting = number(sample.running_max), number(sample.waiting_max)
    return [
        ("KV cache", f"{percent(sample.kv_use)}, at most {percent(sample.kv_use_max)}"),
        ("Requests", f"{running} running, {waiting} waiting at most"),
        (
            "Tokens",
            f"{number(sample.generation_rate)} out and {number(sample.prompt_rate)} in per second",
        ),
        ("First token", f"p50 {seconds(sample.ttft_p50)}, p95 {seconds(sample.ttft_p95)}"),
    ]


def gpu_details(use: GpuUse | None) -> list[tuple[str, object]]:
    """Return a GPU's minute in words."""
    sample = use.sample if use else None
    if use is None or sample is None:
        return [("GPU", "no exporter reported it in the last few minutes")]
    rows: list[tuple[str, object]] = [("GPU", use.device.model_name or use.device.uuid)]
    if sample.memory_used_mib is not None and sample.memory_total_mib:
        used, total = sample.memory_used_mib / 1024, sample.memory_total_mib / 1024
        rows.append(
            (
                "Memory",
                f"{used:.1f} of {total:.1f} GiB (taken at the engine's start, no sign of load)",
            )
        )
    rows.append(("Power", _power(use, sample)))
    rows.append(
        ("Temperature", "—" if sample.temperature_c is None else f"{sample.temperature_c:.0f} °C")
    )
    if sample.active is not None:
        source = UtilizationSample.Source(sample.active_source)
        rows.append(
            (
                "Utilization",
                f"{percent(sample.active)} ({source.value}: {source.label}; no sign of load)",
            )
        )
    if sample.xid:
        rows.append(("Last XID error", str(sample.xid)))
    return rows


def _power(use: GpuUse, sample: UtilizationSample) -> str:
    if sample.power_watts is None:
        return "—"
    cap = signals.power_cap(use.device.model_name)
    whole = " of the whole card" if use.device.instance_id else ""
    limit = f" of {cap:.0f} W" if cap is not None else ", its limit is not known here"
    return f"{sample.power_watts:.0f} W{limit}{whole}"


def percent(share: float | None) -> str:
    """Return a share as people read it: below 10 % with one decimal."""
    if share is None:
        return "—"
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def number(value: float | None) -> str:
    """Return a figure: whole from 10 on, else with one decimal where it has one."""
    if value is None:
        return "—"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def seconds(value: float | None) -> str:
    """Return a time to first token; "—" where no request gave one."""
    return "—" if value is None else f"{value:.3f} s" if value < 0.1 else f"{value:.2f} s"
