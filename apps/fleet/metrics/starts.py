"""What an engine says of its own memory once it has started: how many tokens its KV cache holds.

It is told by a metric that never changes while the engine runs, so that each start is reported
once. Sizing corrects itself by it (apps/catalog/sizing/memory.py). An engine on a machine that is
only simulated says nothing of any GPU, and a stand-in has no cache: neither is reported.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from apps.catalog.models import ModelVersion
from apps.catalog.sizing.actions import Start, record_engine_reports
from apps.catalog.sizing.cards import usable_bytes
from apps.fleet import prices
from apps.fleet.models import NodeClaim, Replica
from apps.integrations.prometheus.types import Point

CACHE_INFO = "vllm:cache_config_info"


@dataclass(frozen=True)
class Cache:
    """The KV cache of one engine. fraction: of the GPU's memory that the engine was given."""

    tokens: int
    fraction: float


def cache_of(points: Iterable[Point]) -> Cache | None:
    """Return what an engine's points say of its cache; None where they say nothing that can be."""
    for point in points:
        if point.name != CACHE_INFO:
            continue
        try:
            blocks = int(point.labels["num_gpu_blocks"])
            size = int(point.labels["block_size"])
            fraction = float(point.labels["gpu_memory_utilization"])
        except (KeyError, ValueError):
            return None
        return Cache(blocks * size, fraction) if blocks > 0 and size > 0 else None
    return None


def record_starts(caches: Mapping[int, Cache], now: datetime) -> set[int]:
    """Report the caches of these replicas' engines, by the replica's key; return those that need
    not be told again: all whose engine is known by now. Three queries, one more where some count;
    none for no cache.
    """
    if not caches:
        return set()
    replicas = list(Replica.objects.filter(pk__in=caches).exclude(engine=""))
    claims = {
        claim.node_name: claim
        for claim in NodeClaim.objects.filter(
            node_name__in={each.node_name for each in replicas} - {""}
        )
    }
    versions = {
        version.name: version
        for version in ModelVersion.objects.filter(
            registered_model__name__in={each.model for each in replicas}
        ).select_related("registered_model")
    }
    starts = []
    for replica in replicas:
        version = versions.get(f"{replica.model}-v{replica.version}")
        claim = claims.get(replica.node_name)
        start = _start(replica, claim, caches[replica.pk])
        if version is not None and start is not None:
            starts.append((version, start))
    if starts:
        record_engine_reports(starts=starts, now=now)
    return {replica.pk for replica in replicas}


def _start(replica: Replica, claim: NodeClaim | None, cache: Cache) -> Start | None:
    """Return one start; None where the machine is simulated, or its kind is not known."""
    if claim is None or claim.is_simulated or not replica.gpu_count or replica.mig_slices:
        return None
    kind = prices.instance_type(claim.instance_type)
    if kind is None:
        return None
    return Start(
        start=f"{replica.namespace}/{replica.name}/{replica.uid}",
        engine=replica.engine,
        gpu=kind.gpu_name,
        ways=replica.gpu_count,
        gpu_bytes=usable_bytes(kind.gpu_mib),
        fraction=cache.fraction,
        kv_tokens=cache.tokens,
    )
