"""A pool, a wish to change it, and how the portal comes to know a pool."""

from dataclasses import replace

from apps.capacity import actions, records
from apps.capacity.models import NodePoolRevision
from apps.fleet.models import NodePool as PoolSeen
from apps.manifests.capacity import Budget, NodeClassRef, NodePool, node_pool
from apps.manifests.text import to_yaml
from tests.factories import NOW

POOL = NodePool(
    name="gpu-inference",
    node_class=NodeClassRef("karpenter.kwok.sh", "KWOKNodeClass", "gpu-local"),
    families=("g5", "g6"),
    gpus=64,
    budgets=(Budget("100%", ("Empty",)), Budget("1", ("Underutilized", "Drifted"))),
)
WISH = actions.Wish(
    families=("g6", "p5"),
    gpus=96,
    capacity_types=("on-demand",),
    consolidation_policy="WhenEmpty",
    consolidate_after="5m",
    budgets=(Budget("100%", ("Empty",)),),
)
WHY = "The claims team needs bigger machines."


def text_of(pool: NodePool) -> str:
    """Return the pool's file."""
    return to_yaml([node_pool(pool)]).decode()


def seen(**change: object) -> None:
    """Let the portal know a pool that the cluster has."""
    pool = replace(POOL, **change)
    records.record_found(pool=pool.name, text=text_of(pool), now=NOW)
    PoolSeen.objects.create(
        uid=pool.name, name=pool.name, created_at=NOW, learned_at=NOW, is_ready=True
    )


def found(name: str = POOL.name) -> NodePoolRevision:
    """Return the revision of a pool that was found in Git."""
    row = records.record_found(pool=name, text=text_of(replace(POOL, name=name)), now=NOW)
    assert row is not None
    return row
