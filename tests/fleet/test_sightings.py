"""Objects → rows, by tables. No database."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.fleet import sightings
from tests.fleet.objects import LABELS, at, claim, condition, event, node, pod, pool


class TestNodeClaim:
    def test_reads_the_machine_its_price_and_how_far_it_is(self):
        seen = sightings.node_claim(claim(launched=4, registered=9))
        assert seen.fields["instance_type"] == "g6.xlarge"
        assert seen.fields["capacity_type"] == "spot"
        assert seen.fields["price_usd_per_hour"] == Decimal("0.4025")
        assert seen.fields["price_basis"] == "simulated-spot"
        assert seen.fields["gpu_count"] == 1
        assert (seen.fields["launched_at"], seen.fields["registered_at"]) == (at(4), at(9))
        assert seen.fields["initialized_at"] is None

    @pytest.mark.parametrize("price", ["", "free", "NaN", "-1"])
    def test_has_no_price_where_the_label_is_none(self, price):
        labels = LABELS | {"eks-node-viewer/instance-price": price}
        seen = sightings.node_claim(claim(launched=4, labels=labels))
        assert seen.fields["price_usd_per_hour"] is None

    def test_says_what_it_waits_for(self):
        obj = claim()
        obj["status"]["conditions"] = [
            condition("Launched", 3, "False", "LaunchFailed", "no capacity")
        ]
        assert sightings.node_claim(obj).fields["message"] == "Launched: no capacity"

    def test_is_left_out_without_uid_or_time(self):
        assert sightings.node_claim({"metadata": {"name": "x"}}) is None


class TestReplica:
    def test_reads_its_phases_with_the_times_of_the_object(self):
        seen = sightings.replica(pod(node="node-1", scheduled=10, loaded=20, started=21, ready=30))
        assert dict(seen.phases) == {
            "SCHEDULED": at(10),
            "WEIGHTS": at(20),
            "ENGINE": at(21),
            "READY": at(30),
        }
        assert seen.fields["gpu_count"] == 1
        assert (seen.fields["model"], seen.fields["version"]) == ("m", "1")

    def test_leaves_other_pods_out(self):
        obj = pod()
        del obj["metadata"]["labels"]["serving.kserve.io/inferenceservice"]
        assert sightings.replica(obj) is None

    def test_says_what_stops_it(self):
        obj = pod(node="node-1", scheduled=10)
        waiting = {"reason": "ImagePullBackOff", "message": "not found"}
        obj["status"]["initContainerStatuses"][0]["state"] = {"waiting": waiting}
        assert sightings.replica(obj).fields["message"] == "ImagePullBackOff: not found"


class TestNodeAndPool:
    def test_read_readiness_and_limits(self):
        assert sightings.node(node(ready=False)).fields["is_ready"] is False
        assert sightings.node_pool(pool()).fields["limits"] == {"nvidia.com/gpu": "64"}


class TestChanges:
    SEEN = sightings.node_claim(claim(version=5, launched=4))

    @pytest.mark.parametrize(
        ("known", "expected"),
        [
            ({"resource_version": 6}, set()),
            ({**SEEN.fields, "resource_version": 5}, set()),
            ({**SEEN.fields, "resource_version": 4, "zone": "us-east-1b"}, {"zone"}),
            ({**SEEN.fields, "launched_at": at(3)}, set()),
            ({**SEEN.fields, "launched_at": None}, {"launched_at"}),
            ({**SEEN.fields, "registered_at": at(9), "node_name": "node-1"}, set()),
            ({**SEEN.fields, "message": "Launched: waits"}, {"message"}),
        ],
        ids=[
            "older",
            "the same",
            "another zone",
            "the first time stays",
            "reached",
            "nothing taken back",
            "over",
        ],
    )
    def test_returns_what_is_new(self, known, expected):
        assert set(sightings.changes(known, self.SEEN)) == expected


class TestPlanInterval:
    SEEN = sightings.node_claim(claim(launched=4))
    TERMS = sightings.terms_of(SEEN.fields)

    def plan(self, current, has_history=True, seen=SEEN):
        return sightings.plan_interval(
            current, has_history=has_history, claim=seen.fields, now=at(60)
        )

    def test_begins_when_the_machine_was_launched(self):
        assert self.plan(None, has_history=False) == [
            sightings.IntervalChange(self.TERMS, begin_at=at(4))
        ]

    def test_does_not_begin_before_that(self):
        assert self.plan(None, has_history=False, seen=sightings.node_claim(claim())) == []

    def test_does_nothing_twice(self):
        assert self.plan(self.TERMS) == []
        assert self.plan(None) == []

    def test_completes_a_price_that_was_not_known(self):
        current = replace(self.TERMS, price_usd_per_hour=None)
        assert self.plan(current) == [sightings.IntervalChange(self.TERMS)]

    def test_ends_at_another_price_and_begins_anew(self):
        current = replace(self.TERMS, price_usd_per_hour=Decimal("0.9"))
        ended, begun = self.plan(current)
        assert (ended.end_at, begun.begin_at, begun.terms) == (at(60), at(60), self.TERMS)


class TestEnding:
    def end(self, seen_until, *events):
        notes = [sightings.event(each) for each in events]
        return sightings.ending(notes, began_at=at(0), seen_until=seen_until, now=at(600))

    def test_is_now_while_the_cluster_is_watched(self):
        assert self.end(at(598)) == sightings.Ending(at(600))

    def test_is_rebuilt_from_an_event_after_a_lost_watch(self):
        assert self.end(at(100), event("Finalized", "NodeClaim", "c", 300)) == sightings.Ending(
            at(300), told_since=at(100)
        )

    def test_is_rebuilt_from_an_event_of_the_second_in_which_the_stream_broke(self):
        assert self.end(at(100.7), event("Finalized", "NodeClaim", "c", 100)).at == at(100)

    def test_is_not_after_now_where_the_clocks_differ(self):
        assert self.end(at(100), event("Finalized", "NodeClaim", "c", 602)).at == at(600)

    def test_is_unobserved_without_an_event(self):
        old = event("Finalized", "NodeClaim", "c", 50)
        assert self.end(at(100), old) == sightings.Ending(at(600), unobserved_from=at(100))

    def test_is_never_before_the_beginning(self):
        found = sightings.ending([], began_at=at(700), seen_until=at(100), now=at(600))
        assert found.at == found.unobserved_from == at(700)


class TestReasons:
    def test_a_claim_is_launched_for_a_pod(self):
        note = sightings.event(
            event("Nominated", "Pod", "m-v1-x", 2, "Pod should schedule on: nodeclaim/gpu-abc")
        )
        assert sightings.launch_reason("gpu-abc", [note]) == "Pod models/m-v1-x waited for a GPU"
        assert sightings.launch_reason("gpu-abcd", [note]) == ""

    @pytest.mark.parametrize(
        ("reason", "message", "expected"),
        [
            ("DisruptionTerminating", "Disrupting NodeClaim: Empty", "Karpenter removed it: Empty"),
            (
                "SpotInterrupted",
                "Spot interruption warning was triggered",
                "AWS took the Spot machine back",
            ),
            ("InsufficientCapacityError", "none left", "No machine could be bought"),
            ("InstanceTerminating", "Status condition transitioned, Type: InstanceTerminating", ""),
        ],
    )
    def test_a_claim_ends_for_the_reason_of_its_event(self, reason, message, expected):
        assert (
            sightings.end_reason([sightings.event(event(reason, "NodeClaim", "c", 5, message))])
            == expected
        )

    @pytest.mark.parametrize(
        ("reasons", "expected"),
        [
            (("TerminatingOnInterruption", "SpotInterrupted"), "AWS took the Spot machine back"),
            (("InstanceTerminating", "DisruptionTerminating"), "Karpenter removed it: Empty"),
            (("DisruptionTerminating", "InstanceTerminating"), "Karpenter removed it: Empty"),
            (("TerminatingOnInterruption",), "AWS took the machine back"),
        ],
    )
    def test_a_cause_comes_before_what_follows_from_it(self, reasons, expected):
        notes = [
            event(reason, "NodeClaim", "c", 5, "Disrupting NodeClaim: Empty") for reason in reasons
        ]
        assert sightings.end_reason(map(sightings.event, notes)) == expected


class TestLaunchedAt:
    def test_is_the_time_at_which_the_condition_became_true(self):
        words = (
            "Status condition transitioned, Type: Launched, Status: Unknown -> {}, Reason: Launched"
        )
        notes = [
            event("Launched", "NodeClaim", "c", second, words.format(to))
            for second, to in ((4, "False"), (7, "True"))
        ]
        assert sightings.launched_at(map(sightings.event, notes)) == at(7)
        assert sightings.launched_at([]) is None


class TestNodePhases:
    def test_belong_to_a_replica_whose_node_was_made_after_it(self):
        known = {
            "created_at": at(2),
            "launched_at": at(4),
            "registered_at": None,
            "initialized_at": None,
        }
        assert sightings.node_phases(at(1), known) == [("CLAIM", at(2)), ("LAUNCHED", at(4))]
        assert sightings.node_phases(at(1) + timedelta(minutes=1), known) == []


class TestQuantity:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("64", 64), ("1500m", 1.5), ("2Gi", 2 * 1024**3), ("1k", 1000), ("odd", 0)],
    )
    def test_reads_kubernetes_numbers(self, text, expected):
        assert sightings.quantity(text) == expected
