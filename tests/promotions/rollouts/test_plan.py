"""What a rollout does next, as a table of situations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    Condition,
    ContainerStatus,
    EventNote,
    Loaded,
    NodeClaimStatus,
    PodStatus,
    ResourceStatus,
    RouteStatus,
    ServingStatus,
)
from apps.manifests.serving import longest_start
from apps.promotions.rollouts.health import Decision, Verdict
from apps.promotions.rollouts.plan import (
    UNREADY_GRACE,
    Do,
    Held,
    Hold,
    HoldCode,
    Situation,
    Step,
    fail,
    is_accepted,
    plan_rollout,
    wait,
)

DIGEST = "sha256:" + "a" * 64
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SYNCED = ApplicationStatus(
    exists=True,
    sync="Synced",
    revision="1" * 40,
    resources=tuple(
        ResourceStatus(kind, "models", "m-v1", "Synced") for kind in ("AIServiceBackend", "Backend")
    ),
)
BY_HAND = replace(
    SYNCED,
    operation_phase="Succeeded",
    operation_revision="1" * 40,
    finished_at=AT,
    reconciled_at=AT + timedelta(seconds=2),
    resources=(
        *SYNCED.resources,
        ResourceStatus("InferenceService", "models", "m-v1", "OutOfSync"),
    ),
)
LOADED = ContainerStatus(state="terminated", exit_code=0, finished_at=AT)
POD = PodStatus(
    name="p", node="n", initializer=LOADED, manifest_digest=DIGEST, loaded=Loaded(DIGEST)
)
READY = ServingStatus(exists=True, ready=True, ready_at=AT, manifest_digest=DIGEST, pods=(POD,))
NO_ROUTE = RouteStatus(exists=False, weights={})
START = Situation(
    name="m-v1",
    digest=DIGEST,
    model="m",
    namespace="models",
    commits={},
    contained=frozenset(),
    application=SYNCED,
    serving=ServingStatus(exists=False),
    route=NO_ROUTE,
)
SERVED = replace(START, commits={"SERVE": "1" * 40}, contained=frozenset({"SERVE"}), serving=READY)
SHIFTED = replace(SERVED, commits={"SERVE": "1" * 40, "SHIFT": "2" * 40})
ACCEPTED = Condition("Accepted", "True", at=AT)


def serving(**more):
    return replace(READY, ready=False, **more)


def starting(**more):
    return serving(pods=(replace(POD, **more),))


def crashed(times, **more):
    return ContainerStatus(
        state="waiting", reason="CrashLoopBackOff", restarts=times, last_exit_code=1, **more
    )


def failed_init(message):
    return ContainerStatus(state="terminated", exit_code=1, message=message)


def refusing(kind, name):
    """What Argo CD says when the cluster refuses one object."""
    refused = ResourceStatus(kind, "models", name, "OutOfSync", "denied")
    others = [item for item in SYNCED.resources if item.kind != kind]
    return replace(SYNCED, sync="OutOfSync", resources=(*others, refused))


def held(seconds, decision=None):
    return Held(timedelta(seconds=seconds), timedelta(seconds=10), decision)


AT_TEN = replace(
    SERVED,
    steps=(10, 50, 100),
    baseline="m-v0",
    commits={"SERVE": "1" * 40, "SHIFT_10": "2" * 40},
    route=RouteStatus(exists=True, weights={"m-v1": 10, "m-v0": 90}, accepted=ACCEPTED),
    held=held(5),
)


class TestASituation:
    def test_knows_the_weights_of_the_route(self):
        assert (START.weight, SERVED.weight, AT_TEN.weight, SHIFTED.weight) == (0, 0, 10, 100)
        assert AT_TEN.weights(10) == {"m-v1": 10, "m-v0": 90}
        assert AT_TEN.weights(100) == {"m-v1": 100}, "no route to a version without callers"
        assert SHIFTED.weights(10) == {"m-v1": 10}, "there is no baseline"

    def test_knows_what_the_gateway_accepted(self):
        assert is_accepted(AT_TEN, {"m-v1": 10, "m-v0": 90})
        assert not is_accepted(AT_TEN, {"m-v1": 50, "m-v0": 50})
        taking = replace(AT_TEN, route=replace(AT_TEN.route, accepted=None))
        assert not is_accepted(taking, {"m-v1": 10, "m-v0": 90})


class TestAProblem:
    def test_is_what_is_wrong_and_not_what_is_unfinished(self):
        assert fail("DRIFT", "Changed.").is_problem
        assert wait("NO_CAPACITY", "No GPU node.").is_problem
        assert not wait("STARTING", "KServe makes the pod.").is_problem


class TestAHold:
    HOLD = Hold(HoldCode.CHANGE, "The window of CHG1 ended.")

    def test_commits_nothing_more_however_long_it_lasts(self):
        passed = Decision(Verdict.PASSED, "Fine.")
        ready = replace(AT_TEN, held=held(20, passed))
        assert plan_rollout(replace(ready, hold=self.HOLD)).do == Do.JUDGE
        judged = replace(ready, judged=frozenset({"SHIFT_10"}))
        assert plan_rollout(judged).do == Do.COMMIT
        for still in (timedelta(0), 2 * longest_start()):
            step = plan_rollout(replace(judged, hold=self.HOLD, still_for=still))
            assert (step.do, step.reason) == (Do.WAIT, "CHANGE")
            assert step.message.startswith("The window of CHG1 ended. It stays at 10 %")
        start = plan_rollout(replace(START, hold=self.HOLD))
        assert (start.do, start.reason) == (Do.WAIT, "CHANGE")

    def test_lets_it_go_back_and_finish(self):
        failed = Decision(Verdict.FAILED, "Slower.", final=True)
        assert plan_rollout(replace(AT_TEN, hold=self.HOLD, held=held(1, failed))).do == Do.JUDGE
        back = replace(AT_TEN, hold=self.HOLD, return_reason="GATE", return_message="Slower.")
        assert plan_rollout(back).step == Step.RETURN


class TestARuntimeThatComesLater:
    def test_is_waited_for(self):
        early = serving(
            transition="InvalidSpec",
            reason="RuntimeNotRecognized",
            message="Waiting for runtime",
            pods=(),
        )
        assert plan_rollout(replace(SERVED, serving=early)).do == Do.WAIT


class TestAVersionThatSleeps:
    """Ready without a pod is idle for the class that sleeps, and a pod to come for the warm one."""

    ASLEEP = replace(READY, pods=())

    def test_is_not_called_before_it_was_ready_once(self):
        found = plan_rollout(replace(SERVED, serving=self.ASLEEP, sleeps=True))
        assert (found.do, found.reason) == (Do.WAIT, "SCALED_TO_ZERO")
        assert not found.is_problem
        assert plan_rollout(replace(SERVED, serving=self.ASLEEP)).reason == "STARTING"

    def test_goes_live_when_it_fell_asleep_after_the_move(self):
        taken = RouteStatus(exists=True, weights={"m-v1": 100}, accepted=ACCEPTED)
        assert (
            plan_rollout(replace(SHIFTED, serving=self.ASLEEP, route=taken, sleeps=True)).do
            == Do.FINISH
        )
        assert plan_rollout(replace(SHIFTED, serving=self.ASLEEP, route=taken)).do == Do.WAIT


class TestPlanRollout:
    def test_begins_with_the_commit_that_starts_the_version(self):
        assert plan_rollout(START).step == Step.SERVE

    def test_begins_nothing_while_paused(self):
        found = plan_rollout(replace(START, paused=True))
        assert (found.do, found.reason) == (Do.WAIT, "PAUSED")
        assert found.message.startswith("Paused at 0 %.")

    def test_starts_nothing_that_was_quarantined(self):
        found = plan_rollout(replace(START, quarantined="m: found bb."))
        assert (found.do, found.reason) == (Do.FAIL, "QUARANTINED")
        back = plan_rollout(replace(AT_TEN, quarantined="m: found bb."))
        assert (back.do, back.reason) == (Do.RETURN, "QUARANTINED")

    def test_shifts_when_it_is_ready_and_its_backends_are_applied(self):
        assert plan_rollout(SERVED).step == Step.SHIFT

    def test_is_done_when_the_gateway_took_the_route(self):
        done = replace(
            SHIFTED, route=RouteStatus(exists=True, weights={"m-v1": 100}, accepted=ACCEPTED)
        )
        assert plan_rollout(done).do == Do.FINISH

    @pytest.mark.parametrize(
        ("situation", "reason", "words"),
        [
            (
                replace(SERVED, serving=ServingStatus(exists=False), contained=frozenset()),
                "SYNCING",
                "11111111",
            ),
            (
                replace(SERVED, serving=ServingStatus(exists=False)),
                "APPLIED",
                "not as committed yet",
            ),
            (
                replace(
                    SERVED,
                    serving=ServingStatus(exists=False),
                    application=replace(
                        SYNCED, errors=(Condition("ComparisonError", "", message="bad yaml"),)
                    ),
                ),
                "COMPARISON",
                "bad yaml",
            ),
            (
                replace(SERVED, application=BY_HAND),
                "OUT_OF_SYNC",
                "Somebody changed InferenceService m-v1",
            ),
            (
                replace(
                    SERVED,
                    application=BY_HAND,
                    serving=starting(initializer=failed_init("404 NoSuchKey")),
                ),
                "OBJECT_MISSING",
                "NoSuchKey",
            ),
            (
                replace(
                    SERVED,
                    serving=ServingStatus(exists=False),
                    application=ApplicationStatus(exists=False),
                ),
                "NO_APPLICATION",
                "no Application",
            ),
            (replace(SERVED, serving=serving(pods=())), "STARTING", "creating the pod"),
            (replace(SERVED, serving=starting(node="")), "SCHEDULING", "free GPU"),
            (
                replace(
                    SERVED,
                    serving=replace(
                        starting(node=""),
                        events=(EventNote("Warning", "FailedScheduling", "no offering"),),
                    ),
                ),
                "NO_CAPACITY",
                "no offering",
            ),
            (
                replace(
                    SERVED,
                    serving=replace(
                        starting(node=""),
                        node_claim=NodeClaimStatus("c", instance_type="g6.xlarge"),
                    ),
                ),
                "NODE",
                "g6.xlarge",
            ),
            (
                replace(SERVED, serving=starting(initializer=ContainerStatus(state="running"))),
                "WEIGHTS",
                "checking",
            ),
            (
                replace(
                    SERVED,
                    serving=starting(initializer=failed_init("could not connect to the endpoint")),
                ),
                "LOAD_FAILED",
                "tries again",
            ),
            (
                replace(
                    SERVED, serving=starting(engine_container=ContainerStatus(state="running"))
                ),
                "ENGINE",
                "loading",
            ),
            (
                replace(SERVED, serving=starting(engine_container=crashed(1))),
                "ENGINE_CRASHED",
                "started again",
            ),
            (
                replace(
                    SERVED,
                    serving=starting(
                        engine_container=ContainerStatus(
                            state="waiting", reason="ErrImagePull", message="denied"
                        )
                    ),
                ),
                "IMAGE",
                "denied",
            ),
            (
                replace(
                    SERVED,
                    serving=serving(
                        transition="InvalidSpec", reason="RuntimeNotRecognized", message="waiting"
                    ),
                ),
                "NO_RUNTIME",
                "runtime",
            ),
            (
                replace(SERVED, application=replace(SYNCED, resources=())),
                "SYNCING",
                "AIServiceBackend",
            ),
            (
                replace(SERVED, application=replace(SYNCED, resources=SYNCED.resources[:1])),
                "SYNCING",
                "Waiting for Argo CD to apply Backend m-v1.",
            ),
            (
                replace(SERVED, application=refusing("Backend", "m-v1")),
                "SYNC_FAILED",
                "refused Backend m-v1: denied.",
            ),
            (
                replace(
                    SERVED,
                    serving=ServingStatus(exists=False),
                    application=refusing("InferenceService", "m-v1"),
                ),
                "SYNC_FAILED",
                "refused InferenceService m-v1: denied.",
            ),
            (
                replace(SERVED, serving=ServingStatus(exists=False), baseline="m-v0"),
                "APPLIED",
                "InferenceService m-v1 is not as committed yet",
            ),
            (
                replace(SHIFTED, serving=ServingStatus(exists=False)),
                "APPLIED",
                "InferenceService m-v1 is not as committed yet",
            ),
            (
                replace(SHIFTED, application=refusing("AIGatewayRoute", "m")),
                "SYNC_FAILED",
                "refused AIGatewayRoute m: denied.",
            ),
            (SHIFTED, "SYNCING", "22222222"),
            (
                replace(
                    SHIFTED,
                    route=RouteStatus(exists=True, weights={"m-v0": 100}, accepted=ACCEPTED),
                ),
                "SYNCING",
                "22222222",
            ),
            (
                replace(SHIFTED, route=RouteStatus(exists=True, weights={"m-v1": 100})),
                "SHIFTING",
                "taking",
            ),
            (
                replace(
                    SHIFTED,
                    route=RouteStatus(
                        exists=True,
                        weights={"m-v1": 100},
                        refused=Condition("NotAccepted", "True", message="no backend"),
                    ),
                ),
                "ROUTE",
                "no backend",
            ),
        ],
    )
    def test_waits_and_says_for_what(self, situation, reason, words):
        found = plan_rollout(situation)
        assert (found.do, found.reason) == (Do.WAIT, reason)
        assert words in found.message

    @pytest.mark.parametrize(
        ("situation", "reason", "words"),
        [
            (
                replace(SERVED, serving=replace(READY, manifest_digest="sha256:other")),
                "DRIFT",
                "Manifest that it names: approved sha256:a",
            ),
            (
                replace(
                    SERVED,
                    serving=replace(READY, pods=(replace(POD, manifest_digest="sha256:other"),)),
                ),
                "DRIFT",
                "Manifest that it names: approved sha256:a",
            ),
            (
                replace(
                    SERVED,
                    serving=starting(initializer=failed_init("model.safetensors: SHA-256 is ff")),
                ),
                "CHECKSUM",
                "model.safetensors",
            ),
            (
                replace(
                    SERVED,
                    serving=starting(engine_container=crashed(5, last_message="unknown flag")),
                ),
                "CRASH_LOOP",
                "unknown flag",
            ),
            (
                replace(
                    SERVED,
                    serving=serving(
                        transition="InvalidSpec", reason="NoSupportingRuntime", message="no runtime"
                    ),
                ),
                "INVALID_SPEC",
                "no runtime",
            ),
        ],
    )
    def test_fails_what_cannot_get_better(self, situation, reason, words):
        found = plan_rollout(situation)
        assert (found.do, found.reason) == (Do.FAIL, reason)
        assert words in found.message

    def test_moves_weight_by_weight_beside_a_baseline(self):
        beside = replace(SERVED, steps=(10, 50, 100), baseline="m-v0")
        assert plan_rollout(beside).step == "SHIFT_10"
        at_ten = replace(
            beside,
            commits=beside.commits | {"SHIFT_10": "2" * 40},
            route=RouteStatus(exists=True, weights={"m-v1": 10, "m-v0": 90}, accepted=ACCEPTED),
            held=held(5),
        )
        assert (plan_rollout(at_ten).reason, "in 5 s" in plan_rollout(at_ten).message) == (
            "HOLDING",
            True,
        )
        assert plan_rollout(replace(at_ten, held=held(10))).do == Do.JUDGE
        judged = replace(at_ten, judged=frozenset({"SHIFT_10"}))
        assert plan_rollout(judged).step == "SHIFT_50"
        # The next commit is on the branch already, and its row was lost with a killed worker.
        ahead = replace(
            judged, held=None, route=RouteStatus(exists=True, weights={"m-v1": 50, "m-v0": 50})
        )
        assert plan_rollout(ahead).step == "SHIFT_50"

    def test_counts_the_last_moment_before_the_judgment_as_a_second(self):
        found = plan_rollout(replace(AT_TEN, held=held(9.9)))
        assert found.message.endswith("judged against m-v0 in 1 s.")

    def test_does_not_wait_for_the_end_of_the_hold_with_what_is_clearly_worse(self):
        bad = Decision(Verdict.FAILED, "Errors 40 %.", final=True)
        assert plan_rollout(replace(AT_TEN, held=held(1, decision=bad))).do == Do.JUDGE
        early = Decision(Verdict.FAILED, "One of 3 failed.")
        assert plan_rollout(replace(AT_TEN, held=held(1, decision=early))).reason == "HOLDING"

    def test_stands_still_while_paused_but_still_goes_back(self):
        paused = replace(
            AT_TEN, paused=True, held=held(60, decision=Decision(Verdict.PASSED, "Good."))
        )
        assert (plan_rollout(paused).do, plan_rollout(paused).reason) == (Do.WAIT, "PAUSED")
        assert plan_rollout(paused).message.startswith("Paused at 10 %. It still goes back")
        assert plan_rollout(replace(SERVED, paused=True)).reason == "PAUSED"
        bad = Decision(Verdict.FAILED, "Errors 40 %.", final=True)
        assert plan_rollout(replace(paused, held=held(60, decision=bad))).do == Do.JUDGE

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"serving": ServingStatus(exists=False)}, "DRIFT"),
            ({"serving": replace(READY, manifest_digest="sha256:other")}, "DRIFT"),
            ({"serving": starting(engine_container=crashed(5))}, "CRASH_LOOP"),
            ({"serving": serving(pods=()), "unready_for": UNREADY_GRACE}, "STARTING"),
        ],
    )
    def test_goes_back_when_the_candidate_drops_out_under_callers(self, change, reason):
        found = plan_rollout(replace(AT_TEN, **change))
        assert (found.do, found.reason) == (Do.RETURN, reason)

    def test_does_not_go_back_for_a_moment_of_not_being_ready(self):
        blink = replace(AT_TEN, serving=serving(pods=()), unready_for=UNREADY_GRACE / 2)
        assert plan_rollout(blink).do == Do.WAIT

    def test_goes_back_with_one_commit_and_fails_when_the_gateway_has_it(self):
        back = replace(AT_TEN, return_message="Errors 40 %.")
        assert plan_rollout(back).step == "RETURN"
        committed = replace(back, commits=back.commits | {"RETURN": "3" * 40})
        assert plan_rollout(committed).do == Do.WAIT
        there = replace(
            committed, route=RouteStatus(exists=True, weights={"m-v0": 100}, accepted=ACCEPTED)
        )
        found = plan_rollout(there)
        assert (found.do, found.reason) == (Do.FAIL, "GATE")
        assert found.message == "Errors 40 %. All callers are back with m-v0."

    def test_waits_until_an_older_candidate_is_out(self):
        assert plan_rollout(replace(START, leaving="m-v3")).reason == "TAKING_BACK"

    def test_never_shifts_before_it_is_ready(self):
        assert plan_rollout(replace(SERVED, serving=serving())).do == Do.WAIT


class TestWhatWasApproved:
    """No caller is sent to a version before it was seen to be the approved one."""

    CONTAINER = {"image": "vllm:1", "arguments": ["serve", "--seed=1"]}
    RIGHT = replace(POD, image="vllm:1", arguments=("serve", "--seed=1"))
    OTHER = {
        "image": replace(RIGHT, image="vllm:2"),
        "arguments": replace(RIGHT, arguments=("serve", "--seed=2")),
    }

    def situation(self, base, *pods):
        serving = replace(READY, pods=pods)
        return replace(base, container=self.CONTAINER, serving=serving)

    def test_is_sent_callers(self):
        found = plan_rollout(self.situation(SERVED, self.RIGHT))
        assert (found.do, found.step) == (Do.COMMIT, "SHIFT")

    def test_fails_at_once_where_its_loader_read_something_else(self):
        read = replace(self.RIGHT, loaded=Loaded("sha256:" + "f" * 64))
        found = plan_rollout(self.situation(SERVED, self.RIGHT, read))
        assert (found.do, found.reason) == (Do.FAIL, "DRIFT")
        assert f"approved {DIGEST}, found sha256:ffff" in found.message
        found = plan_rollout(self.situation(AT_TEN, self.RIGHT, read))
        assert (found.do, found.reason) == (Do.RETURN, "DRIFT")

    def test_waits_where_nobody_measured_it_and_in_the_end_fails(self):
        silent = replace(self.RIGHT, loaded=None, conditions={"Ready": ACCEPTED})
        for base in (SERVED, AT_TEN):
            found = plan_rollout(self.situation(base, self.RIGHT, silent))
            assert (found.do, found.reason) == (Do.WAIT, "UNMEASURED")
        later = replace(self.situation(SERVED, silent), still_for=longest_start())
        assert (plan_rollout(later).do, plan_rollout(later).reason) == (Do.FAIL, "UNMEASURED")

    @pytest.mark.parametrize("what", OTHER)
    def test_waits_for_the_replicas_of_an_earlier_rollout_to_go(self, what):
        found = plan_rollout(self.situation(SERVED, self.RIGHT, self.OTHER[what]))
        assert (found.do, found.reason) == (Do.WAIT, "OTHER_REPLICAS")
        going = replace(self.OTHER[what], deleting=True)
        assert plan_rollout(self.situation(SERVED, self.RIGHT, going)).do == Do.COMMIT

    @pytest.mark.parametrize("what", OTHER)
    def test_gives_its_callers_back_where_they_would_meet_something_else(self, what):
        found = plan_rollout(self.situation(AT_TEN, self.RIGHT, self.OTHER[what]))
        assert (found.do, found.reason) == (Do.RETURN, "DRIFT")

    def test_needs_no_container_that_was_not_kept(self):
        found = plan_rollout(replace(SERVED, serving=replace(READY, pods=(self.OTHER["image"],))))
        assert found.do == Do.COMMIT


class TestPatience:
    """How long a rollout waits for what does not come."""

    COMING = replace(SERVED, serving=serving(pods=()))

    def still(self, minutes, situation=COMING, **more):
        return plan_rollout(replace(situation, still_for=timedelta(minutes=minutes), **more))

    def test_ends_after_45_minutes_or_a_quarter_of_an_hour_after_a_long_start(self):
        assert self.still(44.9).do == Do.WAIT
        found = self.still(45.5)
        assert (found.do, found.reason) == (Do.FAIL, "STARTING")
        assert found.message.startswith("Nothing has moved for 45 minutes. ")
        slow = {"may_start_for": longest_start(3600)}
        assert self.still(74.9, **slow).do == Do.WAIT
        assert self.still(75, **slow).do == Do.FAIL

    def test_ends_sooner_where_the_runtime_is_not_there(self):
        no_runtime = serving(
            transition="InvalidSpec", reason="RuntimeNotRecognized", message="waiting"
        )
        assert self.still(4.9, serving=no_runtime).do == Do.WAIT
        assert self.still(5, serving=no_runtime).do == Do.FAIL

    @pytest.mark.parametrize(
        "situation",
        [
            AT_TEN,
            replace(SERVED, paused=True),
            replace(AT_TEN, held=held(10, decision=Decision(Verdict.NO_TRAFFIC, "Few."))),
        ],
    )
    def test_has_no_end_where_people_or_settings_want_it(self, situation):
        assert self.still(10_000, situation).do == Do.WAIT

    def test_looks_for_commits_that_should_have_come(self):
        late = replace(SHIFTED, contained=frozenset({"SERVE"}), still_for=timedelta(seconds=15))
        assert plan_rollout(late).look_for == ("2" * 40,)
        soon = replace(late, still_for=timedelta(seconds=14))
        assert plan_rollout(soon).look_for == ()
        assert plan_rollout(replace(self.COMING, still_for=timedelta(minutes=1))).look_for == ()


class TestAskingArgoCDAgain:
    """It tries no commit twice by itself."""

    MISSING = replace(SERVED, serving=ServingStatus(exists=False))
    GAVE_UP = replace(SYNCED, operation_phase="Failed", operation_revision="1" * 40)

    def test_is_for_what_it_left_undone(self):
        assert plan_rollout(self.MISSING).ask_again
        working = replace(SYNCED, operation_phase="Running")
        assert not plan_rollout(replace(self.MISSING, application=working)).ask_again

    def test_is_not_for_what_comes_by_itself(self):
        assert not plan_rollout(replace(SERVED, serving=serving(pods=()))).ask_again
        refused = replace(SERVED, serving=serving(pods=()), application=self.GAVE_UP)
        assert not plan_rollout(refused).ask_again

    def test_is_for_the_way_out_of_an_older_candidate_where_it_gave_up(self):
        leaving = replace(START, leaving="m-v0")
        assert plan_rollout(replace(leaving, application=self.GAVE_UP)).ask_again
        assert not plan_rollout(leaving).ask_again


class TestTooFewCalls:
    FEW = held(10, decision=Decision(Verdict.NO_TRAFFIC, "Three calls came."))

    def test_are_decided_by_a_person_unless_the_proposal_did(self):
        found = plan_rollout(replace(AT_TEN, held=self.FEW))
        assert (found.do, found.reason) == (Do.WAIT, "NO_TRAFFIC")
        assert found.message.startswith("Three calls came. Somebody who did not propose it")
        assert plan_rollout(replace(AT_TEN, held=self.FEW, without_traffic=True)).do == Do.JUDGE

    def test_go_back_over_one_commit_where_it_fails_with_callers(self):
        failed = Decision(Verdict.FAILED, "None ready.")
        assert plan_rollout(replace(AT_TEN, held=held(10, decision=failed))).do == Do.JUDGE
