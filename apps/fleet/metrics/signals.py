"""Points of an engine or a GPU exporter → what they say, and what state they mean. Pure: no clock,
no network.

Counters become counts between two readings. A counter that fell, or a process that started anew,
means that the engine was restarted: what it counts now it counted since then. Readings too far
apart say nothing about the time between.

Saturation is never read from GPU utilization: one request and 128 of them both read 100 % (measured
on an H100, 17.7 times the work at the same reading). What moves with load is the queue, KV-cache
use, time to first token and power.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.integrations.prometheus.types import Point

VLLM = "vllm:"
TTFT = f"{VLLM}time_to_first_token_seconds"
GAUGES = (
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "gpu_cache_usage_perc",
)
COUNTERS = (
    "prompt_tokens", "generation_tokens", "request_success", "num_preemptions",
    "prefix_cache_queries",
    "prefix_cache_hits", "prompt_tokens_cached", "prompt_tokens_by_source",
)  # fmt: skip
# of a histogram: how many answers were asked for, and by how many requests
ANSWERS_ASKED, REQUESTS_ASKED = "request_params_n_sum", "request_params_n_count"
BY_SOURCE = "prompt_tokens_by_source"
CACHES = ("local_cache_hit", "external_kv_transfer")  # sources of prompt tokens
STARTED = "process_start_time_seconds"
ENGINE_METRICS = (
    *(VLLM + name for name in GAUGES),
    *(f"{VLLM}{name}_total" for name in COUNTERS),
    *(VLLM + name for name in (ANSWERS_ASKED, REQUESTS_ASKED)),
    TTFT,
    STARTED,
)
GPU_METRICS = (
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_RESERVED", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_XID_ERRORS",
)  # fmt: skip
LONGEST_GAP = timedelta(seconds=60)

# Measured on one H100 (8B model, 2000 tokens in, 200 out): up to 32 clients throughput rises and
# first tokens come within 0.59 s; beyond, it rises by 39 % while calls take three times as long.
# There the card drew 626 of its 700 W.
TTFT_SECONDS = 0.6
POWER_SHARE = 0.89
# 62 % was measured without a preemption; a full cache preempts. Between them, 90 % leaves no room
# for one more call.
KV_FULL = 0.9
# Board power by NVIDIA's data sheets, W; "NVIDIA H100 80GB HBM3" begins with the key after the
# maker's name.
POWER_CAPS = {
    "L40S": 350,
    "L4": 72,
    "A10G": 300,
    "A100": 400,
    "H100": 700,
    "H200": 700,
    "B200": 1000,
}


@dataclass(frozen=True)
class EngineReading:
    """One scrape of an engine, summed over its engine cores. kv_use: of the fullest core, 0 to 1.
    None: not told.

    counters: (name, outcome or bucket's upper bound) → count.
    """

    at: datetime
    running: float | None
    waiting: float | None
    kv_use: float | None
    started: float | None
    counters: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Counted:
    """What an engine counted in `seconds`. None: it does not count that. ttft: bucket's upper bound
    → count below. cached_tokens: of the prompts. further_answers: that finished requests asked for
    beyond one each; the engine counts a prompt once for each.
    """

    seconds: float
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    preemptions: float | None = None
    cache_asked: float | None = None
    cache_hit: float | None = None
    cached_tokens: float | None = None
    further_answers: float | None = None
    requests: Mapping[str, float] = field(default_factory=dict)
    ttft: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuReading:
    """One scrape of a GPU or a MIG instance. active: 0 to 1, measured as active_source says. None:
    not told.
    """

    uuid: str
    instance_id: str
    profile: str
    node_name: str
    number: str
    model_name: str
    namespace: str
    pod: str
    container: str
    is_simulated: bool
    active: float | None = None
    active_source: str = ""
    memory_used_mib: float | None = None
    memory_total_mib: float | None = None
    power_watts: float | None = None
    temperature_c: float | None = None
    xid: int | None = None


@dataclass(frozen=True)
class Load:
    """What a replica did in a minute, as far as its state follows from it. power_share: of the
    card's limit.
    """

    running_max: float | None = None
    waiting: float | None = None
    waiting_max: float | None = None
    kv_use_max: float | None = None
    ttft_p95: float | None = None
    preemptions: float | None = None
    finished: float = 0
    power_share: float | None = None


@dataclass(frozen=True)
class State:
    """IDLE, WORKING, SATURATED or UNOBSERVED. signs: in words, what shows the saturation."""

    name: str
    signs: tuple[str, ...] = ()


def engine_reading(points: Iterable[Point], at: datetime) -> EngineReading:
    """Return what an engine's points say."""
    rows = list(points)
    counters: dict[tuple[str, str], float] = {}
    for point in rows:
        name = point.name.removeprefix(VLLM).removesuffix("_total")
        if name in (*COUNTERS, ANSWERS_ASKED, REQUESTS_ASKED):
            labels = point.labels
            key = (name, labels.get("finished_reason") or labels.get("source", ""))
        elif point.name == f"{TTFT}_bucket" and "le" in point.labels:
            key = (TTFT, point.labels["le"])
        else:
            continue
        counters[key] = counters.get(key, 0.0) + point.value
    kv = _values(rows, "kv_cache_usage_perc") or _values(rows, "gpu_cache_usage_perc")
    return EngineReading(
        at=at,
        running=_sum(_values(rows, "num_requests_running")),
        waiting=_sum(_values(rows, "num_requests_waiting")),
        kv_use=min(1.0, max(0.0, *kv)) if kv else None,
        started=max((point.value for point in rows if point.name == STARTED), default=None),
        counters=counters,
    )


def unborn(reading: EngineReading, at: datetime) -> EngineReading:
    """Return the reading of the same engine at a moment before it counted anything."""
    zeros = dict.fromkeys(reading.counters, 0.0)
    return EngineReading(at, None, None, None, reading.started, zeros)


def counted(before: EngineReading | None, after: EngineReading) -> Counted | None:
    """Return what happened between two readings; None where nobody can tell."""
    if before is None or not timedelta(0) < after.at - before.at <= LONGEST_GAP:
        return None
    counts = _increases({} if _was_restarted(before, after) else before.counters, before, after)

    def total(name: str) -> float | None:
        return _sum([count for (counter, _), count in counts.items() if counter == name])

    cached, prompt = _cached(counts), total("prompt_tokens")
    # vLLM asks its prefix cache again for requests that wait: where it tells cached tokens, those
    # are the truth.
    told = cached is not None
    return Counted(
        seconds=(after.at - before.at).total_seconds(),
        prompt_tokens=prompt,
        generation_tokens=total("generation_tokens"),
        preemptions=total("num_preemptions"),
        cache_asked=prompt if told else total("prefix_cache_queries"),
        cache_hit=cached if told else total("prefix_cache_hits"),
        cached_tokens=cached,
        further_answers=_difference(total(ANSWERS_ASKED), total(REQUESTS_ASKED)),
        requests={
            outcome: count for (name, outcome), count in counts.items() if name == "request_success"
        },
        ttft={float(bound): count for (name, bound), count in counts.items() if name == TTFT},
    )


def _cached(counts: Mapping[tuple[str, str], float]) -> float | None:
    """Return the prompt tokens that came from a cache; None where the engine does not tell."""
    by_source = {source: n for (name, source), n in counts.items() if name == BY_SOURCE}
    if by_source:
        return sum(by_source.get(source, 0.0) for source in CACHES)
    return counts.get(("prompt_tokens_cached", ""))


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _increases(
    known: Mapping[tuple[str, str], float], before: EngineReading, after: EngineReading
) -> dict[tuple[str, str], float]:
    """Return each counter's increase. One that was not there before counts from 0 if its metric was
    there.
    """
    names = {name for name, _ in before.counters}
    return {
        key: value - known.get(key, 0.0) for key, value in after.counters.items() if key[0] in names
    }


def _was_restarted(before: EngineReading, after: EngineReading) -> bool:
    if (
        before.started is not None
        and after.started is not None
        and after.started > before.started + 1
    ):
        return True
    return any(after.counters.get(key, value) < value for key, value in before.counters.items())


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return a histogram's quantile as Prometheus does: straight lines inside buckets; None without
    observations.

    buckets: upper bound → how many were at or below it, math.inf among them.
    """
    rows = sorted(buckets.items())
    total = rows[-1][1] if rows and math.isinf(rows[-1][0]) else 0.0
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound, count in rows:
        if count >= rank and count > below:
            return (
                low if math.isinf(bound) else low + (bound - low) * (rank - below) / (count - below)
            )
        low, below = bound, max(below, count)
    return None


def gpu_readings(points: Iterable[Point], *, node_name: str = "") -> list[GpuReading]:
    """Return what an exporter's points say, per GPU or MIG instance.

    node_name: where the exporter runs; without it its own word (Hostname) is taken.
    """
    devices: dict[tuple[str, str, str], list[Point]] = {}
    for point in points:
        labels = point.labels
        if labels.get("UUID"):
            key = (labels["UUID"], labels.get("GPU_I_ID", ""), labels.get("GPU_I_PROFILE", ""))
            devices.setdefault(key, []).append(point)
    return [_gpu(key, rows, node_name) for key, rows in devices.items()]


def _gpu(key: tuple[str, str, str], points: Sequence[Point], node_name: str) -> GpuReading:
    values = {point.name.removeprefix("DCGM_FI_"): point.value for point in points}
    labels = dict(pair for point in points for pair in point.labels.items())
    # Behind a Prometheus `pod` is the exporter's own; the one that holds the GPU is then called
    # exported_pod.
    holder = "exported_" if "exported_pod" in labels else ""
    active, source = _active(values)
    memory = [values.get(f"DEV_FB_{name}") for name in ("USED", "FREE", "RESERVED")]
    xid = values.get("DEV_XID_ERRORS")
    return GpuReading(
        uuid=key[0][:64],
        instance_id=key[1][:16],
        profile=key[2][:32],
        node_name=(node_name or labels.get("Hostname") or labels.get("hostname") or "")[:253],
        number=labels.get("gpu", "")[:8],
        model_name=labels.get("modelName", "")[:128],
        namespace=labels.get(f"{holder}namespace", "")[:63],
        pod=labels.get(f"{holder}pod", "")[:253],
        container=labels.get(f"{holder}container", "")[:63],
        is_simulated=labels.get("simulated") == "true",
        active=active,
        active_source=source,
        memory_used_mib=memory[0],
        memory_total_mib=sum(each or 0.0 for each in memory) if None not in memory[:2] else None,
        power_watts=values.get("DEV_POWER_USAGE"),
        temperature_c=values.get("DEV_GPU_TEMP"),
        xid=int(xid) if xid is not None and 0 <= xid < 2**31 else None,
    )


def _active(values: Mapping[str, float]) -> tuple[float | None, str]:
    """Return the share of time in which the GPU computed, and by which metric; MIG instances tell
    the first only.
    """
    if "PROF_GR_ENGINE_ACTIVE" in values:
        return min(1.0, max(0.0, values["PROF_GR_ENGINE_ACTIVE"])), "GR_ENGINE_ACTIVE"
    if "DEV_GPU_UTIL" in values:
        return min(1.0, max(0.0, values["DEV_GPU_UTIL"] / 100)), "GPU_UTIL"
    return None, ""


def power_cap(model_name: str) -> float | None:
    """Return a card's power limit in W by its model's name; None for one that we do not know."""
    words = model_name.replace("-", " ").upper().split()
    return next((float(watts) for name, watts in POWER_CAPS.items() if name in words), None)


def state(load: Load | None) -> State:
    """Return what a replica does. load: its last minute; None where nobody measured it."""
    if load is None or load.running_max is None:
        return State("UNOBSERVED")
    signs = tuple(_signs(load))
    if signs:
        return State("SATURATED", signs)
    busy = load.running_max > 0 or (load.waiting_max or 0) > 0 or load.finished > 0
    return State("WORKING" if busy else "IDLE")


def _signs(load: Load) -> Iterable[str]:
    if (load.waiting or 0) >= 1:
        waiting = f"{load.waiting:.1f}".removesuffix(".0")
        yield f"{waiting} request waits" if waiting == "1" else f"{waiting} requests wait"
    if (load.kv_use_max or 0) >= KV_FULL:
        yield f"KV cache {100 * (load.kv_use_max or 0):.0f} % full"
    if (load.preemptions or 0) > 0:
        yield f"{load.preemptions:.0f} preemptions"
    if (load.running_max or 0) < 2:
        # a request that has the card for itself is slow by its length or by the machine, not by
        # load
        return
    if (load.ttft_p95 or 0) >= TTFT_SECONDS:
        yield f"first token p95 {load.ttft_p95:.2f} s"
    if (load.power_share or 0) >= POWER_SHARE:
        yield f"power {100 * (load.power_share or 0):.0f} % of the card's limit"


def busy_share(kv_use: float | None, waiting: float | None) -> float | None:
    """Return how busy a GPU is by KV and queue: its KV-cache use, all of it while requests wait;
    None: not told.
    """
    if waiting is not None and waiting >= 1:
        return 1.0
    return kv_use


def _values(points: Sequence[Point], name: str) -> list[float]:
    return [point.value for point in points if point.name == VLLM + name]


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None
