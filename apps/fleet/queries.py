"""The fleet's figures: GPUs and what the idle ones cost, how fresh it all is, and what moves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from django.db.models import Q, Sum

from apps.accounts.models import Role
from apps.fleet.models import HOURS_PER_DAY, Node, NodeClaim, Observation, Replica

READERS = (Role.PLATFORM_ENGINEER, Role.AUDITOR, Role.FINANCE)
HOURS_PER_MONTH = Decimal(730)
LAST_STARTS = 10
STALE_AFTER = timedelta(minutes=3)
MOVING_WITHIN = timedelta(minutes=30)  # a replica that is not ready for longer is stuck, not starting


@dataclass(frozen=True)
class Freshness:
    """Until when the whole cluster was seen; None: never. errors: (feed, why it is not seen now)."""

    seen_until: datetime | None
    is_stale: bool
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ColdStarts:
    """How a model's replicas started lately, evaluations included: the same machines, image and weights.

    median: None where none was measured; usd_per_hour: of the newest one's machine, None without a price.
    """

    count: int
    median: timedelta | None
    usd_per_hour: Decimal | None
    is_simulated: bool = False

    @property
    def usd_per_start(self) -> Decimal | None:
        """Return what the machine costs until it answers."""
        if self.median is None or self.usd_per_hour is None:
            return None
        return self.usd_per_hour * Decimal(str(self.median.total_seconds())) / 3600

    @property
    def usd_per_month(self) -> Decimal | None:
        """Return what the machine costs when it always runs."""
        return None if self.usd_per_hour is None else self.usd_per_hour * HOURS_PER_MONTH


@dataclass(frozen=True)
class Figures:
    """The fleet's GPUs now. busy: held by a replica. idle_usd_per_day: at the nodes' own prices.

    unpriced_idle: idle GPUs whose node has no price; they are missing in the money.
    """

    gpus: int
    busy: int
    idle_usd_per_day: Decimal
    unpriced_idle: int
    is_simulated: bool
    usd_per_hour: Decimal

    @property
    def idle(self) -> int:
        """Return the GPUs that nobody holds."""
        return self.gpus - self.busy


def freshness(now: datetime) -> Freshness:
    """Return how fresh the rows are; one query."""
    rows = list(Observation.objects.order_by("feed"))
    times = [row.seen_at for row in rows if row.seen_at is not None]
    errors = tuple((row.feed, row.error) for row in rows if row.error)
    seen_until = min(times) if times and len(times) == len(rows) else None
    return Freshness(seen_until, bool(errors) or seen_until is None or now - seen_until > STALE_AFTER, errors)


def held_gpus(nodes: Iterable[str] | None = None) -> dict[str, int]:
    """Return node → GPUs that present replicas hold, of some nodes or of all; one query."""
    found = Replica.objects.present().exclude(node_name="")
    if nodes is not None:
        found = found.filter(node_name__in=list(nodes))
    return dict(found.order_by().values_list("node_name").annotate(Sum("gpu_count")))


def figures() -> Figures:
    """Return the fleet's figures; two queries."""
    nodes = list(Node.objects.present().with_gpus())
    held = held_gpus()
    busy = {node.name: min(node.gpu_count, held.get(node.name, 0)) for node in nodes}
    idle = [(node, node.gpu_count - busy[node.name]) for node in nodes]
    return Figures(
        gpus=sum(node.gpu_count for node in nodes),
        busy=sum(busy.values()),
        idle_usd_per_day=sum((idle_usd_per_day(node, count) or Decimal(0) for node, count in idle), Decimal(0)),
        unpriced_idle=sum(count for node, count in idle if node.price_usd_per_hour is None),
        is_simulated=any(node.is_price_simulated for node in nodes),
        usd_per_hour=sum((node.price_usd_per_hour or Decimal(0) for node in nodes), Decimal(0)),
    )


def idle_usd_per_day(node: Node, idle: int) -> Decimal | None:
    """Return what a node's idle GPUs cost per day: their share of its price; None without a price."""
    if node.price_usd_per_hour is None or not node.gpu_count:
        return None
    return node.price_usd_per_hour * HOURS_PER_DAY * idle / node.gpu_count


def cold_starts(model: str) -> ColdStarts:
    """Return how the last ten replicas of a model started; two queries."""
    rows = list(Replica.objects.filter(model=model, ready_at__isnull=False)[:LAST_STARTS])
    took = [row.cold_start.total_seconds() for row in rows if row.cold_start is not None]
    claims = NodeClaim.objects.filter(node_name__in=[row.node_name for row in rows], price_usd_per_hour__isnull=False)
    claim = claims.first()
    return ColdStarts(
        count=len(took),
        median=timedelta(seconds=median(took)) if took else None,
        usd_per_hour=claim.price_usd_per_hour if claim else None,
        is_simulated=claim is not None and claim.is_price_simulated,
    )


def has_ready_replica(namespace: str, service: str) -> bool:
    """Tell whether a version has a replica that takes calls, as the observer saw it last."""
    return Replica.objects.present().filter(namespace=namespace, service=service, is_ready=True).exists()


def is_moving(now: datetime) -> bool:
    """Tell whether a claim or a replica is starting or ending; one query each."""
    recent = Q(created_at__gt=now - MOVING_WITHIN)
    claims = NodeClaim.objects.present().filter(Q(initialized_at__isnull=True) & recent | Q(deleting_at__isnull=False))
    replicas = Replica.objects.present().filter(Q(is_ready=False) & recent | Q(deleting_at__isnull=False))
    return claims.exists() or replicas.exists()
