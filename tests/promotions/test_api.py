"""The API of promotions: the same rules as the pages, as problem details."""

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.promotions import actions
from apps.promotions.models import Rollout
from tests.factories import NOW, UserFactory
from tests.promotions import factories


def as_(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def version(registered_model):
    made = factories.version(registered_model, 7)
    factories.run(made)
    return made


@pytest.mark.django_db
class TestPromotions:
    def test_are_proposed_listed_and_approved(self, version, alice, carol):
        body = {"model": "prior-auth-extract", "version": 7, "justification": "Finds more codes."}
        made = as_(alice).post("/api/v1/promotions", body, format="json")
        assert made.status_code == 201
        listed = as_(carol).get("/api/v1/promotions").json()["results"]
        assert [row["id"] for row in listed] == [made.json()["id"]]
        seen = {key: listed[0][key] for key in ("manifest_digest", "eval_run", "baseline")}
        where = f"/api/v1/promotions/{made.json()['id']}"
        done = as_(carol).post(f"{where}/approve", seen | {"reason": "Good figures"}, format="json")
        assert done.json()["status"] == "APPROVED"
        rollout = as_(carol).get(f"/api/v1/rollouts/{done.json()['rollout']}").json()
        assert (rollout["status"], rollout["commits"], rollout["phases"]) == ("PENDING", [], [])
        again = as_(carol).post(f"{where}/approve", seen | {"reason": "Good figures"}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")

    def test_are_not_approved_by_their_requester(self, version, alice):
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        own = actions.request_promotion(version=version, requester=both, justification="Mine is good", now=NOW)
        body = {"manifest_digest": own.manifest_digest, "eval_run": str(own.eval_run_id), "baseline": None}
        answer = as_(both).post(f"/api/v1/promotions/{own.pk}/approve", body | {"reason": "Mine"}, format="json")
        assert answer.status_code == 403
        assert "Nobody decides on their own" in answer.json()["detail"]
        assert not Rollout.objects.exists()

    def test_are_bound_to_what_was_seen(self, version, alice, carol):
        made = actions.request_promotion(version=version, requester=alice, justification="Good", now=NOW)
        body = {"manifest_digest": made.manifest_digest, "eval_run": str(made.eval_run_id), "baseline": "other-v1"}
        answer = as_(carol).post(f"/api/v1/promotions/{made.pk}/approve", body | {"reason": "Good"}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_evidence")
        bad = as_(carol).post(f"/api/v1/promotions/{made.pk}/approve", {}, format="json")
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid")

    def test_are_hidden_from_people_without_a_role(self, version, alice):
        made = actions.request_promotion(version=version, requester=alice, justification="Good", now=NOW)
        assert as_(UserFactory()).get(f"/api/v1/promotions/{made.pk}").status_code == 404
