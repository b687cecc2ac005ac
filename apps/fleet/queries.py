"""The fleet's figures: GPUs and what the idle ones cost, how fresh it all is, and what moves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Max, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, JSONObject

from apps.common.counts import counted
from apps.fleet.costs import idle_usd_per_day
from apps.fleet.metrics.loads import Now, measured
from apps.fleet.metrics.models import (
    FRESH,
    GpuDevice,
    ReplicaSample,
    ScrapeTarget,
    UtilizationSample,
)
from apps.fleet.models import Node, NodeClaim, NodeQuerySet, Observation, Replica
from apps.fleet.pricing.book import with_prices

LAST_CLAIMS = 3
SHOWN = 3  # failing exporters that are named
STALE_AFTER = timedelta(minutes=3)
# a replica that is not ready for longer is stuck, not starting
MOVING_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True)
class Freshness:
    """Until when the whole cluster was seen; None: never. errors: (feed, why it is not seen
    now).
    """

    seen_until: datetime | None
    is_stale: bool
    errors: tuple[tuple[str, str], ...] = ()


def latest_claims(service: str, namespace: str) -> set[str]:
    """Return the names of the node claims under the newest replicas of an InferenceService, ended
    ones too.
    """
    rows = Replica.objects.filter(service=service, namespace=namespace).values_list(
        "node_claim_name", flat=True
    )
    return set(rows[:LAST_CLAIMS]) - {""}


@dataclass(frozen=True)
class Snapshot:
    """The GPU nodes and the replicas that there are, and what is measured of them now."""

    nodes: list[Node]
    replicas: list[Replica]
    now: Now


@dataclass(frozen=True)
class Figures:
    """The fleet's GPUs now. held: by a replica; unused: of those, without a call for long; empty:
    held by nobody.

    busy: mean share by KV and queue over the GPUs that are empty or measured; None without one.
    unmeasured: the rest.
    idle_usd_per_day: what empty and unused GPUs cost at the nodes' own prices; unpriced_idle are
    missing in it.
    is_measure_simulated: tells that some figure behind `busy` was made up.
    """

    gpus: int
    held: int
    unused: int
    busy: float | None
    unmeasured: int
    idle_usd_per_day: Decimal
    unpriced_idle: int
    is_simulated: bool
    is_measure_simulated: bool
    usd_per_hour: Decimal

    @property
    def empty(self) -> int:
        """Return the GPUs that nobody holds."""
        return self.gpus - self.held

    @property
    def idle(self) -> int:
        """Return the GPUs that nobody holds or nobody calls."""
        return self.empty + self.unused

    @property
    def busy_percent(self) -> int | None:
        """Return `busy` as people read it."""
        return None if self.busy is None else round(100 * self.busy)


@dataclass(frozen=True)
class NodeUse:
    """How a node's GPUs are used, in GPUs. busy: by KV and queue, summed over those that are
    measured.
    """

    held: int
    unused: int
    busy: float
    unmeasured: int
    is_simulated: bool


def freshness(now: datetime) -> Freshness:
    """Return how fresh the rows are; one query."""
    rows = list(Observation.objects.order_by("feed"))
    times = [row.seen_at for row in rows if row.seen_at is not None]
    errors = tuple((row.feed, row.error) for row in rows if row.error)
    seen_until = min(times) if times and len(times) == len(rows) else None
    return Freshness(
        seen_until, bool(errors) or seen_until is None or now - seen_until > STALE_AFTER, errors
    )


def held_gpus(nodes: Iterable[str] | None = None) -> dict[str, int]:
    """Return node → GPUs that present replicas hold, of some nodes or of all; one query."""
    found = Replica.objects.present().exclude(node_name="")
    if nodes is not None:
        found = found.filter(node_name__in=list(nodes))
    return dict(found.order_by().values_list("node_name").annotate(Sum("gpu_count")))


def snapshot(moment: datetime) -> Snapshot:
    """Return what there is and does now; nine queries."""
    nodes = list(with_prices(list(Node.objects.present().with_gpus()), moment))
    replicas = list(Replica.objects.present())
    return Snapshot(nodes, replicas, measured(replicas, moment))


def figures(found: Snapshot) -> Figures:
    """Return the fleet's figures; no query."""
    by_node: dict[str, list[Replica]] = {}
    for replica in found.replicas:
        by_node.setdefault(replica.node_name, []).append(replica)
    uses = [(node, node_use(node, by_node.get(node.name, []), found.now)) for node in found.nodes]
    idle = [(node, node.gpu_count - use.held + use.unused) for node, use in uses]
    gpus, unmeasured = (
        sum(node.gpu_count for node in found.nodes),
        sum(use.unmeasured for _, use in uses),
    )
    return Figures(
        gpus=gpus,
        held=sum(use.held for _, use in uses),
        unused=sum(use.unused for _, use in uses),
        busy=sum(use.busy for _, use in uses) / (gpus - unmeasured) if gpus > unmeasured else None,
        unmeasured=unmeasured,
        idle_usd_per_day=sum(
            (idle_usd_per_day(node, count) or Decimal(0) for node, count in idle), Decimal(0)
        ),
        unpriced_idle=sum(count for node, count in idle if node.price_usd_per_hour is None),
        is_simulated=any(node.is_price_simulated for node in found.nodes),
        is_measure_simulated=any(use.is_simulated for _, use in uses),
        usd_per_hour=sum(
            (node.price_usd_per_hour or Decimal(0) for node in found.nodes), Decimal(0)
        ),
    )


