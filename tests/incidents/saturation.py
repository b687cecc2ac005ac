"""Minutes of replicas and of their GPUs, as the fleet keeps them."""

from datetime import timedelta
from uuid import uuid4

from apps.fleet.metrics.models import GpuDevice, ReplicaSample, UtilizationSample
from apps.fleet.models import Replica
from tests.factories import NOW


def replica(service):
    """Return a replica of a version that is ready."""
    return Replica.objects.create(
        uid=str(uuid4()), name=f"{service}-{uuid4()}", namespace="models", service=service,
        gpu_count=1, ready_at=NOW - timedelta(days=1), created_at=NOW - timedelta(days=1),
        learned_at=NOW - timedelta(days=1),
    )  # fmt: skip


def minutes(of, *, waiting, kv_use, first=1, count=14):
    """Store minutes before now in which a replica was so."""
    for number in range(first, first + count):
        ReplicaSample.objects.create(
            replica=of, minute=NOW - timedelta(minutes=number), samples=4, waiting=waiting,
            kv_use=kv_use,
        )  # fmt: skip


def gpu(of, *, active, count=14):
    """Store minutes in which the GPU of a replica was so busy."""
    device = GpuDevice.objects.create(
        uuid=str(uuid4()), node_name="node", namespace="models", pod=of.name, first_seen_at=NOW,
        seen_at=NOW,
    )  # fmt: skip
    for number in range(1, count + 1):
        UtilizationSample.objects.create(
            device=device, minute=NOW - timedelta(minutes=number), samples=4, active=active,
            active_source="GPU_UTIL",
        )  # fmt: skip
