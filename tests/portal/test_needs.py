"""What people wait for, and who decides about it; who is told of a quarantined version."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from apps.access import actions as access
from apps.accounts.models import Role
from apps.catalog import actions as catalog
from apps.chargeback.closing.models import MonthClose
from apps.promotions import actions as promotions
from portal.needs.queries import needs_of, waits_of
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


class TestCloses:
    def test_wait_for_another_person_of_finance(self):
        asks, other = (UserFactory(with_roles=[Role.FINANCE]) for _ in range(2))
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        MonthClose.objects.create(
            month=date(2026, 10, 1), checklist=[], digest="sha256:0", list_usd=0, cost_usd=0,
            justification="All was checked.", requested_by=asks, requested_at=NOW,
        )  # fmt: skip
        assert lines(asks) == [("Your close of October 2026", "Another finance person decides")]
        titles = [[need.title for need in needs_of(who, NOW)] for who in (asks, other, auditor)]
        assert titles == [[], ["Close October 2026"], []]


class TestQuarantined:
    """v6 serves and v7 was never proposed; of another team's model, v8 serves."""

    WHY = "model.safetensors: expected sha256 aa, found bb."
    SERVES = "prior-auth-extract-v6 is quarantined, but still serves callers"
    OTHER_SERVES = "summary-v8 is quarantined, but still serves callers"
    IDLE = "prior-auth-extract-v7 is quarantined"

    @pytest.fixture(autouse=True)
    def found(self, registered_model):
        summary = RegisteredModelFactory(name="summary")
        bad = [
            factories.live(registered_model, 6).model_version,
            factories.version(registered_model, 7),
            factories.live(summary, 8).model_version,
        ]
        factories.version(registered_model, 9)  # nothing is wrong with it
        for hours, version in enumerate(bad):
            at = NOW + timedelta(hours=hours)
            catalog.quarantine_version(version=version, reason="REPLACED", message=self.WHY, now=at)

    def titles(self, person, days=1):
        needs = needs_of(person, NOW + timedelta(days=days))
        assert {need.why for need in needs} <= {self.WHY}
        return [need.title for need in needs]

    def test_tells_the_owner_of_all_and_who_steers_rollouts_of_what_serves(
        self, alice, bob, carol, charlie
    ):
        engineer, auditor = (
            UserFactory(with_roles=[role]) for role in (Role.PLATFORM_ENGINEER, Role.AUDITOR)
        )
        for owner in (alice, bob):
            assert self.titles(owner) == [self.SERVES, self.IDLE]
        for steers in (carol, engineer):
            assert self.titles(steers) == [self.SERVES, self.OTHER_SERVES]
        for other in (charlie, auditor):
            assert self.titles(other) == []
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        assert self.titles(both) == [self.SERVES, self.IDLE, self.OTHER_SERVES]

    def test_leads_to_the_version(self, carol):
        first = needs_of(carol, NOW + timedelta(days=1))[0]
        assert (first.url, first.tone) == ("/catalog/prior-auth-extract/v6/", "bad")

    def test_goes_on_telling_while_it_serves(self, alice, carol):
        assert self.titles(alice, days=30) == [self.SERVES]
        assert self.titles(carol, days=30) == [self.SERVES, self.OTHER_SERVES]
