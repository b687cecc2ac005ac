"""What the worker writes of one of two rollouts: once, recorded, and never over a person's
change.
"""

from datetime import timedelta

import pytest

from apps.audit.models import Action
from apps.integrations.git.types import CommitRef
from apps.promotions.models import GateResult, Rollout, RolloutCommit
from apps.promotions.policy.rules import Rules
from apps.promotions.rollouts import records
from apps.promotions.rollouts.drift import Check, Verdict
from apps.promotions.rollouts.health import Calls, Health, Limits, Measured
from apps.promotions.rollouts.phases import Seen
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories
from tests.promotions.doubles import approved
from tests.trail import AuditAway, trail

pytestmark = pytest.mark.django_db
LATER, SOON = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
WORKER = "system:promotions.reconcile_rollout"
WRONG = {"attempts": 3, "reason": "R", "message": "m"}
GOOD = Calls(calls=200, failed=2, timed=150, ttft_p95_ms=400.0, tokens_per_second=50.0)
BAD = Calls(calls=200, failed=50, timed=150, ttft_p95_ms=400.0, tokens_per_second=50.0)


@pytest.fixture
def rollout(registered_model, alice, carol):
    return approved(registered_model, 7, alice, carol)


@pytest.fixture(autouse=True)
def other(rollout, alice, carol):
    """Another model's rollout, with a commit of its own: it stays as it is."""
    made = approved(RegisteredModelFactory(name="denial", owner_team=alice.team), 7, alice, carol)
    made.commits.create(step="SERVE", sha="d" * 40, committed_at=NOW)
    Rollout.objects.update(**WRONG)
    rollout.refresh_from_db()
    untouched = as_stored(made)
    yield made
    assert as_stored(made) == untouched
    commit = made.commits.get(step="SERVE")
    assert (commit.observed_at, commit.lost_at) == (None, None)


@pytest.fixture
def commit(rollout):
    return rollout.commits.create(step="SHIFT_50", sha="c" * 40, committed_at=NOW)


def as_stored(row):
    return type(row).objects.filter(pk=row.pk).values().get()


def some(row, names):
    stored = as_stored(row)
    return {name: stored[name] for name in names}


def changed_meanwhile(rollout):
    """A person changes the row; the worker holds the older one."""
    Rollout.objects.filter(pk=rollout.pk).update(generation=9)


def events(rollout):
    return trail(rollout)[1:]  # its start is written by people


class TestRecordCommit:
    def test_stores_and_records_a_step_once(self, rollout, audit_away):
        first, again = (CommitRef(letter * 40, True, NOW) for letter in "ab")
        with audit_away(), pytest.raises(AuditAway):
            records.record_commit(rollout=rollout, step="SHIFT_10", commit=first, now=LATER)
        assert not rollout.commits.exists()
        for ref in (first, again):
            row = records.record_commit(rollout=rollout, step="SHIFT_10", commit=ref, now=LATER)
            assert (row.sha, row.committed_at, row.attempt, row.step) == (
                "a" * 40,
                NOW,
                1,
                "SHIFT_10",
            )
        assert as_stored(rollout)["moved_at"] == LATER
        facts = {"step": "SHIFT_10", "commit": "a" * 40, "detail": row.words}
        assert events(rollout) == [(Action.ROLLOUT_COMMITTED, WORKER, facts)]
        rollout.attempt = 2
        assert records.record_commit(
            rollout=rollout, step="SHIFT_10", commit=again, now=SOON
        ).sha == ("b" * 40)


class TestRecordAccepted:
    def test_keeps_the_first_time_that_weights_were_seen(self, rollout, commit):
        for now in (LATER, SOON):
            records.record_accepted(commit=commit, now=now)
        assert (commit.observed_at, as_stored(rollout)["moved_at"]) == (LATER, LATER)


