"""What rollouts and the gates ask about a model, beside another model of which the same is true."""

from datetime import timedelta

import pytest

from apps.evals.models import EvalRun
from apps.promotions import queries
from apps.promotions.models import Promotion, Rollout
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def other():
    """Another model: one version live, one that failed, one under way."""
    model = RegisteredModelFactory(name="other-model")
    factories.live(model, 1)
    factories.rolled(model, 2, status="FAILED", started_at=LATER)
    factories.rolled(model, 3, status="PROGRESSING", started_at=LATER)
    return model


def commit(rollout, step, minute=0, **more):
    at = NOW + timedelta(minutes=minute)
    return rollout.commits.create(step=step, sha="a" * 40, committed_at=at, **more)


def propose(version, **more):
    run = factories.run(version)
    chosen = {name: more[name] for name in ("baseline", "serving_class") if name in more}
    return Promotion.objects.create(
        registered_model=version.registered_model, model_version=version,
        eval_run=run, manifest_digest=version.manifest_digest,
        policy_revision=factories.policy(version.registered_model),
        requested_by=UserFactory(), requested_at=NOW, justification="Better.",
        **(factories.bound(version, run, **chosen) | more),
    )  # fmt: skip


def approved(version):
    """Return a proposal of the version that somebody approved."""
    made = propose(version, status="APPROVED", decided_at=NOW)
    made.approvals.create(
        approver=UserFactory(), requested_by=made.requested_by, decision="APPROVE", reason="Good.",
        decided_at=NOW, manifest_digest=version.manifest_digest, eval_run=made.eval_run,
        binding_digest=made.binding_digest,
    )  # fmt: skip
    return made


class TestLiveVersion:
    def test_is_the_models_own(self, registered_model, other):
        assert queries.live_version(registered_model) is None
        factories.rolled(registered_model, 6, status="REPLACED")
        live = factories.live(registered_model, 7)
        assert queries.live_rollout(registered_model) == live
        assert queries.live_version(registered_model) == live.model_version


class TestLeavingVersion:
    @pytest.mark.parametrize("status", ["ABORTED", "SUPERSEDED"])
    def test_is_one_whose_removal_is_not_committed_yet(self, registered_model, other, status):
        Rollout.objects.filter(registered_model=other, status="PROGRESSING").update(status=status)
        assert queries.leaving_version(registered_model) is None
        rollout = factories.rolled(registered_model, 6, status=status)
        commit(rollout, "SERVE")
        assert queries.leaving_version(registered_model) == rollout.model_version
        commit(rollout, "REMOVE")
        assert queries.leaving_version(registered_model) is None

    def test_is_none_that_stays(self, registered_model):
        for number, status in enumerate(("LIVE", "REPLACED", "FAILED", "PENDING"), start=1):
            factories.rolled(registered_model, number, status=status)
        assert queries.leaving_version(registered_model) is None


class TestWasTakenBack:
    @pytest.fixture
    def again(self, registered_model):
        """A version's second rollout, after one that was aborted; and another version's removal."""
        first = factories.rolled(registered_model, 6, status="ABORTED")
        removed = factories.rolled(registered_model, 5, status="ABORTED")
        commit(removed, "REMOVE", 9)
        again = Rollout.objects.create(
            promotion=approved(first.model_version), registered_model=registered_model,
            model_version=first.model_version, started_at=LATER, moved_at=LATER,
        )  # fmt: skip
        return again, first

    def test_tells_what_git_heard_last_of_earlier_rollouts(self, again):
        rollout, first = again
        assert not queries.was_taken_back(rollout)
        commit(first, "SERVE", 1)
        assert not queries.was_taken_back(rollout)
        commit(first, "REMOVE", 2)
        commit(first, "RETIRE", 3)
        assert queries.was_taken_back(rollout)
        commit(rollout, "SERVE", 4)
        assert queries.was_taken_back(rollout), "its own commits say nothing of earlier ones"

    def test_is_over_where_it_was_started_since(self, again):
        rollout, first = again
        commit(first, "REMOVE", 2)
        commit(first, "SERVE", 3)
        assert not queries.was_taken_back(rollout)


