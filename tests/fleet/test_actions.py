"""What the observer writes: once, in any order, and with nothing lost while nobody watched."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.fleet import actions, sightings
from apps.fleet.models import ClusterEvent, Node, NodeClaim, NodeInterval, Replica, ReplicaPhase
from tests.fleet.objects import LABELS, at, claim, event, node, pod

pytestmark = pytest.mark.django_db
WHOLE = {"launched": 4, "registered": 9, "initialized": 12}


def see_claim(second=20, **more):
    actions.record_seen(model=NodeClaim, seen=[sightings.node_claim(claim(**more))], now=at(second))


def list_claims(seen_until, second, *objects):
    seen = [sightings.node_claim(each) for each in objects]
    actions.record_listed(
        model=NodeClaim, seen=seen, scope={}, seen_until=at(seen_until), now=at(second)
    )


def see_pod(second=20, **more):
    actions.record_seen(model=Replica, seen=[sightings.replica(pod(**more))], now=at(second))


def hear(second, *objects):
    actions.record_events(events=[sightings.event(each) for each in objects], now=at(second))


def spans():
    return list(NodeInterval.objects.values_list("started_at", "ended_at", "observed"))


class TestRecordSeen:
    def test_writes_a_claim_and_opens_its_interval_once(self, django_assert_max_num_queries):
        see_claim(version=1)
        assert spans() == []
        see_claim(version=2, **WHOLE)
        see_claim(version=2, **WHOLE)
        found = NodeClaim.objects.get()
        assert (found.launched_at, found.initialized_at, found.resource_version) == (
            at(4),
            at(12),
            2,
        )
        assert spans() == [(at(4), None, True)]
        assert NodeInterval.objects.get().price_usd_per_hour == Decimal("0.4025")

    def test_takes_no_older_state(self):
        see_claim(version=5, **WHOLE)
        see_claim(
            version=3, launched=4, labels=LABELS | {"topology.kubernetes.io/zone": "elsewhere"}
        )
        assert NodeClaim.objects.get().zone == "us-east-1a"
        assert NodeInterval.objects.get().zone == "us-east-1a"

    def test_ends_an_interval_at_another_price(self):
        see_claim(version=1, launched=4)
        see_claim(
            60, version=2, launched=4, labels=LABELS | {"eks-node-viewer/instance-price": "0.5"}
        )
        assert spans() == [(at(4), at(60), True), (at(60), None, True)]

    def test_writes_each_phase_once_with_its_first_time(self):
        see_pod(version=1, node="node-1", scheduled=10)
        see_pod(version=2, node="node-1", scheduled=10, loaded=20, started=21, ready=30)
        see_pod(version=3, node="node-1", scheduled=10, loaded=20, started=50, ready=60)
        replica = Replica.objects.get()
        assert dict(replica.phases.values_list("phase", "occurred_at")) == {
            "SCHEDULED": at(10),
            "WEIGHTS": at(20),
            "ENGINE": at(21),
            "READY": at(30),
        }
        assert replica.ready_at == at(30)

    def test_ends_a_node_whose_name_another_one_has(self):
        for uid in ("old", "new"):
            actions.record_seen(model=Node, seen=[sightings.node(node(uid=uid))], now=at(20))
        assert Node.objects.present().get().uid == "new"

    def test_reads_an_unchanged_list_with_few_queries(self, django_assert_max_num_queries):
        seen = [
            sightings.replica(pod(uid=f"p{number}", node="n", scheduled=5)) for number in range(30)
        ]
        actions.record_seen(model=Replica, seen=seen, now=at(20))
        nodes = [sightings.node(node(name=f"n{number}", uid=f"n{number}")) for number in range(30)]
        actions.record_seen(model=Node, seen=nodes, now=at(20))
        with django_assert_max_num_queries(6):  # two each, three with the savepoints
            actions.record_seen(model=Node, seen=nodes, now=at(20))
            actions.record_seen(model=Replica, seen=seen, now=at(20))

    def test_writes_a_new_list_with_few_queries(self, django_assert_max_num_queries):
        """A cold start of a large cluster: the number of statements does not grow with the number
        of objects.
        """
        count, claims = 30, []
        for each in range(count):
            made = claim(name=f"c{each}", uid=f"c{each}", **WHOLE)
            made["status"]["nodeName"] = f"n{each}"
            claims.append(sightings.node_claim(made))
        pods = [
            sightings.replica(pod(uid=f"p{each}", node=f"n{each}", scheduled=13))
            for each in range(count)
        ]
        notes = [
            event("Pulled", "Pod", f"p{each}", 20, uid=f"e{each}", about=f"p{each}")
            for each in range(count)
        ]
        with django_assert_max_num_queries(35):
            actions.record_seen(model=NodeClaim, seen=claims, now=at(20))
            actions.record_seen(model=Replica, seen=pods, now=at(20))
            hear(21, *notes)
        assert NodeInterval.objects.count() == ClusterEvent.objects.count() == count
        assert set(Replica.objects.values_list("node_claim_name", flat=True)) == {
            f"c{each}" for each in range(count)
        }
        assert ReplicaPhase.objects.filter(phase="CLAIM").count() == count


class TestRecordListed:
    def test_ends_what_is_gone_while_watched(self):
        see_claim(**WHOLE)
        list_claims(99, 100)
        list_claims(99, 100)
        assert spans() == [(at(4), at(100), True)]
        assert NodeClaim.objects.get().end_observed

    @pytest.mark.parametrize("seen_until", [99, 50], ids=["seen", "unobserved"])
    def test_ends_many_at_once_with_few_queries(self, seen_until, django_assert_max_num_queries):
        list_claims(
            20, 20, *[claim(name=f"c{each}", uid=f"c{each}", **WHOLE) for each in range(30)]
        )
        pods = [sightings.replica(pod(uid=f"p{each}", scheduled=5)) for each in range(30)]
        actions.record_seen(model=Replica, seen=pods, now=at(20))
        with django_assert_max_num_queries(25):
            list_claims(seen_until, 100)
            actions.record_listed(
                model=Replica, seen=[], scope={}, seen_until=at(seen_until), now=at(100)
            )
        assert not NodeClaim.objects.present().exists() and not Replica.objects.present().exists()
        assert NodeInterval.objects.filter(observed=False).count() == (
            30 if seen_until == 50 else 0
        )

    def test_stores_an_end_that_nobody_saw_as_unobserved_time(self):
        see_claim(**WHOLE)
        list_claims(100, 700)
        assert spans() == [(at(4), at(100), True), (at(100), at(700), False)]
        assert not NodeClaim.objects.get().end_observed

    def test_rebuilds_such_an_end_from_an_event_that_came_before(self):
        see_claim(**WHOLE)
        hear(690, event("Finalized", "NodeClaim", "gpu-abc", 300, about="claim-1"))
        list_claims(100, 700)
        assert spans() == [(at(4), at(300), True)]

    def test_rebuilds_such_an_end_from_an_event_that_comes_later(self):
        see_claim(**WHOLE)
        list_claims(100, 700)
        hear(701, event("Finalized", "NodeClaim", "gpu-abc", 300, about="claim-1"))
        assert spans() == [(at(4), at(300), True)]
        assert NodeClaim.objects.get().ended_at == at(300)

    def test_stores_a_whole_life_that_nobody_saw_as_unobserved_time(self):
        """Claimed when it was last seen, gone when it is looked for: it may have run in between."""
        see_claim()
        list_claims(20, 700)
        assert spans() == [(at(20), at(700), False)]

    @pytest.mark.parametrize("told", ["before", "after"])
    def test_rebuilds_such_a_life_from_its_events(self, told):
        see_claim()
        launched = event(
            "Launched", "NodeClaim", "gpu-abc", 30, "Type: Launched, Status: Unknown -> True"
        )
        steps = [
            lambda: list_claims(20, 700),
            lambda: hear(699, launched, event("Finalized", "NodeClaim", "gpu-abc", 300)),
        ]
        for step in steps if told == "after" else reversed(steps):
            step()
        assert spans() == [(at(30), at(300), True)]
        found = NodeClaim.objects.get()
        assert (found.launched_at, found.ended_at, found.end_observed) == (at(30), at(300), True)

    def test_pays_nothing_for_a_machine_that_could_not_be_bought(self):
        see_claim()
        hear(30, event("InsufficientCapacityError", "NodeClaim", "gpu-abc", 30, "none left"))
        list_claims(20, 700)
        assert spans() == []

    def test_gives_terms_that_were_learned_too_late_to_the_unobserved_time(self):
        see_claim(version=1, **WHOLE)
        see_claim(
            650, version=2, labels=LABELS | {"eks-node-viewer/instance-price": "0.9"}, **WHOLE
        )
        list_claims(100, 700)
        assert spans() == [(at(4), at(100), True), (at(100), at(700), False)]
        prices = NodeInterval.objects.values_list("price_usd_per_hour", flat=True)
        assert list(prices) == [Decimal("0.4025"), Decimal("0.9")]

    def test_rebuilds_a_beginning_that_nobody_saw(self):
        list_claims(0, 900, claim(**WHOLE))
        assert spans() == [(at(4), None, True)]

    def test_leaves_other_namespaces_alone(self):
        see_pod()
        actions.record_listed(
            model=Replica, seen=[], scope={"namespace": "evals"}, seen_until=at(9), now=at(10)
        )
        assert Replica.objects.present().count() == 1


class TestRecordGone:
    def test_writes_the_last_state_too(self):
        see_pod(version=1, node="node-1", scheduled=10)
        last = sightings.replica(
            pod(version=9, node="node-1", scheduled=10, loaded=20, started=21, ready=30)
        )
        for _ in range(2):
            actions.record_gone(model=Replica, seen=last, seen_until=at(40), now=at(40))
        replica = Replica.objects.get()
        assert (replica.ended_at, replica.ready_at, replica.is_ready) == (at(40), at(30), False)

    def test_knows_an_object_that_lived_between_two_looks(self):
        last = sightings.node_claim(claim(**WHOLE))
        actions.record_gone(model=NodeClaim, seen=last, seen_until=at(100), now=at(100))
        assert spans() == [(at(4), at(100), True)]


class TestRecordEvents:
    def test_keeps_each_once_and_counts_up(self):
        note = event("Unconsolidatable", "NodeClaim", "gpu-abc", 5, uid="e1")
        hear(6, note, note | {"count": 2, "lastTimestamp": "2026-11-02T09:01:00Z"})
        hear(7, note)
        assert ClusterEvent.objects.values_list("count", "last_at").get() == (2, at(60))

    @pytest.mark.parametrize("first", ["claim", "event"])
    def test_explain_a_claim_in_either_order(self, first):
        message = "Pod should schedule on: nodeclaim/gpu-abc"
        steps = [
            lambda: see_claim(**WHOLE),
            lambda: hear(20, event("Nominated", "Pod", "m-v1-x", 3, message)),
        ]
        for step in steps if first == "claim" else reversed(steps):
            step()
        assert NodeClaim.objects.get().launch_reason == "Pod models/m-v1-x waited for a GPU"
        assert NodeInterval.objects.get().launch_reason == "Pod models/m-v1-x waited for a GPU"

    def test_say_why_a_claim_ended_and_its_interval_too(self):
        see_claim(**WHOLE)
        hear(
            50,
            event(
                "DisruptionTerminating", "NodeClaim", "gpu-abc", 50, "Disrupting NodeClaim: Empty"
            ),
        )
        list_claims(59, 60)
        assert NodeClaim.objects.get().end_reason == "Karpenter removed it: Empty"
        assert NodeInterval.objects.get().end_reason == "Karpenter removed it: Empty"

    def test_of_another_node_that_has_the_name_now_or_had_it_before_explain_nothing(self):
        see_claim(**WHOLE)
        hear(20, event("SpotInterrupted", "Node", "node-1", -600))
        list_claims(59, 60)
        hear(
            700,
            event("SpotInterrupted", "Node", "node-1", 600),
            event("Ready", "NodeClaim", "gpu-abc", 12),
        )
        assert NodeClaim.objects.get().end_reason == ""

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
    def test_give_a_replica_its_node_and_image_phases_in_any_order(self, order):
        pulled = event(
            "Pulled",
            "Pod",
            "p",
            21,
            about="pod-1",
            uid="e2",
            fieldPath="spec.containers{kserve-container}",
        )
        steps = [
            lambda: see_pod(node="node-1", scheduled=13, loaded=20, started=22),
            lambda: see_claim(**WHOLE),
            lambda: hear(25, pulled),
        ]
        for place in order:
            steps[place]()
        see_pod(40, version=2, node="node-1", scheduled=13, loaded=20, started=22, ready=30)
        assert list(Replica.objects.get().phases.values_list("phase", flat=True)) == [
            "CLAIM", "LAUNCHED", "REGISTERED", "INITIALIZED", "SCHEDULED", "WEIGHTS", "IMAGE",
            "ENGINE", "READY",
        ]  # fmt: skip


class TestConstraints:
    def test_no_two_intervals_of_a_claim_overlap(self):
        see_claim(**WHOLE)
        with pytest.raises(IntegrityError, match="one_per_claim"), transaction.atomic():
            NodeClaim.objects.get().intervals.create(started_at=at(50), ended_at=at(60))

    def test_no_interval_ends_before_it_begins(self):
        see_claim()
        with pytest.raises(IntegrityError), transaction.atomic():
            NodeClaim.objects.get().intervals.create(started_at=at(50), ended_at=at(40))

    def test_unobserved_time_has_an_end(self):
        see_claim()
        with pytest.raises(IntegrityError, match="unobserved"), transaction.atomic():
            NodeClaim.objects.get().intervals.create(started_at=at(50), observed=False)


class TestPruneEvents:
    def test_forgets_old_ones(self):
        hear(6, event("A", "NodeClaim", "c", 5), event("B", "NodeClaim", "c", 50))
        assert actions.prune_events(before=at(20)) == 1


class TestNeverListed:
    LAUNCHED = (
        "Status condition transitioned, Type: Launched, Status: Unknown -> True, Reason: Launched"
    )

    def test_writes_what_only_events_tell_of_once_and_leaves_known_claims_alone(self):
        see_claim(version=1, **WHOLE)
        known = NodeClaim.objects.get()
        hear(40, event("Launched", "NodeClaim", known.name, 4, self.LAUNCHED, about=known.uid))
        hear(40, event("Launched", "NodeClaim", "gpu-gone", 30, self.LAUNCHED, about="gone"))
        hear(
            40,
            event(
                "SpotInterrupted",
                "NodeClaim",
                "gpu-gone",
                50,
                "Spot interruption warning",
                about="gone",
            ),
        )
        hear(
            40,
            event(
                "InsufficientCapacityError",
                "NodeClaim",
                "gpu-never",
                31,
                "none left",
                about="never",
            ),
        )
        assert actions.record_never_listed(listed_at=at(100), now=at(300)) == 1
        gone = NodeClaim.objects.get(uid="gone")
        assert (gone.launched_at, gone.ended_at, gone.end_observed) == (at(30), at(100), False)
        assert gone.end_reason == "AWS took the Spot machine back"
        assert spans() == [(at(4), None, True), (at(30), at(100), False)]
        assert actions.record_never_listed(listed_at=at(100), now=at(300)) == 0

    def test_leaves_what_came_after_the_list_to_the_stream(self):
        hear(40, event("Launched", "NodeClaim", "gpu-new", 130, self.LAUNCHED, about="new"))
        assert actions.record_never_listed(listed_at=at(100), now=at(300)) == 0
