"""What is said of a version that serves, how soon it is looked at, and when what it replaced is
stopped.
"""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from apps.fleet.models import Replica
from apps.integrations.errors import PermanentError
from apps.integrations.kubernetes.types import Loaded
from apps.promotions import actions, begin, pages
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import live
from apps.promotions.rollouts import pages as rollout_pages
from tests.factories import NOW
from tests.promotions import factories
from tests.promotions.doubles import approved, drive, turn
from tests.promotions.test_actions import approve, propose

NAME = "prior-auth-extract-v1"
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def quick(settings):
    """Hold each weight for one turn."""
    settings.ROLLOUT_HOLD_SECONDS, settings.ROLLOUT_MINIMUM_CALLS = 10, 20


@pytest.fixture
def served(rollout, git, cluster):
    """The first version, live."""
    drive(rollout, git, cluster)
    assert rollout.status == "LIVE"
    return rollout


def look(rollout, git, cluster, now=LATER):
    """Look once, as a worker does when the row is due."""
    Rollout.objects.filter(pk=rollout.pk).update(next_check_at=now)
    turn(rollout, git, cluster, now)
    rollout.refresh_from_db()


def two_replicas(cluster):
    """Return what the cluster says while one replica of two has not been given a node."""
    found = cluster.serving_status(NAME, "models")
    (ready,) = found.pods
    waiting = replace(ready, name="p2", node="", conditions={}, loaded=None)
    return replace(found, ready=False, pods=(waiting, ready), node_claim=None)


def replica(service, *, namespace="models", is_ready=False, **more):
    return Replica.objects.create(
        uid=str(uuid4()), name="p", namespace=namespace, service=service, created_at=NOW,
        learned_at=NOW,
        is_ready=is_ready, **more,
    )  # fmt: skip


@pytest.mark.django_db
class TestLook:
    def test_is_cheap_and_rare_while_all_is_well(self, served, git, cluster, settings, monkeypatch):
        found = cluster.serving_status(NAME, "models")
        monkeypatch.setattr(
            cluster, "serving_status", lambda *_: pytest.fail("the small reads are enough")
        )
        monkeypatch.setattr(cluster, "replicas_status", lambda *_: found)
        look(served, git, cluster)
        assert (served.reason, served.unready_since) == ("", None)
        assert served.next_check_at == LATER + timedelta(seconds=settings.ROLLOUT_LOOK_SECONDS)

    def test_says_the_true_cause_and_since_when_callers_are_not_answered(
        self, served, git, cluster
    ):
        cluster.ready, cluster.exit_code, cluster.message = (
            False,
            1,
            "config.json: S3 answered 403 AccessDenied",
        )
        look(served, git, cluster)
        assert (served.status, served.reason, served.unready_since) == ("LIVE", "S3_DENIED", LATER)
        assert served.message.startswith(
            f"No replica of {NAME} is ready. The registry does not let the node read"
        )
        assert served.next_check_at == LATER + live.SOON
        look(served, git, cluster, LATER + timedelta(minutes=1))
        assert served.unready_since == LATER

        cluster.ready, cluster.exit_code = True, 0
        look(served, git, cluster, LATER + timedelta(minutes=2))
        assert (served.reason, served.message, served.unready_since) == ("", "", None)

    def test_says_that_one_replica_of_two_still_answers(self, served, git, cluster, monkeypatch):
        half = two_replicas(cluster)
        monkeypatch.setattr(cluster, "serving_status", lambda *_: half)
        look(served, git, cluster)
        assert (served.reason, served.unready_since) == ("SCHEDULING", None)
        assert rollout_pages.problem(served)["title"] == "A replica is not ready."
        assert served.message.startswith(
            f"One replica answers the callers of {NAME}, another one is not ready."
        )

    def test_keeps_what_is_known_while_the_cluster_is_away_and_says_so(self, served, git, cluster):
        cluster.ready = False
        look(served, git, cluster)
        cluster.away = True
        look(served, git, cluster, LATER + timedelta(minutes=1))
        assert (served.reason, served.unready_since) == ("AWAY", LATER)
        notice = rollout_pages.problem(served)
        assert notice["tone"] == "warn"
        assert notice["text"].endswith("Whether it answers callers cannot be seen meanwhile.")
        cluster.away, cluster.ready = False, True
        look(served, git, cluster, LATER + timedelta(minutes=2))
        assert (served.reason, served.unready_since) == ("", None)


