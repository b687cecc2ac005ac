"""Weights, holds, decisions, the way back, and what people can do meanwhile. Every run is done
twice.
"""

import subprocess
from datetime import timedelta

import pytest
import yaml

from apps.audit.models import AuditEvent
from apps.common.errors import NotPermitted
from apps.promotions import actions
from apps.promotions.begin import WrongRolloutState
from apps.promotions.models import GateResult, Rollout, RolloutCommit
from apps.promotions.rollouts import actions as steering
from apps.promotions.rollouts import records
from apps.promotions.rollouts.health import Calls
from tests.factories import NOW
from tests.promotions.doubles import approved, approved_version, audited, drive, subjects, turn

MODEL = "prior-auth-extract"
GOOD = Calls(calls=100, failed=0, timed=100, ttft_p95_ms=400.0, tokens_per_second=50.0)
BAD = Calls(calls=100, failed=40, timed=60, ttft_p95_ms=400.0, tokens_per_second=50.0)


@pytest.fixture(autouse=True)
def quick(settings):
    """Hold each weight for 10 s."""
    settings.ROLLOUT_HOLD_SECONDS, settings.ROLLOUT_MINIMUM_CALLS = 10, 20


@pytest.fixture
def live(rollout, git, cluster):
    """The first version, serving all callers; and when."""
    now = drive(rollout, git, cluster)
    assert rollout.status == "LIVE"
    return now


@pytest.fixture
def second(live, registered_model, alice, carol):
    """The rollout of the second version, just approved."""
    return approved(registered_model, 2, alice, carol, now=live)


def calls(candidate=GOOD, baseline=GOOD):
    asked = []

    def of(model, since):
        asked.append(since)
        return {f"{MODEL}-v2": candidate, f"{MODEL}-v1": baseline}

    of.asked = asked
    return of


def route(git):
    """Return the route's weights as Git has them."""
    found = yaml.safe_load(git.read(f"serving/models/{MODEL}/route.yaml"))
    return {
        item["name"].removeprefix(f"{MODEL}-"): item["weight"]
        for item in found["spec"]["rules"][0]["backendRefs"]
    }


def lose_the_last_commit(remote):
    """Rewrite the branch's history, as a push by force does."""
    subprocess.run(["git", "update-ref", "refs/heads/main", "main~1"], cwd=remote, check=True)


def steps(rollout):
    return list(RolloutCommit.objects.filter(rollout=rollout).values_list("step", flat=True))


# answers the same for everybody
def until(rollout, git, cluster, now, holds, of=calls()):  # noqa: B008
    """Reconcile two seconds apart, every run twice, until something holds."""
    for _ in range(40):
        now += timedelta(seconds=2)
        turn(rollout, git, cluster, now, of)
        turn(rollout, git, cluster, now, of)
        rollout.refresh_from_db()
        if holds(rollout):
            return now
    raise AssertionError(
        f"never: {rollout.status} {rollout.weight} {rollout.reason} {rollout.message}"
    )


