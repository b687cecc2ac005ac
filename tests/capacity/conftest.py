"""The cast of capacity: pete asks, petra and rita decide, fiona looks, charlie (tests/conftest.py)
sees nothing.
"""

import pytest

from apps.accounts.models import Role
from apps.capacity import actions
from apps.capacity.models import NodePoolRevision
from tests.capacity import samples
from tests.factories import NOW, TeamFactory, UserFactory


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
    return samples.found()


@pytest.fixture
def asked(revision, pete):
    """A pending request of pete's."""
    return actions.request_capacity(
        pool=revision.pool,
        base=revision.number,
        wish=samples.WISH,
        justification=samples.WHY,
        requester=pete,
        now=NOW,
    )


@pytest.fixture
def approved(asked, rita):
    """A request that rita approved."""
    return actions.approve_capacity(request=asked, approver=rita, reason="Fits the plan.", now=NOW)
