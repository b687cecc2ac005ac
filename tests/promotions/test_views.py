"""The pages of promotions and rollouts, as people meet them."""

import csv
import re
import subprocess
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.audit.models import AuditEvent
from apps.capacity.records import record_found
from apps.common.canonical import digest_of
from apps.evals.models import EvalRun
from apps.fleet.models import NodeClaim, Observation, Replica
from apps.fleet.models import NodePool as PoolSeen
from apps.manifests.capacity import NodeClassRef, NodePool, node_pool
from apps.manifests.text import to_yaml
from apps.promotions import actions
from apps.promotions.effects import Effect, keep_effect
from apps.promotions.models import (
    Approval,
    GateResult,
    Promotion,
    Rollout,
    RolloutCommit,
    RolloutPhase,
)
from apps.promotions.sleep import sleeps_of
from tests.database import as_owner, unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.pages import joined
from tests.promotions import factories
from tests.promotions.policies import put_in_force
from tests.promotions.seeing import seen

HOURS = {
    "justification": "Batches by day, nobody by night.", "serving_class": "SCALE_TO_ZERO",
    "ready_days": "mon-fri",
    "ready_from": "07:30", "ready_to": "19:00", "ready_zone": "America/New_York",
}  # fmt: skip


@pytest.fixture
def as_(client):
    """Sign a person in."""

    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture(autouse=True)
def moment(monkeypatch, settings, tmp_path):
    """Let the doors' clock stand, and give them a Git repository of their own."""
    doors = (
        "promotions.views", "promotions.rollouts.views", "promotions.api",
        "promotions.rollouts.api", "gateway.views",
    )  # fmt: skip
    for module in (*(f"apps.{door}" for door in doors), "portal.pages.catalog"):
        monkeypatch.setattr(f"{module}.now", lambda: NOW)
    remote = tmp_path / "gitops.git"
    subprocess.run(["git", "init", "--bare", "--quiet", "-b", "main", str(remote)], check=True)
    settings.GITOPS_REMOTE, settings.GITOPS_WORKDIR = f"file://{remote}", str(tmp_path / "work")


@pytest.fixture
def version(registered_model):
    made = factories.version(registered_model, 7)
    factories.run(made)
    return made


@pytest.fixture
def promotion(version, alice):
    return actions.request_promotion(
        version=version, requester=alice, justification="Better codes", now=NOW
    )


def form(promotion, **changes):
    evidence = {
        "manifest_digest": promotion.manifest_digest,
        "eval_run": str(promotion.eval_run_id),
        "baseline": promotion.baseline_id or "",
        "figures": seen(promotion).figures,
        "reason": "Figures hold.",
    }
    return evidence | changes


NUMBERS = {
    "calls": 31,
    "failed": 0,
    "error_percent": 0.0,
    "ttft_p95_ms": 420.0,
    "tokens_per_second": 51.5,
    "ready_replicas": 1,
}


def decided(rollout, step, attempt=1):
    """Return a step's commit with its decision."""
    commit = RolloutCommit.objects.create(
        rollout=rollout, step=step, attempt=attempt, sha="a" * 40, committed_at=NOW, observed_at=NOW
    )
    words = "Not enough traffic to compare. A replica is ready and no call failed."
    GateResult.objects.create(
        commit=commit,
        verdict="NO_TRAFFIC",
        judged_at=NOW,
        candidate=NUMBERS,
        baseline=NUMBERS,
        words=words,
    )
    return commit


def at_weight(rollout, model):
    """Put a rollout at 50 %, judged at 10 %, beside a live v6."""
    live = factories.live(model, 6)
    RolloutPhase.objects.create(rollout=rollout, phase="READY", reached_at=NOW, learned_at=NOW)
    decided(rollout, "SHIFT_10")
    RolloutCommit.objects.create(
        rollout=rollout, step="SHIFT_50", sha="b" * 40, committed_at=NOW, observed_at=NOW
    )
    with as_owner():  # baseline and steps are chosen when a rollout starts
        Rollout.objects.filter(pk=rollout.pk).update(
            status="PROGRESSING", baseline=live.model_version, steps=[10, 50, 100], weight=50,
            reason="HOLDING",
            message="50 % of the callers get prior-auth-extract-v7; it is judged against "
            "prior-auth-extract-v6 in 8 s.",
            health={"candidate": NUMBERS, "baseline": NUMBERS, "words": "Errors 0.0 %."},
            observed_at=NOW,
        )  # fmt: skip
    rollout.refresh_from_db()


def url(name, promotion):
    return reverse(f"promotions:{name}", args=[promotion.pk])