@pytest.mark.django_db
class TestWeights:
    def test_move_on_measured_health_with_one_commit_each(self, second, live, git, cluster, remote):
        drive(second, git, cluster, now=live, calls=calls())
        assert (second.status, second.weight) == ("LIVE", 100)
        assert subjects(remote)[2:] == [
            f"Start {MODEL}-v2",
            f"Send 10 % of the callers of {MODEL} to {MODEL}-v2",
            f"Send 50 % of the callers of {MODEL} to {MODEL}-v2",
            f"Send all callers of {MODEL} to {MODEL}-v2",
        ]
        gates = GateResult.objects.filter(commit__rollout=second)
        assert [(gate.commit.step, gate.verdict) for gate in gates] == [
            ("SHIFT_10", "PASSED"),
            ("SHIFT_50", "PASSED"),
        ]
        assert gates[0].candidate["calls"] == 100
        assert gates[0].baseline["ready_replicas"] == 1
        assert audited(second).count("rollout.judged") == 2

    def test_are_held_from_the_gateways_word_on_and_measured_since_then(
        self, second, live, git, cluster
    ):
        of = calls()
        now = until(second, git, cluster, live, lambda row: "SHIFT_10" in steps(row), of)
        cluster.accepting = False  # the commit is applied, the gateway has not looked yet
        later = now + timedelta(minutes=5)
        turn(second, git, cluster, later, of)
        second.refresh_from_db()
        assert (second.reason, of.asked) == ("SHIFTING", [])
        cluster.accepting = True
        accepted_at = later + timedelta(seconds=4)
        turn(second, git, cluster, accepted_at, of)
        second.refresh_from_db()
        assert (second.reason, second.weight, set(of.asked)) == ("HOLDING", 10, {accepted_at})
        assert second.health["candidate"]["calls"] == 100
        turn(second, git, cluster, accepted_at + timedelta(seconds=9), of)
        assert not GateResult.objects.exists()
        turn(second, git, cluster, accepted_at + timedelta(seconds=11), of)
        assert GateResult.objects.get().verdict == "PASSED"

    def test_go_on_without_traffic_where_the_proposal_says_so(self, second, live, git, cluster):
        drive(second, git, cluster, now=live)
        assert second.status == "LIVE"
        gate = GateResult.objects.first()
        assert (gate.verdict, gate.decided_by, gate.reason) == ("NO_TRAFFIC", None, "")
        assert "Not enough traffic to compare: 0 calls" in gate.words

    @pytest.mark.parametrize(
        "name",
        ["record_commit", "record_gate", "record_accepted", "record_progress", "finish_rollout"],
    )
    def test_finish_after_a_kill_before_any_write(
        self, second, live, git, cluster, remote, monkeypatch, name
    ):
        original, seen = getattr(records, name), []

        def killed_at_every_second_call(**arguments):
            seen.append(name)
            if len(seen) % 2:
                raise KeyboardInterrupt
            return original(**arguments)

        monkeypatch.setattr(records, name, killed_at_every_second_call)
        now = live
        for _ in range(20):
            now += timedelta(minutes=4)  # longer than a lease
            try:
                turn(second, git, cluster, now, calls())
            except KeyboardInterrupt:
                continue
        second.refresh_from_db()
        assert second.status == "LIVE", second.message
        assert len(subjects(remote)) == 2 + 4 + second.commits.filter(step="RETIRE").count()
        assert audited(second).count("rollout.judged") == 2
        assert audited(second).count("rollout.finished") == 1


@pytest.mark.django_db
class TestWithoutTraffic:
    @pytest.fixture
    def held(self, live, registered_model, alice, carol, git, cluster):
        """The rollout of the second version, which holds at its first weight; and when."""
        rollout = approved(registered_model, 2, alice, carol, now=live, without_traffic=False)
        now = drive(rollout, git, cluster, now=live)
        assert (rollout.status, rollout.weight, rollout.reason) == ("PROGRESSING", 10, "NO_TRAFFIC")
        assert not GateResult.objects.filter(commit__rollout=rollout).exists()
        return rollout, now

    def test_it_holds_however_long_and_goes_on_weight_by_weight_by_a_persons_word(
        self, held, git, cluster, carol
    ):
        rollout, now = held
        now = drive(rollout, git, cluster, now=now, turns=40, apart=timedelta(minutes=4))
        assert (rollout.status, rollout.weight, rollout.reason) == ("PROGRESSING", 10, "NO_TRAFFIC")
        assert not GateResult.objects.filter(commit__rollout=rollout).exists()
        steering.go_on_rollout(rollout=rollout, actor=carol, reason="A night job.", now=now)
        now = drive(rollout, git, cluster, now=now)
        assert (rollout.weight, rollout.reason) == (50, "NO_TRAFFIC")
        gate = GateResult.objects.get(commit__rollout=rollout)
        assert (gate.commit.step, gate.decided_by, gate.reason) == (
            "SHIFT_10",
            carol,
            "A night job.",
        )
        assert gate.candidate["calls"] == 0
        event = AuditEvent.objects.get(action="rollout.judged", target_id=str(rollout.pk))
        assert (event.actor, event.data["reason"]) == ("carol", "A night job.")
        assert event.data["candidate"] == gate.candidate
        steering.go_on_rollout(rollout=rollout, actor=carol, reason="Again.", now=now)
        drive(rollout, git, cluster, now=now)
        assert (rollout.status, rollout.weight) == ("LIVE", 100)

    def test_whoever_proposed_it_or_may_not_steer_cannot_let_it_go_on(
        self, held, alice, bob, charlie
    ):
        rollout, now = held
        for actor in (alice, charlie):
            with pytest.raises(NotPermitted):
                steering.go_on_rollout(rollout=rollout, actor=actor, reason="Mine.", now=now)
        assert not steering.may_go_on(rollout, alice)
        assert steering.may_go_on(rollout, bob)
        assert not GateResult.objects.filter(commit__rollout=rollout).exists()

    def test_it_is_judged_by_itself_once_enough_calls_came(self, held, git, cluster):
        rollout, now = held
        drive(rollout, git, cluster, now=now, calls=calls())
        assert rollout.status == "LIVE"
        verdicts = GateResult.objects.filter(commit__rollout=rollout)
        assert set(verdicts.values_list("verdict", "decided_by")) == {("PASSED", None)}

    def test_nobody_decides_where_nothing_waits(self, held, git, cluster, carol):
        rollout, now = held
        steering.go_on_rollout(rollout=rollout, actor=carol, reason="A night job.", now=now)
        with pytest.raises(WrongRolloutState):
            steering.go_on_rollout(rollout=rollout, actor=carol, reason="Twice.", now=now)
        assert GateResult.objects.filter(commit__rollout=rollout).count() == 1