class TestRecordGate:
    def judge(self, rollout, commit, candidate=GOOD):
        measured = Measured.of(
            Health(candidate, 1), Health(GOOD, 2), Limits.of(Rules(minimum_calls=20))
        )
        return records.record_gate(rollout=rollout, commit=commit, measured=measured, now=LATER)

    def test_lets_a_good_one_go_on_and_keeps_the_numbers_once(self, rollout, commit):
        assert self.judge(rollout, commit) is True
        gate = GateResult.objects.get()
        assert (gate.commit, gate.verdict, gate.judged_at) == (commit, "PASSED", LATER)
        assert (gate.candidate["calls"], gate.candidate["ready_replicas"]) == (200, 1)
        assert gate.baseline["ready_replicas"] == 2
        moved = {"moved_at": LATER, "next_check_at": LATER, "return_reason": ""}
        assert some(rollout, moved) == moved
        facts = {"weight": 50, "verdict": "PASSED", "message": gate.words}
        assert events(rollout) == [(Action.ROLLOUT_JUDGED, WORKER, facts)]
        assert self.judge(rollout, commit, BAD) is False
        assert len(events(rollout)) == 1

    def test_sends_all_callers_of_a_bad_one_back(self, rollout, commit):
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=NOW)
        assert self.judge(rollout, commit, BAD) is True
        words = GateResult.objects.get().words
        back = {
            "status": "PROGRESSING", "return_reason": "GATE", "return_message": words,
            "reason": "RETURNING", "message": words, "paused_at": None, "moved_at": LATER,
            "next_check_at": LATER, "observed_at": LATER,
        }  # fmt: skip
        assert some(rollout, back) == back
        assert [event[0] for event in events(rollout)] == [
            Action.ROLLOUT_JUDGED,
            Action.ROLLOUT_RETURNING,
        ]
        assert events(rollout)[1][1:] == (WORKER, {"code": "GATE", "message": words})

    @pytest.mark.parametrize(
        "state", [{"generation": 9}, {"status": "ABORTED"}, {"return_reason": "GATE"}]
    )
    def test_judges_nothing_that_was_changed_meanwhile(self, rollout, commit, state):
        Rollout.objects.filter(pk=rollout.pk).update(**state)
        assert self.judge(rollout, commit) is False
        assert not GateResult.objects.exists()

    def test_judges_nothing_that_it_cannot_record(self, rollout, commit, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            self.judge(rollout, commit)
        assert not GateResult.objects.exists()


class TestBeginReturn:
    def test_decides_once_unless_it_was_changed_meanwhile(self, rollout, audit_away):
        why = {"reason": "A_REASON_OF_MORE_THAN_24_LETTERS", "message": "Slow."}
        with audit_away(), pytest.raises(AuditAway):
            records.begin_return(rollout=rollout, now=LATER, **why)
        assert as_stored(rollout)["return_reason"] == ""
        assert records.begin_return(rollout=rollout, now=LATER, **why) is True
        begun = {
            "return_reason": "A_REASON_OF_MORE_THAN_24", "moved_at": LATER, "next_check_at": LATER,
        }  # fmt: skip
        assert some(rollout, begun) == begun
        assert records.begin_return(rollout=rollout, now=LATER, **why) is False
        facts = {"code": why["reason"], "message": "Slow."}
        assert events(rollout) == [(Action.ROLLOUT_RETURNING, WORKER, facts)]
        Rollout.objects.filter(pk=rollout.pk).update(return_reason="")
        changed_meanwhile(rollout)
        assert records.begin_return(rollout=rollout, now=LATER, **why) is False


class TestRecordPhases:
    def test_stores_what_is_new_and_cuts_long_words(self, rollout):
        first = Seen("SYNCED", NOW, "x" * 400)
        records.record_phases(rollout=rollout, phases=[first], now=LATER)
        records.record_phases(
            rollout=rollout, phases=[first, Seen("CLAIMED", LATER, "y")], now=SOON
        )
        assert list(
            rollout.phases.order_by("reached_at").values_list("phase", "learned_at", "detail")
        ) == [("SYNCED", LATER, "x" * 300), ("CLAIMED", SOON, "y")]
        assert (as_stored(rollout)["moved_at"], rollout.moved_at) == (SOON, SOON)
        records.record_phases(rollout=rollout, phases=[first], now=SOON + timedelta(hours=1))
        assert as_stored(rollout)["moved_at"] == SOON

    def test_stores_a_phase_that_is_told_twice_once(self, rollout):
        told = [Seen("SYNCED", NOW, "first"), Seen("SYNCED", LATER, "again")]
        records.record_phases(rollout=rollout, phases=told, now=SOON)
        assert [(row.phase, row.detail) for row in rollout.phases.all()] == [("SYNCED", "first")]


class TestWhereItStands:
    def test_is_kept_while_it_is_open(self, rollout):
        facts = {"reason": "STARTING", "message": "Loads weights.", "next_check_at": SOON}
        records.record_progress(rollout=rollout, now=LATER, weight=25, engine="vllm", **facts)
        found = facts | {
            "status": "PROGRESSING", "observed_at": LATER, "attempts": 0, "weight": 25,
            "engine": "vllm", "observed_generation": rollout.generation,
        }  # fmt: skip
        assert some(rollout, found) == found
        for state in ({"generation": 9}, {"generation": 1, "status": "ABORTED"}):
            Rollout.objects.filter(pk=rollout.pk).update(**state)
            before = as_stored(rollout)
            records.record_progress(
                rollout=rollout, reason="X", message="x", now=SOON, next_check_at=None
            )
            assert as_stored(rollout) == before

    def test_is_in_trouble_in_whatever_state(self, rollout):
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE")
        facts = {"message": "Git is away.", "next_check_at": SOON}
        records.record_trouble(rollout=rollout, now=LATER, **facts)
        found = facts | {"reason": "AWAY", "observed_at": LATER, "attempts": 3}
        assert some(rollout, found) == found
        changed_meanwhile(rollout)
        records.record_trouble(rollout=rollout, message="x", now=SOON, next_check_at=NOW)
        assert some(rollout, facts) == facts

    def test_is_looked_at_when_it_has_ended(self, rollout):
        elsewhere = factories.live(RegisteredModelFactory(), 3)
        untouched = as_stored(elsewhere)
        Rollout.objects.filter(pk=rollout.pk).update(status="FAILED", unready_since=NOW)
        records.record_checked(rollout=rollout, now=LATER, next_check_at=SOON)
        found = {
            "reason": "", "message": "", "observed_at": LATER, "attempts": 0,
            "next_check_at": SOON, "unready_since": None,
            "observed_generation": rollout.generation,
        }  # fmt: skip
        assert some(rollout, found) == found
        facts = {"reason": "DRIFT", "message": "Other bytes.", "unready_since": LATER}
        records.record_checked(rollout=rollout, now=SOON, next_check_at=None, **facts)
        assert some(rollout, facts) == facts
        for state in ({"generation": 9}, {"generation": 1, "status": "PROGRESSING"}):
            Rollout.objects.filter(pk=rollout.pk).update(**state)
            before = as_stored(rollout)
            records.record_checked(rollout=rollout, now=NOW, next_check_at=NOW)
            assert as_stored(rollout) == before
        assert as_stored(elsewhere) == untouched


def check(what, found, verdict="DIFFERENT"):
    return Check(what, "sha256:a", found, Verdict(verdict))


class TestDrift:
    """It begins once, is told with what differs, and ends only when it was seen to be right."""

    WEIGHTS, ARGUMENTS = "Weights as its loader read them", "Arguments of the engine"

    @pytest.fixture(autouse=True)
    def live(self, rollout):
        Rollout.objects.filter(pk=rollout.pk).update(status="LIVE")
        rollout.refresh_from_db()

    def look(self, rollout, *checks, now=LATER, reason="", message=""):
        records.record_checked(
            rollout=rollout, now=now, next_check_at=now, reason=reason, message=message,
            checks=checks,
        )  # fmt: skip
        rollout.refresh_from_db()

    def drift(self, rollout, found="sha256:b", now=LATER):
        self.look(
            rollout, check(self.WEIGHTS, found), now=now, reason="DRIFT", message="It differs."
        )

    def test_begins_with_what_differs(self, rollout):
        right = check(self.ARGUMENTS, "sha256:a", "SAME")
        self.look(rollout, check(self.WEIGHTS, "sha256:b"), right, reason="DRIFT", message="!")
        row = {"what": self.WEIGHTS, "approved": "sha256:a", "found": "sha256:b"}
        assert (rollout.differences, rollout.drifted_at) == ([row], LATER)
        assert rollout.checks == [row | {"verdict": "DIFFERENT"}, right.as_json()]
        message = (
            "What serves as prior-auth-extract-v7 is not what was approved. Weights as its loader "
            "read them: approved sha256:a, found sha256:b."
        )
        facts = {"differences": [row], "message": message}
        assert events(rollout) == [(Action.ROLLOUT_DRIFTED, WORKER, facts)]

    def test_is_told_again_only_where_it_became_another(self, rollout):
        self.drift(rollout)
        self.drift(rollout, now=SOON)
        assert len(events(rollout)) == 1
        self.drift(rollout, found="sha256:c", now=SOON)
        assert rollout.drifted_at == LATER
        assert [action for action, *_ in events(rollout)] == [Action.ROLLOUT_DRIFTED] * 2

    @pytest.mark.parametrize("verdict", ["UNKNOWN", None])
    def test_is_not_ended_by_what_cannot_be_seen(self, rollout, verdict):
        self.drift(rollout)
        seen = [check(self.WEIGHTS, "not measured", verdict)] if verdict else []
        self.look(rollout, *seen, now=SOON, reason="NODE_LOST", message="Its node is gone.")
        assert (rollout.reason, rollout.drifted_at) == ("DRIFT", LATER)
        assert rollout.message.endswith(
            "found sha256:b. It was not seen to be right again. Its node is gone."
        )

    def test_is_not_ended_by_a_cluster_or_a_git_that_is_away(self, rollout):
        self.drift(rollout)
        records.record_trouble(rollout=rollout, message="Away.", now=SOON, next_check_at=SOON)
        rollout.refresh_from_db()
        assert (rollout.reason, rollout.drifted_at) == ("DRIFT", LATER)
        records.record_checked(
            rollout=rollout, now=SOON, next_check_at=SOON, reason="GIT_REFUSED", message="Frozen."
        )
        rollout.refresh_from_db()
        assert (rollout.reason, len(rollout.differences)) == ("DRIFT", 1)
        assert rollout.message.endswith("Frozen.")

    def test_ends_when_that_very_thing_is_right_and_not_with_another(self, rollout):
        self.drift(rollout)
        other = check(self.ARGUMENTS, "--trust")
        self.look(rollout, other, now=SOON, reason="DRIFT", message="!")
        assert [row["what"] for row in rollout.differences] == [self.WEIGHTS, self.ARGUMENTS]
        right = [check(what, "sha256:a", "SAME") for what in (self.WEIGHTS, self.ARGUMENTS)]
        self.look(rollout, right[0], other, now=SOON, reason="DRIFT", message="!")
        assert [row["what"] for row in rollout.differences] == [self.ARGUMENTS]
        self.look(rollout, *right, now=SOON)
        assert (rollout.reason, rollout.differences, rollout.drifted_at) == ("", [], None)
        action, actor, facts = events(rollout)[-1]
        assert (action, actor) == (Action.ROLLOUT_DRIFT_ENDED, WORKER)
        assert facts["message"] == "Seen to be right again."
        assert [row["what"] for row in facts["differences"]] == [self.ARGUMENTS]

    def test_is_stored_with_its_record_or_not_at_all(self, rollout, audit_away):
        with audit_away(), pytest.raises(AuditAway):
            self.drift(rollout)
        assert as_stored(rollout)["differences"] == []
        changed_meanwhile(rollout)
        self.drift(rollout)
        assert (as_stored(rollout)["differences"], events(rollout)) == ([], [])

    def test_ends_with_the_version_that_takes_its_place(
        self, rollout, registered_model, alice, carol
    ):
        self.drift(rollout)
        newer = approved(registered_model, 8, alice, carol, now=SOON)
        assert records.finish_rollout(rollout=newer, now=SOON, next_check_at=SOON)
        rollout.refresh_from_db()
        assert (rollout.status, rollout.differences, rollout.drifted_at) == ("REPLACED", [], None)
        action, _, facts = events(rollout)[-1]
        assert action == Action.ROLLOUT_DRIFT_ENDED
        assert facts["message"] == "prior-auth-extract-v8 serves in its place."


class TestWakeLive:
    SERVICE = "prior-auth-extract-v7"

    @pytest.fixture
    def live(self, rollout):
        ten = timedelta(seconds=10, microseconds=1)
        Rollout.objects.filter(pk=rollout.pk).update(
            status="LIVE", reason="", attempts=0, next_check_at=SOON, observed_at=LATER - ten
        )
        return rollout

    def test_makes_those_due_that_are_named(self, live):
        assert records.wake_live(services=["denial-v7", "prior-auth-extract-v8"], now=LATER) == 0
        assert records.wake_live(services=[self.SERVICE], now=LATER) == 1
        assert as_stored(live)["next_check_at"] == LATER
        assert records.wake_live(services=[self.SERVICE], now=LATER) == 0

    @pytest.mark.parametrize(
        "state",
        [
            {"status": "REPLACED"},
            {"reason": "AWAY"},
            {"attempts": 1},
            {"next_check_at": None},
            {"observed_at": LATER - timedelta(seconds=10)},
        ],
    )
    def test_leaves_what_a_worker_looks_at_or_knows_of(self, live, state):
        Rollout.objects.filter(pk=live.pk).update(**state)
        assert records.wake_live(services=[self.SERVICE], now=LATER) == 0


class TestFailRollout:
    def test_ends_it_and_marks_the_commits_that_were_lost(self, rollout, commit):
        kept = rollout.commits.create(step="SERVE", sha="b" * 40, committed_at=NOW)
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=NOW)
        why = {"reason": "GIT_DIVERGED", "message": "The branch lost it."}
        known = {"lost": ["c" * 40, "d" * 40], "weight": 0, "engine": "vllm 0.11.0"}
        Rollout.objects.filter(pk=rollout.pk).update(weight=10)
        for expected in (True, False):
            assert records.fail_rollout(rollout=rollout, now=LATER, **known, **why) is expected
        ended = why | {
            "weight": 0, "engine": "vllm 0.11.0",
            "status": "FAILED", "observed_at": LATER, "finished_at": LATER, "paused_at": None,
            "next_check_at": None, "observed_generation": rollout.generation,
        }  # fmt: skip
        assert some(rollout, ended) == ended
        assert [as_stored(one)["lost_at"] for one in (commit, kept)] == [LATER, None]
        assert events(rollout) == [(Action.ROLLOUT_FAILED, WORKER, why)]

    def test_ends_nothing_that_was_changed_meanwhile_or_that_it_cannot_record(
        self, rollout, audit_away
    ):
        why = {"reason": "R", "message": "m"}
        with audit_away(), pytest.raises(AuditAway):
            records.fail_rollout(rollout=rollout, now=LATER, **why)
        changed_meanwhile(rollout)
        assert records.fail_rollout(rollout=rollout, now=LATER, **why) is False
        assert as_stored(rollout)["status"] == "PENDING"

    def test_keeps_when_a_commit_was_lost_first(self, rollout, commit):
        RolloutCommit.objects.filter(pk=commit.pk).update(lost_at=NOW)
        records.fail_rollout(rollout=rollout, reason="R", message="m", now=LATER, lost=["c" * 40])
        assert as_stored(commit)["lost_at"] == NOW


