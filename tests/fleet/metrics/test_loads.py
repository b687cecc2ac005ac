"""What replicas and GPUs do now."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.fleet import actions, sightings
from apps.fleet.metrics.loads import UNUSED_AFTER, measured, requests_in
from apps.fleet.metrics.models import FRESH, ScrapeTarget
from apps.fleet.models import Node, Replica
from tests.fleet.measures import gpu, replica_minute, target
from tests.fleet.objects import at, node, pod

pytestmark = pytest.mark.django_db
NOW = at(7200)


@pytest.fixture
def replica():
    actions.record_seen(model=Node, seen=[sightings.node(node())], now=at(40))
    seen = sightings.replica(pod(node="node-1", scheduled=13, started=20, ready=30))
    actions.record_seen(model=Replica, seen=[seen], now=at(40))
    return Replica.objects.get()


def load(replica):
    return measured([replica], NOW).load(replica)


class TestMeasured:
    def test_takes_the_newest_minute_that_two_scrapes_made(self, replica):
        replica_minute(replica, NOW, ago=2, running_max=2)
        replica_minute(replica, NOW, ago=1, running_max=3, kv_use=0.4)
        replica_minute(replica, NOW, ago=0, samples=1, running_max=9)
        found = load(replica)
        assert (found.sample.running_max, found.state.name, found.busy) == (3, "WORKING", 0.4)

    def test_takes_a_first_scrape_where_there_is_nothing_else(self, replica):
        replica_minute(replica, NOW, ago=0, samples=1, running_max=9)
        assert load(replica).sample.running_max == 9

    def test_knows_nothing_of_a_minute_long_ago(self, replica):
        replica_minute(replica, NOW, ago=4)
        found = load(replica)
        assert (found.sample, found.state.name, found.busy) == (None, "UNOBSERVED", None)

    def test_says_why_nothing_is_known(self, replica):
        assert "not been scraped yet" in load(replica).problem
        target(replica, NOW, error="The endpoint cannot be reached.")
        assert load(replica).problem == "The endpoint cannot be reached."

    def test_takes_power_as_a_sign_only_where_it_is_not_made_up_for_a_real_engine(self, replica):
        replica_minute(replica, NOW, running_max=4)
        device = gpu("node-1", NOW, pod=replica.name, sample={"power_watts": 70}, is_simulated=True)
        assert (replica.engine, load(replica).state.signs) == (
            "stand-in",
            ("power 97 % of the card's limit",),
        )
        replica.engine = "vllm 0.32.0"
        assert load(replica).state.name == "WORKING"
        device.is_simulated = False
        device.save(update_fields=["is_simulated"])
        assert load(replica).state.name == "SATURATED"

    def test_takes_no_power_from_a_mig_instance(self, replica):
        replica_minute(replica, NOW, running_max=4)
        gpu(
            "node-1",
            NOW,
            pod=replica.name,
            sample={"power_watts": 72},
            instance_id="1",
            profile="1g.6gb",
        )
        assert load(replica).state.name == "WORKING"

    def test_orders_a_nodes_gpus_by_their_numbers(self, replica):
        for number in ("10", "2", "0"):
            gpu("node-1", NOW, number=number)
        assert [use.device.number for use in measured([], NOW).gpus["node-1"]] == ["0", "2", "10"]


class TestUnusedSince:
    def test_is_the_last_request(self, replica):
        target(replica, NOW, active_at=NOW - timedelta(minutes=40))
        assert load(replica).unused_since == NOW - timedelta(minutes=40)

    def test_is_the_first_sight_where_no_request_was_ever_seen(self, replica):
        target(replica, NOW, observed_from=NOW - timedelta(minutes=20))
        assert load(replica).unused_since == NOW - timedelta(minutes=20)

    @pytest.mark.parametrize(
        "values",
        [
            {"active_at": NOW - UNUSED_AFTER + timedelta(seconds=1)},
            {"observed_from": NOW - timedelta(minutes=3)},
            {"seen_at": NOW - FRESH - timedelta(seconds=1)},
            {"seen_at": None, "observed_from": None},
            {"error": "The endpoint cannot be reached."},
        ],
    )
    def test_is_not_said_of_one_that_is_called_or_new_or_not_watched(self, replica, values):
        target(replica, NOW, **values)
        assert load(replica).unused_since is None

    def test_is_not_said_of_one_that_is_not_ready(self, replica):
        target(replica, NOW)
        replica.is_ready = False
        assert load(replica).unused_since is None
        assert ScrapeTarget.objects.count() == 1


class TestRequestsIn:
    def ready(self, service="m-v1", **values):
        uid = str(uuid4())
        facts = {"namespace": "models", "service": service, "is_ready": True}
        return Replica.objects.create(
            uid=uid, name=uid, created_at=NOW, learned_at=NOW, **(facts | values)
        )

    def asked(self):
        return requests_in("models", "m-v1", NOW)

    def test_sums_what_runs_and_waits_in_ready_replicas(self):
        for running, waiting in ((3.0, 4.0), (0.5, 0.0)):
            replica_minute(self.ready(), NOW, running=running, waiting=waiting)
        replica_minute(self.ready("m-v2"), NOW, running=50.0, waiting=0.0)
        replica_minute(self.ready(is_ready=False), NOW, running=50.0, waiting=0.0)
        replica_minute(self.ready(deleting_at=NOW), NOW, running=50.0, waiting=0.0)
        assert self.asked() == 7.5

    def test_goes_by_the_newest_minute(self):
        one = self.ready()
        replica_minute(one, NOW, ago=2, running=9.0, waiting=9.0)
        replica_minute(one, NOW, ago=0, running=1.0, waiting=0.0)
        assert self.asked() == 1.0

    def test_is_nothing_without_a_replica(self):
        assert self.asked() == 0

    def test_is_not_known_where_one_replica_was_not_measured_lately(self):
        replica_minute(self.ready(), NOW, running=3.0, waiting=0.0)
        silent = self.ready()
        assert self.asked() is None
        replica_minute(silent, NOW, ago=5, running=3.0, waiting=0.0)
        assert self.asked() is None
        replica_minute(silent, NOW, ago=0, running=None, waiting=0.0)
        assert self.asked() is None
