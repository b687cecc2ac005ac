"""Plays NVIDIA's DCGM exporter for the GPUs of all nodes: the same metric names and labels,
**simulated** figures.

No GPU is here. What each would read is made up from what its pod's engine really does: whether a
process runs, how many requests it says are running. Power follows a curve measured on an H100 under
vLLM (share of the card's limit at 1, 8, 32, 64 and 128 requests at once); memory is what vLLM takes
at its start and keeps. Every series carries the label simulated="true" and every help text says it.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

GPU = "nvidia.com/gpu"
AWS = "karpenter.k8s.aws/instance-gpu"
# By Karpenter's name for the GPU: the name that the driver tells, and the board's power limit
# (NVIDIA's data sheets).
CARDS = {
    "a10g": ("NVIDIA A10G", 300.0), "l4": ("NVIDIA L4", 72.0), "l40s": ("NVIDIA L40S", 350.0),
    "a100": ("NVIDIA A100-SXM4", 400.0), "h100": ("NVIDIA H100 80GB HBM3", 700.0),
    "h200": ("NVIDIA H200", 700.0),
    "b200": ("NVIDIA B200", 1000.0),
}  # fmt: skip
# requests at once → share of the limit
POWER_CURVE = ((1, 0.64), (8, 0.749), (32, 0.894), (64, 0.95), (128, 0.983))
IDLE_POWER, TAKEN_MEMORY = 0.1, 0.93
ENGINE_SECONDS = 1.0
FIELDS = (
    ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)"),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Ratio of time the graphics engine is active"),
    ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB)"),
    ("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB)"),
    ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W)"),
    ("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)"),
    ("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered"),
)


@dataclass(frozen=True)
class Cards:
    """The GPUs of one node."""

    count: int
    model: str
    memory_mib: float
    limit_watts: float


@dataclass(frozen=True)
class Holder:
    """A pod that holds GPUs. port: of its engine, None while none runs."""

    uid: str
    namespace: str
    name: str
    container: str
    node: str
    gpus: int
    port: int | None


def read_cards(node: Json) -> Cards | None:
    """Return a node's GPUs, None where it has none."""
    labels = node["metadata"].get("labels") or {}
    count = int((node.get("status", {}).get("capacity") or {}).get(GPU, 0))
    if count == 0:
        return None
    name = labels.get(f"{AWS}-name", "")
    model, watts = CARDS.get(name, (f"NVIDIA {name.upper() or 'GPU'}", 300.0))
    return Cards(count, model, float(labels.get(f"{AWS}-memory", 0)), watts)


class Exporter:
    """Which pod has which GPU, and the text of `GET /metrics`."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, tuple[int, ...]]] = {}  # pod → (node, its GPUs' numbers)
        self._http = httpx.AsyncClient(timeout=ENGINE_SECONDS, trust_env=False)

    async def render(self, nodes: Mapping[str, Cards], holders: Sequence[Holder]) -> str:
        """Return the figures of all GPUs now."""
        self._assign(nodes, holders)
        running = dict(zip((h.uid for h in holders), await self._ask(holders), strict=True))
        lines: list[str] = []
        series = [
            entry
            for name in sorted(nodes)
            for entry in self._series(name, nodes[name], holders, running)
        ]
        for field, text in FIELDS:
            lines += [
                f"# HELP {field} {text}, simulated by the local kubelet.",
                f"# TYPE {field} gauge",
            ]
            lines += [f"{field}{{{labels}}} {values[field]:g}" for labels, values in series]
        return "\n".join(lines) + "\n"

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    def _assign(self, nodes: Mapping[str, Cards], holders: Sequence[Holder]) -> None:
        """Give each pod the first free GPUs of its node, and keep them while it is there."""
        present = {holder.uid for holder in holders}
        self._held = {uid: held for uid, held in self._held.items() if uid in present}
        for holder in holders:
            if holder.uid in self._held or holder.node not in nodes:
                continue
            taken = {
                number
                for node, numbers in self._held.values()
                if node == holder.node
                for number in numbers
            }
            free = [number for number in range(nodes[holder.node].count) if number not in taken]
            self._held[holder.uid] = (holder.node, tuple(free[: holder.gpus]))

    async def _ask(self, holders: Iterable[Holder]) -> list[float | None]:
        return await asyncio.gather(*(self._running(holder.port) for holder in holders))

    async def _running(self, port: int | None) -> float | None:
        """Return how many requests an engine says it runs; 0 where it does not say, None where
        there is no engine.
        """
        if port is None:
            return None
        try:
            answer = await self._http.get(f"http://127.0.0.1:{port}/metrics")
        except httpx.HTTPError:
            return 0.0
        return requests_running(answer.text)

    def _series(
        self,
        name: str,
        cards: Cards,
        holders: Sequence[Holder],
        running: Mapping[str, float | None],
    ) -> Iterable[tuple[str, dict[str, float]]]:
        by_number = {
            number: holder
            for holder in holders
            for number in self._held.get(holder.uid, ("", ()))[1]
            if self._held[holder.uid][0] == name
        }
        for number in range(cards.count):
            holder = by_number.get(number)
            yield (
                labels_of(name, number, cards, holder),
                figures(cards, running[holder.uid] if holder else None),
            )


def requests_running(text: str) -> float:
    """Return the sum of vllm:num_requests_running in an engine's metrics."""
    values = [
        line.rpartition(" ")[2]
        for line in text.splitlines()
        if line.startswith("vllm:num_requests_running{")
    ]
    return sum(float(value) for value in values)


def labels_of(node: str, number: int, cards: Cards, holder: Holder | None) -> str:
    """Return a series' labels, as the exporter writes them."""
    labels = {
        "gpu": str(number),
        "UUID": f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{number}.{node}')}",
        "pci_bus_id": f"00000000:{0x1B + number:02X}:00.0",
        "device": f"nvidia{number}",
        "modelName": cards.model,
        "Hostname": node,
        "simulated": "true",
    }
    if holder is not None:
        labels |= {"container": holder.container, "namespace": holder.namespace, "pod": holder.name}
    return ",".join(f'{key}="{value}"' for key, value in labels.items())


def figures(cards: Cards, running: float | None) -> dict[str, float]:
    """Return what a GPU would read. running: requests of the engine that holds it; None where no
    engine runs on it.
    """
    busy = running is not None and running > 0
    power = power_share(running or 0)
    used = math.floor(cards.memory_mib * TAKEN_MEMORY) if running is not None else 0.0
    return {
        # as on a real card: one request already reads 100 %
        "DCGM_FI_DEV_GPU_UTIL": 100.0 if busy else 0.0,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE": round(min(1.0, power / 0.95), 3) if busy else 0.0,
        "DCGM_FI_DEV_FB_USED": used,
        "DCGM_FI_DEV_FB_FREE": cards.memory_mib - used,
        "DCGM_FI_DEV_POWER_USAGE": round(cards.limit_watts * power, 1),
        "DCGM_FI_DEV_GPU_TEMP": round(30 + 45 * power),
        "DCGM_FI_DEV_XID_ERRORS": 0.0,
    }


def power_share(running: float) -> float:
    """Return the share of its power limit that a card draws with so many requests at once."""
    if running <= 0:
        return IDLE_POWER
    low, share = POWER_CURVE[0]
    for high, upper in POWER_CURVE[1:]:
        if running <= high:
            part = max(0.0, math.log2(running / low) / math.log2(high / low))
            return share + (upper - share) * part
        low, share = high, upper
    return share
