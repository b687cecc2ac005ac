"""Rows as the scraper writes them, small."""

from datetime import datetime, timedelta

from apps.fleet.metrics.models import GpuDevice, ReplicaSample, ScrapeTarget, UtilizationSample
from apps.fleet.metrics.rollup import minute_of


def replica_minute(replica, now, *, ago=1, **values):
    """Write a replica's minute of some minutes ago, and that its endpoint answered."""
    minute = minute_of(now) - timedelta(minutes=ago)
    figures = {
        "samples": 4,
        "running": 0,
        "running_max": 0,
        "waiting": 0,
        "waiting_max": 0,
        "kv_use": 0,
        "kv_use_max": 0,
        "counted_seconds": 60,
        **values,
    }
    return ReplicaSample.objects.create(replica=replica, minute=minute, **figures)


def target(replica, now: datetime, **values):
    """Write how a replica's endpoint answers."""
    known = {"tried_at": now, "seen_at": now, "observed_from": now - timedelta(hours=2)} | values
    return ScrapeTarget.objects.create(
        kind="ENGINE", name=f"{replica.namespace}/{replica.name}", replica=replica, **known
    )


def gpu(node_name, now, *, number="0", pod="", sample=None, **values):
    """Write a GPU that an exporter told of, with a minute where figures are given."""
    known = {
        "uuid": f"GPU-{node_name}-{number}",
        "model_name": "NVIDIA L4",
        "namespace": "models" if pod else "",
    }
    device = GpuDevice.objects.create(
        **known | values,
        node_name=node_name,
        number=number,
        pod=pod,
        first_seen_at=now,
        seen_at=now,
    )
    if sample is not None:
        UtilizationSample.objects.create(
            device=device, minute=minute_of(now), **{"samples": 4, **sample}
        )
    return device
