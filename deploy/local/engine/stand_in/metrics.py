"""The stand-in's figures under vLLM's own metric names, as the Prometheus text that `GET /metrics`
gives.

Only what the stand-in really does is counted. There is no cache: its use is what the tokens of the
answers under way would take of one. Preemptions, which need a real engine, are there at zero, and
the rest is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from threading import Lock

TIME_TO_FIRST_TOKEN = (
    *(
        0.001,
        0.005,
        0.01,
        0.02,
        0.04,
        0.06,
        0.08,
        0.1,
        0.25,
        0.5,
        0.75,
        1.0,
        2.5,
        5.0,
        7.5,
        10.0,
        20.0,
        40.0,
        80.0,
    ),
    *(160.0, 640.0, 2560.0),
)
TOKEN_LATENCY = (
    *(
        0.01,
        0.025,
        0.05,
        0.075,
        0.1,
        0.15,
        0.2,
        0.3,
        0.4,
        0.5,
        0.75,
        1.0,
        2.5,
        5.0,
        7.5,
        10.0,
        20.0,
        40.0,
        80.0,
    ),
)
REQUEST_LATENCY = (
    *(
        0.3,
        0.5,
        0.8,
        1.0,
        1.5,
        2.0,
        2.5,
        5.0,
        10.0,
        15.0,
        20.0,
        30.0,
        40.0,
        50.0,
        60.0,
        120.0,
        240.0,
        480.0,
        960.0,
    ),
    *(1920.0, 7680.0),
)
PROMPT_SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
FINISHED_REASONS = ("stop", "length", "abort", "error")

HISTOGRAMS = {
    "time_to_first_token_seconds": TIME_TO_FIRST_TOKEN,
    "inter_token_latency_seconds": TOKEN_LATENCY,
    "request_time_per_output_token_seconds": TOKEN_LATENCY,
    "e2e_request_latency_seconds": REQUEST_LATENCY,
    "request_queue_time_seconds": REQUEST_LATENCY,
    "request_inference_time_seconds": REQUEST_LATENCY,
    "request_prefill_time_seconds": REQUEST_LATENCY,
    "request_decode_time_seconds": REQUEST_LATENCY,
}
COUNTERS = (
    "prompt_tokens",
    "prompt_tokens_cached",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "num_preemptions",
)


@dataclass
class Histogram:
    """Observations in the buckets that vLLM uses."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """Counts of one server; safe to use from many threads."""

    def __init__(self, model_name: str) -> None:
        self._labels = f'engine="0",model_name="{model_name}"'
        self._lock = Lock()
        self._gauges: dict[str, float] = {
            "num_requests_running": 0,
            "num_requests_waiting": 0,
            "kv_cache_usage_perc": 0,
        }
        self._cache_tokens, self._cache_size = 0, 1
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._by_source = dict.fromkeys(PROMPT_SOURCES, 0)
        self._finished = dict.fromkeys(FINISHED_REASONS, 0)
        self._histograms = {name: Histogram(bounds) for name, bounds in HISTOGRAMS.items()}

    def move(self, gauge: str, by: int) -> None:
        """Raise or lower a gauge."""
        with self._lock:
            self._gauges[gauge] += by

    def size_cache(self, tokens: int) -> None:
        """Say how many tokens the cache would hold."""
        self._cache_size = tokens

    def move_cache(self, by: int) -> None:
        """Put tokens into the cache, or take them out."""
        with self._lock:
            self._cache_tokens += by
            self._gauges["kv_cache_usage_perc"] = min(1.0, self._cache_tokens / self._cache_size)

    def add(self, counter: str, amount: int) -> None:
        """Raise a counter."""
        with self._lock:
            self._counters[counter] += amount

    def add_by_source(self, source: str, tokens: int) -> None:
        """Count prompt tokens by where they came from."""
        with self._lock:
            self._by_source[source] += tokens

    def observe(self, histogram: str, seconds: float) -> None:
        """Count one observation of a histogram."""
        with self._lock:
            self._histograms[histogram].observe(seconds)

    def finish(self, reason: str) -> None:
        """Count one finished request by its reason."""
        with self._lock:
            self._finished[reason] += 1

    def render(self) -> str:
        """Return everything in Prometheus' text format."""
        with self._lock:
            lines = [
                line
                for name, value in self._gauges.items()
                for line in self._simple(name, "gauge", value)
            ]
            for name, value in self._counters.items():
                lines += self._simple(f"{name}_total", "counter", value)
            lines.append("# TYPE vllm:prompt_tokens_by_source_total counter")
            for source, tokens in self._by_source.items():
                lines.append(
                    f'vllm:prompt_tokens_by_source_total{{{self._labels},source="{source}"}} '
                    f"{float(tokens)}"
                )
            lines.append("# TYPE vllm:request_success_total counter")
            for reason, value in self._finished.items():
                lines.append(
                    f'vllm:request_success_total{{{self._labels},finished_reason="{reason}"}} '
                    f"{float(value)}"
                )
            for name, histogram in self._histograms.items():
                lines += self._histogram(name, histogram)
        return "\n".join(lines) + "\n"

    def _simple(self, name: str, kind: str, value: float) -> list[str]:
        return [f"# TYPE vllm:{name} {kind}", f"vllm:{name}{{{self._labels}}} {float(value)}"]

    def _histogram(self, name: str, histogram: Histogram) -> list[str]:
        lines, below = [f"# TYPE vllm:{name} histogram"], 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            below += count
            lines.append(f'vllm:{name}_bucket{{{self._labels},le="{bound}"}} {float(below)}')
        lines.append(f"vllm:{name}_count{{{self._labels}}} {float(below)}")
        lines.append(f"vllm:{name}_sum{{{self._labels}}} {histogram.total}")
        return lines
