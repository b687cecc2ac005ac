"""The API of promotions: the same rules as the pages, as problem details."""

import subprocess
from datetime import timedelta
from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.common.canonical import digest_of
from apps.promotions import actions
from apps.promotions.dossier import digest_shown
from apps.promotions.effects import Effect, keep_effect
from apps.promotions.models import Approval, Rollout
from tests.factories import NOW, UserFactory
from tests.promotions import factories
from tests.promotions.seeing import seen


def as_(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


def seen_of(row):
    return {key: row[key] for key in ("manifest_digest", "eval_run", "baseline", "figures")}


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
        where = f"/api/v1/promotions/{made.json()['id']}"
        seen = seen_of(as_(carol).get(where).json())
        done = as_(carol).post(f"{where}/approve", seen | {"reason": "Good figures"}, format="json")
        assert done.json()["status"] == "APPROVED"
        rollout = as_(carol).get(f"/api/v1/rollouts/{done.json()['rollout']}").json()
        assert (rollout["status"], rollout["commits"], rollout["phases"]) == ("PENDING", [], [])
        again = as_(carol).post(
            f"{where}/approve", seen | {"reason": "Good figures"}, format="json"
        )
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")

    def test_keep_the_hours_in_which_a_sleeper_is_ready(self, version, alice):
        body = {
            "model": "prior-auth-extract",
            "version": 7,
            "justification": "Batches by day.",
            "serving_class": "WARM",
        }
        hours = {"pre_warm": "mon-fri 07:30-19:00 America/New_York"}
        refused = as_(alice).post("/api/v1/promotions", body | hours, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "bad_hours")
        body["serving_class"] = "SCALE_TO_ZERO"
        refused = as_(alice).post(
            "/api/v1/promotions", body | {"pre_warm": "30 7 * * 1-5"}, format="json"
        )
        assert "write them as mon-fri 07:30-19:00" in refused.json()["detail"]
        assert (
            as_(alice).post("/api/v1/promotions", body | hours, format="json").json()["pre_warm"]
            == hours["pre_warm"]
        )

    def test_are_not_approved_by_their_requester(self, version, alice):
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        own = actions.request_promotion(
            version=version, requester=both, justification="Mine is good", now=NOW
        )
        body = {
            "manifest_digest": own.manifest_digest,
            "eval_run": str(own.eval_run_id),
            "baseline": None,
            "figures": seen(own).figures,
        }
        answer = as_(both).post(
            f"/api/v1/promotions/{own.pk}/approve", body | {"reason": "Mine"}, format="json"
        )
        assert answer.status_code == 403
        assert "Nobody decides on their own" in answer.json()["detail"]
        assert not Rollout.objects.exists()

    def test_are_bound_to_what_was_seen(self, version, alice, carol):
        made = actions.request_promotion(
            version=version, requester=alice, justification="Good", now=NOW
        )
        body = {
            "manifest_digest": made.manifest_digest,
            "eval_run": str(made.eval_run_id),
            "baseline": "other-v1",
            "figures": seen(made).figures,
        }
        answer = as_(carol).post(
            f"/api/v1/promotions/{made.pk}/approve", body | {"reason": "Good"}, format="json"
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_evidence")
        bad = as_(carol).post(f"/api/v1/promotions/{made.pk}/approve", {}, format="json")
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid")

    def test_are_decided_over_the_figures_that_were_read(self, version, alice, carol):
        made = actions.request_promotion(
            version=version, requester=alice, justification="Finds more codes.", now=NOW
        )
        where = f"/api/v1/promotions/{made.pk}"
        read = as_(carol).get(where).json()
        assert digest_of(read["evidence"]) == read["figures"]
        assert {"conditions", "metrics", "facts", "settings", "cost"} <= set(read["evidence"])
        keep_effect(promotion=made, effect=Effect("test", NOW, candidate_usd=Decimal(90)))
        body = seen_of(read) | {"reason": "Good figures"}
        refused = as_(carol).post(f"{where}/approve", body, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "stale_evidence")
        assert not Approval.objects.exists()
        again = as_(carol).get(where).json()
        body = seen_of(again) | {"reason": "Good figures"}
        answer = as_(carol).post(f"{where}/approve", body, format="json")
        assert answer.status_code == 200
        kept = Approval.objects.get().evidence
        assert digest_shown(kept) == again["figures"] == answer.json()["figures"]

    def test_are_decided_over_the_change_that_was_read(
        self, version, alice, carol, remote, settings, tmp_path
    ):
        settings.GITOPS_REMOTE, settings.GITOPS_WORKDIR = str(remote), str(tmp_path / "work")
        made = actions.request_promotion(
            version=version, requester=alice, justification="Finds more codes.", now=NOW
        )
        where = f"/api/v1/promotions/{made.pk}"
        read = as_(carol).get(f"{where}/change").json()
        assert (read["problem"], len(read["steps"])) == ("", 2)
        files = {file["path"]: file["lines"] for file in read["steps"][0]["files"]}
        lines = files["serving/models/prior-auth-extract/v7.yaml"]
        assert {"kind": "add", "text": "+kind: InferenceService"} in lines
        body = seen_of(as_(carol).get(where).json()) | {"reason": "Good figures"}
        other = body | {"change": "sha256:" + "1" * 64}
        refused = as_(carol).post(f"{where}/approve", other, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "stale_evidence")
        body |= {"change": read["digest"]}
        assert as_(carol).post(f"{where}/approve", body, format="json").status_code == 200
        assert Approval.objects.get().evidence["steps"] == read["steps"]
        subprocess.run(["rm", "-rf", str(remote)], check=True)
        assert as_(carol).get(f"{where}/change").json() == read

    def test_are_hidden_from_people_without_a_role(self, version, alice):
        made = actions.request_promotion(
            version=version, requester=alice, justification="Good", now=NOW
        )
        assert as_(UserFactory()).get(f"/api/v1/promotions/{made.pk}").status_code == 404


@pytest.mark.django_db
class TestRollouts:
    @pytest.fixture
    def rollout(self, version, alice, carol, registered_model):
        factories.live(registered_model, 6)
        factories.run(version, at=NOW + timedelta(minutes=1))
        made = actions.request_promotion(
            version=version, requester=alice, justification="Good", now=NOW
        )
        return actions.approve_promotion(
            promotion=made, approver=carol, seen=seen(made), reason="Good", now=NOW
        )

    def test_say_their_weights_and_are_paused_and_resumed(self, rollout, carol):
        where = f"/api/v1/rollouts/{rollout.pk}"
        found = as_(carol).get(where).json()
        assert (found["steps"], found["baseline"], found["paused_at"]) == (
            [10, 50, 100],
            "prior-auth-extract-v6",
            None,
        )
        assert as_(carol).post(f"{where}/pause", {}, format="json").status_code == 400
        paused = as_(carol).post(f"{where}/pause", {"reason": "Lunch"}, format="json")
        assert (paused.status_code, paused.json()["paused_at"] is not None) == (200, True)
        again = as_(carol).post(f"{where}/pause", {"reason": "Lunch"}, format="json")
        assert (again.status_code, again.json()["code"]) == (409, "wrong_rollout_state")
        assert as_(carol).post(f"{where}/resume", {}, format="json").json()["paused_at"] is None
        assert as_(carol).post(f"{where}/accelerate", {}, format="json").status_code == 404

    def test_are_rolled_back_by_a_rollout_of_their_own(self, rollout, carol, registered_model):
        Rollout.objects.filter(registered_model=registered_model, status="LIVE").update(
            status="REPLACED"
        )
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE", weight=100, finished_at=NOW)
        where = f"/api/v1/rollouts/{rollout.pk}/roll-back"
        made = as_(carol).post(where, {"reason": "Worse answers"}, format="json")
        assert made.status_code == 201
        assert (made.json()["version"], made.json()["rolls_back"], made.json()["steps"]) == (
            6,
            str(rollout.pk),
            [100],
        )

    def test_are_steered_by_nobody_else(self, rollout, charlie):
        where = f"/api/v1/rollouts/{rollout.pk}/abort"
        assert as_(charlie).post(where, {"reason": "No idea"}, format="json").status_code == 403
