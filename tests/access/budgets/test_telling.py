"""What is told of budgets: changes that wait, what became of them, thresholds that are reached."""

import pytest

from apps.access.budgets import actions
from apps.access.budgets.telling import tell
from apps.accounts.models import Role
from apps.notices.models import Kind, Notice
from tests.access.budgets import test_queries
from tests.access.budgets.test_actions import (  # noqa: F401
    LATER,
    LATEST,
    WHY,
    boost,
    budget,
    finance,
)
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
NAME = "budget of claims-review for prior-auth-extract"


def told(**about):
    rows = Notice.objects.unread().filter(**about).order_by("title", "user__username")
    return [(one.user.username, one.title) for one in rows]


def test_a_boost_waits_for_whoever_sets_the_budget_and_comes_back_to_whoever_asked(
    budget,  # noqa: F811
    finance,  # noqa: F811
    charlie,
    alice,
    carol,
):
    asked = boost(budget, charlie)
    tell(now=LATER)
    title = f"Charlie asks for the boost of the {NAME}"
    assert told(kind=Kind.WAITS) == [("alice", title), ("fiona", title)]
    actions.approve_boost(request=asked, approver=alice, now=LATEST, **WHY)
    tell(now=LATEST)
    assert told() == [("charlie", f"Your boost of the {NAME}: approved")]


def test_a_threshold_is_told_to_those_who_can_act_on_it(
    budget,  # noqa: F811
    finance,  # noqa: F811
    charlie,
    alice,
    bob,
    carol,
):
    UserFactory(username="developer", team=charlie.team, with_roles=[Role.DEVELOPER])
    UserFactory(username="other-lead", with_roles=[Role.TEAM_LEAD])
    test_queries.tell(budget, 80)
    tell(now=LATER)
    used = f"The {NAME} is 80 % used"
    people = ["alice", "bob", "charlie", "fiona"]
    assert told() == [(name, used) for name in people]
    test_queries.tell(budget, 100)
    tell(now=LATER)
    assert tell(now=LATER) == 0
    assert told(is_urgent=True) == [(name, f"The {NAME} is spent") for name in people]
