"""What keeps a rollout under way from going forward."""

from datetime import timedelta

import pytest

from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts.holds import hold_of
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories
from tests.promotions.changes.records import HOUR, ready
from tests.promotions.policies import put_in_force

pytestmark = pytest.mark.django_db
LOST = {
    "window": ({"ends_at": NOW}, "The window of CHG0031177 ended at"),
    "planned anew": ({"starts_at": NOW + HOUR}, "The window of CHG0031177 begins at"),
    "taken back": ({"approval": "rejected"}, "is not approved in ServiceNow any more"),
    "on hold": ({"on_hold": True}, "is on hold in ServiceNow"),
    "canceled": ({"state": "4"}, "was canceled in ServiceNow while the rollout is under way"),
    "closed": (
        {"status": "CLOSED", "state": "3", "closed_at": NOW, "outcome": ""},
        "was closed in ServiceNow while the rollout is under way",
    ),
}
KEPT = {
    "open": {},
    "in implementation": {"state": "-1"},
    "not read for a day": {"read_at": NOW - timedelta(days=1)},
    "in doubt": {"reason": "AWAY", "message": "ServiceNow is away."},
    "never read": {"read_at": None, "ends_at": NOW},
}


@pytest.fixture(autouse=True)
def servicenow(settings):
    settings.SERVICENOW_URL = "http://127.0.0.1:1"


@pytest.fixture
def rollout(registered_model):
    return moving(registered_model)


def moving(model):
    return factories.rolled(model, 2, status="PROGRESSING", finished_at=None)


def with_change(rollout, **facts):
    made = ready(promotion=rollout.promotion, correlation_id=str(rollout.pk), **facts)
    made.save()
    return Rollout.objects.select_related("promotion__policy_revision").get(pk=rollout.pk)


@pytest.mark.parametrize("how", LOST)
def test_is_a_change_that_is_not_open_any_more(rollout, how):
    other = with_change(moving(RegisteredModelFactory()))
    change, words = LOST[how]
    hold = hold_of(with_change(rollout, **change), NOW)
    assert (hold.code, words in hold.words) == ("CHANGE", True)
    assert hold_of(other, NOW) is None


@pytest.mark.parametrize("how", KEPT)
def test_is_nothing_that_nobody_knows(rollout, how):
    assert hold_of(with_change(rollout, **KEPT[how]), NOW) is None


def test_is_no_change_that_the_policy_does_not_ask_for_or_an_emergency_did_without(
    registered_model, settings
):
    put_in_force("PHI", change="none")
    assert hold_of(with_change(moving(registered_model), ends_at=NOW), NOW) is None
    put_in_force("PHI", change="required")
    second = with_change(moving(RegisteredModelFactory()), ends_at=NOW)
    assert hold_of(second, NOW).code == "CHANGE"
    second.promotion.status = Promotion.Status.EMERGENCY
    assert hold_of(second, NOW) is None


def test_never_holds_the_way_back(registered_model):
    live = factories.live(registered_model, 3)
    back = factories.rolled(
        registered_model, 2, rolls_back=live, status="PROGRESSING", finished_at=None
    )
    assert hold_of(with_change(back, ends_at=NOW), NOW) is None
