"""What replicas and GPUs do now, from their newest minutes. A minute under way counts once two
scrapes made it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import BooleanField, ExpressionWrapper, Q

from apps.common.clocks import CLOCKS_APART
from apps.fleet.metrics import signals
from apps.fleet.metrics.models import (
    FRESH,
    GpuDevice,
    ReplicaSample,
    ScrapeTarget,
    UtilizationSample,
)
from apps.fleet.models import Replica
from apps.integrations.engine.identity import is_stand_in

UNUSED_AFTER = timedelta(minutes=15)  # a replica that nobody called for so long holds its GPU idle
# replicas are started for what is asked now; the scraper that measured it has a clock of its own
SCALED_BY = timedelta(minutes=2) + CLOCKS_APART
_SETTLED = ExpressionWrapper(Q(samples__gte=2), output_field=BooleanField())


@dataclass(frozen=True)
class ReplicaLoad:
    """A replica's newest figures. sample: None where nobody measured it lately; problem: why.

    unused_since: since when no request was seen, once that is longer than UNUSED_AFTER.
    """

    sample: ReplicaSample | None = None
    state: signals.State = signals.State("UNOBSERVED")
    unused_since: datetime | None = None
    problem: str = ""
    is_simulated: bool = False

    @property
    def busy(self) -> float | None:
        """Return how busy its GPUs are by KV and queue, 0 to 1."""
        return signals.busy_share(self.sample.kv_use, self.sample.waiting) if self.sample else None


@dataclass(frozen=True)
class GpuUse:
    """A GPU with its newest minute. sample: None where nobody measured it lately."""

    device: GpuDevice
    sample: UtilizationSample | None = None

    @property
    def power_share(self) -> float | None:
        """Return its draw as a share of the card's limit; None for a card or a draw that we do not
        know.

        A MIG instance tells the whole card's draw, which says nothing about the instance.
        """
        cap = signals.power_cap(self.device.model_name)
        if (
            cap is None
            or self.device.instance_id
            or self.sample is None
            or self.sample.power_watts is None
        ):
            return None
        return self.sample.power_watts / cap


@dataclass(frozen=True)
class Now:
    """What is measured now. loads: replica's key → load; gpus: node → its GPUs, in their order."""

    loads: Mapping[int, ReplicaLoad] = field(default_factory=dict)
    gpus: Mapping[str, list[GpuUse]] = field(default_factory=dict)

    def load(self, replica: Replica) -> ReplicaLoad:
        """Return a replica's load; one that says unobserved where there is none."""
        return self.loads.get(replica.pk, ReplicaLoad(problem="It has not been scraped yet."))


def measured(replicas: Iterable[Replica], now: datetime) -> Now:
    """Return what these replicas, and all GPUs, do now; four queries."""
    rows = list(replicas)
    since = now - FRESH
    gpus = _gpus(since)
    shares = _power_shares(rows, gpus)
    keys = [row.pk for row in rows]
    newest = ReplicaSample.objects.filter(replica__in=keys, minute__gte=since).annotate(
        settled=_SETTLED
    )
    samples = {
        row.replica_id: row
        for row in newest.order_by("replica_id", "-settled", "-minute").distinct("replica_id")
    }
    targets = {row.replica_id: row for row in ScrapeTarget.objects.filter(replica__in=keys)}
    loads = {
        row.pk: _load(
            row,
            samples.get(row.pk),
            targets.get(row.pk),
            shares.get((row.namespace, row.name)),
            now,
        )
        for row in rows
    }
    return Now(loads, gpus)


def _power_shares(
    replicas: Iterable[Replica], gpus: Mapping[str, list[GpuUse]]
) -> dict[tuple[str, str], float]:
    """Return (namespace, pod) → its hardest working card's draw. A made-up draw decides nothing
    about a real engine.
    """
    played = {(row.namespace, row.name) for row in replicas if is_stand_in(row.engine)}
    shares: dict[tuple[str, str], float] = {}
    for use in (use for uses in gpus.values() for use in uses):
        holder = (use.device.namespace, use.device.pod)
        if use.power_share is not None and (not use.device.is_simulated or holder in played):
            shares[holder] = max(use.power_share, shares.get(holder, 0.0))
    return shares


def _gpus(since: datetime) -> dict[str, list[GpuUse]]:
    """Return node → its GPUs that an exporter told of lately; two queries."""
    devices = list(GpuDevice.objects.seen_since(since))
    newest = UtilizationSample.objects.filter(device__in=devices, minute__gte=since).annotate(
        settled=_SETTLED
    )
    samples = {
        row.device_id: row
        for row in newest.order_by("device_id", "-settled", "-minute").distinct("device_id")
    }
    found: dict[str, list[GpuUse]] = {}
    for device in devices:
        found.setdefault(device.node_name, []).append(GpuUse(device, samples.get(device.pk)))
    for uses in found.values():
        uses.sort(
            key=lambda use: (len(use.device.number), use.device.number, use.device.instance_id)
        )
    return found


def _load(
    replica: Replica,
    sample: ReplicaSample | None,
    target: ScrapeTarget | None,
    power: float | None,
    now: datetime,
) -> ReplicaLoad:
    problem = ""
    if target is None or target.error:
        problem = target.error if target else "It has not been scraped yet."
    return ReplicaLoad(
        sample=sample,
        state=signals.state(load_of(sample, power) if sample else None),
        unused_since=unused_since(replica, target, now),
        problem=problem,
        is_simulated=is_stand_in(replica.engine),
    )


def requests_in(namespace: str, service: str, now: datetime) -> float | None:
    """Return how many requests run or wait in the ready replicas of a service, by their newest
    minutes; 0 without a replica. None where one of them was not measured lately: part of a load
    would look like less of it. Two queries.
    """
    ready = Replica.objects.present().filter(namespace=namespace, service=service, is_ready=True)
    keys = set(ready.filter(deleting_at=None).values_list("pk", flat=True))
    newest = ReplicaSample.objects.filter(replica__in=keys, minute__gte=now - SCALED_BY)
    found = {
        row.replica_id: (row.running, row.waiting)
        for row in newest.order_by("replica_id", "-minute").distinct("replica_id")
    }
    figures = [figure for pair in found.values() for figure in pair if figure is not None]
    is_whole = set(found) == keys and len(figures) == 2 * len(keys)
    return sum(figures) if is_whole else None


def load_of(sample: ReplicaSample, power_share: float | None) -> signals.Load:
    """Return what a state follows from."""
    return signals.Load(
        running_max=sample.running_max,
        waiting=sample.waiting,
        waiting_max=sample.waiting_max,
        kv_use_max=sample.kv_use_max,
        ttft_p95=sample.ttft_p95,
        preemptions=sample.preemptions,
        finished=sum(sample.requests.values()),
        power_share=power_share,
    )


def unused_since(replica: Replica, target: ScrapeTarget | None, now: datetime) -> datetime | None:
    """Return since when nobody called a replica, if that is long; None while it is called, new, or
    not watched.
    """
    if not replica.is_ready or target is None or target.error:
        return None
    if target.seen_at is None or target.observed_from is None:
        return None
    since = target.active_at or max(target.observed_from, replica.ready_at or target.observed_from)
    is_watched = now - target.seen_at <= FRESH
    return since if is_watched and now - since >= UNUSED_AFTER else None
