"""What machines cost those who use them: shares of a shared node, starts, months."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.fleet import costs
from apps.fleet.models import NodeClaim, Replica
from tests.factories import NOW

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def claim(name, *, gpus=4, price="8.00", capacity_type="on-demand", at=NOW):
    return NodeClaim.objects.create(
        uid=f"claim-{name}", name=f"claim-{name}", node_name=name, created_at=at, learned_at=at,
        instance_type="g6.12xlarge", capacity_type=capacity_type, gpu_count=gpus,
        price_usd_per_hour=None if price is None else Decimal(price),
    )  # fmt: skip


def replica(name, node, *, gpus=1, model="extract", at=NOW, ready=None, ended=None):
    return Replica.objects.create(
        uid=name, name=name, namespace="models", model=model, service=f"{model}-v1",
        node_name=node, gpu_count=gpus, created_at=at, learned_at=at, ready_at=ready,
        ended_at=ended,
    )  # fmt: skip


def cost(*replicas):
    """Return what replicas cost within the hour."""
    return costs.replicas_usd(replicas, NOW, NOW + HOUR, costs.priced_claims(replicas))


class TestReplicasUsd:
    def test_those_who_share_a_machine_pay_it_once_together(self):
        claim("shared"), claim("own", gpus=1, price="2.00")
        three, one = replica("a", "shared", gpus=3), replica("b", "shared")
        alone = replica("c", "own")
        assert (cost(three, one), cost(three)) == (Decimal(8), Decimal(6))
        assert cost(alone) == Decimal(2)

    def test_counts_each_from_its_beginning_or_the_moment_to_its_end(self):
        claim("n", gpus=1, price="3.60")
        old = replica("a", "n", at=NOW - HOUR, ended=NOW + HOUR / 2)
        assert cost(old) == Decimal("1.8")
        young = replica("b", "n", at=NOW + HOUR / 2)
        assert cost(young) == Decimal("1.8")

    def test_is_unknown_where_a_machine_has_no_price_and_nothing_where_there_is_none(self):
        claim("priced"), claim("bare", price=None)
        priced, bare, waiting = (replica(n, n) for n in ("priced", "bare", ""))
        assert cost(priced, bare) is None
        assert cost(waiting) == 0
        assert cost(priced, waiting) == Decimal(2)


class TestMachinePrices:
    def test_are_the_replicas_share_of_the_newest_such_machine(self):
        claim("old", price="99", at=NOW - HOUR), claim("new")
        claim("spot", price="4.00", capacity_type="spot")
        replica("a", "new"), replica("b", "old", model="summary", gpus=4)
        found = costs.machine_prices("extract")
        assert (found.on_demand.usd_per_hour, found.spot.usd_per_hour) == (Decimal(2), Decimal(1))
        assert found.on_demand.usd_per_month == Decimal(1460)
        assert found.machine == "1 of the 4 GPUs of a g6.12xlarge"
        whole = costs.machine_prices("summary")
        assert (whole.on_demand.usd_per_hour, whole.machine) == (Decimal(8), "One g6.12xlarge")

    def test_nobody_has_seen_say_so(self):
        assert costs.machine_prices("extract") == costs.MachinePrices()


class TestColdStarts:
    def test_cost_the_share_of_the_machine_until_it_answers(self):
        claim("n"), claim("m", gpus=1, price="9")
        replica("a", "n", ready=NOW + HOUR / 2), replica("b", "m", model="summary", ready=NOW)
        found = costs.cold_starts("extract")
        assert (found.count, found.median, found.usd_per_hour) == (1, HOUR / 2, Decimal(2))
        assert found.usd_per_start == Decimal(1)


def test_idle_gpus_cost_their_share_of_a_day():
    node = claim("n")
    assert costs.idle_usd_per_day(node, 3) == Decimal(144)
    assert costs.idle_usd_per_day(claim("bare", price=None), 3) is None
