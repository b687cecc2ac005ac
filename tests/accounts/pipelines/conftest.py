"""A pipeline that is let in, and who may decide about another."""

import pytest

from apps.accounts.models import Role
from apps.common.sign_ins import JUST_NOW
from tests.accounts.pipelines import samples
from tests.factories import UserFactory


@pytest.fixture
def engineer():
    """Somebody who decides about rules."""
    person = UserFactory(username="erin", with_roles=[Role.PLATFORM_ENGINEER])
    person.sign_in = JUST_NOW
    return person


@pytest.fixture
def pushes(bob):
    """Who pushes: bob, with his account at GitHub."""
    return samples.pusher(bob)


@pytest.fixture
def pipeline(alice, engineer, pushes):
    """A pipeline for alice's models that bob pushes to."""
    return samples.let_in(
        "extract-release",
        requester=alice,
        approver=engineer,
        team=alice.team,
        pushers=[pushes],
        models=["extract", "summary"],
    )
