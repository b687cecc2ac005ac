"""What machines cost those who use them: a replica's share of its node, a start, an idle GPU, a
month. A machine's price is what pricing/book.py knows of it now, or knew when it ended; list prices
(prices.py) stand in only where that is said.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from apps.common.periods import HOURS_PER_DAY, HOURS_PER_MONTH, SECONDS_PER_HOUR
from apps.fleet import prices
from apps.fleet.models import Machine, Node, NodeClaim, Replica
from apps.fleet.pricing.book import with_last_prices
from apps.integrations.engine.identity import is_stand_in
from apps.manifests.capacity import ON_DEMAND, SPOT

LAST_STARTS = 10
LOOKED_AT = 20  # machines of a kind, the newest, for one with a price


@dataclass(frozen=True)
class ColdStarts:
    """How a model's replicas started lately, evaluations included: the same machines, image and
    weights.

    median: None where none was measured; usd_per_hour: what the newest one's share of its machine
    costs, None without a
    price. is_simulated: tells that some machine, or the engine, behind the times was made up.
    """

    count: int
    median: timedelta | None
    usd_per_hour: Decimal | None
    is_price_simulated: bool = False
    is_simulated: bool = False

    @property
    def usd_per_start(self) -> Decimal | None:
        """Return what the machine costs until it answers."""
        if self.median is None or self.usd_per_hour is None:
            return None
        return self.usd_per_hour * Decimal(str(self.median.total_seconds())) / SECONDS_PER_HOUR


@dataclass(frozen=True)
class Price:
    """What a machine costs. note: what kind of price it is, in words; "" for the cluster's own."""

    usd_per_hour: Decimal
    note: str = ""

    @property
    def usd_per_month(self) -> Decimal:
        """Return what it costs when it always runs."""
        return self.usd_per_hour * HOURS_PER_MONTH


@dataclass(frozen=True)
class MachinePrices:
    """What a replica costs on the kind of machine that the model ran on last: its GPUs' share of
    it. A price is None where nobody has seen one.
    """

    instance_type: str = ""
    gpus: int = 0
    of_gpus: int = 0
    spot: Price | None = None
    on_demand: Price | None = None

    @property
    def machine(self) -> str:
        """Return what is paid for, in words: the machine, or the replica's GPUs of it."""
        if self.gpus < self.of_gpus:
            return f"{self.gpus} of the {self.of_gpus} GPUs of a {self.instance_type}"
        return f"One {self.instance_type}"


def idle_usd_per_day(node: Node, idle: int) -> Decimal | None:
    """Return what a node's idle GPUs cost per day: their share of its price; None without a
    price.
    """
    price = gpu_usd_per_hour(node)
    return None if price is None else price * HOURS_PER_DAY * idle


def gpu_usd_per_hour(machine: Machine) -> Decimal | None:
    """Return what one GPU of a machine costs per hour; None without a price, or without a GPU."""
    if machine.price_usd_per_hour is None or not machine.gpu_count:
        return None
    return machine.price_usd_per_hour / machine.gpu_count


def cold_starts(model: str, now: datetime) -> ColdStarts:
    """Return how the last ten replicas of a model started; five queries."""
    return cold_starts_of([model], now)[model]


def cold_starts_of(models: Collection[str], now: datetime) -> dict[str, ColdStarts]:
    """Return model → how its last ten replicas started; five queries, however many models."""
    newest = (F("created_at").desc(), F("id").desc())
    place = Window(RowNumber(), partition_by=F("model"), order_by=newest)
    rows = Replica.objects.filter(model__in=models, ready_at__isnull=False).annotate(place=place)
    started: dict[str, list[Replica]] = {model: [] for model in models}
    for row in rows.filter(place__lte=LAST_STARTS):
        started[row.model].append(row)
    claims = _claims((row for found in started.values() for row in found), now)
    return {model: _cold_starts(found, claims) for model, found in started.items()}


def _cold_starts(rows: Iterable[Replica], claims: Iterable[NodeClaim]) -> ColdStarts:
    """Return how these replicas, newest first, started. claims: under them, and under others."""
    rows = list(rows)
    took = [row.cold_start.total_seconds() for row in rows if row.cold_start is not None]
    nodes = {row.node_name for row in rows}
    under = [claim for claim in claims if claim.node_name in nodes]
    found = _by_node(under)
    newest = next((row for row in rows if row.node_name in found), None)
    claim = found[newest.node_name] if newest is not None else None
    return ColdStarts(
        count=len(took),
        median=timedelta(seconds=median(took)) if took else None,
        usd_per_hour=replica_usd_per_hour(newest, claim) if newest and claim else None,
        is_price_simulated=claim is not None and claim.is_price_simulated,
        is_simulated=any(claim.is_simulated for claim in under)
        or any(is_stand_in(row.engine) for row in rows),
    )


