"""What machines cost those who use them: shares of a shared node, starts, months."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.fleet import costs, prices
from apps.fleet.models import NodeClaim, Replica
from apps.fleet.pricing.models import NodePrice, PriceOverride
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def claim(name, *, gpus=4, price="8.00", capacity_type="on-demand", at=NOW, **more):
    number = NodeClaim.objects.count()
    facts = {
        "uid": f"claim-{number}", "name": f"claim-{number}", "node_name": name,
        "created_at": at, "learned_at": at,
        "instance_type": "g6.12xlarge", "capacity_type": capacity_type, "gpu_count": gpus,
        "price_usd_per_hour": None if price is None else Decimal(price),
    }  # fmt: skip
    return NodeClaim.objects.create(**facts | more)


def replica(name, node, *, gpus=1, model="extract", at=NOW, ready=None, ended=None, engine=""):
    return Replica.objects.create(
        uid=name, name=name, namespace="models", model=model, service=f"{model}-v1",
        node_name=node, gpu_count=gpus, created_at=at, learned_at=at, ready_at=ready,
        ended_at=ended, engine=engine,
    )  # fmt: skip


def cost(*replicas):
    """Return what replicas cost within the hour."""
    return costs.replicas_usd(replicas, NOW, NOW + HOUR, costs.priced_claims(replicas, NOW))


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
        found = costs.machine_prices("extract", NOW)
        assert (found.on_demand.usd_per_hour, found.spot.usd_per_hour) == (Decimal(2), Decimal(1))
        assert found.on_demand.usd_per_month == Decimal(1460)
        assert found.machine == "1 of the 4 GPUs of a g6.12xlarge"
        whole = costs.machine_prices("summary", NOW)
        assert (whole.on_demand.usd_per_hour, whole.machine) == (Decimal(8), "One g6.12xlarge")

    def test_are_each_those_of_the_newest_machine_of_that_kind_with_a_price(self):
        claim("a", price="4.00", capacity_type="spot", at=NOW - HOUR)
        claim("b", price="6.00", capacity_type="spot", price_basis="simulated-spot")
        claim("c", price=None, capacity_type="spot", at=NOW + HOUR)
        claim("d", price="1.00", capacity_type="spot", instance_type="g6.xlarge", gpus=1)
        replica("r", "a", gpus=2)
        found = costs.machine_prices("extract", NOW)
        assert found.spot == costs.Price(Decimal(3), "simulated price")

    def test_take_the_list_price_where_none_was_bought_on_demand(self):
        claim("a", capacity_type="spot")
        replica("r", "a", gpus=2)
        half = prices.list_price("g6.12xlarge") / 2
        assert costs.machine_prices("extract", NOW).on_demand == costs.Price(half, prices.BASIS)
        claim("b", price="8.00")
        assert costs.machine_prices("extract", NOW).on_demand == costs.Price(Decimal(4))

    def test_know_no_list_price_of_a_machine_that_is_not_listed(self):
        claim("a", capacity_type="spot", instance_type="no.such")
        replica("r", "a")
        assert costs.machine_prices("extract", NOW).on_demand is None

    def test_are_of_the_newest_machine_whose_kind_is_known(self):
        claim("old", instance_type="g6.xlarge", gpus=1, at=NOW - HOUR)
        claim("new", instance_type="g6.12xlarge", gpus=4)
        claim("unknown", instance_type="", at=NOW + HOUR)
        for number, (node, gpus) in enumerate(
            (("old", 1), ("new", 2), ("unknown", 4), ("", 4), ("elsewhere", 3))
        ):
            replica(node or "waiting", node, gpus=gpus, at=NOW + number * HOUR)
        found = costs.machine_prices("extract", NOW)
        assert (found.instance_type, found.gpus, found.of_gpus) == ("g6.12xlarge", 2, 4)

    def test_follow_the_last_ten_replicas(self):
        claim("old")
        replica("first", "old", at=NOW - HOUR)
        for number in range(9):
            replica(f"r{number}", "gone")
        assert costs.machine_prices("extract", NOW).instance_type == "g6.12xlarge"
        replica("r9", "gone")
        assert costs.machine_prices("extract", NOW).instance_type == ""

    def test_nobody_has_seen_say_so(self):
        assert costs.machine_prices("extract", NOW) == costs.MachinePrices()


class TestColdStarts:
    def test_cost_the_share_of_the_machine_until_it_answers(self):
        claim("n"), claim("m", gpus=1, price="9")
        replica("a", "n", ready=NOW + HOUR / 2), replica("b", "m", model="summary", ready=NOW)
        found = costs.cold_starts("extract", NOW)
        assert (found.count, found.median, found.usd_per_hour) == (1, HOUR / 2, Decimal(2))
        assert found.usd_per_start == Decimal(1)

    def test_are_the_last_ten_of_each_model_that_became_ready(self):
        for number in range(12):
            for model, minutes in (("extract", 10), ("summary", 20)):
                at = NOW + number * HOUR
                # the first two took an hour longer
                took = timedelta(minutes=minutes + (60 if number < 2 else number))
                replica(f"{model}-{number}", "n", model=model, at=at, ready=at + took)
        replica("late", "n", at=NOW + 99 * HOUR)  # it is not ready yet
        replica("other", "n", model="other", ready=NOW)
        found = costs.cold_starts_of(["extract", "summary", "never"], NOW)
        assert {model: (each.count, each.median) for model, each in found.items()} == {
            "extract": (10, timedelta(minutes=16, seconds=30)),
            "summary": (10, timedelta(minutes=26, seconds=30)),
            "never": (0, None),
        }

    def test_cost_what_the_newest_one_whose_machine_has_a_price_costs(self):
        claim("old", price="4"), claim("new", price="8"), claim("bare", price=None)
        for hours, node in enumerate(("old", "new", "bare")):
            at = NOW + hours * HOUR
            replica(node, node, at=at, ready=at + HOUR)
        assert costs.cold_starts("extract", NOW).usd_per_hour == Decimal(2)

    def test_cost_nothing_that_is_known_without_a_price_or_a_start(self):
        claim("bare", price=None)
        replica("a", "bare", ready=NOW + HOUR)
        found = costs.cold_starts("extract", NOW)
        assert (found.median, found.usd_per_hour, found.usd_per_start) == (HOUR, None, None)
        assert costs.ColdStarts(0, None, Decimal(2)).usd_per_start is None

    @pytest.mark.parametrize(
        ("facts", "engine", "simulated", "price_simulated"),
        [
            ({}, "vllm 0.11.0", False, False),
            ({}, "stand-in 1", True, False),
            ({"provider_id": "kwok://n"}, "vllm 0.11.0", True, False),
            ({"price_basis": "simulated-spot"}, "vllm 0.11.0", False, True),
        ],
    )
    def test_say_what_of_them_was_made_up(self, facts, engine, simulated, price_simulated):
        claim("n", **facts)
        claim("other", provider_id="kwok://other", price_basis="simulated-spot", at=NOW + HOUR)
        replica("a", "n", ready=NOW, engine=engine)
        replica("b", "other", model="summary", ready=NOW, engine="stand-in")
        found = costs.cold_starts_of(["extract", "summary"], NOW)["extract"]
        assert (found.is_simulated, found.is_price_simulated) == (simulated, price_simulated)


class TestPricedClaims:
    def test_are_the_newest_with_a_price_of_each_node(self):
        claim("n", at=NOW - HOUR), claim("other")
        newest = claim("n")
        claim("n", price=None, at=NOW + HOUR)
        found = costs.priced_claims([replica("a", "n"), replica("b", "")], NOW)
        assert found == {"n": newest}


class TestReplicaUsdPerHour:
    @pytest.mark.parametrize(
        ("gpus", "of_gpus", "usd"), [(1, 4, 2), (4, 4, 8), (5, 4, 8), (0, 4, 8), (1, 0, 8)]
    )
    def test_is_the_whole_price_where_no_share_is_known(self, gpus, of_gpus, usd):
        row, machine = replica("a", "n", gpus=gpus), claim("n", gpus=of_gpus)
        assert costs.replica_usd_per_hour(row, machine) == usd


def test_a_gpu_costs_its_share_of_the_machine():
    assert costs.gpu_usd_per_hour(claim("n")) == Decimal(2)
    assert costs.gpu_usd_per_hour(claim("none", gpus=0)) is None
    assert costs.gpu_usd_per_hour(claim("bare", price=None)) is None


def test_idle_gpus_cost_their_share_of_a_day():
    node = claim("n")
    assert costs.idle_usd_per_day(node, 3) == Decimal(144)
    assert costs.idle_usd_per_day(claim("bare", price=None), 3) is None


class TestPricesOfTheBook:
    def test_hold_where_the_label_says_nothing(self):
        bare = claim("n", gpus=4, price=None, zone="us-east-1a")
        replica("a", "n", ready=NOW + timedelta(minutes=6))
        listed(bare, "4.00", NOW - HOUR)
        assert costs.machine_prices("extract", NOW).on_demand == costs.Price(Decimal(1))
        assert costs.cold_starts("extract", NOW).usd_per_start == Decimal("0.1")
        assert cost(*Replica.objects.all()) == Decimal(1)

    def test_are_those_of_the_machines_end_where_it_ended(self):
        gone = claim("n", gpus=1, price=None, zone="us-east-1a", ended_at=NOW)
        listed(gone, "3.60", NOW - HOUR)
        listed(gone, "9.00", NOW + HOUR)
        replica("a", "n", at=NOW - HOUR, ended=NOW)
        found = costs.priced_claims(Replica.objects.all(), NOW + 2 * HOUR)
        assert found["n"].price_usd_per_hour == Decimal("3.60")

    def test_let_a_contract_win_over_the_label(self):
        claim("n", gpus=1, price="8.00", zone="us-east-1a")
        replica("a", "n")
        PriceOverride.objects.create(
            instance_type="g6.12xlarge", capacity_type="on-demand", region="us-east-1",
            usd_per_hour=Decimal(5), active_from=NOW - HOUR, reason="Agreement.",
            set_by=UserFactory(), set_at=NOW - HOUR,
        )  # fmt: skip
        assert costs.machine_prices("extract", NOW).on_demand == costs.Price(Decimal(5))


def listed(machine, usd, at):
    return NodePrice.objects.create(
        source=NodePrice.Source.LIST, instance_type=machine.instance_type, region="us-east-1",
        usd_per_hour=Decimal(usd), active_from=at, learned_at=at,
    )  # fmt: skip