class TestApprovalBefore:
    @pytest.fixture
    def before(self, registered_model):
        return factories.rolled(registered_model, 6, status="REPLACED")

    @pytest.fixture
    def live(self, registered_model, before):
        factories.rolled(registered_model, 5, status="REPLACED", started_at=LATER)
        return factories.rolled(registered_model, 7, baseline=before.model_version)

    def test_is_of_what_served_before(self, live, before):
        assert queries.approval_before(live) == before.promotion

    @pytest.mark.parametrize("status", ["FAILED", "ABORTED", "SUPERSEDED"])
    def test_is_of_what_has_served(self, live, before, status):
        with unguarded():
            Rollout.objects.filter(pk=before.pk).update(status=status)
        assert queries.approval_before(live) is None

    @pytest.mark.parametrize(
        ("what", "change"),
        [
            ("model_version", {"status": "QUARANTINED"}),
            ("model_version", {"manifest_digest": "sha256:" + "f" * 64}),
            ("promotion", {"status": "REJECTED"}),
        ],
    )
    def test_is_none_where_that_is_no_longer_what_was_approved(self, live, before, what, change):
        row = getattr(before, what)
        with unguarded():
            type(row).objects.filter(pk=row.pk).update(**change)
        assert queries.approval_before(live) is None

    def test_needs_a_persons_approval(self, live, before):
        with unguarded():
            before.promotion.approvals.update(decision="REJECT")
        assert queries.approval_before(live) is None

    def test_is_the_newest_of_several(self, live, before, registered_model):
        version = before.model_version
        newer = approved(version)
        Rollout.objects.create(
            promotion=newer, registered_model=registered_model, model_version=version,
            status="REPLACED", started_at=LATER, moved_at=LATER,
        )  # fmt: skip
        assert queries.approval_before(live) == newer


class TestCountingCommits:
    def test_are_this_attempts_and_the_one_that_started_the_version(self, registered_model, other):
        rollout = factories.rolled(registered_model, 7, attempt=2)
        commit(other.rollouts.first(), "SHIFT_50", attempt=2)
        served = commit(rollout, "SERVE", 1)
        commit(rollout, "SHIFT_10", 2)
        again = commit(rollout, "SHIFT_10", 3, attempt=2)
        commit(rollout, "SHIFT_50", 4, attempt=2, lost_at=NOW)
        assert queries.counting_commits(rollout) == {"SERVE": served, "SHIFT_10": again}


class TestIsStopped:
    def test_is_told_by_the_commit_that_stops_its_baseline(self, registered_model, other):
        rollout = factories.live(registered_model, 7)
        commit(other.rollouts.first(), "RETIRE")
        commit(rollout, "SERVE")
        assert not queries.is_stopped(rollout)
        commit(rollout, "RETIRE")
        assert queries.is_stopped(rollout)