@pytest.mark.django_db
class TestReturn:
    def test_a_worse_candidate_gives_all_callers_back_by_itself(
        self, second, live, git, cluster, remote
    ):
        drive(second, git, cluster, now=live, calls=calls(candidate=BAD))
        assert (second.status, second.reason, second.weight) == ("FAILED", "GATE", 0)
        assert "Errors 40.0 % (0.0 % baseline, at most 2.0 %)" in second.message
        assert f"All callers are back with {MODEL}-v1" in second.message
        assert route(git) == {"v1": 100}
        assert f"serving/models/{MODEL}/v2.yaml" in git.paths("serving")
        assert steps(second) == ["SERVE", "SHIFT_10", "RETURN"]
        assert subjects(remote)[-1] == f"Give all callers of {MODEL} back to {MODEL}-v1"
        for action in ("rollout.judged", "rollout.returning", "rollout.failed"):
            assert audited(second).count(action) == 1

    def test_happens_when_it_drops_out_under_callers(self, second, live, git, cluster):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        cluster.broken.add(f"{MODEL}-v2")
        turn(second, git, cluster, now + timedelta(seconds=2), calls())
        second.refresh_from_db()
        assert second.return_reason == ""
        assert second.unready_since == now + timedelta(seconds=2)
        drive(second, git, cluster, now=now, calls=calls())
        assert (second.status, second.reason) == ("FAILED", "GATE")
        assert "is not ready while callers are sent to it" in second.message
        assert route(git) == {"v1": 100}

    def test_happens_when_nothing_moves_for_long_while_callers_are_split(
        self, second, live, git, cluster
    ):
        now = until(second, git, cluster, live, lambda row: "SHIFT_50" in steps(row))
        cluster.accepting = False
        now = drive(second, git, cluster, now=now + timedelta(hours=1), turns=2)
        assert second.return_message.startswith("Nothing has moved for")
        cluster.accepting = True
        drive(second, git, cluster, now=now, turns=3)
        assert (second.status, second.reason, route(git)) == ("FAILED", "GATE", {"v1": 100})

    def test_can_be_followed_by_another_attempt_with_commits_of_its_own(
        self, second, live, git, cluster, alice, remote
    ):
        now = drive(second, git, cluster, now=live, calls=calls(candidate=BAD))
        steering.retry_rollout(rollout=second, actor=alice, now=now)
        drive(second, git, cluster, now=now, calls=calls())
        assert (second.status, second.attempt) == ("LIVE", 2)
        assert steps(second) == ["SERVE", "SHIFT_10", "RETURN", "SHIFT_10", "SHIFT_50", "SHIFT"]
        assert route(git) == {"v2": 100}
        assert len(subjects(remote)) == 8

    def test_is_followed_by_an_abort_that_removes_it(self, second, live, git, cluster, alice):
        now = drive(second, git, cluster, now=live, calls=calls(candidate=BAD))
        steering.abort_rollout(rollout=second, actor=alice, reason="Slow", now=now)
        drive(second, git, cluster, now=now)
        assert f"serving/models/{MODEL}/v2.yaml" not in git.paths("serving")
        assert route(git) == {"v1": 100}

    @pytest.mark.parametrize(
        "name", ["record_gate", "begin_return", "record_commit", "fail_rollout"]
    )
    def test_is_one_commit_whatever_is_killed(
        self, second, live, git, cluster, remote, monkeypatch, name
    ):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        original, killed = getattr(records, name), []

        def killed_once(**arguments):
            if not killed:
                killed.append(name)
                raise KeyboardInterrupt
            return original(**arguments)

        monkeypatch.setattr(records, name, killed_once)
        for _ in range(12):
            now += timedelta(minutes=4)
            try:
                turn(second, git, cluster, now, calls(candidate=BAD))
            except KeyboardInterrupt:
                continue
        second.refresh_from_db()
        assert (killed, second.status) == ([name], "FAILED")
        assert subjects(remote).count(f"Give all callers of {MODEL} back to {MODEL}-v1") == 1
        assert audited(second).count("rollout.failed") == 1


