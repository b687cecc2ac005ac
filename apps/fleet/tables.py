"""The lists of the fleet as tables: nodes, idle GPUs, node claims, replicas. Declarations, and what
cells say.

Nodes and idle GPUs are few, those that there are now, and are sorted here by what is worked out of
them. Claims and replicas have a past, which the database sorts; claims come with their intervals,
replicas with their phases. No cell asks the database.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from apps.common import money
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.fleet import costs, intervals, pages, words
from apps.fleet.filters import ClaimFilters, NodeFilters, ReplicaFilters
from apps.fleet.idle import IdleLine
from apps.fleet.metrics.loads import Now
from apps.fleet.models import Machine, NodeClaim, Replica
from apps.fleet.pricing.book import Price


def _kind(machine: Machine) -> str:
    parts = (words.capacity_type(machine.capacity_type), machine.zone)
    return " · ".join(part for part in parts if part)


# -- Nodes -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class NodeLine:
    """A node of queries.with_use, and what is worked out of it."""

    node: Any

    @property
    def badge(self) -> Badge:
        """Return whether it takes replicas."""
        return pages.node_badge(self.node)

    @property
    def idle(self) -> int:
        """Return its GPUs that no replica holds."""
        idle: int = self.node.gpu_count - min(self.node.gpu_count, self.node.held)
        return idle

    @property
    def idle_usd_per_day(self) -> Decimal | None:
        """Return what its idle GPUs cost a day: 0 where none is idle, None without a price."""
        return costs.idle_usd_per_day(self.node, self.idle) if self.idle else Decimal(0)

    @property
    def idle_words(self) -> str:
        """Return how many are idle; "" where none is."""
        return f"{self.idle} idle" if self.idle else ""

    @property
    def gpus(self) -> str:
        """Return how many of its GPUs are held."""
        return f"{self.node.gpu_count - self.idle} of {self.node.gpu_count}"

    @property
    def services(self) -> str:
        """Return the versions that run on it."""
        return ", ".join(replica["service"] for replica in self.node.replicas)


def node_lines(nodes: Iterable[Any]) -> list[NodeLine]:
    """Return the rows of the table of nodes. nodes: of queries.with_use."""
    return [NodeLine(node) for node in nodes]


NODES = Table(
    name="nodes",
    noun=("node", "nodes"),
    columns=(
        Column(
            "node",
            "Node",
            lambda line: words.short_name(line.node.name),
            kind="mono",
            sort="node.name",
            title="node.name",
            csv="node.name",
            sub=lambda line: line.node.node_pool or "no pool",
            place="name",
            css="nowrap",
        ),
        Column("state", "State", "badge", kind="badge", sort="badge.words"),
        Column(
            "machine",
            "Machine",
            "node.instance_type",
            sort="node.instance_type",
            sub=lambda line: _kind(line.node),
            css="nowrap",
        ),
        Column("gpus", "GPUs held", sort="node.gpu_count", css="num"),
        Column(
            "price",
            "Price",
            "node.price_usd_per_hour",
            kind="money",
            unit="an hour",
            sort="node.price_usd_per_hour",
            sub=lambda line: words.price_basis(line.node.price_basis),
            unknown=money.NO_PRICE,
        ),
        Column(
            "idle",
            "Idle",
            "idle_usd_per_day",
            kind="money",
            unit="a day",
            sort=("idle_usd_per_day", "idle"),
            sub="idle_words",
            unknown=money.NO_PRICE,
            place="figure",
        ),
        Column("age", "Age", "node.created_at", kind="age", sort="node.created_at", css="nowrap"),
        Column(
            "claim",
            "Claim",
            "node.claim_name",
            kind="mono",
            sort="node.claim_name",
            url=lambda line: (
                reverse("fleet:claim_detail", args=[line.node.claim_pk])
                if line.node.claim_pk
                else ""
            ),
        ),
        Column(
            "replicas",
            "Replicas",
            "node.replicas",
            csv="services",
            template="fleet/cells/node_replicas.html",
            css="wide min-w-36",
        ),
        Column("zone", "Zone", "node.zone", sort="node.zone", optional=True, at_first=False),
        Column(
            "pool", "Pool", "node.node_pool", sort="node.node_pool", optional=True, at_first=False
        ),
    ),
    search=("node.name", "node.instance_type", "node.zone", "node.node_pool"),
    search_words="Node, instance type, zone or pool",
    filters=NodeFilters,
    order="-age",
    empty=Empty(
        "No GPU node now",
        "Karpenter launches one when a replica waits for a GPU. Nothing is paid until then.",
        icon="server",
    ),
)
NODES_UNSEEN = Empty(
    "No GPU node seen yet", "Nodes appear once the observer has listed them.", icon="server"
)


# -- Idle GPUs -------------------------------------------------------------------------------------
def _idle_machine(line: IdleLine) -> str:
    kind = words.machine(line.node.capacity_type, line.node.price_basis)
    parts = (line.node.instance_type or "machine not told", kind)
    return " · ".join(part for part in parts if part)


def step_url(line: IdleLine) -> str:
    """Return where the safe action is done or watched; "" where no page does."""
    step = line.step
    try:
        found = reverse(step.view, args=[step.argument] if step.argument else [])
    except NoReverseMatch:
        return ""
    return f"{found}?{urlencode({'q': step.query})}" if step.query else found


IDLE = Table(
    name="idle-gpus",
    prefix="idle",
    noun=("line", "lines"),
    columns=(
        Column(
            "node",
            "Node",
            lambda line: words.short_name(line.node.name),
            kind="mono",
            sort="node.name",
            title="node.name",
            csv="node.name",
            sub=_idle_machine,
            place="name",
            css="min-w-48",
        ),
        Column(
            "gpus",
            "GPUs",
            lambda line: f"{line.gpus} of {line.node.gpu_count}",
            sort="gpus",
            css="num",
        ),
        Column(
            "cost",
            "Cost",
            "usd_per_day",
            kind="money",
            unit="a day",
            sort=("usd_per_day", "-since"),
            total="usd_per_day",
            unknown=money.NO_PRICE,
            place="figure",
        ),
        Column(
            "since",
            "Idle for",
            kind="age",
            sort="since",
            sub=lambda line: "no call seen" if line.replica else "no replica",
            css="nowrap",
        ),
        Column("why", "Why it is still there", css="wide min-w-48"),
        Column("step", "Safe action", "step.words", url=step_url, css="min-w-40 cell-action"),
    ),
    order="-cost",
    page_size=20,
    empty=Empty("No GPU is idle now"),
)


# -- Claims ----------------------------------------------------------------------------------------
def _claim_machine(claim: NodeClaim) -> str:
    return claim.instance_type or "no machine yet"


def _why_ended(claim: NodeClaim) -> str:
    """Return why a claim ended or is ending, or what stands in its way."""
    if claim.ended_at or claim.deleting_at:
        return claim.end_reason or "reason unknown"
    return claim.message[:160] if claim.message and not claim.initialized_at else ""


def _per_hour(price: Price) -> str:
    if price.usd_per_hour is None:
        return money.NO_PRICE
    basis = words.price_basis(price.basis)
    said = f"{money.usd(price.usd_per_hour)} an hour"
    return f"{said}, {basis}" if basis else said


def claims(now: datetime) -> Table:
    """Return the table of claims; costs are until now, asked for once for the rows of a page."""
    costs: dict[int, intervals.ClaimCost] = {}

    def with_costs(rows: Sequence[NodeClaim]) -> Sequence[NodeClaim]:
        costs.update(intervals.costs_of(rows, now))
        return rows

    return Table(
        name="claims",
        with_facts=with_costs,
        noun=("claim", "claims"),
        columns=(
            Column(
                "claim",
                "Claim",
                "name",
                kind="mono",
                sort="name",
                url=lambda claim: reverse("fleet:claim_detail", args=[claim.pk]),
                sub=lambda claim: claim.node_pool or "no pool",
                place="name",
            ),
            Column("state", "State", pages.claim_badge, kind="badge"),
            Column(
                "machine", "Machine", _claim_machine, sort="instance_type", sub=_kind, css="nowrap"
            ),
            Column(
                "launched",
                "Launched",
                "launched_at",
                kind="time",
                sort="launched_at",
                sub=lambda claim: claim.launch_reason or "reason unknown",
                unknown="not launched",
                css="min-w-48",
            ),
            Column(
                "ended",
                "Ended",
                "ended_at",
                kind="time",
                sort="ended_at",
                sub=_why_ended,
                css="min-w-40",
            ),
            Column(
                "cost",
                "Cost so far",
                lambda claim: costs[claim.pk].usd,
                kind="money",
                sub=lambda claim: _per_hour(costs[claim.pk].price),
                unknown=money.NO_PRICE,
                place="figure",
            ),
            Column(
                "claimed", "Claimed", "created_at", kind="time", sort="created_at",
                optional=True, at_first=False,
            ),
            Column(
                "node", "Node", lambda claim: words.short_name(claim.node_name), kind="mono",
                title="node_name", csv="node_name", sort="node_name",
                optional=True, at_first=False,
            ),
            Column("zone", "Zone", "zone", sort="zone", optional=True, at_first=False),
        ),
        search=("name", "node_name", "instance_type", "zone", "node_pool"),
        search_words="Claim, node, instance type, zone or pool",
        filters=ClaimFilters,
        order="-claimed",
        empty=Empty(
            "No node was claimed yet",
            "A claim appears when a replica waits for a GPU, and stays here after it has ended.",
            icon="server",
        ),
    )  # fmt: skip


# -- Replicas --------------------------------------------------------------------------------------
def replicas(now: datetime, measured: Now) -> Table:
    """Return the table of replicas, with what each does now."""

    # one row's line at a time, however many cells it fills
    @lru_cache(maxsize=1)
    def line(replica: Replica) -> pages.ReplicaLine:
        return pages.replica_line(replica, now, measured.load(replica))

    def figure(place: int) -> Any:
        return lambda replica: (line(replica).figures or ("",) * 6)[place]

    def load_words(replica: Replica) -> str:
        return "" if replica.ended_at else line(replica).load_badge.words

    return Table(
        name="replicas",
        noun=("replica", "replicas"),
        columns=(
            Column(
                "replica",
                "Replica",
                lambda replica: replica.service or replica.name,
                sort="service",
                url=lambda replica: reverse("fleet:replica_detail", args=[replica.pk]),
                sub=lambda replica: f"{replica.namespace}/{replica.name}",
                csv=lambda replica: f"{replica.namespace}/{replica.name}",
                place="name",
                css="min-w-40",
            ),
            Column(
                "state", "State", line, csv=lambda replica: line(replica).badge.words,
                template="fleet/cells/replica_state.html", place="figure",
            ),
            Column(
                "load", "Load", line, csv=load_words,
                template="fleet/cells/replica_load.html", css="min-w-32",
            ),
            Column("requests", "Running, waiting", lambda replica: line(replica).counts, css="num"),
            Column("kv", "KV cache", figure(2), css="num"),
            Column("ttft", "First token p95", figure(3), css="num"),
            Column("tokens", "Tokens out", figure(4), unit="/ s", css="num"),
            Column(
                "start", "Cold start by phase", line, csv=lambda replica: line(replica).total,
                template="fleet/cells/cold_start.html", css="wide min-w-48",
            ),
            Column(
                "node", "Node", line, sort="node_name", csv="node_name",
                template="fleet/cells/replica_node.html", css="nowrap",
            ),
            Column("age", "Age", "created_at", kind="age", sort="created_at", css="nowrap"),
            Column("engine", "Engine", "engine", sort="engine", optional=True, at_first=False),
            Column(
                "ended", "Ended", "ended_at", kind="time", sort="ended_at",
                sub="end_reason", optional=True, at_first=False,
            ),
        ),
        search=("name", "model", "node_name", "service"),
        search_words="Replica, model or node",
        filters=ReplicaFilters,
        order="-age",
        empty=Empty(
            "No replica now",
            "Replicas appear when a version is evaluated or promoted.",
            icon="box",
        ),
    )  # fmt: skip
