"""Starting and recording evaluation runs."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.models import Action, AuditEvent
from apps.common.errors import NotPermitted
from apps.evals import actions, report
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.scoring.scores import PacketScore
from apps.evals.suites import shipped
from apps.evals.suites.actions import SuiteChanged, ensure_suite
from apps.promotions.models import Rollout
from tests.database import as_owner
from tests.factories import NOW, ModelVersionFactory
from tests.promotions import factories
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db


def audited(run) -> list[str]:
    return sorted(event.action for event in AuditEvent.objects.about("EvalRun", str(run.pk)))


RIGHT = PacketScore(("E11.9",), ("E11.9",), 1, 10.0, 20.0, 5)


@pytest.fixture
def other(registered_model, suite, alice, run):
    """A run of another version; nothing that happens to `run` changes it."""
    version = ModelVersionFactory(registered_model=registered_model, number=2)
    return actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)


def as_stored(run) -> dict:
    return EvalRun.objects.filter(pk=run.pk).values().get()


def answered(run, score=None):
    """Bring a run to where all is answered."""
    actions.record_deployed(run=run, commit="c" * 40, now=NOW)
    actions.record_serving(run=run, engine="stand-in", instance_type="g5.xlarge", now=NOW)
    actions.record_packet(run=run, packet_id="packet-01", score=score or RIGHT, now=NOW)


class TestEnsureSuite:
    def test_makes_one_row(self, suite):
        assert ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY]) == suite
        assert EvalSuite.objects.count() == 1
        loaded = shipped.load()
        assert (suite.slug, suite.revision, suite.title) == (
            loaded.slug,
            loaded.revision,
            loaded.title,
        )
        assert (suite.packet_count, suite.thresholds) == (len(loaded.packets), loaded.thresholds)
        assert suite.requested_at == NOW

    def test_makes_another_of_a_changed_suite_with_the_next_revision(self, suite):
        changed = replace(shipped.load(), revision=suite.revision + 1)
        assert ensure_suite(suite=changed, now=NOW) != suite

    def test_refuses_a_changed_suite_with_the_old_revision(self, suite):
        changed = replace(shipped.load(), title="Another title")
        with pytest.raises(SuiteChanged, match="next revision"):
            ensure_suite(suite=changed, now=NOW)


class TestStartEvalRun:
    def test_waits_for_the_worker(self, run):
        assert (run.status, run.next_check_at) == (EvalRun.Status.PENDING, NOW)
        assert audited(run) == [Action.EVAL_STARTED]

    def test_records_who_asked_for_what_and_wakes_the_worker(self, version, suite, carol, enqueued):
        with enqueued() as asked:
            run = actions.start_eval_run(version=version, suite=suite, actor=carol, now=NOW)
        assert (run.suite, run.model_version, run.requested_by, run.requested_at) == (
            suite,
            version,
            carol,
            NOW,
        )
        facts = {"suite": str(suite), "manifest_digest": version.manifest_digest}
        assert trail(run) == [(Action.EVAL_STARTED, "carol", facts)]
        assert asked == [("evals.reconcile_eval_run", {"run_id": str(run.pk)})]

    def test_starts_nothing_that_it_cannot_record(self, version, suite, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
        assert not EvalRun.objects.exists()

    def test_is_for_owners_and_reviewers(self, version, suite, carol, charlie):
        with pytest.raises(NotPermitted, match="reviewers"):
            actions.start_eval_run(version=version, suite=suite, actor=charlie, now=NOW)
        assert actions.start_eval_run(version=version, suite=suite, actor=carol, now=NOW)

    @pytest.mark.parametrize(
        "status", ["UPLOADING", "SIGNING", "VERIFYING", "QUARANTINED", "FAILED"]
    )
    def test_needs_a_verified_version(self, registered_model, suite, alice, status):
        version = ModelVersionFactory(registered_model=registered_model, status=status)
        with pytest.raises(actions.NotVerified):
            actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)

    def test_runs_once_at_a_time(self, run, version, suite, alice):
        with pytest.raises(actions.AlreadyRunning):
            actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
        actions.fail_eval_run(run=run, reason="R", message="m", now=NOW)
        assert actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW) != run

    def test_the_database_holds_it_too(self, run, version, suite, alice):
        with pytest.raises(IntegrityError), transaction.atomic():
            EvalRun.objects.create(
                suite=suite, model_version=version, requested_by=alice, requested_at=NOW
            )


class TestWhatTheWorkerRecords:
    LATER = NOW + timedelta(minutes=5)

    def test_of_the_commit_once(self, run, other):
        EvalRun.objects.update(attempts=3)
        untouched = as_stored(other)
        for commit in ("c" * 40, "d" * 40):
            actions.record_deployed(run=run, commit=commit, now=self.LATER)
        stored = as_stored(run)
        assert (stored["status"], stored["deploy_commit"], stored["attempts"]) == (
            "STARTING",
            "c" * 40,
            0,
        )
        assert (stored["reason"], stored["next_check_at"], stored["observed_at"]) == (
            "COMMITTED",
            self.LATER,
            self.LATER,
        )
        assert stored["message"] == "Committed; Argo CD applies it."
        assert trail(run)[1:] == [
            (Action.EVAL_COMMITTED, "system:evals.reconcile_eval_run", {"commit": "c" * 40})
        ]
        assert as_stored(other) == untouched

    def test_of_what_it_waits_for_unless_the_row_has_changed(self, run, other):
        untouched = as_stored(other)
        words = {"reason": "STARTING", "message": "Loads weights."}
        actions.record_waiting(run=run, at=self.LATER, now=NOW, **words)
        stored = as_stored(run)
        assert {name: stored[name] for name in words} == words
        assert (stored["observed_at"], stored["next_check_at"]) == (NOW, self.LATER)
        EvalRun.objects.filter(pk=run.pk).update(generation=5)
        actions.record_waiting(run=run, reason="X", message="x", at=NOW, now=NOW)
        assert (as_stored(run)["reason"], as_stored(other)) == ("STARTING", untouched)

    def test_of_the_first_answer_once(self, run, other):
        actions.record_deployed(run=run, commit="c" * 40, now=NOW)
        actions.record_deployed(run=other, commit="d" * 40, now=NOW)
        EvalRun.objects.update(attempts=3)
        untouched = as_stored(other)
        facts = {"engine": "vllm 0.32.0", "instance_type": "g5.xlarge"}
        for now in (self.LATER, NOW):
            actions.record_serving(run=run, now=now, **facts)
        stored = as_stored(run)
        assert {name: stored[name] for name in facts} == facts
        assert (stored["status"], stored["serving_at"], stored["attempts"]) == (
            "RUNNING",
            self.LATER,
            0,
        )
        assert (stored["next_check_at"], stored["reason"], stored["message"]) == (
            self.LATER,
            "",
            "",
        )
        assert trail(run)[2:] == [(Action.EVAL_SERVING, "system:evals.reconcile_eval_run", facts)]
        assert as_stored(other) == untouched

    def test_of_each_packet(self, run, other):
        untouched = as_stored(other)
        EvalRun.objects.filter(pk=run.pk).update(reason="R", message="m")
        for packet in ("packet-01", "packet-02"):
            actions.record_packet(run=run, packet_id=packet, score=RIGHT, now=self.LATER)
        result = run.packet_results.get(packet_id="packet-02")
        assert report.score(result) == RIGHT
        stored = as_stored(run)
        assert (stored["packets_done"], stored["observed_at"]) == (2, self.LATER)
        assert (stored["reason"], stored["message"]) == ("", "")
        assert as_stored(other) == untouched

    def test_of_time_that_was_used_up(self, run, other, enqueued):
        EvalRun.objects.update(attempts=3)
        untouched = as_stored(other)
        with enqueued() as asked:
            actions.continue_soon(run=run, now=self.LATER)
        assert asked == [("evals.reconcile_eval_run", {"run_id": str(run.pk)})]
        stored = as_stored(run)
        assert (stored["next_check_at"], stored["attempts"]) == (self.LATER, 0)
        EvalRun.objects.filter(pk=run.pk).update(generation=5, attempts=2)
        actions.continue_soon(run=run, now=NOW)
        assert (as_stored(run)["attempts"], as_stored(other)) == (2, untouched)

    def test_of_a_removal_once_and_only_after_the_end(self, run, other):
        answered(run)
        answered(other)
        actions.record_remove_commit(run=run, commit="e" * 40, at=self.LATER, now=NOW)
        actions.record_removed(run=run, now=NOW)
        assert (as_stored(run)["remove_commit"], as_stored(run)["removed_at"]) == ("", None)
        for one in (run, other):
            actions.record_eval_run(run=one, now=NOW)
        EvalRun.objects.update(attempts=3)
        untouched = as_stored(other)
        for commit in ("e" * 40, "f" * 40):
            actions.record_remove_commit(run=run, commit=commit, at=self.LATER, now=self.LATER)
        stored = as_stored(run)
        assert (stored["remove_commit"], stored["next_check_at"], stored["attempts"]) == (
            "e" * 40,
            self.LATER,
            0,
        )
        assert stored["observed_at"] == self.LATER
        last = self.LATER + timedelta(minutes=1)
        for now in (last, NOW):
            actions.record_removed(run=run, now=now)
        stored = as_stored(run)
        assert (stored["removed_at"], stored["observed_at"], stored["next_check_at"]) == (
            last,
            last,
            None,
        )
        assert trail(run)[-1] == (Action.EVAL_REMOVED, "system:evals.reconcile_eval_run", {})
        assert audited(run).count(Action.EVAL_REMOVED) == 1
        assert as_stored(other) == untouched

    def test_changes_nothing_that_it_cannot_record(self, run, audit_away):
        def refused(change, **more):
            before = as_stored(run)
            with audit_away(), pytest.raises(AuditAway):
                change(run=EvalRun.objects.get(pk=run.pk), now=NOW, **more)
            assert as_stored(run) == before

        refused(actions.record_deployed, commit="c" * 40)
        refused(actions.fail_eval_run, reason="R", message="m")
        actions.record_deployed(run=run, commit="c" * 40, now=NOW)
        refused(actions.record_serving, engine="stand-in", instance_type="g5.xlarge")
        answered(run)
        refused(actions.record_eval_run)
        actions.record_eval_run(run=run, now=NOW)
        refused(actions.record_removed)


class TestRecordEvalRun:
    def test_ends_this_run_and_says_how_good_it_was(self, run, other):
        answered(other)
        answered(run)
        EvalRun.objects.update(attempts=3, reason="R", message="m")
        untouched = as_stored(other)
        later = NOW + timedelta(minutes=5)
        actions.record_eval_run(run=run, now=later)
        stored = as_stored(run)
        assert (stored["finished_at"], stored["next_check_at"], stored["attempts"]) == (
            later,
            later,
            0,
        )
        assert (stored["reason"], stored["message"], stored["metrics"]) == ("", "", run.metrics)
        facts = {
            "passed": True,
            "f1": 1.0,
            "report_digest": stored["report_digest"],
            "engine": "stand-in",
        }
        assert trail(run)[-1] == (
            Action.EVAL_RECORDED,
            "system:evals.reconcile_eval_run",
            facts,
        )
        assert as_stored(other) == untouched

    def test_keeps_what_it_was_compared_with_whatever_serves_later(self, run):
        model = run.model_version.registered_model
        first = factories.live(model, 21)
        compared = EvalRun.objects.get(model_version=first.model_version)
        with as_owner():
            EvalRun.objects.filter(pk=compared.pk).update(suite=run.suite)
        answered(run)
        actions.record_eval_run(run=run, now=NOW)
        Rollout.objects.filter(pk=first.pk).update(status="REPLACED")
        second = factories.live(model, 22)
        with as_owner():
            EvalRun.objects.filter(model_version=second.model_version).update(suite=run.suite)
        kept = EvalRun.objects.get(pk=run.pk)
        assert kept.baseline_run == compared
        assert report.report(kept)["baseline"] == {
            "run": str(compared.pk),
            "version": str(first.model_version),
            "digest": compared.report_digest,
        }
        assert report.digest(kept) == kept.report_digest

    def test_passes_when_every_threshold_is_met(self, run):
        answered(run)
        actions.record_eval_run(run=run, now=NOW)
        assert run.status == EvalRun.Status.PASSED
        assert run.metrics["f1"] == 1
        assert Action.EVAL_RECORDED in audited(run)

    def test_fails_below_a_threshold(self, run):
        answered(run, PacketScore(("E11.9",), (), 0, 10.0, 20.0, 5))
        actions.record_eval_run(run=run, now=NOW)
        assert run.status == EvalRun.Status.FAILED

    def test_keeps_the_digest_of_a_report_that_can_be_made_again(self, run):
        answered(run)
        actions.record_eval_run(run=run, now=NOW)
        again = EvalRun.objects.get(pk=run.pk)
        assert report.digest(again) == again.report_digest

    def test_records_once(self, run):
        answered(run)
        for _ in range(2):
            actions.record_eval_run(run=run, now=NOW)
        assert audited(run).count(Action.EVAL_RECORDED) == 1

    def test_a_result_without_report_is_refused_by_the_database(self, run):
        with pytest.raises(IntegrityError), transaction.atomic():
            EvalRun.objects.filter(pk=run.pk).update(status="PASSED")


class TestRecordPacket:
    def test_keeps_no_answer_that_it_does_not_count(self, run):
        with pytest.raises(ValidationError):
            actions.record_packet(run=run, packet_id="packet-01", score=RIGHT, now="soon")
        assert not run.packet_results.exists()

    def test_counts_a_packet_once(self, run):
        answered(run)
        answered(run)
        run.refresh_from_db()
        assert run.packets_done == 1


class TestFailEvalRun:
    def test_ends_this_run_and_says_why(self, run, other):
        EvalRun.objects.update(attempts=3)
        untouched = as_stored(other)
        later = NOW + timedelta(minutes=5)
        why = {"reason": "START_TIMEOUT", "message": "It never answered."}
        actions.fail_eval_run(run=run, now=later, **why)
        stored = as_stored(run)
        assert {name: stored[name] for name in why} == why
        assert (stored["status"], stored["finished_at"], stored["next_check_at"]) == (
            "ERROR",
            later,
            later,
        )
        assert stored["attempts"] == 0
        assert trail(run)[-1] == (Action.EVAL_FAILED, "system:evals.reconcile_eval_run", why)
        assert as_stored(other) == untouched

    def test_leaves_a_finished_run_alone(self, run):
        answered(run)
        actions.record_eval_run(run=run, now=NOW)
        actions.fail_eval_run(run=run, reason="R", message="m", now=NOW)
        run.refresh_from_db()
        assert run.status == EvalRun.Status.PASSED