@pytest.mark.django_db
class TestGit:
    def test_whose_history_was_rewritten_is_named_and_a_retry_commits_anew(
        self, second, live, git, cluster, remote, alice
    ):
        now = until(second, git, cluster, live, lambda row: "SERVE" in steps(row))
        lose_the_last_commit(remote)
        now = drive(second, git, cluster, now=now + timedelta(minutes=1), turns=3)
        assert (second.status, second.reason) == ("FAILED", "GIT_DIVERGED")
        assert "somebody rewrote its history" in second.message
        assert [bool(row.lost_at) for row in second.commits.all()] == [True]
        steering.retry_rollout(rollout=second, actor=alice, now=now)
        drive(second, git, cluster, now=now, calls=calls())
        assert (second.status, second.attempt) == ("LIVE", 2)
        assert steps(second) == ["SERVE", "SERVE", "SHIFT_10", "SHIFT_50", "SHIFT"]
        assert len(subjects(remote)) == 2 + 4

    def test_that_lost_a_weight_alone_begins_at_the_first_one_again(
        self, second, live, git, cluster, remote, alice
    ):
        now = until(second, git, cluster, live, lambda row: "SHIFT_50" in steps(row))
        lose_the_last_commit(remote)
        now = drive(second, git, cluster, now=now + timedelta(minutes=1), turns=3, calls=calls())
        assert (second.status, second.reason) == ("FAILED", "GIT_DIVERGED")
        assert [row.step for row in second.commits.filter(lost_at=None)] == ["SERVE", "SHIFT_10"]
        steering.retry_rollout(rollout=second, actor=alice, now=now)
        drive(second, git, cluster, now=now, calls=calls())
        assert second.status == "LIVE"
        assert steps(second) == ["SERVE", "SHIFT_10", "SHIFT_50", "SHIFT_10", "SHIFT_50", "SHIFT"]
        assert route(git) == {"v2": 100}


@pytest.mark.django_db
class TestPause:
    def test_keeps_the_weights_until_it_is_resumed(self, second, live, git, cluster, carol):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        steering.pause_rollout(rollout=second, actor=carol, reason="Lunch", now=now)
        now = drive(second, git, cluster, now=now + timedelta(hours=2), calls=calls())
        assert (second.status, second.reason, second.weight) == ("PROGRESSING", "PAUSED", 10)
        assert route(git) == {"v2": 10, "v1": 90}
        with pytest.raises(WrongRolloutState):
            steering.pause_rollout(rollout=second, actor=carol, reason="Again", now=now)
        steering.resume_rollout(rollout=second, actor=carol, now=now)
        with pytest.raises(WrongRolloutState):
            steering.resume_rollout(rollout=second, actor=carol, now=now)
        drive(second, git, cluster, now=now, calls=calls())
        assert second.status == "LIVE"
        assert (
            audited(second).count("rollout.paused") == audited(second).count("rollout.resumed") == 1
        )

    def test_leaves_the_way_back_open(self, second, live, git, cluster, carol):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        steering.pause_rollout(rollout=second, actor=carol, reason="Lunch", now=now)
        drive(second, git, cluster, now=now, calls=calls(candidate=BAD))
        assert (second.status, second.paused_at) == ("FAILED", None)


@pytest.mark.django_db
class TestSupersede:
    def test_a_newer_approval_takes_the_open_one_back_first(
        self, second, live, git, cluster, registered_model, alice, carol, remote
    ):
        now = until(second, git, cluster, live, lambda row: row.weight == 10)
        third = approved(registered_model, 3, alice, carol, now=now)
        second.refresh_from_db()
        assert second.status == "SUPERSEDED"
        turn(third, git, cluster, now + timedelta(seconds=2))
        third.refresh_from_db()
        assert (third.reason, steps(third)) == ("TAKING_BACK", [])
        now = drive(second, git, cluster, now=now)
        assert route(git) == {"v1": 100}
        assert f"serving/models/{MODEL}/v2.yaml" not in git.paths("serving")
        drive(third, git, cluster, now=now)
        assert (third.status, third.baseline) == (
            "LIVE",
            Rollout.objects.get(model_version__number=1).model_version,
        )
        assert audited(second).count("rollout.superseded") == 1
        assert "Take prior-auth-extract-v2 back" in subjects(remote)


