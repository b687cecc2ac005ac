"""What people wait for themselves, and who decides about it."""

from dataclasses import replace

import pytest

from apps.access import actions as access
from apps.accounts.models import Role
from apps.promotions import actions as promotions
from portal.needs import waits_of
from tests.access.test_actions import WISH
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db


def lines(person):
    return [(need.title, need.why) for need in waits_of(person)]


class TestWaitsOf:
    def test_is_what_the_person_asked_for_and_who_decides(
        self, registered_model, alice, bob, charlie
    ):
        other = RegisteredModelFactory(name="summary")
        for person, model in ((charlie, registered_model), (charlie, other), (alice, other)):
            access.submit_request(
                model=model, wish=replace(WISH, tokens_per_minute=10), requester=person, now=NOW
            )
        assert lines(charlie) == [
            ("Your request for prior-auth-extract", "A model owner of ml-platform decides"),
            ("Your request for summary", f"A model owner of {other.owner_team} decides"),
        ]
        assert len(lines(alice)) == 1
        assert lines(bob) == []

    def test_leads_an_owner_to_another_owner_and_to_a_reviewer(self, registered_model, alice):
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        access.submit_request(model=registered_model, wish=WISH, requester=alice, now=NOW)
        version = factories.version(registered_model, 7)
        factories.run(version)
        proposed = promotions.request_promotion(
            version=version, requester=both, justification="Finds more codes", now=NOW
        )
        title = "Your proposal of prior-auth-extract-v7 for production"
        assert lines(alice) == [
            ("Your request for prior-auth-extract", "Another model owner of ml-platform decides")
        ]
        assert lines(both) == [(title, "Another reviewer decides")]
        promotions.withdraw_promotion(promotion=proposed, actor=alice, now=NOW)
        assert lines(both) == []