@pytest.mark.django_db
class TestDrift:
    OTHER = "sha256:" + "f" * 64

    def test_is_seen_by_a_look_and_ends_with_one(self, served, git, cluster, settings):
        assert served.container["image"] == settings.SERVING_IMAGE
        assert f"--served-model-name={NAME}" in served.container["arguments"]
        look(served, git, cluster)
        assert {row["what"]: row["verdict"] for row in served.checks} == {
            "InferenceService": "SAME",
            "Manifest that it names": "SAME",
            "Weights as its loader read them": "SAME",
            "Image of the engine": "SAME",
            "Digest of the image that runs": "UNKNOWN",  # it is named by its tag
            "Arguments of the engine": "SAME",
            "CPUs, memory and GPUs of a replica": "SAME",
            "Weights of the route": "SAME",
        }
        cluster.changed[NAME] = {"loaded": Loaded(self.OTHER)}
        look(served, git, cluster, LATER + timedelta(minutes=1))
        assert (served.reason, served.unready_since) == ("DRIFT", None)
        assert [row["found"] for row in served.differences] == [self.OTHER]
        cluster.away = True
        look(served, git, cluster, LATER + timedelta(minutes=2))
        assert (served.reason, len(served.differences)) == ("DRIFT", 1)
        cluster.away = False
        cluster.changed.clear()
        look(served, git, cluster, LATER + timedelta(minutes=3))
        assert (served.reason, served.differences, served.drifted_at) == ("", [], None)

    def test_keeps_callers_from_a_version_that_is_something_else(
        self, served, git, cluster, registered_model, alice, carol
    ):
        newer = approved(registered_model, 2, alice, carol, now=LATER)
        cluster.changed["prior-auth-extract-v2"] = {"loaded": Loaded(self.OTHER)}
        drive(newer, git, cluster, now=LATER, turns=4)
        assert (newer.status, newer.reason, newer.weight) == ("FAILED", "DRIFT", 0)
        assert set(newer.commits.values_list("step", flat=True)) == {"SERVE"}
        row = next(row for row in newer.checks if row["verdict"] == "DIFFERENT")
        assert row["found"] == self.OTHER