@pytest.mark.django_db
class TestPromotionCreate:
    def test_proposes_and_shows_the_dossier(self, as_, alice, version):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        assert "What must hold" in as_(alice).get(where).content.decode()
        answer = as_(alice).post(where, {"justification": "Finds more codes."})
        assert answer.url == url("promotion_detail", Promotion.objects.get())

    def test_says_what_stands_in_the_way(self, as_, alice, registered_model):
        factories.run(factories.version(registered_model, 8), passed=False)
        page = as_(alice).get(
            reverse("promotions:promotion_create", args=["prior-auth-extract", 8])
        )
        assert "did not pass" in page.content.decode()
        answer = as_(alice).post(
            page.request["PATH_INFO"], {"justification": "Please let it through."}
        )
        assert answer.status_code == 422
        assert not Promotion.objects.exists()

    def test_refuses_who_does_not_own_the_model(self, as_, charlie, version):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        assert as_(charlie).post(where, {"justification": "I want this one."}).status_code == 403

    def test_names_those_who_decide_by_the_policy_of_its_data(self, as_, alice, registered_model):
        put_in_force("INTERNAL", approver_roles=("PLATFORM_ENGINEER",))
        put_in_force("PHI", approver_roles=("REVIEWER", "PLATFORM_ENGINEER"))
        factories.run(factories.version(registered_model, 7))
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        client = as_(alice)
        words = "A reviewer or platform engineer"
        assert f"{words} who did not propose it decides." in client.get(where).text
        asked = {"justification": "Better codes", "serving_class": "WARM"}
        answer = client.post(where, asked, follow=True)
        assert f"Proposed prior-auth-extract-v7. {words} decides." in answer.text


@pytest.mark.django_db
class TestPromotionDetail:
    def test_shows_the_evidence_and_the_decision_to_a_reviewer(self, as_, carol, promotion):
        text = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        assert "Approve and roll out v7" in text
        assert promotion.manifest_digest in text
        assert "all 18 hold" in text

    def test_offers_the_requester_no_decision(self, as_, alice, promotion):
        text = as_(alice).get(url("promotion_detail", promotion)).content.decode()
        assert "Approve and roll out" not in text
        assert "Nobody decides on their own proposal." in text

    def test_is_closed_to_people_without_a_role(self, as_, promotion):
        answer = as_(UserFactory()).get(url("promotion_detail", promotion))
        assert answer.url == reverse("accounts:no_access")

    def test_shows_the_exact_change(self, as_, carol, promotion):
        text = as_(carol).get(url("promotion_diff", promotion)).content.decode()
        assert "serving/models/prior-auth-extract/v7.yaml" in text
        assert "InferenceService" in text
        assert "serving/models/prior-auth-extract/route.yaml" in text

    def test_shows_after_the_decision_what_was_on_the_page_then(
        self, as_, carol, promotion, version, registered_model, settings
    ):
        before = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        diff = as_(carol).get(url("promotion_diff", promotion)).content.decode()
        digest = re.search(r'name="change" value="(sha256:[0-9a-f]{64})"', diff).group(1)
        as_(carol).post(url("promotion_approve", promotion), form(promotion, change=digest))
        # everything that the page was made of moves on
        factories.run(version, f1=0.11, at=NOW + timedelta(days=1))
        settings.SERVING_IMAGE, settings.ROLLOUT_STEPS = "example.com/other:9", (33, 100)
        with unguarded():
            EvalRun.objects.filter(pk=promotion.eval_run_id).update(metrics={"f1": 0.5})
        subprocess.run(["rm", "-rf", settings.GITOPS_REMOTE.removeprefix("file://")], check=True)
        after = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        assert "0.900" in before
        assert "0.900" in after
        assert "0.500" not in after
        assert "other:9" not in after
        assert "33 %" not in after
        assert "kept as it was when it was decided" in after
        kept = as_(carol).get(url("promotion_diff", promotion)).content.decode()
        assert "prior-auth-extract-v7" in kept
        assert kept.count("diff-add") == diff.count("diff-add") > 5

    def test_says_when_git_is_away(self, as_, carol, promotion, settings):
        settings.GITOPS_REMOTE = "file:///nowhere.git"
        text = as_(carol).get(url("promotion_diff", promotion)).content.decode()
        assert "cannot be shown now" in text


