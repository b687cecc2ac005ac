"""Starting and recording evaluation runs."""

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import Action, AuditEvent
from apps.common.errors import NotPermitted
from apps.evals import actions, report, suites
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.scoring import PacketScore
from tests.factories import NOW, ModelVersionFactory

pytestmark = pytest.mark.django_db


def audited(run) -> list[str]:
    return sorted(event.action for event in AuditEvent.objects.about("EvalRun", str(run.pk)))


def answered(run, score=None):
    """Bring a run to where all is answered."""
    actions.record_deployed(run=run, commit="c" * 40, now=NOW)
    actions.record_serving(run=run, engine="stand-in", instance_type="g5.xlarge", now=NOW)
    right = score or PacketScore(("E11.9",), ("E11.9",), 1, 10.0, 20.0, 5)
    actions.record_packet(run=run, packet_id="packet-01", score=right, now=NOW)


class TestEnsureSuite:
    def test_makes_one_row(self, suite):
        assert actions.ensure_suite(suite=suites.load(), now=NOW) == suite
        assert EvalSuite.objects.count() == 1

    def test_refuses_a_changed_suite_with_the_old_revision(self, suite):
        EvalSuite.objects.update(digest="sha256:other")
        with pytest.raises(actions.SuiteChanged, match="next revision"):
            actions.ensure_suite(suite=suites.load(), now=NOW)


class TestStartEvalRun:
    def test_waits_for_the_worker(self, run):
        assert (run.status, run.next_check_at) == (EvalRun.Status.PENDING, NOW)
        assert audited(run) == [Action.EVAL_STARTED]

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


class TestRecordEvalRun:
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
    def test_counts_a_packet_once(self, run):
        answered(run)
        answered(run)
        run.refresh_from_db()
        assert run.packets_done == 1


class TestFailEvalRun:
    def test_leaves_a_finished_run_alone(self, run):
        answered(run)
        actions.record_eval_run(run=run, now=NOW)
        actions.fail_eval_run(run=run, reason="R", message="m", now=NOW)
        run.refresh_from_db()
        assert run.status == EvalRun.Status.PASSED
