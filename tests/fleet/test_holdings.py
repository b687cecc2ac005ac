"""Which pod held how many GPUs of which machine, from when to when."""

from fractions import Fraction

import pytest

from apps.fleet import holdings, sightings
from apps.fleet.models import Node
from tests.fleet.machines import at, machine, replica
from tests.fleet.objects import pod

pytestmark = pytest.mark.django_db


def held(*claims, begin=0, end=24):
    return holdings.held(claims, at(begin), at(end))


def times(found):
    return [(one.version, one.from_at, one.to_at) for one in found]


class TestHeld:
    def test_begins_when_a_pod_is_scheduled_and_ends_with_it(self):
        claim = machine(end=20)
        replica(claim, begin=2, scheduled=3, ready=4, end=5, gpus=2)
        replica(claim, "n-v1", begin=6, end=None, ready=None)
        first, second = held(claim)
        assert (first.version, first.model, first.namespace) == ("m-v1", "m", "models")
        assert (first.claim, first.gpus) == (claim.pk, Fraction(2))
        assert (first.from_at, first.ready_at, first.to_at) == (at(3), at(4), at(5))
        assert (second.from_at, second.ready_at, second.to_at) == (at(6), None, at(24))

    def test_begins_with_the_launch_of_a_machine_that_a_pod_waited_for(self):
        claim = machine(begin=3, end=20)
        replica(claim, begin=2, scheduled=4, ready=5, end=6)
        replica(claim, "n-v1", begin=1, end=7, node_name="")
        assert times(held(claim)) == [("n-v1", at(3), at(7)), ("m-v1", at(3), at(6))]

    def test_is_cut_to_the_range_and_keeps_when_a_pod_was_ready(self):
        claim = machine(begin=-30, end=60)
        replica(claim, begin=-20, scheduled=-20, ready=-19, end=50)
        replica(claim, "over-v1", begin=-20, end=0)
        replica(claim, "later-v1", begin=24, end=25)
        (found,) = held(claim)
        assert (found.from_at, found.ready_at, found.to_at) == (at(0), at(-19), at(24))

    def test_is_of_the_machine_that_had_the_name_at_the_time(self):
        first = machine("gpu-1", 0, 5, **{"provider_id": "a"})
        second = machine("gpu-2", 6, 12)
        type(first).objects.filter(pk=second.pk).update(node_name=first.node_name)
        second.refresh_from_db()
        replica(first, begin=1, scheduled=1, end=4)
        replica(second, "n-v1", begin=7, scheduled=7, end=9, node_name=first.node_name)
        other = machine("gpu-3", 0, 12)
        replica(other, "elsewhere-v1", begin=1, end=4)
        assert [(one.claim, one.version) for one in held(first, second)] == [
            (first.pk, "m-v1"),
            (second.pk, "n-v1"),
        ]

    def test_counts_slices_of_cards_in_sevenths(self):
        claim = machine(gpus=1)
        replica(claim, gpus=0, mig_slices=3)
        replica(claim, "n-v1", gpus=1, mig_slices=2)
        replica(claim, "none-v1", gpus=0)
        assert [one.gpus for one in held(claim)] == [Fraction(3, 7), Fraction(9, 7)]

    def test_counts_instances_as_what_they_are_where_a_node_tells_each_as_a_gpu(self):
        claim = machine(gpus=8)
        Node.objects.create(
            uid="n", name=claim.node_name, created_at=at(0), learned_at=at(0), gpu_count=56
        )
        replica(claim, gpus=7)
        assert [one.gpus for one in held(claim)] == [Fraction(1)]

    def test_takes_three_queries(self, django_assert_num_queries):
        claims = [machine(f"gpu-{number}") for number in range(3)]
        for claim in claims:
            replica(claim)
        with django_assert_num_queries(3):
            assert len(held(*claims)) == 3


class TestSlices:
    def test_are_read_from_every_container_s_limits(self):
        seen = pod()
        limits = {"nvidia.com/mig-3g.40gb": "1", "nvidia.com/mig-1g.10gb.me": "2", "cpu": "9"}
        seen["spec"]["containers"] = [
            {"name": "kserve-container", "resources": {"limits": limits}},
            {"name": "other", "resources": {"limits": {"nvidia.com/mig-2g.20gb": "1"}}},
            {"name": "third"},
        ]
        fields = sightings.replica(seen).fields
        assert (fields["mig_slices"], fields["gpu_count"]) == (7, 0)

    def test_are_none_for_whole_gpus(self):
        fields = sightings.replica(pod()).fields
        assert (fields["mig_slices"], fields["gpu_count"]) == (0, 1)