@pytest.mark.django_db
class TestDecision:
    def test_approving_starts_the_rollout(self, as_, carol, promotion):
        answer = as_(carol).post(url("promotion_approve", promotion), form(promotion))
        assert answer.url == reverse("promotions:rollout_detail", args=[Rollout.objects.get().pk])

    def test_needs_a_reason(self, as_, carol, promotion):
        answer = as_(carol).post(url("promotion_approve", promotion), form(promotion, reason=""))
        assert answer.status_code == 422
        assert not Rollout.objects.exists()

    def test_of_ones_own_proposal_is_refused_in_words(self, as_, alice, version):
        both = UserFactory(team=alice.team, with_roles=[Role.MODEL_OWNER, Role.REVIEWER])
        own = actions.request_promotion(
            version=version, requester=both, justification="Mine is good", now=NOW
        )
        answer = as_(both).post(url("promotion_approve", own), form(own))
        assert answer.status_code == 403
        assert "Nobody decides on their own proposal" in answer.content.decode()
        assert not Rollout.objects.exists()

    def test_of_a_stale_page_decides_nothing(self, as_, carol, promotion):
        answer = as_(carol).post(
            url("promotion_approve", promotion), form(promotion, baseline="4711"), follow=True
        )
        assert "Nothing was decided" in answer.content.decode()
        assert not Rollout.objects.exists()

    def test_leads_whoever_takes_evidence_to_this_promotions(self, as_, carol, promotion):
        way = f"/audit/evidence/?promotion={promotion.pk}"
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        page = as_(auditor).get(url("promotion_detail", promotion)).content.decode()
        assert way in page
        form = as_(auditor).get(way).content.decode()
        assert f'<option value="{promotion.pk}" selected>' in form
        assert way not in as_(carol).get(url("promotion_detail", promotion)).content.decode()

    @pytest.mark.parametrize("decision", ["promotion_approve", "promotion_reject"])
    def test_over_other_figures_than_the_page_showed_decides_nothing(
        self, as_, carol, promotion, decision
    ):
        other = factories.proposed(RegisteredModelFactory(name="triage"), 3, promotion.requested_by)
        page = form(promotion, reason="Cheap enough.")
        keep_effect(promotion=promotion, effect=Effect("test", NOW, candidate_usd=Decimal(9000)))
        answer = as_(carol).post(url(decision, promotion), page, follow=True)
        text = joined(answer.content.decode())
        assert "This page is out of date: what it showed has changed" in text
        assert "$9,000" in text and "Cheap enough." in text, "it shows what is so, and the reason"
        promotion.refresh_from_db()
        assert (promotion.status, Approval.objects.count()) == ("PENDING", 0)
        keep_effect(promotion=other, effect=Effect("test", NOW, candidate_usd=Decimal(1)))
        as_(carol).post(url(decision, promotion), form(promotion))
        kept = Approval.objects.get(promotion=promotion).evidence
        assert kept["cost"]["candidate_usd"] == "9000"

    def test_over_another_change_than_the_page_showed_decides_nothing(self, as_, carol, promotion):
        shown = "sha256:" + "1" * 64
        answer = as_(carol).post(
            url("promotion_approve", promotion), form(promotion, change=shown), follow=True
        )
        assert "what would be committed has changed since you opened it" in joined(
            answer.content.decode()
        )
        promotion.refresh_from_db()
        assert promotion.status == "PENDING"
        assert not Approval.objects.exists()

    def test_says_that_git_cannot_tell_where_it_is_away(self, as_, carol, promotion, settings):
        diff = as_(carol).get(url("promotion_diff", promotion)).content.decode()
        digest = re.search(r'name="change" value="(sha256:[0-9a-f]{64})"', diff).group(1)
        settings.GITOPS_REMOTE = "file:///nowhere.git"
        answer = as_(carol).post(
            url("promotion_approve", promotion), form(promotion, change=digest), follow=True
        )
        said = joined(answer.content.decode())
        assert "Git cannot tell now whether what you saw would still be committed" in said
        assert "has changed since you opened it" not in said
        assert not Approval.objects.exists()

    def test_keeps_that_the_change_was_not_shown(self, as_, carol, promotion):
        as_(carol).post(url("promotion_reject", promotion), form(promotion))
        kept = Approval.objects.get().evidence
        assert (kept["steps"], kept["problem"]) == (
            [],
            "Whoever decided was not shown the exact change.",
        )
        event = AuditEvent.objects.get(action="promotion.rejected")
        assert event.data["evidence"] == digest_of(kept)

    def test_may_be_a_rejection_and_the_owner_may_withdraw(
        self, as_, alice, carol, promotion, version
    ):
        as_(carol).post(url("promotion_reject", promotion), form(promotion))
        promotion.refresh_from_db()
        assert promotion.status == "REJECTED"
        again = actions.request_promotion(
            version=version, requester=alice, justification="Once more", now=NOW
        )
        as_(alice).post(url("promotion_withdraw", again))
        again.refresh_from_db()
        assert again.status == "WITHDRAWN"


