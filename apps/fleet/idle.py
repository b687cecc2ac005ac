"""Idle GPUs by money: since when, why each is still there, and the one safe thing to do. Pure: rows
in, lines out.

Every sentence follows from what was read: the pool's own rules, the node's state, the replica's
last request. What Karpenter will do is said as its rule, never as a promise: budgets and pods that
we do not read may hold it back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.fleet.costs import idle_usd_per_day
from apps.fleet.metrics.loads import Now
from apps.fleet.models import Node, NodePool, Replica
from apps.manifests import durations
from apps.manifests.names import EVALS

EMPTY_REASON = "Empty"
GRACE = timedelta(minutes=10)  # Karpenter looks, decides and drains in this time


@dataclass(frozen=True)
class Step:
    """The safe action. view, argument: the page where it is done or watched; "" where nothing has
    to be done.
    """

    words: str
    view: str = ""
    argument: str = ""
    query: str = ""


@dataclass(frozen=True)
class IdleLine:
    """Some idle GPUs of a node, for one reason. usd_per_day: None without a price. replica: None
    where empty.
    """

    node: Node
    gpus: int
    usd_per_day: Decimal | None
    since: datetime
    why: str
    step: Step
    replica: Replica | None = None


def idle_lines(
    *,
    nodes: Iterable[Node],
    replicas: Iterable[Replica],
    now: Now,
    pools: Mapping[str, NodePool],
    empty_since: Mapping[str, datetime],
    moment: datetime,
) -> list[IdleLine]:
    """Return the idle GPUs, the most expensive first. empty_since: node → when its last replica
    left, or since when it is there.

    moment: now; a node that is empty for much longer than its pool's rule says is held by
    something.
    """
    by_node: dict[str, list[Replica]] = {}
    for replica in replicas:
        by_node.setdefault(replica.node_name, []).append(replica)
    lines: list[IdleLine] = []
    for node in nodes:
        here = by_node.get(node.name, [])
        empty = node.gpu_count - min(node.gpu_count, sum(replica.gpu_count for replica in here))
        if empty:
            since = empty_since.get(node.name) or node.created_at
            pool = pools.get(node.node_pool)
            why, step = (
                _why_partly_empty(here, pool) if here else _why_empty(node, pool, moment - since)
            )
            lines.append(IdleLine(node, empty, idle_usd_per_day(node, empty), since, why, step))
        lines += [_unused(node, replica, here, now) for replica in here if _is_unused(replica, now)]
    return sorted(lines, key=lambda line: (-(line.usd_per_day or Decimal(0)), line.since))


def _is_unused(replica: Replica, now: Now) -> bool:
    return replica.gpu_count > 0 and now.load(replica).unused_since is not None


def _why_empty(node: Node, pool: NodePool | None, empty_for: timedelta) -> tuple[str, Step]:
    watch = Step("Watch its claim", "fleet:claim_list", query=node.name)
    if node.deleting_at is not None:
        return "It is being removed: Karpenter drains it first.", watch
    if not node.node_pool or pool is None:
        return "No known node pool launched it, so Karpenter does not remove it.", Step(
            "Remove it where it was created"
        )
    rules = pool.disruption
    after = str(rules.get("consolidateAfter") or "")
    if after == durations.NEVER:
        return f"Pool {pool.name} never removes a node for being idle.", Step(
            "Change the rule of the pool", "capacity:pool_list"
        )
    if blocks_removal(rules):
        return f"A disruption budget of pool {pool.name} lets no empty node go.", Step(
            "Change the pool's budgets", "capacity:pool_list"
        )
    wait = f"{durations.words(after)} after its last pod left" if after else "at once"
    rule = f"By the rule of pool {pool.name}, Karpenter removes an empty node {wait}"
    if empty_for > durations.length(after) + GRACE:
        held = "A pod that does not serve, a budget, or a do-not-disrupt annotation may hold it."
        return f"{rule}, but this one is still there. {held}", Step(
            "See what its claim says", watch.view, query=node.name
        )
    return f"{rule}.", Step("Nothing to do: watch its claim", watch.view, query=node.name)


def _why_partly_empty(here: Sequence[Replica], pool: NodePool | None) -> tuple[str, Step]:
    names = ", ".join(sorted({replica.service for replica in here}))
    if (
        pool is not None
        and pool.disruption.get("consolidationPolicy") == "WhenEmptyOrUnderutilized"
    ):
        why = (
            f"The node stays while it runs {names}. Its pool lets Karpenter replace it with "
            f"a cheaper one where one fits."
        )
        return why, Step(
            "Nothing to do: watch its claim", "fleet:claim_list", query=here[0].node_name
        )
    return f"The node stays while it runs {names}.", Step(
        f"See {here[0].model}", "catalog:model_detail", here[0].model
    )


def _unused(node: Node, replica: Replica, here: Sequence[Replica], now: Now) -> IdleLine:
    since = now.load(replica).unused_since or replica.created_at
    gpus = min(node.gpu_count, replica.gpu_count)
    if replica.namespace == EVALS:
        why = "A candidate under evaluation holds it; it goes when its evaluation run ends."
        step = Step("See the evaluation runs", "evals:run_list")
    else:
        why = (
            f"A replica of {replica.service} holds it and nobody calls it. It stays as long as "
            f"that version is served."
        )
        step = Step(
            f"See who uses {replica.model} and its rollout", "catalog:model_detail", replica.model
        )
    return IdleLine(node, gpus, idle_usd_per_day(node, gpus), since, why, step, replica)


def blocks_removal(rules: Mapping[str, Any]) -> bool:
    """Tell whether a budget without a schedule keeps every empty node: one with a schedule may be
    over.
    """
    for budget in rules.get("budgets") or []:
        reasons = budget.get("reasons")
        applies = not reasons or EMPTY_REASON in reasons
        if applies and str(budget.get("nodes")) in ("0", "0%") and not budget.get("schedule"):
            return True
    return False