class TestFinishRollout:
    @pytest.fixture
    def before(self, rollout):
        """What serves until now, and another model's that serves on."""
        made = factories.live(rollout.registered_model, 6)
        Rollout.objects.filter(pk=made.pk).update(
            reason="R", message="m", unready_since=NOW, generation=4
        )
        elsewhere = factories.rolled(RegisteredModelFactory(), 3, started_at=SOON)
        yield made
        assert as_stored(elsewhere)["status"] == "LIVE"

    def test_makes_it_live_and_replaces_what_served(self, rollout, before):
        Rollout.objects.filter(pk=rollout.pk).update(paused_at=NOW, unready_since=NOW)
        finish = {"rollout": rollout, "now": LATER, "next_check_at": SOON, "engine": "vllm"}
        assert records.finish_rollout(**finish) is True
        live = {
            "status": "LIVE", "weight": 100, "reason": "", "message": "", "observed_at": LATER,
            "attempts": 0, "finished_at": LATER, "paused_at": None, "unready_since": None,
            "next_check_at": SOON, "engine": "vllm", "observed_generation": rollout.generation,
        }  # fmt: skip
        assert some(rollout, live) == live
        replaced = {
            "status": "REPLACED", "weight": 0, "reason": "", "message": "", "unready_since": None,
            "generation": 5,
        }  # fmt: skip
        assert some(before, replaced) == replaced
        facts = {"replaced": "prior-auth-extract-v6"}
        assert events(rollout) == [(Action.ROLLOUT_FINISHED, WORKER, facts)]
        assert records.finish_rollout(**finish) is False

    def test_replaces_nothing_where_nothing_served(self, rollout):
        records.finish_rollout(rollout=rollout, now=LATER, next_check_at=SOON)
        assert events(rollout) == [(Action.ROLLOUT_FINISHED, WORKER, {"replaced": ""})]

    def test_finishes_nothing_that_was_changed_meanwhile_or_that_it_cannot_record(
        self, rollout, before, audit_away
    ):
        with audit_away(), pytest.raises(AuditAway):
            records.finish_rollout(rollout=rollout, now=LATER, next_check_at=SOON)
        changed_meanwhile(rollout)
        assert records.finish_rollout(rollout=rollout, now=LATER, next_check_at=SOON) is False
        assert [as_stored(one)["status"] for one in (rollout, before)] == ["PENDING", "LIVE"]