@pytest.mark.django_db
class TestRolloutDetail:
    @pytest.fixture
    def rollout(self, promotion, carol):
        return actions.approve_promotion(
            promotion=promotion, approver=carol, seen=seen(promotion), reason="Good", now=NOW
        )

    def test_asks_again_only_while_it_moves(self, as_, alice, rollout):
        where = url("rollout_detail", rollout)
        RolloutPhase.objects.create(
            rollout=rollout, phase="COMMITTED", reached_at=NOW, learned_at=NOW
        )
        assert 'hx-trigger="every 2s"' in as_(alice).get(where).content.decode()
        Rollout.objects.update(status="LIVE", weight=100, finished_at=NOW, next_check_at=None)
        text = as_(alice).get(where, headers={"HX-Request": "true"}).content.decode()
        assert "every 2s" not in text
        assert "<html" not in text

    def test_says_why_it_failed_and_what_to_do(self, as_, alice, rollout):
        Rollout.objects.update(
            status="FAILED", reason="CHECKSUM", message="model.safetensors differs"
        )
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "model.safetensors differs" in text
        assert "Retry where it stopped" in text
        as_(alice).post(url("rollout_retry", rollout))
        rollout.refresh_from_db()
        assert rollout.status == "PROGRESSING"

    def test_aborts_with_a_reason_only(self, as_, alice, rollout):
        as_(alice).post(url("rollout_abort", rollout), {"reason": ""})
        rollout.refresh_from_db()
        assert rollout.status == "PENDING"
        as_(alice).post(url("rollout_abort", rollout), {"reason": "Wrong day"})
        rollout.refresh_from_db()
        assert rollout.status == "ABORTED"

    def test_shows_each_weight_with_its_decision_and_both_versions_health(
        self, as_, alice, rollout, registered_model
    ):
        at_weight(rollout, registered_model)
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        for words in (
            "10 %",
            "50 %",
            "100 %",
            "Not enough traffic",
            "A replica is ready",
            "Health at 50 %",
            "420 ms",
            "v7 candidate",
            "v6 baseline",
            "Pause…",
            "Move 10 % of the callers to it",
        ):
            assert words in text, words
        assert f'<p class="page-lead">{rollout.message}</p>' in text

    @pytest.mark.parametrize("status", ["LIVE", "REPLACED"])
    def test_says_until_when_the_baseline_is_kept_unless_it_is_wanted_again(
        self, as_, alice, rollout, registered_model, status
    ):
        baseline = factories.version(registered_model, 6)
        factories.run(baseline)
        with unguarded():
            Rollout.objects.filter(pk=rollout.pk).update(
                status=status, weight=100, finished_at=NOW, baseline=baseline
            )
        where = url("rollout_detail", rollout)
        assert "kept warm until" in as_(alice).get(where).content.decode()
        Promotion.objects.create(
            registered_model=registered_model, model_version=baseline,
            eval_run=baseline.eval_runs.get(), manifest_digest=baseline.manifest_digest,
            policy_revision=factories.policy(registered_model),
            requested_by=alice, requested_at=NOW, justification="It was better.",
        )  # fmt: skip
        assert "kept warm until" not in as_(alice).get(where).content.decode()

    def test_shows_no_share_of_errors_where_nobody_called(
        self, as_, alice, rollout, registered_model
    ):
        at_weight(rollout, registered_model)
        assert "0 %</td>" in as_(alice).get(url("rollout_detail", rollout)).content.decode()
        with as_owner():
            GateResult.objects.all().delete()
        nobody = NUMBERS | {"calls": 0}
        Rollout.objects.filter(pk=rollout.pk).update(
            health={"candidate": nobody, "baseline": nobody, "words": "None."}
        )
        assert "0 %</td>" not in as_(alice).get(url("rollout_detail", rollout)).content.decode()

    def test_shows_a_weights_health_once(self, as_, alice, rollout, registered_model):
        at_weight(rollout, registered_model)
        commit = RolloutCommit.objects.get(rollout=rollout, step="SHIFT_50")
        judge = {
            "verdict": "PASSED",
            "judged_at": NOW,
            "candidate": NUMBERS,
            "baseline": NUMBERS,
            "words": "Passed.",
        }
        GateResult.objects.create(commit=commit, **judge)
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "Health at 50 %" not in text
        assert (
            "it is judged against prior-auth-extract-v6 in 8 s.</small>"
            not in text.partition("Decisions")[0]
        )

    def test_offers_no_retry_first_where_the_files_are_not_the_approved_ones(
        self, as_, alice, rollout
    ):
        Rollout.objects.update(
            status="FAILED", reason="CHECKSUM", message="config.json differs.", finished_at=NOW
        )
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "A retry pulls the same files again." in text
        assert "Retry where it stopped" in text
        assert 'class="btn btn-primary"' not in text

    def test_says_who_answers_after_an_abort(self, as_, alice, rollout, registered_model):
        at_weight(rollout, registered_model)
        as_(alice).post(url("rollout_abort", rollout), {"reason": "Wrong day"})
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "This rollout was aborted" in text
        assert (
            "prior-auth-extract-v6 answers all callers. To try again, propose "
            "prior-auth-extract-v7 again." in text
        )

    def test_pauses_with_a_reason_and_resumes(self, as_, alice, rollout, registered_model):
        at_weight(rollout, registered_model)
        as_(alice).post(url("rollout_pause", rollout), {"reason": ""})
        assert "Pause…" in as_(alice).get(url("rollout_detail", rollout)).content.decode()
        as_(alice).post(url("rollout_pause", rollout), {"reason": "Somebody looks at the answers"})
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "Paused · 50 %" in text
        assert "Resume from 50 %" in text
        as_(alice).post(url("rollout_resume", rollout))
        rollout.refresh_from_db()
        assert rollout.paused_at is None

    def test_names_what_stands_in_the_way(self, as_, alice, rollout):
        Rollout.objects.update(
            status="PROGRESSING", reason="NO_CAPACITY", message="No GPU node fits."
        )
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "No GPU capacity." in text
        assert "No GPU node fits." in text

    def test_says_that_callers_of_a_live_version_are_not_answered(
        self, as_, alice, registered_model
    ):
        live = factories.live(registered_model, 7)
        where = url("rollout_detail", live)
        assert "every 2s" not in as_(alice).get(where).content.decode()
        Rollout.objects.update(
            reason="NODE_LOST", message="Its node went away.", unready_since=NOW, observed_at=NOW
        )
        text = as_(alice).get(where).content.decode()
        for words in ("Callers are not answered "
        "since", "Its node is gone.", "Its node went away.", "Live · not ready",
                      "Callers sent to v7", "every 2s"):  # fmt: skip
            assert words in text, words
        assert "roll back" not in text, "nothing served before it"
        assert "v7 not ready" in as_(alice).get(model_page()).content.decode()

    def test_does_not_say_that_what_serves_was_checked_while_the_cluster_is_away(
        self, as_, alice, registered_model
    ):
        live = factories.live(registered_model, 7)
        Rollout.objects.update(
            reason="AWAY", message="The cluster cannot be reached.", observed_at=NOW
        )
        text = as_(alice).get(url("rollout_detail", live)).content.decode()
        assert f"could not be checked at {NOW:%H:%M:%S} UTC" in text
        assert "Compared with the approval at" not in text

    def test_holds_what_serves_against_what_was_approved(self, as_, alice, registered_model):
        live = factories.live(registered_model, 7)
        rows = [
            {"what": "Weights of the route", "approved": "v7 100 %", "found": "v6 100 %"},
            {"what": "Image of the engine", "approved": "vllm:1", "found": "not known: a tag"},
            {"what": "InferenceService", "approved": "seven", "found": "seven"},
        ]
        checks = [
            row | {"verdict": verdict}
            for row, verdict in zip(rows, ("SAME", "UNKNOWN", "SAME"), strict=True)
        ]
        Rollout.objects.update(
            reason="DRIFT", message="It differs.", observed_at=NOW, drifted_at=NOW,
            checks=checks, differences=rows[:1],
        )  # fmt: skip
        text = joined(as_(alice).get(url("rollout_detail", live)).content)
        assert f"It differs since {NOW:%d %b %H:%M:%S} UTC" in text
        for words in ("Differs", "v7 100 %", "v6 100 %", "Not known", "vllm:1", "a tag", "seven"):
            assert words in text, words
        assert text.count("As approved") == 1, "what differs was not yet seen to be right again"

    def test_marks_the_commits_that_the_branch_lost(self, as_, alice, rollout):
        Rollout.objects.update(
            status="FAILED", reason="GIT_DIVERGED", message="Somebody rewrote its history."
        )
        RolloutCommit.objects.create(
            rollout=rollout, step="SERVE", sha="a" * 40, committed_at=NOW, lost_at=NOW
        )
        text = joined(as_(alice).get(url("rollout_detail", rollout)).content)
        for words in (
            "history was rewritten.",
            "(no longer on the branch)",
            "Retry and commit again",
        ):
            assert words in text, words

    def test_says_after_a_return_who_serves_and_what_to_do(
        self, as_, alice, rollout, registered_model
    ):
        at_weight(rollout, registered_model)
        Rollout.objects.filter(pk=rollout.pk).update(
            status="FAILED", reason="GATE", return_reason="GATE", message="Errors 40 %.", weight=0
        )
        text = joined(as_(alice).get(url("rollout_detail", rollout)).content)
        assert "prior-auth-extract-v6 serves all callers again." in text
        assert "Retry from the first weight" in text

    def test_rolls_a_live_one_back_in_one_click(self, as_, alice, rollout, registered_model):
        at_weight(rollout, registered_model)
        Rollout.objects.filter(registered_model=registered_model, status="LIVE").update(
            status="REPLACED"
        )
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE", weight=100, finished_at=NOW)
        Rollout.objects.filter(pk=rollout.pk).update(
            reason="NODE_LOST", message="Gone.", unready_since=NOW
        )
        text = as_(alice).get(url("rollout_detail", rollout)).content.decode()
        assert "Where callers cannot wait, roll back to v6." in text
        assert "Roll back to v6…" in text
        assert "Roll back now" in text
        answer = as_(alice).post(url("rollout_roll_back", rollout), {"reason": "Worse answers"})
        back = Rollout.objects.get(rolls_back=rollout)
        assert answer.url == url("rollout_detail", back)
        assert (back.model_version.number, back.baseline) == (6, rollout.model_version)
        assert "Goes back from" in as_(alice).get(answer.url).content.decode()

    def test_costs_the_same_queries_however_many_decisions(
        self, as_, alice, rollout, django_assert_num_queries
    ):
        client = as_(alice)
        with django_assert_num_queries(15):
            client.get(url("rollout_detail", rollout))
        for attempt in range(1, 6):
            decided(rollout, "SHIFT_10", attempt=attempt)
        with django_assert_num_queries(15):
            client.get(url("rollout_detail", rollout))

    def test_tells_a_stranger_who_may(self, as_, charlie, rollout):
        answer = as_(charlie).post(url("rollout_abort", rollout), {"reason": "No idea"})
        assert answer.status_code == 403
        assert "platform engineer can steer" in answer.content.decode()


