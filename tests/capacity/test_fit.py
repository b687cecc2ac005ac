"""What pools can buy of serving settings, and why not."""

from dataclasses import replace

import pytest

from apps.capacity.fit import cpu_left, fit, memory_left
from apps.fleet import prices
from apps.manifests.capacity import SPOT, NodeClassRef, NodePool
from apps.manifests.serving_settings import USUAL

SMALL = NodePool(
    name="gpu-small",
    node_class=NodeClassRef("karpenter.k8s.aws", "EC2NodeClass", "gpu"),
    families=("g6",),
    gpus=8,
)
LARGE = replace(SMALL, name="gpu-large", families=("g6e", "p4d"), gpus=32)
TWO = replace(USUAL, gpus=2, tensor_parallelism=2)


def found(settings, *pools, needs_on_demand=True, whole=True):
    return fit(settings, pools, needs_on_demand=needs_on_demand, whole=whole)


def machines(result):
    return {pool: item.name for pool, item in result.machines.items()}


class TestWhatAMachineLeaves:
    @pytest.mark.parametrize(
        ("name", "cpu", "memory"), [("g6.xlarge", 3920, 14162), ("g6e.xlarge", 3920, 29317)]
    )
    def test_is_what_karpenter_says_of_it(self, name, cpu, memory):
        item = prices.instance_type(name)
        assert (cpu_left(item), memory_left(item)) == (cpu, memory)


class TestFit:
    def test_the_cheapest_machine_of_each_pool_that_holds_a_replica(self):
        assert machines(found(USUAL, SMALL, LARGE)) == {
            "gpu-small": "g6.xlarge",
            "gpu-large": "g6e.xlarge",
        }
        assert found(USUAL, SMALL, LARGE).machine.name == "g6.xlarge"
        assert machines(found(TWO, SMALL, LARGE)) == {
            "gpu-small": "g6.12xlarge",
            "gpu-large": "g6e.12xlarge",
        }

    def test_memory_that_only_a_larger_machine_leaves(self):
        assert machines(found(replace(USUAL, memory="24Gi"), SMALL)) == {"gpu-small": "g6.2xlarge"}

    def test_the_types_that_were_named_alone(self):
        named = replace(TWO, instance_types=("g6.48xlarge",))
        assert machines(found(named, SMALL, LARGE)) == {"gpu-small": "g6.48xlarge"}

    def test_nothing_is_known_without_a_pool_that_can_be_read(self):
        result = found(replace(USUAL, gpus=16))
        assert (result.is_known, result.problem) == (False, "")
        assert "nobody can say" in result.words
        unread = found(replace(USUAL, gpus=16, tensor_parallelism=16), SMALL, whole=False)
        assert (unread.is_known, unread.problem) == (False, "")

    @pytest.mark.parametrize(
        ("settings", "pool", "words"),
        [
            (
                replace(USUAL, gpus=16, tensor_parallelism=16),
                SMALL,
                ("gpu-small is too small: g6.48xlarge has 8 GPUs.", "No machine that is known"),
            ),
            (
                TWO,
                replace(SMALL, gpus=2),
                (
                    "The limits of gpu-small are below one g6.12xlarge (4 GPUs, 48 vCPUs, 192 GiB),"
                    " which holds it.",
                ),
            ),
            (
                replace(USUAL, memory="900Gi"),
                SMALL,
                ("is too small: g6.48xlarge leaves 70", "GiB of memory", "A pool that buys"),
            ),
            (
                replace(USUAL, instance_types=("p5.48xlarge",)),
                SMALL,
                ("gpu-small buys no p5.48xlarge.", "A pool that buys p5 would: p5.48xlarge"),
            ),
            (USUAL, replace(SMALL, gpus=0), ("The limits of gpu-small are below one g6.xlarge",)),
            (
                USUAL,
                replace(SMALL, capacity_types=(SPOT,)),
                ("gpu-small buys Spot machines only, and a warm version runs on none.",),
            ),
        ],
    )
    def test_says_why_nothing_can_be_bought_and_what_would(self, settings, pool, words):
        result = found(settings, pool)
        assert result.machines == {}
        assert result.problem.startswith("No NodePool can buy it. ")
        assert [each for each in words if each not in result.problem] == []

    def test_spot_will_do_for_what_sleeps(self):
        spot = replace(SMALL, capacity_types=(SPOT,))
        assert found(USUAL, spot, needs_on_demand=False).problem == ""

    def test_the_limits_must_leave_room_for_every_replica(self):
        many = replace(TWO, replicas_most=5)
        result = found(many, SMALL)
        assert "for 4 replicas at most, and 5 are asked for" in result.problem
        assert found(many, SMALL, LARGE).problem == ""
        assert found(many, SMALL, whole=False).problem == ""