def priced_claims(replicas: Iterable[Replica], now: datetime) -> dict[str, NodeClaim]:
    """Return node → the newest claim with a price under it; four queries."""
    return _by_node(_claims(replicas, now))


def _claims(replicas: Iterable[Replica], now: datetime) -> list[NodeClaim]:
    names = {row.node_name for row in replicas if row.node_name}
    claims = list(NodeClaim.objects.filter(node_name__in=names))
    return list(with_last_prices(claims, now))


def _by_node(claims: Sequence[NodeClaim]) -> dict[str, NodeClaim]:
    """Return node → its newest claim with a price. claims: newest first."""
    priced = [claim for claim in claims if claim.price_usd_per_hour is not None]
    return {claim.node_name: claim for claim in reversed(priced)}


def replica_usd_per_hour(replica: Replica, machine: Machine) -> Decimal | None:
    """Return what a replica costs per hour: its GPUs' share of the machine's price, so that those
    who share a machine pay it once together. None without a price.
    """
    return _share(machine.price_usd_per_hour, replica.gpu_count, machine.gpu_count)


def _share(usd_per_hour: Decimal | None, gpus: int, of_gpus: int) -> Decimal | None:
    """Return the price of some of a machine's GPUs; the whole where it says nothing of GPUs."""
    if usd_per_hour is None or not gpus or gpus >= of_gpus:
        return usd_per_hour
    return usd_per_hour * gpus / of_gpus


def replicas_usd(
    replicas: Iterable[Replica], since: datetime, now: datetime, claims: Mapping[str, NodeClaim]
) -> Decimal | None:
    """Return what replicas have cost since a moment; None where one ran on a machine without a
    price. One that has no machine yet costs nothing. claims: priced_claims of these, or of more.
    """
    total = Decimal(0)
    for row in replicas:
        if not row.node_name:
            continue
        claim = claims.get(row.node_name)
        price = replica_usd_per_hour(row, claim) if claim is not None else None
        if price is None:
            return None
        seconds = ((row.ended_at or now) - max(row.created_at, since)).total_seconds()
        total += price * Decimal(str(seconds)) / SECONDS_PER_HOUR
    return total


def machine_prices(model: str, now: datetime) -> MachinePrices:
    """Return the Spot and the on-demand price of a replica on the machine that the model's newest
    one ran on; ten queries.

    Each is that of the newest such machine in the fleet with a price; where none was bought on
    demand, the list price.
    """
    rows = list(Replica.objects.filter(model=model).exclude(node_name="")[:LAST_STARTS])
    names = [row.node_name for row in rows]
    machine = NodeClaim.objects.filter(node_name__in=names).exclude(instance_type="").first()
    if machine is None:
        return MachinePrices()
    gpus = next(row.gpu_count for row in rows if row.node_name == machine.node_name)
    listed = prices.list_price(machine.instance_type)
    on_demand = _paid(machine, ON_DEMAND, gpus, now)
    if on_demand is None and listed is not None:
        on_demand = _price(listed, gpus, machine.gpu_count, prices.BASIS)
    return MachinePrices(
        instance_type=machine.instance_type,
        gpus=gpus,
        of_gpus=machine.gpu_count,
        spot=_paid(machine, SPOT, gpus, now),
        on_demand=on_demand,
    )


def listed_price(machine: prices.InstanceType, gpus: int) -> MachinePrices:
    """Return what a replica with so many GPUs costs on a type of machine, by its list price: what
    is known of a replica that never ran.
    """
    listed = machine.usd_per_hour
    on_demand = None if listed is None else _price(listed, gpus, machine.gpus, prices.BASIS)
    return MachinePrices(machine.name, gpus, machine.gpus, on_demand=on_demand)


def _paid(machine: NodeClaim, capacity_type: str, gpus: int, now: datetime) -> Price | None:
    """Return the price of so many GPUs of the newest such machine that has a price."""
    kind = {"instance_type": machine.instance_type, "capacity_type": capacity_type}
    newest = list(NodeClaim.objects.filter(**kind)[:LOOKED_AT])
    priced = (claim for claim in with_last_prices(newest, now) if claim.price_usd_per_hour)
    claim = next(priced, None)
    if claim is None:
        return None
    note = "simulated price" if claim.is_price_simulated else ""
    return _price(claim.price_usd_per_hour, gpus, machine.gpu_count, note)


def _price(usd: Decimal | None, gpus: int, of_gpus: int, note: str) -> Price | None:
    share = _share(usd, gpus, of_gpus)
    return Price(share, note) if share is not None else None