@pytest.mark.django_db
class TestPromotionList:
    def test_costs_the_same_queries_for_one_row_and_many(
        self, as_, carol, promotion, registered_model, django_assert_num_queries
    ):
        where = reverse("promotions:promotion_list")
        first = factories.live(registered_model, 9)
        Rollout.objects.filter(pk=first.pk).update(status="REPLACED")
        client = as_(carol)
        with django_assert_num_queries(13):
            client.get(where)
        for number in range(10, 70):
            made = factories.live(registered_model, number)
            Rollout.objects.filter(pk=made.pk).update(status="REPLACED")
        with django_assert_num_queries(13):
            client.get(where)
        with django_assert_num_queries(11):
            b"".join(client.get(where, {"format": "csv"}))

    def test_searches_filters_and_exports(self, as_, carol, promotion):
        where = reverse("promotions:promotion_list")
        found = as_(carol).get(where, {"q": "prior-auth-extract-v7", "stage": "PROPOSED"})
        assert "prior-auth-extract-v7" in found.content.decode()
        assert [line.row.promotion for line in found.context["table"].lines] == [promotion]
        assert "No promotion fits" in as_(carol).get(where, {"q": "nothing"}).content.decode()
        answer = as_(carol).get(where, {"format": "csv"})
        rows = b"".join(answer.streaming_content).decode().splitlines()
        assert rows[1].split(",")[1:3] == ["prior-auth-extract", "v7"]

    @pytest.mark.parametrize(
        ("asked", "names"),
        [
            ({"q": "Prior-Auth-Extract-V7"}, {"prior-auth-extract-v7"}),
            ({"q": "prior-auth-extract-v70"}, {"prior-auth-extract-v70"}),
            ({"q": "prior-auth-extract-v"}, set()),
            ({"q": "prior-auth"}, {"prior-auth-extract-v7", "prior-auth-extract-v70"}),
            ({"q": "summary-v7"}, {"summary-v7"}),
            ({"stage": "LIVE"}, {"prior-auth-extract-v70", "summary-v7"}),
            ({"q": "v7", "stage": "PROPOSED"}, set()),
        ],
    )
    def test_finds_versions_by_their_names(self, as_, carol, promotion, asked, names):
        factories.live(promotion.registered_model, 70)
        factories.live(RegisteredModelFactory(name="summary"), 7)
        lines = self.lines(as_(carol), asked)
        assert {line.promotion.model_version.name for line in lines} == names

    def test_sorts_by_version_and_by_figure(self, as_, carol, promotion, registered_model):
        better = factories.live(registered_model, 70).promotion.eval_run
        with unguarded():
            EvalRun.objects.filter(pk=better.pk).update(metrics={"f1": 0.95})
        client = as_(carol)
        for sort, versions in {
            "version": ["v7", "v70"], "-version": ["v70", "v7"], "f1": ["v7", "v70"],
            "-f1": ["v70", "v7"], "state": ["v70", "v7"], "model": ["v7", "v70"],
        }.items():  # fmt: skip
            assert [line.version for line in self.lines(client, {"sort": sort})] == versions

    def lines(self, client, asked=None):
        """Return what the lines of the list know."""
        page = client.get(reverse("promotions:promotion_list"), asked or {})
        return [line.row for line in page.context["table"].lines]

    def test_says_of_each_what_its_own_rollout_does(self, as_, carol, promotion, registered_model):
        live = factories.live(registered_model, 9)
        failed = factories.rolled(RegisteredModelFactory(name="summary"), 3, status="FAILED")
        client = as_(carol)
        found = {line.promotion: line for line in self.lines(client)}
        assert {each: line.rollout for each, line in found.items()} == {
            promotion: None,
            live.promotion: live,
            failed.promotion: failed,
        }
        assert found[promotion].rollout_badge is None
        assert found[live.promotion].rollout_badge.words == "Live"
        assert found[failed.promotion].rollout_badge.words == "Failed"
        page = client.get(reverse("promotions:promotion_list")).content.decode()
        for rollout in (live, failed):
            assert url("rollout_detail", rollout) in page

    def test_exports_names_and_words_for_programs(self, as_, carol, promotion, registered_model):
        live = factories.live(registered_model, 9)
        answer = as_(carol).get(reverse("promotions:promotion_list"), {"format": "csv"})
        rows = {row["id"]: row for row in csv.DictReader(b"".join(answer).decode().splitlines())}
        common = {"model": "prior-auth-extract", "f1": "0.9"}
        assert rows == {
            str(promotion.pk): common | {
                "id": str(promotion.pk), "version": "v7",
                "baseline": f"v{promotion.baseline.number}" if promotion.baseline else "",
                "stage": "PROPOSED", "rollout": "",
                "requested_by": promotion.requested_by.username,
                "requested_at": promotion.requested_at.isoformat(),
            },
            str(live.promotion.pk): common | {
                "id": str(live.promotion.pk), "version": "v9", "baseline": "",
                "stage": "LIVE", "rollout": "LIVE",
                "requested_by": live.promotion.requested_by.username,
                "requested_at": live.promotion.requested_at.isoformat(),
            },
        }  # fmt: skip

    def test_gives_htmx_the_table_alone(self, as_, carol, promotion):
        part = {"HX-Request": "true", "HX-Target": "table-promotions"}
        page = as_(carol).get(reverse("promotions:promotion_list"), headers=part).content.decode()
        assert "Waits for you" not in page and "<html" not in page
        assert url("promotion_detail", promotion) in page

    def test_puts_what_waits_for_the_person_first(self, as_, alice, carol, promotion):
        where = reverse("promotions:promotion_list")
        assert "Waits for you" in as_(carol).get(where).content.decode()
        assert "Waits for you" not in as_(alice).get(where).content.decode()


