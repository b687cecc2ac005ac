"""Machines and replicas as the observer leaves them, for tests of what they cost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from apps.fleet.models import NodeClaim, NodeInterval, Replica, ReplicaPhase

DAY = datetime(2026, 11, 2, tzinfo=UTC)


def at(hours):
    """Return so many hours after the day began."""
    return DAY + timedelta(hours=hours)


def machine(name="gpu-1", begin=0, end=1, *, price="8", gpus=8, observed=True, **more):
    """Make a machine at one price over [begin, end), in hours of the day; end None: it runs."""
    terms = {
        "instance_type": "p5.48xlarge",
        "capacity_type": "spot",
        "price_usd_per_hour": None if price is None else Decimal(price),
        "price_basis": "",
    } | {
        key: more.pop(key)
        for key in ("instance_type", "capacity_type", "price_basis")
        if key in more
    }
    ended = None if end is None else at(end)
    claim = NodeClaim.objects.create(
        uid=name,
        name=name,
        node_name=f"node-{name}",
        created_at=at(begin),
        learned_at=at(begin),
        launched_at=at(begin),
        ended_at=ended,
        gpu_count=gpus,
        **(terms | more),
    )
    interval(claim, begin, end, observed=observed)
    return claim


def interval(claim, begin, end, *, price="same", observed=True):
    """Add a stretch at the claim's price, or another one, to a machine."""
    usd = claim.price_usd_per_hour if price == "same" else price and Decimal(price)
    return NodeInterval.objects.create(
        node_claim=claim,
        instance_type=claim.instance_type,
        capacity_type=claim.capacity_type,
        price_usd_per_hour=usd,
        price_basis=claim.price_basis,
        started_at=at(begin),
        ended_at=None if end is None else at(end),
        observed=observed,
    )


def replica(claim, version="m-v1", begin=0, end=1, *, ready=0, gpus=1, scheduled=None, **more):
    """Make a pod on a machine over [begin, end), in hours of the day."""
    row = Replica.objects.create(
        uid=more.pop("uid", f"pod-{Replica.objects.count()}"),
        name=f"{version}-{Replica.objects.count()}",
        namespace=more.pop("namespace", "models"),
        service=version,
        model=version.rpartition("-")[0],
        node_name=more.pop("node_name", claim.node_name),
        node_claim_name=claim.name,
        gpu_count=gpus,
        created_at=at(begin),
        learned_at=at(begin),
        ready_at=None if ready is None else at(ready),
        ended_at=None if end is None else at(end),
        **more,
    )
    if scheduled is not None:
        ReplicaPhase.objects.create(
            replica=row, phase="SCHEDULED", occurred_at=at(scheduled), learned_at=at(scheduled)
        )
    return row