@pytest.mark.django_db
class TestBaseline:
    @pytest.fixture
    def newer(self, served, git, cluster, registered_model, alice, carol):
        """The second version, live; the first one waits for its end."""
        made = approved(registered_model, 2, alice, carol, now=LATER)
        drive(made, git, cluster, now=LATER, turns=24)
        assert made.status == "LIVE"
        return made

    def test_is_not_stopped_while_its_successor_answers_nobody(self, newer, git, cluster):
        due = live.retire_at(newer)
        cluster.broken.add("prior-auth-extract-v2")
        look(newer, git, cluster, due + timedelta(seconds=1))
        assert not newer.commits.filter(step="RETIRE").exists()
        assert newer.next_check_at == due + timedelta(seconds=1) + live.SOON
        cluster.broken.clear()
        look(newer, git, cluster, due + timedelta(seconds=7))
        assert newer.commits.filter(step="RETIRE").count() == 1

    def test_stays_while_it_is_proposed_or_approved_to_serve_again(
        self, newer, alice, carol, monkeypatch
    ):
        due, first = live.retire_at(newer), newer.baseline
        monkeypatch.setattr(begin, "waits_for", lambda *_: [begin.Wait("FROZEN", "A window.")])
        factories.run(first, at=LATER)
        promotion = propose(first, alice)
        assert live.retire_at(newer) is None
        assert approve(promotion, carol) is None
        assert Promotion.objects.get(pk=promotion.pk).status == "APPROVED"
        assert live.retire_at(newer) is None
        actions.withdraw_promotion(promotion=promotion, actor=alice, now=LATER)
        assert live.retire_at(newer) == due

    def test_whose_end_git_refuses_is_tried_again(self, newer, git, cluster, monkeypatch):
        def refuse(**arguments):
            raise PermanentError("The Git server refused the commit: frozen.")

        due = live.retire_at(newer)
        with monkeypatch.context() as frozen:
            frozen.setattr(git, "commit", refuse)
            look(newer, git, cluster, due + timedelta(seconds=1))
        assert (newer.status, newer.reason) == ("LIVE", "GIT_REFUSED")
        assert (
            newer.message
            == "The Git server refused the commit: frozen. It is tried again by itself."
        )
        turn(newer, git, cluster, newer.next_check_at)
        newer.refresh_from_db()
        assert newer.reason == ""
        assert newer.commits.filter(step="RETIRE").count() == 1


@pytest.mark.django_db
class TestWakeUnready:
    def test_has_looked_at_now_what_the_observer_sees_to_be_not_ready(self, served):
        replica(NAME)
        assert live.wake_unready(LATER) == 0, "it is due anyway"
        Rollout.objects.update(next_check_at=LATER + timedelta(minutes=1))
        assert live.wake_unready(LATER) == 1
        assert Rollout.objects.filter(next_check_at__lte=LATER).exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"reason": "ENGINE_CRASHED"},
            {"attempts": 1},
            {"observed_at": LATER - timedelta(seconds=3)},
            {"status": "REPLACED"},
        ],
        ids=["known", "looked at now", "looked at lately", "not live"],
    )
    def test_leaves_the_others_alone(self, served, change):
        replica(NAME)
        Rollout.objects.update(**{"next_check_at": LATER + timedelta(minutes=1)} | change)
        assert live.wake_unready(LATER) == 0

    @pytest.mark.parametrize(
        "more",
        [
            {"is_ready": True},
            {"namespace": "evals"},
            {"deleting_at": NOW},
            {"ended_at": NOW},
            {"service": "prior-auth-extract-v12"},
        ],
        ids=["ready", "a candidate", "going away", "gone", "another version"],
    )
    def test_only_for_a_replica_of_it_that_is_there_and_not_ready(self, served, more):
        replica(**{"service": NAME} | more)
        Rollout.objects.update(next_check_at=LATER + timedelta(minutes=1))
        assert live.wake_unready(LATER) == 0


class TestWords:
    """What people read of a version that serves nobody."""

    def test_the_page_says_it_first(self):
        row = Rollout(
            status="LIVE",
            reason="CRASH_LOOP",
            message="No replica is ready.",
            weight=100,
            unready_since=NOW,
        )
        notice = rollout_pages.problem(row)
        assert notice["tone"] == "bad"
        assert notice["title"] == (
            f"Callers are not answered since {NOW:%H:%M:%S} UTC. The engine crashes again and "
            f"again."
        )
        assert pages.is_moving(row)

    def test_a_share_of_the_callers_is_named_while_it_rolls_out(self):
        row = Rollout(
            status="PROGRESSING",
            reason="STARTING",
            message="KServe makes it.",
            weight=10,
            unready_since=NOW,
        )
        assert (
            rollout_pages.problem(row)["title"]
            == f"10 % of the callers are not answered since {NOW:%H:%M:%S} UTC."
        )

    def test_nothing_is_said_while_all_is_well(self):
        row = Rollout(status="LIVE", reason="", weight=100)
        assert rollout_pages.problem(row) is None
        assert not pages.is_moving(row)
