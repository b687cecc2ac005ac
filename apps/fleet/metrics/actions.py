"""Writes what the scraper measured. Each function may be called again with the same: the second
time changes nothing.

As with the observer's rows, these are measurements and no decisions: they make no audit events. The
scraper is the only writer, and one at a time (worker/processes/scraper.py).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.fleet.metrics.models import GpuDevice, ReplicaSample, ScrapeTarget, UtilizationSample
from apps.fleet.metrics.signals import GpuReading

_IDENTITY = ("uuid", "instance_id", "profile")
_HELD = ("node_name", "number", "model_name", "namespace", "pod", "container", "is_simulated")
_REPLICA = tuple(
    field.name
    for field in ReplicaSample._meta.concrete_fields
    if field.name not in ("id", "replica", "minute")
)
_GPU = tuple(
    field.name
    for field in UtilizationSample._meta.concrete_fields
    if field.name not in ("id", "device", "minute")
)


def record_targets(*, targets: Sequence[ScrapeTarget]) -> None:
    """Write how each endpoint answered. One query."""
    ScrapeTarget.objects.bulk_create(
        targets,
        update_conflicts=True,
        unique_fields=["kind", "name"],
        update_fields=["replica", "tried_at", "seen_at", "observed_from", "active_at", "error"],
    )


def record_replica_samples(*, minutes: Mapping[tuple[int, datetime], Mapping[str, Any]]) -> None:
    """Write the rows of replicas' minutes by (replica's key, minute), each in place of what was
    there. One query.
    """
    rows = [
        ReplicaSample(replica_id=key, minute=minute, **values)
        for (key, minute), values in minutes.items()
    ]
    ReplicaSample.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["replica", "minute"], update_fields=_REPLICA
    )


@transaction.atomic
def record_devices(
    *, readings: Sequence[GpuReading], now: datetime
) -> dict[tuple[str, str, str], int]:
    """Write which GPUs there are and who holds them; return (uuid, instance, profile) → its key.
    One query.
    """
    rows = [
        GpuDevice(
            **{name: getattr(each, name) for name in (*_IDENTITY, *_HELD)},
            first_seen_at=now,
            seen_at=now,
        )
        for each in readings
    ]
    GpuDevice.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=_IDENTITY, update_fields=[*_HELD, "seen_at"]
    )
    return {(row.uuid, row.instance_id, row.profile): row.pk for row in rows}


def record_utilization(*, minutes: Mapping[tuple[int, datetime], Mapping[str, Any]]) -> None:
    """Write the rows of GPUs' minutes by (device's key, minute), each in place of what was there.
    One query.
    """
    rows = [
        UtilizationSample(device_id=key, minute=minute, **values)
        for (key, minute), values in minutes.items()
    ]
    UtilizationSample.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["device", "minute"], update_fields=_GPU
    )


def prune_metrics(*, before: datetime) -> int:
    """Forget what was measured before a moment, and GPUs and endpoints not seen since; return how
    many rows.
    """
    rows = (
        ReplicaSample.objects.filter(minute__lt=before),
        UtilizationSample.objects.filter(minute__lt=before),
        GpuDevice.objects.filter(seen_at__lt=before),
        ScrapeTarget.objects.filter(tried_at__lt=before),
    )
    return sum(found.delete()[0] for found in rows)