def sleeper(model, pre_warm=""):
    """Return the live rollout of a version that sleeps, but for the hours in which it is kept
    ready; the observer sees the cluster.
    """
    Observation.objects.get_or_create(feed="pods", defaults={"seen_at": NOW, "heard_at": NOW})
    return factories.live(model, 7, serving_class="SCALE_TO_ZERO", pre_warm=pre_warm)


def model_page(name="prior-auth-extract"):
    """Return the address of a model's page."""
    return reverse("catalog:model_detail", args=[name])


def pool_seen(*capacity_types):
    """Have the cluster have one pool, which buys machines of these types."""
    spec = NodePool(
        "gpu", NodeClassRef("karpenter.sh", "C", "c"), ("g6",), 8, capacity_types=capacity_types
    )
    record_found(pool="gpu", text=to_yaml([node_pool(spec)]).decode(), now=NOW)
    PoolSeen.objects.create(uid="pool", name="gpu", created_at=NOW, learned_at=NOW)


def replica(*, ready_after=None, ended=False, began=NOW):
    """Return a replica of the sleeping version, on a node with a price; ended: 100 s after NOW."""
    uid = str(uuid4())
    price = {"price_usd_per_hour": Decimal("0.9"), "price_basis": "simulated-spot"}
    price |= {"instance_type": "g6.xlarge", "capacity_type": "spot"}
    NodeClaim.objects.create(
        uid=uid, name=uid, node_name=uid, created_at=NOW, learned_at=NOW, gpu_count=1, **price
    )
    ready_at = began + timedelta(seconds=ready_after) if ready_after else None
    return Replica.objects.create(
        uid=uid, name="p", namespace="models", service="prior-auth-extract-v7",
        model="prior-auth-extract",
        node_name=uid, created_at=began, learned_at=NOW, ready_at=ready_at,
        ended_at=NOW + timedelta(seconds=100) if ended else None, gpu_count=1,
    )  # fmt: skip


