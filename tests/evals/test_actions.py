"""Starting and recording evaluation runs."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.models import Action, AuditEvent
from apps.catalog.retirement.actions import announce_retirement, override_retirement
from apps.common.canonical import digest_of_bytes
from apps.common.errors import NotPermitted
from apps.evals import actions, report
from apps.evals.models import EvalReport, EvalRun, EvalSuite, Side
from apps.evals.scoring.scores import PacketScore
from apps.evals.suites import shipped
from apps.evals.suites.actions import SuiteChanged, ensure_suite
from apps.evals.suites.queries import CPU, packets_of
from apps.manifests.serving_settings import ServingSettings
from tests.database import as_owner
from tests.evals.samples import (
    MACHINE,
    RIGHT,
    WRONG,
    answer,
    answered,
    judged,
    result,
    serves,
)
from tests.factories import NOW, ModelVersionFactory
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db


def audited(run) -> list[str]:
    return sorted(event.action for event in AuditEvent.objects.about("EvalRun", str(run.pk)))


@pytest.fixture
def other(registered_model, suite, alice, run):
    """A run of another version; nothing that happens to `run` changes it."""
    version = ModelVersionFactory(registered_model=registered_model, number=2)
    return actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)


@pytest.fixture
def against(registered_model, suite, alice):
    """A run of a version against one that serves."""
    candidate, live = (
        ModelVersionFactory(registered_model=registered_model, number=number) for number in (5, 4)
    )
    wanted = actions.Wanted(baseline=live, cost_limit_usd=Decimal("2.50"), concurrency=3)
    return actions.start_eval_run(
        version=candidate, suite=suite, actor=alice, now=NOW, wanted=wanted
    )


def as_stored(run) -> dict:
    return EvalRun.objects.filter(pk=run.pk).values().get()


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
        facts = {
            "suite": str(suite), "manifest_digest": version.manifest_digest, "baseline": "",
            "packets": suite.packet_count, "subset": "", "concurrency": 4, "cost_limit_usd": "",
        }  # fmt: skip
        assert trail(run) == [(Action.EVAL_STARTED, "carol", facts)]
        assert asked == [("evals.reconcile_eval_run", {"run_id": str(run.pk)})]

    def test_keeps_against_what_and_with_what_and_for_how_much(self, against, suite):
        assert (against.baseline.number, against.packets_total) == (4, suite.packet_count)
        assert (against.concurrency, against.cost_limit_usd) == (3, Decimal("2.50"))
        usual = ServingSettings().as_json()
        assert against.serving_settings == against.baseline_settings == usual
        ((_, _, facts),) = trail(against)
        assert (facts["baseline"], facts["cost_limit_usd"]) == (against.baseline.name, "2.50")

    def test_is_against_nothing_where_the_version_itself_serves(self, version, suite, alice):
        wanted = actions.Wanted(baseline=version)
        run = actions.start_eval_run(
            version=version, suite=suite, actor=alice, now=NOW, wanted=wanted
        )
        assert (run.baseline, run.baseline_settings) == (None, {})

    def test_asks_the_declared_subset_alone(self, version, suite, alice):
        wanted = actions.Wanted(subset=CPU)
        run = actions.start_eval_run(
            version=version, suite=suite, actor=alice, now=NOW, wanted=wanted
        )
        assert run.packets_total == len(packets_of(suite, CPU))

    @pytest.mark.parametrize(
        ("wish", "words"),
        [
            ({"concurrency": 0}, "1 to 32 packets at once"),
            ({"concurrency": 33}, "1 to 32 packets at once"),
            ({"cost_limit_usd": Decimal(0)}, "more than \\$0"),
            ({"cost_limit_usd": Decimal(10_001)}, "at most \\$10,000"),
            ({"settings": ServingSettings(gpus=3, tensor_parallelism=2)}, "2 GPUs of the 3"),
        ],
    )
    def test_refuses_what_no_run_can_do(self, version, suite, alice, wish, words):
        with pytest.raises(actions.BadRun, match=words):
            actions.start_eval_run(
                version=version, suite=suite, actor=alice, now=NOW,
                wanted=replace(actions.WHOLE, **wish),
            )  # fmt: skip
        assert not EvalRun.objects.exists()

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

    def test_evaluates_nothing_of_a_model_that_is_gone(self, version, suite, alice):
        day = NOW.date() + timedelta(days=60)
        going = announce_retirement(
            model=version.registered_model, actor=alice, last_day=day, successor=None,
            note="Nobody needs it.", callers=[], now=NOW,
        )  # fmt: skip
        override_retirement(
            retirement=going, actor=alice, reason="All moved.", callers=[], now=going.ends_at
        )
        with pytest.raises(actions.BadRun, match=r"was retired on .* No version of it"):
            actions.start_eval_run(version=version, suite=suite, actor=alice, now=going.ends_at)

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
        actions.record_machines(run=run, machines={"CANDIDATE": MACHINE}, now=NOW)
        for now in (self.LATER, NOW):
            engines = {Side.CANDIDATE: "vllm 0.32.0"}
            actions.record_serving(run=run, engines=engines, now=now)
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
        serves(run)
        EvalRun.objects.filter(pk=run.pk).update(reason="R", message="m")
        for packet in ("packet-001", "packet-002"):
            row = result(run, packet)
            assert actions.record_packets(
                run=run, results=[row], stumbles={"CANDIDATE:p": 1}, now=self.LATER
            )
        kept = run.packet_results.get(packet_id="packet-002")
        assert PacketScore.of_json(kept.score) == replace(RIGHT, packet_id="packet-002")
        stored = as_stored(run)
        assert (stored["packets_done"], stored["observed_at"]) == (2, self.LATER)
        assert (stored["reason"], stored["message"]) == ("", "")
        assert stored["stumbles"] == {"CANDIDATE:p": 1}
        assert as_stored(other) == untouched

    def test_of_a_packet_of_both_sides_counts_once_both_have_answered(self, against):
        serves(against)
        answer(against)
        assert as_stored(against)["packets_done"] == 0
        answer(against, side=Side.BASELINE)
        assert as_stored(against)["packets_done"] == 1

    def test_of_nothing_that_comes_after_the_end(self, run, alice):
        serves(run)
        other = EvalRun.objects.get(pk=run.pk)
        actions.cancel_eval_run(run=other, actor=alice, now=self.LATER)
        assert not answer(run)
        assert as_stored(run)["packets_done"] == 0

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
            actions.record_eval_run(run=one, cost=None, now=NOW)
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
        actions.record_report_stored(run=run, key="evals/r.json", now=self.LATER)
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
        refused(actions.record_serving, engines={Side.CANDIDATE: "stand-in"})
        answered(run)
        refused(actions.record_eval_run, cost=None)
        actions.record_eval_run(run=run, cost=None, now=NOW)
        refused(actions.record_removed)


class TestRecordEvalRun:
    def test_ends_this_run_and_says_how_good_it_was(self, run, other):
        answered(other)
        answered(run)
        EvalRun.objects.update(attempts=3, reason="R", message="m")
        untouched = as_stored(other)
        later = NOW + timedelta(minutes=5)
        actions.record_eval_run(run=run, cost=None, now=later)
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
            "baseline": "",
        }
        assert trail(run)[-1] == (
            Action.EVAL_RECORDED,
            "system:evals.reconcile_eval_run",
            facts,
        )
        assert as_stored(other) == untouched

    def test_passes_when_every_threshold_is_met(self, run):
        answered(run)
        actions.record_eval_run(run=run, cost=None, now=NOW)
        assert run.status == EvalRun.Status.PASSED
        assert run.metrics["f1"] == 1
        assert Action.EVAL_RECORDED in audited(run)

    def test_fails_below_a_threshold(self, run):
        answered(run, WRONG)
        actions.record_eval_run(run=run, cost=None, now=NOW)
        assert run.status == EvalRun.Status.FAILED

    def test_keeps_the_report_byte_for_byte_with_its_digest(self, run):
        judged(run)
        content = report.content(EvalRun.objects.get(pk=run.pk))
        assert digest_of_bytes(content) == run.report_digest
        assert content == report.made(EvalRun.objects.get(pk=run.pk))

    def test_records_once(self, run):
        answered(run)
        for _ in range(2):
            actions.record_eval_run(run=run, cost=None, now=NOW)
        assert audited(run).count(Action.EVAL_RECORDED) == 1

    def test_a_result_without_report_is_refused_by_the_database(self, run):
        with pytest.raises(IntegrityError), transaction.atomic():
            EvalRun.objects.filter(pk=run.pk).update(status="PASSED")


class TestRecordPackets:
    def test_keeps_no_answer_that_it_does_not_count(self, run):
        with pytest.raises(ValidationError):
            actions.record_packets(run=run, results=[result(run)], stumbles={}, now="soon")
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
        actions.record_eval_run(run=run, cost=None, now=NOW)
        actions.fail_eval_run(run=run, reason="R", message="m", now=NOW)
        run.refresh_from_db()
        assert run.status == EvalRun.Status.PASSED


class TestCancelEvalRun:
    def test_ends_this_run_says_who_and_wakes_the_worker(self, run, other, carol, enqueued):
        untouched = as_stored(other)
        later = NOW + timedelta(minutes=5)
        with enqueued() as asked:
            actions.cancel_eval_run(run=run, actor=carol, now=later)
        stored = as_stored(run)
        assert (stored["status"], stored["canceled_by_id"], stored["finished_at"]) == (
            "CANCELED", carol.pk, later,
        )  # fmt: skip
        assert (stored["next_check_at"], stored["generation"]) == (later, 2)
        facts = {"packets_done": 0, "packets": run.packets_total}
        assert trail(run)[-1] == (Action.EVAL_CANCELED, "carol", facts)
        assert asked == [("evals.reconcile_eval_run", {"run_id": str(run.pk)})]
        assert as_stored(other) == untouched

    def test_is_for_those_who_may_start_it(self, run, charlie):
        with pytest.raises(NotPermitted, match="cancel"):
            actions.cancel_eval_run(run=run, actor=charlie, now=NOW)
        assert as_stored(run)["status"] == "PENDING"

    def test_ends_nothing_that_has_ended(self, run, alice):
        judged(run)
        with pytest.raises(actions.NotOpen):
            actions.cancel_eval_run(run=run, actor=alice, now=NOW)
        assert as_stored(run)["canceled_by_id"] is None

    def test_ends_nothing_that_it_cannot_record(self, run, alice, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            actions.cancel_eval_run(run=EvalRun.objects.get(pk=run.pk), actor=alice, now=NOW)
        assert as_stored(run)["status"] == "PENDING"


class TestSuiteToRun:
    def test_is_the_one_that_judges_or_the_one_that_is_named(self, version, suite, alice):
        assert actions.suite_to_run(version=version, actor=alice) == suite
        assert actions.suite_to_run(version=version, actor=alice, slug=suite.slug) == suite
        with pytest.raises(actions.NoSuite, match=suite.slug):
            actions.suite_to_run(version=version, actor=alice, slug="another")


class TestWhatTheDatabaseHolds:
    @pytest.mark.parametrize(
        "changes",
        [
            {"status": "CANCELED", "finished_at": NOW},
            {"canceled_by_id": 1},
            {"concurrency": 0},
            {"cost_limit_usd": 0},
        ],
    )
    def test_no_run_is(self, run, changes):
        with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
            EvalRun.objects.filter(pk=run.pk).update(**changes)

    def test_no_run_is_against_itself_or_asked_otherwise_afterwards(self, run, against):
        for changes in ({"baseline": run.model_version}, {"subset": "cpu"}):
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                EvalRun.objects.filter(pk=run.pk).update(**changes)

    def test_no_report_and_no_answer_changes(self, run):
        judged(run)
        changes = (
            lambda: EvalReport.objects.filter(run=run).update(content=b"{}"),
            lambda: run.packet_results.update(answer="better"),
        )
        for change in changes:
            with (
                as_owner(),
                pytest.raises(IntegrityError, match="never changes"),
                transaction.atomic(),
            ):
                change()