def node_use(node: Node, replicas: Sequence[Replica], now: Now) -> NodeUse:
    """Return how a node's GPUs are used by the replicas on it; never more than it has."""
    left, unused, unmeasured, busy = node.gpu_count, 0, 0, 0.0
    is_simulated = False
    for replica in replicas:
        load, count = now.load(replica), min(left, replica.gpu_count)
        left -= count
        unused += count if load.unused_since is not None else 0
        is_simulated = is_simulated or (count > 0 and load.busy is not None and load.is_simulated)
        if load.busy is None:
            unmeasured += count
        else:
            busy += load.busy * count
    return NodeUse(node.gpu_count - left, unused, busy, unmeasured, is_simulated)


def empty_since(nodes: Iterable[Node]) -> dict[str, datetime]:
    """Return node → when its last replica left, else when it could take one; two queries."""
    names = [node.name for node in nodes]
    begun = NodeClaim.objects.present().filter(node_name__in=names, initialized_at__isnull=False)
    found = {
        name: at for name, at in begun.values_list("node_name", "initialized_at") if at is not None
    }
    left = Replica.objects.filter(node_name__in=names, ended_at__isnull=False).order_by()
    for name, at in left.values_list("node_name").annotate(Max("ended_at")):
        found[name] = max(at, found.get(name) or at)
    return found


def has_ready_replica(namespace: str, service: str) -> bool:
    """Tell whether a version has a replica that takes calls, as the observer saw it last."""
    return (
        Replica.objects.present()
        .filter(namespace=namespace, service=service, is_ready=True)
        .exists()
    )


def measuring_trouble(found: Snapshot, moment: datetime) -> list[str]:
    """Return, in sentences, why something is not measured now: endpoints that fail, or no scraper;
    one query.
    """
    rows = list(ScrapeTarget.objects.filter(tried_at__gte=moment - FRESH))
    if not rows:
        waits = any(replica.is_ready for replica in found.replicas)
        return (
            ["Nothing was measured lately: the scraper is not running, or cannot write."]
            if waits
            else []
        )
    failing = [row for row in rows if row.error]
    exporters = [f"{row.name}: {row.error}" for row in failing if row.kind == ScrapeTarget.Kind.GPU]
    engines = sum(
        row.kind == ScrapeTarget.Kind.ENGINE and row.replica_id in found.now.loads
        for row in failing
    )
    said = counted(engines, "engine does not answer", "engines do not answer")
    return [*exporters[:SHOWN], *([f"{said}: see the replicas."] if engines else [])]


def minutes_of(
    replica: Replica, from_at: datetime, to_at: datetime
) -> tuple[list[ReplicaSample], list[UtilizationSample]]:
    """Return a replica's minutes in [from_at, to_at), and those of one GPU that it holds, oldest
    first; three queries.

    A GPU's minutes from before the replica are another's. Of several GPUs the first one stands for
    all.
    """
    rows = ReplicaSample.objects.filter(replica=replica, minute__gte=from_at, minute__lt=to_at)
    device = GpuDevice.objects.filter(namespace=replica.namespace, pod=replica.name).first()
    begun = max(from_at, replica.created_at)
    power = UtilizationSample.objects.filter(device=device, minute__gte=begun, minute__lt=to_at)
    return list(rows), list(power.select_related("device")) if device is not None else []


def is_moving(now: datetime) -> bool:
    """Tell whether a claim or a replica is starting or ending; one query each."""
    recent = Q(created_at__gt=now - MOVING_WITHIN)
    claims = NodeClaim.objects.present().filter(
        Q(initialized_at__isnull=True) & recent | Q(deleting_at__isnull=False)
    )
    replicas = Replica.objects.present().filter(
        Q(is_ready=False) & recent | Q(deleting_at__isnull=False)
    )
    return claims.exists() or replicas.exists()


def with_use(nodes: NodeQuerySet) -> NodeQuerySet:
    """Return the nodes with what is on each, in one query.

    held: the GPUs that its replicas hold. replicas: their pk, name, service and is_ready.
    claim_pk, claim_name: of the present claim under it; None without one.
    """
    here = Replica.objects.present().filter(node_name=OuterRef("name")).order_by()
    claim = NodeClaim.objects.present().filter(node_name=OuterRef("name"))
    held = here.values("node_name").annotate(held=Sum("gpu_count")).values("held")
    said = JSONObject(pk="pk", name="name", service="service", is_ready="is_ready")
    return nodes.annotate(
        held=Coalesce(Subquery(held), 0),
        replicas=ArraySubquery(here.order_by("service", "name").values(said=said)),
        claim_pk=Subquery(claim.values("pk")[:1]),
        claim_name=Subquery(claim.values("name")[:1]),
    )
