"""What one look at a version that serves finds, and when the version before it may go; no Git."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from apps.fleet.models import Replica
from apps.integrations.kubernetes.types import (
    Condition,
    ContainerStatus,
    Loaded,
    PodStatus,
    RouteStatus,
    ServingStatus,
)
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import live
from apps.promotions.rollouts.live import Look
from tests.database import unguarded
from tests.factories import NOW, RegisteredModelFactory, UserFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db
NAME = "prior-auth-extract-v2"
LATER = NOW + timedelta(hours=1)
READY = {"Ready": Condition("Ready", "True", at=NOW)}
ROUTE = RouteStatus(exists=True, weights={NAME: 100})
CONTAINER = {"image": "vllm@sha256:" + "a" * 64, "arguments": ["serve", "--seed=1"]}


class Answers:
    """A cluster that says the same of everything, and remembers what it was asked."""

    def __init__(self, serving, route=ROUTE):
        self.serving, self.route, self.asked = serving, route, []

    def replicas_status(self, name, namespace):
        self.asked.append(("replicas", name, namespace))
        return self.serving

    def serving_status(self, name, namespace, known_claims):
        self.asked.append(("serving", name, namespace, known_claims))
        return self.serving

    def route_status(self, name, namespace):
        self.asked.append(("route", name, namespace))
        return self.route


class NoGit:
    """Nothing is to be committed."""


@pytest.fixture
def rollout(registered_model):
    """The second version, live in place of the first."""
    before = factories.rolled(registered_model, 1, status="REPLACED")
    return factories.rolled(registered_model, 2, baseline=before.model_version, container=CONTAINER)


@pytest.fixture
def sleeper(registered_model):
    return factories.live(registered_model, 2, serving_class="SCALE_TO_ZERO")


def serving(rollout, *pods, **more):
    digest = rollout.promotion.manifest_digest
    made = [replace(pod, manifest_digest=pod.manifest_digest or digest) for pod in pods]
    made = [with_container(pod, digest) for pod in made]
    return ServingStatus(exists=True, manifest_digest=digest, pods=tuple(made), **more)


def with_container(pod, digest):
    """As it must be where nothing else is said: its loader ended well where it is ready."""
    loaded = pod.loaded or (Loaded(digest) if "Ready" in pod.conditions else None)
    image = pod.image or CONTAINER["image"]
    return replace(
        pod, loaded=loaded, image=image, image_digest=pod.image_digest or "sha256:" + "a" * 64,
        arguments=pod.arguments or tuple(CONTAINER["arguments"]),
    )  # fmt: skip


def look(rollout, status, route=ROUTE):
    return live.look(rollout, Answers(status, route), LATER)


class TestLook:
    def test_asks_no_more_than_it_must(self, rollout):
        cluster = Answers(serving(rollout, PodStatus("p", node="n", conditions=READY), ready=True))
        found = live.look(rollout, cluster, LATER)
        assert (found.reason, found.message, found.is_answered) == ("", "", True)
        assert {check.verdict for check in found.checks} == {"SAME"}
        route = ("route", rollout.registered_model.name, "models")
        assert cluster.asked == [route, ("replicas", NAME, "models")]

    def test_asks_for_everything_where_something_is_wrong(self, rollout):
        cluster = Answers(serving(rollout, PodStatus("p")))
        rollout.phases.create(phase="CLAIMED", reached_at=NOW, learned_at=NOW, detail="claim-1")
        assert live.look(rollout, cluster, LATER).reason == "SCHEDULING"
        assert cluster.asked[2:] == [("serving", NAME, "models", {"claim-1"})]

    def test_finds_that_its_service_is_gone(self, rollout):
        found = look(rollout, ServingStatus(exists=False))
        assert (found.reason, found.is_answered) == ("DRIFT", False)
        assert found.message.startswith(f"{NAME} is approved and should serve, but the cluster has")

    def test_finds_a_pod_that_is_not_what_was_approved(self, rollout):
        good = PodStatus("p", node="n", conditions=READY)
        other = replace(good, name="q", manifest_digest="sha256:other")
        found = look(rollout, serving(rollout, good, other, ready=True))
        assert (found.reason, found.is_answered) == ("DRIFT", True)
        assert found.message.startswith(f"What serves as {NAME} is not what was approved")

    @pytest.mark.parametrize(
        ("ready", "first"),
        [
            (0, f"No replica of {NAME} is ready."),
            (1, f"One replica answers the callers of {NAME}, another one is not ready."),
            (2, f"2 replicas answer the callers of {NAME}, another one is not ready."),
        ],
    )
    def test_counts_the_replicas_that_answer(self, rollout, ready, first):
        pods = [PodStatus(f"r{n}", node="n", conditions=READY) for n in range(ready)]
        found = look(rollout, serving(rollout, PodStatus("p"), *pods))
        assert (found.reason, found.is_answered) == ("SCHEDULING", ready > 0)
        assert found.message == f"{first} The pod waits for a node with a free GPU."


class TestTheRoute:
    """It is held against the approval while nobody moves it."""

    ASTRAY = RouteStatus(exists=True, weights={"prior-auth-extract-v1": 100})

    @pytest.fixture
    def well(self, rollout):
        return serving(rollout, PodStatus("p", node="n", conditions=READY), ready=True)

    def test_that_leads_elsewhere_is_drift(self, rollout, well):
        found = look(rollout, well, self.ASTRAY)
        assert (found.reason, found.is_answered) == ("DRIFT", True)
        assert "found prior-auth-extract-v1 100 %" in found.message

    def test_is_left_to_a_rollout_that_is_under_way_or_taken_back(self, rollout, well):
        newer = factories.rolled(rollout.registered_model, 3, status="PROGRESSING", weight=10)
        assert look(rollout, well, self.ASTRAY).reason == ""
        Rollout.objects.filter(pk=newer.pk).update(status="ABORTED")
        assert look(rollout, well, self.ASTRAY).reason == ""
        newer.commits.create(step="REMOVE", sha="a" * 40, committed_at=NOW)
        assert look(rollout, well, self.ASTRAY).reason == "DRIFT"

    @pytest.mark.parametrize("step", ["REMOVE", "RETURN", "SHIFT", "SHIFT_10"])
    def test_has_a_minute_to_become_what_was_committed(self, rollout, well, step):
        rollout.commits.create(step=step, sha="a" * 40, committed_at=LATER)
        cluster = Answers(well, self.ASTRAY)
        for seconds, reason in ((59, ""), (61, "DRIFT")):
            at = LATER + timedelta(seconds=seconds)
            assert live.look(rollout, cluster, at).reason == reason

    def test_is_moved_by_nothing_that_starts_or_stops_a_version(self, rollout, well):
        rollout.commits.create(step="RETIRE", sha="a" * 40, committed_at=LATER)
        elsewhere = factories.live(RegisteredModelFactory(), 1)
        elsewhere.commits.create(step="SHIFT", sha="b" * 40, committed_at=LATER)
        assert look(rollout, well, self.ASTRAY).reason == "DRIFT"


class TestWhatWasNotMeasured:
    def test_is_said_though_it_answers(self, rollout):
        silent = replace(
            with_container(PodStatus("p", node="n", conditions=READY), "sha256:x"), loaded=None
        )
        digest = rollout.promotion.manifest_digest
        status = ServingStatus(
            exists=True, ready=True, manifest_digest=digest,
            pods=(replace(silent, manifest_digest=digest),),
        )  # fmt: skip
        found = look(rollout, status)
        assert (found.reason, found.is_answered) == ("UNMEASURED", True)
        assert live._next(found, None, NOW) > NOW + live.SOON, "nothing hurries"


class TestASleeper:
    def test_is_well_without_a_replica_or_while_one_starts(self, sleeper):
        for status in (serving(sleeper, ready=True), serving(sleeper, PodStatus("p"))):
            found = look(sleeper, status)
            assert (found.reason, found.message, found.is_answered) == ("", "", True)

    def test_is_not_well_where_its_replica_cannot_start(self, sleeper):
        missing = ContainerStatus(state="terminated", exit_code=1, message="404 NoSuchKey")
        found = look(sleeper, serving(sleeper, PodStatus("p", node="n", initializer=missing)))
        assert (found.reason, found.is_answered) == ("OBJECT_MISSING", False)

    def test_is_not_well_as_something_else(self, sleeper):
        other = replace(serving(sleeper, ready=True), manifest_digest="sha256:other")
        assert look(sleeper, other).reason == "DRIFT"

    def test_differs_from_a_warm_version_without_a_replica(self, rollout):
        assert look(rollout, serving(rollout, ready=True)).reason == "STARTING"


class TestKnownClaims:
    def test_are_the_first_one_and_those_of_its_replicas(self, rollout):
        rollout.phases.create(phase="CLAIMED", reached_at=NOW, learned_at=NOW, detail="claim-1")
        rollout.phases.create(phase="SYNCED", reached_at=NOW, learned_at=NOW, detail="a commit")
        for service, claim in ((NAME, "claim-2"), ("prior-auth-extract-v1", "claim-3")):
            Replica.objects.create(
                uid=str(uuid4()), name="p", namespace="models", service=service,
                node_claim_name=claim, created_at=NOW, learned_at=NOW,
            )  # fmt: skip
        assert live.known_claims(rollout) == {"claim-1", "claim-2"}

    def test_are_none_where_the_node_has_no_claim(self, rollout):
        rollout.phases.create(phase="CLAIMED", reached_at=NOW, learned_at=NOW, detail="")
        assert live.known_claims(rollout) == set()


class TestTheNextLook:
    WELL, WRONG = Look(), Look("ENGINE_CRASHED", "It crashed.")

    def test_is_soon_where_something_is_wrong(self, settings):
        settings.ROLLOUT_LOOK_SECONDS = 60
        assert live._next(self.WELL, None, NOW) == NOW + timedelta(seconds=60)
        assert live._next(self.WRONG, None, NOW) == NOW + timedelta(seconds=5)

    def test_is_when_the_version_before_it_is_to_be_stopped(self, settings):
        settings.ROLLOUT_LOOK_SECONDS = 60
        due = NOW + timedelta(seconds=20)
        assert live._next(self.WELL, due, NOW) == due
        assert live._next(self.WRONG, due, NOW) == NOW + timedelta(seconds=5)
        assert live._next(self.WELL, NOW, NOW) == NOW + timedelta(seconds=60), "not in a loop"


class TestRetireAt:
    @pytest.fixture(autouse=True)
    def after(self, settings):
        settings.ROLLOUT_RETIRE_AFTER_SECONDS = 600

    def test_is_some_time_after_it_went_live_and_stays_so_when_it_is_replaced(self, rollout):
        assert live.retire_at(rollout) == NOW + timedelta(minutes=10)
        rollout.status = "REPLACED"
        assert live.retire_at(rollout) == NOW + timedelta(minutes=10)

    @pytest.mark.parametrize(
        "change",
        [{"baseline": None}, {"finished_at": None}, {"status": "FAILED"}, {"status": "ABORTED"}],
    )
    def test_is_never_where_nothing_was_replaced(self, rollout, change):
        for field, value in change.items():
            setattr(rollout, field, value)
        assert live.retire_at(rollout) is None

    def test_is_never_once_it_was_stopped(self, rollout):
        rollout.commits.create(step="SERVE", sha="a" * 40, committed_at=NOW)
        assert live.retire_at(rollout) is not None
        rollout.commits.create(step="RETIRE", sha="b" * 40, committed_at=NOW)
        assert live.retire_at(rollout) is None

    @pytest.mark.parametrize(
        ("status", "stays"),
        [
            ("PENDING", True), ("PROGRESSING", True), ("FAILED", True), ("REPLACED", False),
            ("ABORTED", False), ("SUPERSEDED", False),
        ],
    )  # fmt: skip
    def test_waits_while_the_version_before_it_is_rolled_out_again(self, rollout, status, stays):
        with unguarded():
            Rollout.objects.filter(model_version=rollout.baseline).update(status=status)
        elsewhere = factories.rolled(RegisteredModelFactory(), 1, status="PROGRESSING")
        assert elsewhere.model_version != rollout.baseline
        assert (live.retire_at(rollout) is None) is stays

    def test_waits_while_the_version_before_it_is_proposed_again(self, rollout, registered_model):
        other = factories.version(registered_model, 3)
        proposal = Promotion.objects.create(
            registered_model=registered_model, model_version=other, eval_run=factories.run(other),
            manifest_digest=other.manifest_digest, requested_by=UserFactory(), requested_at=NOW,
            policy_revision=factories.policy(registered_model),
            justification="Better.",
        )  # fmt: skip
        assert live.retire_at(rollout) is not None
        with unguarded():
            Promotion.objects.filter(pk=proposal.pk).update(model_version=rollout.baseline)
        assert live.retire_at(rollout) is None


class TestLookAfter:
    @pytest.fixture(autouse=True)
    def times(self, settings):
        settings.ROLLOUT_RETIRE_AFTER_SECONDS, settings.ROLLOUT_LOOK_SECONDS = 600, 60

    def after(self, rollout, status, now):
        live.look_after(rollout, NoGit(), Answers(status), now)
        rollout.refresh_from_db()
        return rollout.reason, rollout.unready_since, rollout.next_check_at

    def test_asks_nothing_of_a_version_that_no_longer_serves(self, rollout):
        Rollout.objects.filter(pk=rollout.pk).update(status="REPLACED", reason="R", message="m")
        rollout.refresh_from_db()
        due = NOW + timedelta(minutes=10)
        assert self.after(rollout, None, NOW + timedelta(minutes=1)) == ("R", None, due)
        assert rollout.message == "m"

    def test_notes_since_when_nobody_is_answered(self, rollout):
        waits = serving(rollout, PodStatus("p"))
        first, second = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
        soon = timedelta(seconds=5)
        assert self.after(rollout, waits, first) == ("SCHEDULING", first, first + soon)
        assert self.after(rollout, waits, second) == ("SCHEDULING", first, second + soon)

    def test_stops_nothing_that_a_person_has_steered_meanwhile(self, rollout):
        Rollout.objects.filter(pk=rollout.pk).update(generation=9)
        live.look_after(
            rollout,
            NoGit(),
            Answers(serving(rollout, PodStatus("p", node="n", conditions=READY), ready=True)),
            LATER,
        )
        assert not rollout.commits.exists()