class TestEvidenceFor:
    @pytest.fixture
    def version(self, registered_model):
        made = factories.version(registered_model, 7)
        factories.run(made)
        return made

    def test_is_about_its_own_model(self, version, registered_model, other):
        found = queries.evidence_for(version, NOW, serving_class="WARM")
        run = EvalRun.objects.get(model_version=version)
        assert (found.version, found.verified, found.version_status) == (
            "prior-auth-extract-v7",
            True,
            "Verified",
        )
        assert (found.run.id, found.run.passed, found.suite) == (str(run.pk), True, str(run.suite))
        assert (found.baseline, found.open_rollout, found.failed_rollout) == (None, None, None)
        assert (found.serving_class, found.is_bound, found.differences) == ("WARM", False, ())

    @pytest.mark.parametrize("only_spot", [True, False])
    def test_asks_what_may_be_bought_for_a_warm_version(self, version, monkeypatch, only_spot):
        monkeypatch.setattr(queries, "buys_only_spot", lambda: only_spot)
        assert queries.evidence_for(version, NOW, serving_class="WARM").only_spot is only_spot
        assert queries.evidence_for(version, NOW, serving_class="SCALE_TO_ZERO").only_spot is False

    def test_names_what_serves_what_moves_and_what_failed(self, version, registered_model, other):
        factories.live(registered_model, 4)
        factories.rolled(registered_model, 5, status="FAILED")
        factories.rolled(registered_model, 6, status="PENDING")
        factories.rolled(registered_model, 3, status="ABORTED")
        found = queries.evidence_for(version, NOW)
        assert (found.baseline, found.open_rollout, found.failed_rollout) == (
            "prior-auth-extract-v4",
            "prior-auth-extract-v6",
            "prior-auth-extract-v5",
        )

    def test_is_bound_to_what_was_proposed(self, version, registered_model):
        live = factories.live(registered_model, 4)
        promotion = propose(version, baseline=live.model_version, serving_class="SCALE_TO_ZERO")
        found = queries.evidence_for(version, NOW, promotion, "WARM")
        assert (found.serving_class, found.is_bound) == ("SCALE_TO_ZERO", True)
        newer = factories.run(version, at=NOW + timedelta(hours=1))
        (changed,) = queries.evidence_for(version, NOW, promotion).differences
        assert (changed.was, changed.found) == (str(promotion.eval_run_id), str(newer.pk))

    def test_knows_nothing_of_what_was_bound_before_anything_was(self, version):
        promotion = propose(version, binding={}, binding_digest="")
        assert queries.evidence_for(version, NOW, promotion).differences is None

    def test_knows_a_version_that_is_not_verified_or_evaluated(self, registered_model):
        bare = factories.version(registered_model, 8, status="QUARANTINED")
        found = queries.evidence_for(bare, NOW)
        assert (found.verified, found.run, found.suite) == (False, None, "")
        factories.run(factories.version(registered_model, 9), passed=False)
        found = queries.evidence_for(bare, NOW)
        assert (found.run, found.suite) == (None, str(EvalRun.objects.get().suite))


class TestObstacles:
    def test_are_the_gates_and_a_proposal_that_waits(self, registered_model, other):
        version = factories.version(registered_model, 7)
        factories.run(version)
        propose(factories.version(other, 9))
        approved(factories.version(registered_model, 5))
        assert queries.obstacles(version, NOW) == []
        propose(factories.version(registered_model, 8))
        (found,) = queries.obstacles(version, NOW)
        assert (found.name, found.passed) == ("Promotion", False)
        assert found.words.startswith("prior-auth-extract-v8 waits for a reviewer")
        unrun = factories.version(registered_model, 6)
        assert [item.name for item in queries.obstacles(unrun, NOW)] == ["Evaluation", "Promotion"]


class TestRunsOverASubset:
    """A few short packets decide nothing but where engines have a CPU only."""

    @pytest.mark.parametrize(("on_cpu", "words"), [(False, "5 of 24 packets"), (True, "")])
    def test_are_too_few_to_propose_a_version(self, registered_model, settings, on_cpu, words):
        settings.ENGINES_ON_CPU = on_cpu
        few, whole = (factories.version(registered_model, number) for number in (1, 2))
        factories.run(few, subset="cpu")
        factories.run(whole)
        with unguarded():
            EvalRun.objects.filter(model_version=few).update(packets_total=5)
        assert queries.evidence_for(few, NOW).run.partly.startswith(words)
        assert bool(queries.evidence_for(few, NOW).run.partly) is not on_cpu
        assert queries.evidence_for(whole, NOW).run.partly == ""
        assert [one.name for one in queries.obstacles(few, NOW) if one.name == "Packets"] == (
            [] if on_cpu else ["Packets"]
        )
