"""Readings of one minute → what its row says. Pure, and computed anew from all of them at each new
one.

What was counted between two readings belongs to the minute of the second.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from apps.fleet.metrics import signals
from apps.fleet.metrics.signals import Counted, EngineReading, GpuReading

Key = TypeVar("Key", str, float)


@dataclass
class Minute:
    """What one replica's scrapes of a minute gave so far."""

    start: datetime
    readings: list[EngineReading] = field(default_factory=list)
    counts: list[Counted] = field(default_factory=list)

    def add(self, reading: EngineReading, counted: Counted | None) -> None:
        """Take one more scrape."""
        self.readings.append(reading)
        if counted is not None:
            self.counts.append(counted)


def minute_of(moment: datetime) -> datetime:
    """Return the minute's begin."""
    return moment.replace(second=0, microsecond=0)


def replica_values(minute: Minute) -> dict[str, object]:
    """Return the columns of a replica's row."""
    ttft = _added(count.ttft for count in minute.counts)
    asked, hit = _total(minute.counts, "cache_asked"), _total(minute.counts, "cache_hit")
    running, waiting, kv_use = (
        _told(minute.readings, name) for name in ("running", "waiting", "kv_use")
    )
    return {
        "samples": len(minute.readings),
        "running": _mean(running),
        "running_max": max(running, default=None),
        "waiting": _mean(waiting),
        "waiting_max": max(waiting, default=None),
        "kv_use": _mean(kv_use),
        "kv_use_max": max(kv_use, default=None),
        "ttft_p50": signals.quantile(0.5, ttft),
        "ttft_p95": signals.quantile(0.95, ttft),
        "counted_seconds": sum(count.seconds for count in minute.counts),
        "prompt_tokens": _total(minute.counts, "prompt_tokens"),
        "generation_tokens": _total(minute.counts, "generation_tokens"),
        "cached_prompt_tokens": _total(minute.counts, "cached_tokens"),
        "further_answers": _total(minute.counts, "further_answers"),
        "requests": _added(count.requests for count in minute.counts),
        "preemptions": _total(minute.counts, "preemptions"),
        "cache_hit": min(1.0, hit / asked) if asked and hit is not None else None,
    }


def gpu_values(readings: Sequence[GpuReading]) -> dict[str, object]:
    """Return the columns of a GPU's row. One source only: where it changed within the minute, the
    last one's.
    """
    source = readings[-1].active_source
    active = [
        each.active for each in readings if each.active is not None and each.active_source == source
    ]

    def told(name: str) -> list[float]:
        return _told(readings, name)

    return {
        "samples": len(readings),
        "active": _mean(active),
        "active_source": source,
        "memory_used_mib": max(told("memory_used_mib"), default=None),
        "memory_total_mib": max(told("memory_total_mib"), default=None),
        "power_watts": _mean(told("power_watts")),
        "power_watts_max": max(told("power_watts"), default=None),
        "temperature_c": max(told("temperature_c"), default=None),
        "xid": next((each.xid for each in reversed(readings) if each.xid is not None), None),
    }


def is_active(reading: EngineReading, counted: Counted | None) -> bool:
    """Tell whether a scrape saw a request: running, waiting, or finished since the one before."""
    if (reading.running or 0) > 0 or (reading.waiting or 0) > 0:
        return True
    return counted is not None and (
        sum(counted.requests.values()) > 0 or (counted.prompt_tokens or 0) > 0
    )


def _told(readings: Iterable[object], name: str) -> list[float]:
    return [value for each in readings if (value := getattr(each, name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _total(counts: Sequence[Counted], name: str) -> float | None:
    values = _told(counts, name)
    return sum(values) if values else None


def _added(maps: Iterable[Mapping[Key, float]]) -> dict[Key, float]:
    """Return the maps summed key by key."""
    sums: dict[Key, float] = {}
    for each in maps:
        for key, value in each.items():
            sums[key] = sums.get(key, 0.0) + value
    return sums