@pytest.mark.django_db
class TestTheSameVersionAgain:
    def test_waits_until_the_one_before_has_left_the_cluster(
        self, second, live, git, cluster, alice, carol, monkeypatch
    ):
        now = until(second, git, cluster, live, lambda row: "SERVE" in steps(row))
        before = cluster.serving_status(f"{MODEL}-v2", "models")
        steering.abort_rollout(rollout=second, actor=carol, reason="Wrong weights", now=now)
        now = drive(second, git, cluster, now=now)
        again = approved_version(second.model_version, alice, carol, now)
        with monkeypatch.context() as still:
            still.setattr(cluster, "serving_status", lambda *_: before)
            turn(again, git, cluster, now + timedelta(seconds=2))
        again.refresh_from_db()
        assert (again.reason, steps(again)) == ("TAKING_BACK", [])
        drive(again, git, cluster, now=now + timedelta(seconds=20), calls=calls())
        assert again.status == "LIVE"


@pytest.mark.django_db
class TestRollBack:
    def test_goes_back_at_once_while_the_baseline_still_runs(
        self, second, live, git, cluster, carol, remote, settings
    ):
        now = drive(second, git, cluster, now=live, calls=calls())
        back = steering.roll_back_rollout(
            rollout=second, actor=carol, reason="Worse answers", now=now
        )
        assert (back.rolls_back, back.model_version.number, back.steps) == (second, 1, [100])
        now = drive(back, git, cluster, now=now, turns=5)
        second.refresh_from_db()
        assert (back.status, second.status) == ("LIVE", "REPLACED")
        assert route(git) == {"v1": 100}
        started = AuditEvent.objects.about("Rollout", str(back.pk)).get(action="rollout.started")
        assert (started.actor, started.data["reason"]) == (carol.username, "Worse answers")
        late = now + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        drive(second, git, cluster, now=late, turns=2)
        drive(back, git, cluster, now=late, turns=2)
        assert f"serving/models/{MODEL}/v1.yaml" in git.paths("serving")
        assert f"serving/models/{MODEL}/v2.yaml" not in git.paths("serving")

    def test_starts_the_earlier_version_again_after_it_was_stopped(
        self, second, live, git, cluster, alice, settings
    ):
        now = drive(second, git, cluster, now=live, calls=calls())
        now = drive(
            second, git, cluster, now=now + timedelta(seconds=settings.ROLLOUT_RETIRE_AFTER_SECONDS)
        )
        assert f"serving/models/{MODEL}/v1.yaml" not in git.paths("serving")
        back = steering.roll_back_rollout(
            rollout=second, actor=alice, reason="Worse answers", now=now
        )
        cluster.broken.add(f"{MODEL}-v1")
        now = drive(back, git, cluster, now=now, turns=3)
        assert route(git) == {"v2": 100}  # it serves until the earlier one is ready
        cluster.broken.clear()
        drive(back, git, cluster, now=now)
        assert (back.status, route(git)) == ("LIVE", {"v1": 100})

    def test_supersedes_what_is_under_way(
        self, second, live, git, cluster, registered_model, alice, carol
    ):
        now = drive(second, git, cluster, now=live, calls=calls())
        third = approved(registered_model, 3, alice, carol, now=now)
        now = until(third, git, cluster, now, lambda row: row.weight == 10)
        back = steering.roll_back_rollout(
            rollout=second, actor=carol, reason="Both are bad", now=now
        )
        now = drive(third, git, cluster, now=now)
        drive(back, git, cluster, now=now)
        assert (third.status, back.status, route(git)) == ("SUPERSEDED", "LIVE", {"v1": 100})

    def test_never_serves_what_is_not_approved_and_verified_any_more(
        self, second, live, git, cluster, carol, rollout
    ):
        now = drive(second, git, cluster, now=live, calls=calls())
        rollout.model_version.status = "QUARANTINED"
        rollout.model_version.save(update_fields=["status"])
        with pytest.raises(actions.NotEligible, match="approved and verified"):
            steering.roll_back_rollout(rollout=second, actor=carol, reason="Worse", now=now)

    def test_is_for_those_who_steer_and_a_live_rollout_only(
        self, second, live, charlie, carol, rollout
    ):
        with pytest.raises(WrongRolloutState, match="only a live one"):
            steering.roll_back_rollout(rollout=second, actor=carol, reason="Worse", now=NOW)
        with pytest.raises(NotPermitted):
            steering.roll_back_rollout(rollout=second, actor=charlie, reason="Worse", now=NOW)
        with pytest.raises(actions.NotEligible):  # nothing served before the first
            steering.roll_back_rollout(rollout=rollout, actor=carol, reason="Worse", now=NOW)
