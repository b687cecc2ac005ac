"""What a rollout does next, as a table of situations."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    Condition,
    ContainerStatus,
    EventNote,
    NodeClaimStatus,
    PodStatus,
    ResourceStatus,
    RouteStatus,
    ServingStatus,
)
from apps.promotions.plan import Do, Situation, Step, is_waking, plan_rollout

DIGEST = "sha256:" + "a" * 64
AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SYNCED = ApplicationStatus(
    exists=True,
    sync="Synced",
    revision="1" * 40,
    resources=tuple(ResourceStatus(kind, "models", "m-v1", "Synced") for kind in ("AIServiceBackend", "Backend")),
)
LOADED = ContainerStatus(state="terminated", exit_code=0, finished_at=AT)
POD = PodStatus(name="p", node="n", initializer=LOADED, manifest_digest=DIGEST)
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
    return ContainerStatus(state="waiting", reason="CrashLoopBackOff", restarts=times, last_exit_code=1, **more)


def failed_init(message):
    return ContainerStatus(state="terminated", exit_code=1, message=message)


class TestARuntimeThatComesLater:
    def test_is_waited_for(self):
        early = serving(transition="InvalidSpec", reason="RuntimeNotRecognized", message="Waiting for runtime", pods=())
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
        assert plan_rollout(replace(SHIFTED, serving=self.ASLEEP, route=taken, sleeps=True)).do == Do.FINISH
        assert plan_rollout(replace(SHIFTED, serving=self.ASLEEP, route=taken)).do == Do.WAIT

    def test_is_waking_while_nothing_is_in_its_way(self):
        assert is_waking(starting(initializer=ContainerStatus(state="running")))
        assert is_waking(serving(pods=()))
        assert not is_waking(starting(engine_container=crashed(1)))
        assert not is_waking(READY)


class TestPlanRollout:
    def test_begins_with_the_commit_that_starts_the_version(self):
        assert plan_rollout(START).step == Step.SERVE

    def test_shifts_when_it_is_ready_and_its_backends_are_applied(self):
        assert plan_rollout(SERVED).step == Step.SHIFT

    def test_is_done_when_the_gateway_took_the_route(self):
        done = replace(SHIFTED, route=RouteStatus(exists=True, weights={"m-v1": 100}, accepted=ACCEPTED))
        assert plan_rollout(done).do == Do.FINISH

    @pytest.mark.parametrize(
        ("situation", "reason", "words"),
        [
            (replace(SERVED, serving=ServingStatus(exists=False), contained=frozenset()), "SYNCING", "11111111"),
            (replace(SERVED, serving=ServingStatus(exists=False)), "APPLIED", "any moment"),
            (
                replace(
                    SERVED,
                    serving=ServingStatus(exists=False),
                    application=replace(SYNCED, errors=(Condition("ComparisonError", "", message="bad yaml"),)),
                ),
                "SYNC_ERROR",
                "bad yaml",
            ),
            (
                replace(SERVED, serving=ServingStatus(exists=False), application=ApplicationStatus(exists=False)),
                "SYNC_ERROR",
                "no application",
            ),
            (replace(SERVED, serving=serving(pods=())), "STARTING", "making the pod"),
            (replace(SERVED, serving=starting(node="")), "SCHEDULING", "free GPU"),
            (
                replace(
                    SERVED,
                    serving=replace(
                        starting(node=""), events=(EventNote("Warning", "FailedScheduling", "no offering"),)
                    ),
                ),
                "NO_CAPACITY",
                "no offering",
            ),
            (
                replace(
                    SERVED,
                    serving=replace(starting(node=""), node_claim=NodeClaimStatus("c", instance_type="g6.xlarge")),
                ),
                "NODE",
                "g6.xlarge",
            ),
            (replace(SERVED, serving=starting(initializer=ContainerStatus(state="running"))), "WEIGHTS", "checking"),
            (
                replace(SERVED, serving=starting(initializer=failed_init("could not connect to the endpoint"))),
                "LOAD_FAILED",
                "tries again",
            ),
            (replace(SERVED, serving=starting(engine_container=ContainerStatus(state="running"))), "ENGINE", "loading"),
            (replace(SERVED, serving=starting(engine_container=crashed(1))), "ENGINE_CRASHED", "started again"),
            (
                replace(
                    SERVED,
                    serving=starting(
                        engine_container=ContainerStatus(state="waiting", reason="ErrImagePull", message="denied")
                    ),
                ),
                "IMAGE",
                "denied",
            ),
            (
                replace(
                    SERVED,
                    serving=serving(transition="InvalidSpec", reason="RuntimeNotRecognized", message="waiting"),
                ),
                "NO_RUNTIME",
                "runtime",
            ),
            (replace(SERVED, application=replace(SYNCED, resources=())), "SYNCING", "AIServiceBackend"),
            (SHIFTED, "SYNCING", "22222222"),
            (
                replace(SHIFTED, route=RouteStatus(exists=True, weights={"m-v0": 100}, accepted=ACCEPTED)),
                "SYNCING",
                "22222222",
            ),
            (replace(SHIFTED, route=RouteStatus(exists=True, weights={"m-v1": 100})), "SHIFTING", "taking"),
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
            (replace(SERVED, serving=replace(READY, manifest_digest="sha256:other")), "DRIFT", "another manifest"),
            (
                replace(SERVED, serving=replace(READY, pods=(replace(POD, manifest_digest="sha256:other"),))),
                "DRIFT",
                "another manifest",
            ),
            (
                replace(SERVED, serving=starting(initializer=failed_init("model.safetensors: SHA-256 is ff"))),
                "CHECKSUM",
                "model.safetensors",
            ),
            (
                replace(SERVED, serving=starting(engine_container=crashed(5, last_message="unknown flag"))),
                "CRASH_LOOP",
                "unknown flag",
            ),
            (
                replace(
                    SERVED,
                    serving=serving(transition="InvalidSpec", reason="NoSupportingRuntime", message="no runtime"),
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

    def test_never_shifts_before_it_is_ready(self):
        assert plan_rollout(replace(SERVED, serving=serving())).do == Do.WAIT
