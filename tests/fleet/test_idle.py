"""Idle GPUs by money, and what is said about each."""

from decimal import Decimal

import pytest

from apps.fleet.idle import Step, blocks_removal, idle_lines
from apps.fleet.metrics.loads import Now, ReplicaLoad
from apps.fleet.models import Node, NodePool, Replica
from tests.fleet.objects import at

RULES = {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "2m"}


def node(name="node-1", gpus=1, price="1", pool="gpu-inference", **more):
    price = None if price is None else Decimal(price)
    return Node(
        name=name,
        gpu_count=gpus,
        price_usd_per_hour=price,
        node_pool=pool,
        created_at=at(0),
        **more,
    )


def replica(pk=1, name="node-1", gpus=1, namespace="models", model="m"):
    return Replica(
        pk=pk,
        name=f"pod-{pk}",
        node_name=name,
        gpu_count=gpus,
        namespace=namespace,
        service=f"{model}-v1",
        model=model,
        created_at=at(0),
    )


def lines(nodes, replicas=(), unused=(), rules=RULES, empty_since=None, moment=600):
    return idle_lines(
        nodes=nodes,
        replicas=replicas,
        now=Now(
            {
                each.pk: ReplicaLoad(unused_since=at(60) if each.pk in unused else None)
                for each in replicas
            }
        ),
        pools={"gpu-inference": NodePool(name="gpu-inference", disruption=rules)},
        empty_since=empty_since or {},
        moment=at(moment),
    )


