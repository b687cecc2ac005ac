"""The machines that the local Karpenter may buy: facts, prices and labels."""

import json
from decimal import Decimal

from deploy.local.cluster import instance_types


def named(name: str) -> instance_types.InstanceType:
    return next(machine for machine in instance_types.load() if machine.name == name)


def requirements(offering: dict) -> dict[str, str]:
    return {entry["key"]: entry["values"][0] for entry in offering["Requirements"]}


class TestLoad:
    def test_knows_every_family_of_the_node_pool(self):
        families = {machine.family for machine in instance_types.load()}
        assert {"g5", "g6", "g6e", "p4d", "p5"} <= families

    def test_has_only_machines_with_whole_gpus_and_a_price(self):
        for machine in instance_types.load():
            assert machine.gpu_count >= 1, machine.name
            assert machine.on_demand_usd > 0, machine.name

    def test_names_each_machine_once(self):
        names = [machine.name for machine in instance_types.load()]
        assert len(names) == len(set(names))

    def test_reads_the_list_price_of_the_cheapest_machine(self):
        assert named("g6.xlarge").on_demand_usd == Decimal("0.8048")


class TestSpotUsd:
    def test_is_between_two_fifths_and_seven_tenths_of_the_list_price(self):
        for machine in instance_types.load():
            for zone in instance_types.ZONES:
                share = machine.spot_usd(zone) / machine.on_demand_usd
                assert Decimal("0.399") <= share <= Decimal("0.701"), (machine.name, zone)

    def test_is_the_same_at_each_start(self):
        assert named("g6.xlarge").spot_usd("us-east-1b") == named("g6.xlarge").spot_usd(
            "us-east-1b"
        )

    def test_differs_between_zones(self):
        assert len({named("p5.48xlarge").spot_usd(zone) for zone in instance_types.ZONES}) == 3


class TestRender:
    def test_offers_each_machine_in_three_zones_both_ways(self):
        for entry in json.loads(instance_types.render(instance_types.load())):
            assert len(entry["offerings"]) == 6

    def test_leaves_a_machine_less_memory_than_it_is_sold_with(self):
        entry = json.loads(instance_types.render([named("g6.xlarge")]))[0]
        assert entry["resources"]["memory"] == "15155Mi"
        assert entry["resources"]["nvidia.com/gpu"] == "1"

    def test_says_of_every_spot_price_that_it_is_simulated(self):
        for entry in json.loads(instance_types.render(instance_types.load())):
            for offering in entry["offerings"]:
                labels = requirements(offering)
                is_spot = labels["karpenter.sh/capacity-type"] == "spot"
                assert labels["quartermaster.dev/price-basis"] == (
                    "simulated-spot" if is_spot else "on-demand-list"
                )

    def test_carries_the_labels_that_karpenter_sets_on_aws(self):
        offering = json.loads(instance_types.render([named("p4d.24xlarge")]))[0]["offerings"][0]
        labels = requirements(offering)
        assert labels["karpenter.k8s.aws/instance-family"] == "p4d"
        assert labels["karpenter.k8s.aws/instance-size"] == "24xlarge"
        assert labels["karpenter.k8s.aws/instance-category"] == "p"
        assert labels["karpenter.k8s.aws/instance-gpu-name"] == "a100"
        assert labels["karpenter.k8s.aws/instance-gpu-count"] == "8"
        assert labels["karpenter.k8s.aws/instance-memory"] == "1179648"
