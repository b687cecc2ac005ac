"""The cast of capacity: pete asks, petra and rita decide, fiona looks, charlie (tests/conftest.py) sees nothing."""

import pytest

from apps.accounts.models import Role
from apps.fleet.capacity import actions, records
from apps.fleet.capacity.models import NodePoolRevision
from apps.manifests.capacity import Budget, NodeClassRef, NodePool, node_pool
from apps.manifests.text import to_yaml
from tests.factories import NOW, TeamFactory, UserFactory

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
    return to_yaml([node_pool(pool)]).decode()


def person(name: str, role: str):
    return UserFactory(username=name, team=TeamFactory(slug=f"team-of-{name}"), with_roles=[role])


@pytest.fixture
def pete(db):
    return person("pete", Role.PLATFORM_ENGINEER)


@pytest.fixture
def petra(db):
    return person("petra", Role.PLATFORM_ENGINEER)


@pytest.fixture
def rita(db):
    return person("rita", Role.REVIEWER)


@pytest.fixture
def fiona(db):
    return person("fiona", Role.FINANCE)


@pytest.fixture
def revision(db) -> NodePoolRevision:
    """The pool as it was found in Git."""
    found = records.record_found(pool=POOL.name, text=text_of(POOL), now=NOW)
    assert found is not None
    return found


@pytest.fixture
def asked(revision, pete):
    """A pending request of pete's."""
    return actions.request_capacity(
        pool=POOL.name, base=revision.number, wish=WISH, justification=WHY, requester=pete, now=NOW
    )


@pytest.fixture
def approved(asked, rita):
    """A request that rita approved."""
    return actions.approve_capacity(request=asked, approver=rita, reason="Fits the plan.", now=NOW)
