"""The API of evidence packs and of roles that are looked at again."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import Role, RoleBinding
from apps.accounts.recertification.models import RoleReview
from apps.audit.models import Action
from apps.oversight.evidence.models import EvidencePack
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories as promoted
from tests.trail import trail

pytestmark = pytest.mark.django_db
PACKS, ROLES = "/api/v1/evidence-packs", "/api/v1/role-reviews"


def as_(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def aisha():
    return UserFactory(username="aisha", with_roles=[Role.AUDITOR])


class TestEvidencePacks:
    def test_are_asked_for_listed_and_read(self, aisha, registered_model):
        live = promoted.live(registered_model, 1)
        promoted.live(RegisteredModelFactory(), 2)
        api = as_(aisha)
        made = api.post(PACKS, {"promotion": str(live.promotion_id)}, format="json")
        assert (made.status_code, made.json()["status"]) == (201, "WAITING")
        month = api.post(PACKS, {"month": "2026-10"}, format="json").json()
        assert (month["about"], month["kind"], month["sha256"]) == ("October 2026", "MONTH", "")
        again = api.post(PACKS, {"promotion": str(live.promotion_id)}, format="json").json()
        assert again["id"] == made.json()["id"]
        listed = api.get(PACKS, {"kind": "PROMOTION"}).json()["results"]
        assert [one["id"] for one in listed] == [made.json()["id"]]
        one = api.get(f"{PACKS}/{made.json()['id']}").json()
        assert (one["promotion"], one["asked_by"]) == (str(live.promotion_id), "aisha")
        pack = EvidencePack.objects.get(pk=one["id"])
        assert [line[:2] for line in trail(pack)] == [(Action.EVIDENCE_REQUESTED, "aisha")]

    def test_are_about_one_thing_that_there_is(self, aisha, registered_model):
        live = promoted.live(registered_model, 1)
        both = {"promotion": str(live.promotion_id), "month": "2026-10"}
        for body in ({}, both, {"month": "October"}, {"promotion": str(live.pk)}):
            assert as_(aisha).post(PACKS, body, format="json").status_code == 400
        early = as_(aisha).post(PACKS, {"month": "2999-01"}, format="json")
        assert (early.status_code, early.json()["code"]) == (409, "month_not_begun")
        assert not EvidencePack.objects.exists()

    def test_are_made_again_where_they_failed(self, aisha):
        waits = {"kind": "MONTH", "month": NOW.date().replace(day=1), "asked_by": aisha}
        pack = EvidencePack.objects.create(**waits, asked_at=NOW)
        EvidencePack.objects.filter(pk=pack.pk).update(status="FAILED", reason="FAULT")
        answer = as_(aisha).post(f"{PACKS}/{pack.pk}/retry")
        assert (answer.status_code, answer.json()["status"]) == (200, "WAITING")
        assert as_(aisha).post(f"{PACKS}/{pack.pk}/retry").status_code == 409
        assert as_(aisha).get(f"{PACKS}/{pack.pk}/file").status_code == 409

    def test_are_not_there_for_others(self, carol):
        assert as_(carol).get(PACKS).status_code == 404
        assert as_(carol).post(PACKS, {"month": "2026-10"}, format="json").status_code == 404


class TestRoleReviews:
    @pytest.fixture
    def reviews(self, aisha):
        """One overdue, one due."""
        fiona = UserFactory(username="fiona", with_roles=[Role.FINANCE, Role.REVIEWER])
        return [
            RoleReview.objects.create(
                requested_by=fiona, role=role, requested_at=NOW, due_at=NOW + timedelta(days=days)
            )
            for role, days in ((Role.FINANCE, 1), (Role.REVIEWER, 90_000))
        ]

    def test_are_listed_by_what_is_due(self, aisha, reviews):
        for due, role in (("overdue", "FINANCE"), ("soon", "REVIEWER")):
            found = as_(aisha).get(ROLES, {"due": due}).json()["results"]
            assert [(one["person"], one["role"]) for one in found] == [("fiona", role)]

    def test_are_kept_taken_and_asked_for_again(self, aisha, reviews):
        finance, reviewer = reviews
        api = as_(aisha)
        assert api.post(f"{ROLES}/{finance.pk}/keep", {}, format="json").status_code == 400
        kept = api.post(f"{ROLES}/{finance.pk}/keep", {"reason": "Needed."}, format="json")
        assert (kept.json()["status"], kept.json()["decided_by"]) == ("KEPT", "aisha")
        twice = api.post(f"{ROLES}/{finance.pk}/take", {"reason": "No."}, format="json")
        assert (twice.status_code, twice.json()["code"]) == (409, "already_decided")
        api.post(f"{ROLES}/{reviewer.pk}/take", {"reason": "Left."}, format="json")
        held = RoleBinding.objects.filter(user=reviewer.requested_by)
        assert [one.role for one in held] == ["FINANCE"]
        again = api.post(f"{ROLES}/{reviewer.pk}/again")
        assert (again.status_code, again.json()["status"]) == (201, "PENDING")
        assert api.post(f"{ROLES}/{finance.pk}/forget").status_code == 404

    def test_are_not_there_for_others(self, carol, reviews):
        assert as_(carol).get(ROLES).status_code == 404
        answer = as_(carol).post(f"{ROLES}/{reviews[0].pk}/keep", {"reason": "x y z"})
        assert answer.status_code == 404
