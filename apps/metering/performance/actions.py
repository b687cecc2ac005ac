"""Measures the versions that were called in the last day, from the ledger's calls and from what
their replicas told meanwhile.

The same figures as a rollout's gate decides over (store.calls_by_version): what a page says of a
version and what stopped a rollout are never two methods.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Avg, Max

from apps.common.periods import DAY
from apps.fleet.metrics.models import GpuDevice, ReplicaSample
from apps.fleet.models import NodeClaim, Replica
from apps.manifests.names import MODELS
from apps.metering.models import HourlyUsage
from apps.metering.performance.models import Performance
from apps.metering.store import calls_by_version
from apps.promotions.rollouts.health import Calls

WINDOW = DAY
FIGURES = (
    "model", "since", "until", "calls", "timed", "ttft_p95_ms", "tokens_per_second", "concurrency",
    "concurrency_max", "hardware", "engine", "is_machine_simulated",
)  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """On what a version's newest replica ran."""

    hardware: str = ""
    engine: str = ""
    is_machine_simulated: bool = False


def measure(*, now: datetime) -> int:
    """Measure every version that was called in the last day; return how many. The models' calls
    are read one after another: one query a model, four for all of them.
    """
    since = now - WINDOW
    called = HourlyUsage.objects.filter(hour__gte=since, hour__lt=now).exclude(model="")
    found: dict[str, tuple[str, Calls]] = {}
    for model in called.order_by("model").values_list("model", flat=True).distinct():
        for version, calls in calls_by_version(model, since).items():
            found[version] = (model, calls)
    loads, ran = _loads(found, since), _ran(found)
    rows = [
        Performance(
            model=model, version=version, since=since, until=now, **_met(calls),
            **loads.get(version, {}), **vars(ran.get(version, Ran())),
        )
        for version, (model, calls) in found.items()
    ]  # fmt: skip
    Performance.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["version"], update_fields=list(FIGURES)
    )
    return len(rows)


def _met(calls: Calls) -> dict[str, Any]:
    return {
        "calls": calls.calls,
        "timed": calls.timed,
        "ttft_p95_ms": calls.ttft_p95_ms,
        "tokens_per_second": calls.tokens_per_second,
    }


def _loads(versions: Collection[str], since: datetime) -> dict[str, dict[str, float]]:
    """Return version → how many requests ran at once; one that no minute tells is not there."""
    busy = ReplicaSample.objects.filter(
        replica__namespace=MODELS,
        replica__service__in=versions,
        minute__gte=since,
        running__gt=0,
    )
    sums = busy.order_by().values_list("replica__service")
    told = sums.annotate(mean=Avg("running"), most=Max("running_max"))
    return {version: {"concurrency": mean, "concurrency_max": most} for version, mean, most in told}


def _ran(versions: Collection[str]) -> dict[str, Ran]:
    """Return version → on what its newest replica that was ever ready ran."""
    ready = Replica.objects.filter(namespace=MODELS, service__in=versions, ready_at__isnull=False)
    newest = list(ready.order_by("service", "-created_at", "-id").distinct("service"))
    nodes = {row.node_name for row in newest if row.node_name}
    claims = NodeClaim.objects.filter(node_name__in=nodes).order_by("created_at")
    claim_of = {claim.node_name: claim for claim in claims}
    devices = GpuDevice.objects.filter(node_name__in=nodes).exclude(model_name="")
    card_of = dict(devices.order_by("seen_at").values_list("node_name", "model_name"))
    return {row.service: _of_replica(row, claim_of, card_of) for row in newest}


def _of_replica(replica: Replica, claims: Mapping[str, NodeClaim], cards: Mapping[str, str]) -> Ran:
    claim, card = claims.get(replica.node_name), cards.get(replica.node_name, "")
    made_up = claim is not None and claim.is_simulated
    gpus = f"{replica.gpu_count} × {card or 'GPU'}" if replica.gpu_count else ""
    machine = claim.instance_type if claim is not None else ""
    words = " on ".join(part for part in (gpus, machine) if part)
    return Ran(hardware=words, engine=replica.engine, is_machine_simulated=made_up)