@pytest.mark.django_db
class TestSleep:
    def test_the_proposal_form_names_the_price_of_each_class(self, as_, alice, version):
        replica(ready_after=40, ended=True)
        page = (
            as_(alice)
            .get(reverse("promotions:promotion_create", args=["prior-auth-extract", 7]))
            .content.decode()
        )
        assert (
            "One g6.xlarge on demand: $0.8048 (list price, us-east-1, 6 Jul 2026) × 730 h" in page
        )
        assert "= about $588 a month" in page
        assert '<span class="figure">about $588 a month</span>' in page
        assert (
            '<span class="figure">$0 while idle, $0.90 (simulated price) an hour awake</span>'
            in page
        )
        assert "waits ≈ 40 s; then it costs about $0.01 a start" in page
        assert "$0.90 (simulated price) an hour on Spot" in page
        assert "on demand where there is no Spot" in page
        assert "Nobody can have zero idle cost and an instant first token" in page

    def test_hours_are_suggested_chosen_reviewed_and_shown_with_their_price(
        self, as_, alice, carol, version, settings, registered_model
    ):
        replica(ready_after=40, ended=True)
        settings.SCALING_PRE_WARM = "mon-fri 07:30-19:00 America/New_York"
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        page = as_(alice).get(where).content.decode()
        hours = "Monday to Friday, 07:30 to 19:00, America/New_York: 250 hours a month"
        assert f"Suggested: {hours}, about $225 on Spot (simulated price)" in page
        assert 'value="07:30"' in page
        as_(alice).post(where, HOURS | {"ready_from": "22:00", "ready_to": "06:00"})
        made = Promotion.objects.get()
        assert made.pre_warm == "mon-fri 22:00-06:00 America/New_York"
        page = as_(carol).get(url("promotion_detail", made)).content.decode()
        assert (
            "22:00 to 06:00 of the next day, America/New_York: 174 hours a month, about $156 on "
            "Spot" in page
        )
        rollout = factories.live(
            registered_model, 8, serving_class="SCALE_TO_ZERO", pre_warm=made.pre_warm
        )
        page = as_(carol).get(url("rollout_detail", rollout)).content.decode()
        assert "174 hours a month, about $156 on Spot" in page

    def test_no_hours_are_shown_as_that(self, as_, carol, registered_model):
        page = as_(carol).get(url("rollout_detail", sleeper(registered_model))).content.decode()
        assert "never: only a call wakes it" in page

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"ready_from": ""}, "Say from when to when"),
            ({"ready_zone": ""}, "Say from when to when"),
            ({"ready_to": "25:00"}, "Enter a valid time"),
            ({"ready_to": "07:30"}, "choose warm"),
            ({"ready_zone": "Mars/Olympus"}, "is not a time zone"),
            ({"ready_days": "weekends"}, "not one of the available choices"),
        ],
    )
    def test_hours_that_are_none_are_refused_in_words(self, as_, alice, version, change, words):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        answer = as_(alice).post(where, HOURS | change)
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert not Promotion.objects.exists()

    def test_a_warm_version_has_no_hours(self, as_, alice, version):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        as_(alice).post(where, HOURS | {"serving_class": "WARM"})
        assert Promotion.objects.get().pre_warm == ""

    def test_the_dossier_says_what_a_warm_version_costs_a_month(self, as_, carol, promotion):
        page = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        assert "Warm, at a price not known yet" in page
        replica(ready_after=40, ended=True)
        page = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        assert "Warm, about $588 a month a replica (list price, us-east-1, 6 Jul 2026)" in page

    def test_the_proposal_form_says_where_no_machine_may_be_bought_for_a_class(
        self, as_, alice, version
    ):
        pool_seen("spot")
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        words = "every NodePool buys Spot machines only"
        assert f"It cannot be chosen now: {words}." in as_(alice).get(where).content.decode()
        answer = as_(alice).post(
            where, {"justification": "An interactive assistant.", "serving_class": "WARM"}
        )
        assert answer.status_code == 422
        assert f"{words}. Change one, or propose it as scale to zero." in answer.content.decode()
        as_(alice).post(
            where, {"justification": "Only a nightly batch.", "serving_class": "SCALE_TO_ZERO"}
        )
        assert Promotion.objects.get().serving_class == "SCALE_TO_ZERO"

    def test_a_pool_that_stopped_buying_on_demand_stops_the_approval(self, as_, carol, promotion):
        pool_seen("spot")
        page = as_(carol).get(url("promotion_detail", promotion)).content.decode()
        assert "1 of 17 does not hold" in " ".join(page.split())
        assert "A warm version runs on no Spot machine" in page

    def test_the_choice_is_kept(self, as_, alice, version):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        as_(alice).post(
            where, {"justification": "Only a nightly batch.", "serving_class": "SCALE_TO_ZERO"}
        )
        assert Promotion.objects.get().serving_class == "SCALE_TO_ZERO"

    def test_another_choice_is_refused_and_none_is_warm(self, as_, alice, version):
        where = reverse("promotions:promotion_create", args=["prior-auth-extract", 7])
        words = {"justification": "Only a nightly batch."}
        assert as_(alice).post(where, words | {"serving_class": "COLD"}).status_code == 422
        as_(alice).post(where, words)
        assert Promotion.objects.get().serving_class == "WARM"

    def test_the_rollouts_page_shows_what_a_start_takes_and_costs(
        self, as_, carol, registered_model
    ):
        rollout = sleeper(registered_model)
        replica(ready_after=40, ended=True)
        page = as_(carol).get(url("rollout_detail", rollout)).content.decode()
        assert "Idle, wakes in ≈ 40 s" in page
        assert "≈ 40 s, median of 1" in page
        assert "about $0.01 (simulated price)" in page
        assert (
            '<span title="$0.025">$0.02</span> (simulated price)' in page
        )  # 100 s at $0.90 an hour
        assert "models/prior-auth-extract-v7" in page
        assert "ScaledObject" in page

    def test_time_awake_counts_from_a_day_ago_and_only_on_a_machine(self, registered_model):
        rollout = sleeper(registered_model)
        replica(began=NOW - timedelta(hours=30), ended=True)
        waiting = replica()
        Replica.objects.filter(pk=waiting.pk).update(node_name="")
        rollouts = Rollout.objects.filter(pk=rollout.pk)
        found = sleeps_of(rollouts, now=NOW + timedelta(seconds=100))[rollout.pk]
        assert (found.woken, found.awake_usd) == (1, Decimal("0.9") * 24)

    def test_a_warm_rollouts_page_says_nothing_of_sleep(self, as_, carol, registered_model):
        page = (
            as_(carol)
            .get(url("rollout_detail", factories.live(registered_model, 7)))
            .content.decode()
        )
        assert "Sleep and wake" not in page
        assert "ScaledObject" not in page

    def test_the_models_page_says_it(self, as_, carol, registered_model):
        factories.live(RegisteredModelFactory(name="summary"), 2)
        sleeper(registered_model, "daily 07:30-19:00 UTC")
        replica(ready_after=40, ended=True)
        said = joined(as_(carol).get(model_page()).content)
        assert "takes ≈ 40 s and costs the platform about $0.01 (simulated price)" in said
        assert "Kept ready: Every day, 07:30 to 19:00, UTC." in said
        assert "sleeps while" not in joined(as_(carol).get(model_page("summary")).content)

    @pytest.mark.parametrize("hours", ["", "daily 07:30-19:00 UTC"])
    @pytest.mark.parametrize("tab", ["gateway:how_to_call", "gateway:playground"])
    def test_callers_are_told_what_to_expect(self, as_, carol, registered_model, tab, hours):
        sleeper(registered_model, hours)
        page = joined(as_(carol).get(reverse(tab, args=["prior-auth-extract"])).content)
        assert "503 with Retry-After: 30" in page
        assert ("Kept ready: Every day, 07:30 to 19:00, UTC." in page) == bool(hours)
        assert ("Kept ready:" in page) == bool(hours)

    @pytest.mark.parametrize("tab", ["gateway:how_to_call", "gateway:playground"])
    def test_callers_of_a_warm_version_are_told_nothing_of_sleep(
        self, as_, carol, registered_model, tab
    ):
        factories.live(registered_model, 7)
        page = as_(carol).get(reverse(tab, args=["prior-auth-extract"])).content.decode()
        assert "sleeps while nobody calls it" not in page