class TestIdleLines:
    def test_ranks_by_money_and_puts_what_has_no_price_last(self):
        machines = [node("none", price=None), node("dear", gpus=4, price="12"), node("cheap")]
        found = lines([*machines, node("tiny", price="0.01")])
        assert [(line.node.name, line.usd_per_day) for line in found] == [
            ("dear", 288), ("cheap", 24), ("tiny", Decimal("0.24")), ("none", None),
        ]  # fmt: skip

    def test_puts_what_costs_the_same_by_age(self):
        since = {"new": at(300), "old": at(100)}
        found = lines([node("new"), node("old")], empty_since=since)
        assert [line.node.name for line in found] == ["old", "new"]

    def test_counts_from_a_nodes_beginning_where_nothing_ever_ran_on_it(self):
        (line,) = lines([node()], empty_since={"other": at(500)})
        assert line.since == at(0)

    def test_says_since_when_and_by_which_rule_an_empty_node_goes(self):
        (line,) = lines([node()], empty_since={"node-1": at(500)})
        assert line.since == at(500)
        assert (
            line.why == "By the rule of pool gpu-inference, Karpenter removes an empty node 2 min "
            "after its last pod left."
        )
        assert (line.step.view, line.step.query) == ("fleet:claim_list", "node-1")

    def test_says_when_a_node_stays_longer_than_the_rule(self):
        (line,) = lines(
            [node()], rules=RULES | {"consolidateAfter": "30s"}, empty_since={"node-1": at(-60)}
        )
        assert "but this one is still there" in line.why
        (line,) = lines(
            [node()], rules=RULES | {"consolidateAfter": "1h30m"}, empty_since={"node-1": at(-60)}
        )
        assert "still there" not in line.why

    @pytest.mark.parametrize(("second", "held"), [(720, False), (720.1, True)])
    def test_gives_karpenter_ten_minutes_after_the_rules_two(self, second, held):
        (line,) = lines([node()], moment=second)
        assert ("but this one is still there" in line.why) is held
        words = "See what its claim says" if held else "Nothing to do: watch its claim"
        assert line.step == Step(words, "fleet:claim_list", query="node-1")

    def test_goes_at_once_where_the_pool_names_no_time(self):
        (line,) = lines([node()], rules={})
        assert line.why.endswith("Karpenter removes an empty node at once.")

    @pytest.mark.parametrize(
        ("machine", "rules", "words", "view", "query"),
        [
            (
                node(),
                {"consolidateAfter": "Never"},
                "never removes a node for being idle",
                "capacity:pool_list",
                "",
            ),
            (
                node(),
                RULES | {"budgets": [{"nodes": "0"}]},
                "lets no empty node go",
                "capacity:pool_list",
                "",
            ),
            (node(deleting_at=at(9)), RULES, "It is being removed", "fleet:claim_list", "node-1"),
            (node(pool=""), RULES, "Karpenter does not remove it", "", ""),
            (node(pool="gone"), RULES, "Karpenter does not remove it", "", ""),
        ],
    )
    def test_never_promises_what_the_rules_do_not(self, machine, rules, words, view, query):
        (line,) = lines([machine], rules=rules)
        assert words in line.why
        assert (line.step.view, line.step.query) == (view, query)

    def test_lists_the_empty_gpus_of_a_node_that_works(self):
        (line,) = lines([node(gpus=4, price="8")], [replica()])
        assert (line.gpus, line.usd_per_day) == (3, 144)
        assert line.why.startswith(
            "The node stays while it runs m-v1. Its pool lets Karpenter replace it"
        )
        assert line.step == Step("Nothing to do: watch its claim", "fleet:claim_list", "", "node-1")
        (line,) = lines([node(gpus=4)], [replica()], rules={"consolidationPolicy": "WhenEmpty"})
        assert line.why == "The node stays while it runs m-v1."
        assert line.step == Step("See m", "catalog:model_detail", "m")

    def test_names_each_version_on_it_once(self):
        here = [replica(1, model="z"), replica(2, model="a"), replica(3, model="a")]
        (line,) = lines([node(gpus=4, pool="gone")], here)
        assert (line.gpus, line.why) == (1, "The node stays while it runs a-v1, z-v1.")

    def test_counts_no_more_gpus_than_a_node_has(self):
        assert lines([node(gpus=1)], [replica(1, gpus=2)]) == []
        (line,) = lines([node(gpus=1, price="2")], [replica(1, gpus=2)], unused=[1])
        assert (line.gpus, line.usd_per_day) == (1, 48)

    def test_leaves_a_replica_without_a_gpu_out(self):
        assert lines([node()], [replica(1), replica(2, gpus=0)], unused=[2]) == []

    def test_lists_a_replica_that_nobody_calls_with_its_model(self):
        (line,) = lines([node()], [replica()], unused=[1])
        assert (line.since, line.replica.pk) == (at(60), 1)
        assert line.why.startswith("A replica of m-v1 holds it and nobody calls it.")
        assert (line.step.view, line.step.argument) == ("catalog:model_detail", "m")

    def test_leads_from_a_candidate_to_its_evaluation(self):
        (line,) = lines([node()], [replica(namespace="evals")], unused=[1])
        assert line.step.view == "evals:run_list"

    def test_is_empty_while_all_work(self):
        assert lines([node()], [replica()]) == []


class TestBlocksRemoval:
    @pytest.mark.parametrize(
        ("budget", "blocks"),
        [
            ({"nodes": "0"}, True),
            ({"nodes": 0}, True),
            ({"nodes": "0%"}, True),
            ({"nodes": "1"}, False),
            ({"nodes": "0%", "reasons": ["Empty"]}, True),
            ({"nodes": "0", "reasons": ["Drifted"]}, False),
            ({"nodes": "0", "schedule": "0 12 * * *", "duration": "12h"}, False),
            ({"nodes": "100%"}, False),
        ],
    )
    def test_reads_budgets_about_empty_nodes(self, budget, blocks):
        assert blocks_removal({"budgets": [budget]}) is blocks
        assert blocks_removal({"budgets": [{"nodes": "50%"}, budget]}) is blocks

    def test_finds_none_where_there_are_none(self):
        assert not blocks_removal({})
        assert not blocks_removal({"budgets": None})


def test_lines_of_one_node_count_each_gpu_once():
    found = lines([node(gpus=4, price="4")], [replica(1), replica(2, gpus=2)], unused=[1, 2])
    assert sorted(line.gpus for line in found) == [1, 1, 2]
    assert sum(line.usd_per_day for line in found) == 96
