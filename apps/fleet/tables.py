"""The lists of the fleet as tables: nodes, node claims, replicas. Declarations, and what cells say.

Rows of nodes come from queries.with_use, those of claims with their intervals, those of replicas
with their phases: no cell asks the database.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from django.urls import reverse

from apps.common import money
from apps.common.tables.columns import Column, Empty, Table
from apps.fleet import costs, intervals, pages, words
from apps.fleet.filters import ClaimFilters, NodeFilters, ReplicaFilters
from apps.fleet.metrics.loads import Now
from apps.fleet.models import Machine, NodeClaim, Replica


def _kind(machine: Machine) -> str:
    parts = (words.capacity_type(machine.capacity_type), machine.zone)
    return " · ".join(part for part in parts if part)


# -- Nodes -----------------------------------------------------------------------------------------
def _idle(node: Any) -> int:
    """Return the GPUs of a node that no replica holds."""
    idle: int = node.gpu_count - min(node.gpu_count, node.held)
    return idle


def _idle_usd(node: Any) -> Any:
    return costs.idle_usd_per_day(node, _idle(node)) if _idle(node) else None


def _idle_words(node: Any) -> str:
    said = f"{_idle(node)} idle" if _idle(node) else ""
    return f"{said}, {money.NO_PRICE}" if said and _idle_usd(node) is None else said


def _services(node: Any) -> str:
    return ", ".join(replica["service"] for replica in node.replicas)


NODES = Table(
    name="nodes",
    noun=("node", "nodes"),
    columns=(
        Column(
            "node",
            "Node",
            lambda node: words.short_name(node.name),
            kind="mono",
            sort="name",
            title="name",
            csv="name",
            sub=lambda node: node.node_pool or "no pool",
            place="name",
            css="nowrap",
        ),
        Column("state", "State", pages.node_badge, kind="badge"),
        Column(
            "machine", "Machine", "instance_type", sort="instance_type", sub=_kind, css="nowrap"
        ),
        Column(
            "gpus",
            "GPUs held",
            lambda node: f"{min(node.gpu_count, node.held)} of {node.gpu_count}",
            sort="gpu_count",
            css="num",
        ),
        Column(
            "price",
            "Price",
            "price_usd_per_hour",
            kind="money",
            unit="an hour",
            sort="price_usd_per_hour",
            sub=lambda node: words.price_basis(node.price_basis),
            unknown=money.NO_PRICE,
        ),
        Column(
            "idle",
            "Idle",
            _idle_usd,
            kind="money",
            unit="a day",
            sub=_idle_words,
            place="figure",
        ),
        Column("age", "Age", "created_at", kind="age", sort="created_at", css="nowrap"),
        Column(
            "claim",
            "Claim",
            "claim_name",
            kind="mono",
            url=lambda node: (
                reverse("fleet:claim_detail", args=[node.claim_pk]) if node.claim_pk else ""
            ),
        ),
        Column(
            "replicas",
            "Replicas",
            "replicas",
            csv=_services,
            template="fleet/cells/node_replicas.html",
            css="wide",
        ),
        Column("zone", "Zone", "zone", sort="zone", optional=True, at_first=False),
        Column("pool", "Pool", "node_pool", sort="node_pool", optional=True, at_first=False),
    ),
    search=("name", "instance_type", "zone", "node_pool"),
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


# -- Claims ----------------------------------------------------------------------------------------
def _claim_machine(claim: NodeClaim) -> str:
    return claim.instance_type or "no machine yet"


def _why_ended(claim: NodeClaim) -> str:
    """Return why a claim ended or is ending, or what stands in its way."""
    if claim.ended_at or claim.deleting_at:
        return claim.end_reason or "reason not told"
    return claim.message[:160] if claim.message and not claim.initialized_at else ""


def _per_hour(claim: NodeClaim) -> str:
    if claim.price_usd_per_hour is None:
        return money.NO_PRICE
    basis = words.price_basis(claim.price_basis)
    price = f"{money.usd(claim.price_usd_per_hour)} an hour"
    return f"{price}, {basis}" if basis else price


def claims(now: datetime) -> Table:
    """Return the table of claims; costs are until now."""
    return Table(
        name="claims",
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
                sub=lambda claim: claim.launch_reason or "reason not told",
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
                lambda claim: intervals.usd_of(list(claim.intervals.all()), now),
                kind="money",
                sub=_per_hour,
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
