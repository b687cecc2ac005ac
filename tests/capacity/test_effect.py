"""What a change may cost and move: figures that can be checked by hand."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.capacity import effect
from apps.capacity.effect import Machine, Span
from apps.fleet import prices
from apps.manifests.capacity import Budget
from deploy.local.cluster import instance_types
from tests.capacity.samples import POOL
from tests.factories import NOW


def span(hours, kind="spot", usd="0.4024", instance_type="g6.xlarge", is_simulated=False):
    price = None if usd is None else Decimal(usd)
    return Span(instance_type, kind, price, is_simulated, NOW, NOW + timedelta(hours=hours))


class TestPrices:
    def test_agree_with_those_of_the_local_cluster(self):
        local = {item.name: item for item in instance_types.load()}
        ours = {item.name: item for item in prices.instance_types()}
        assert set(local) <= set(ours)
        for name, item in local.items():
            assert (ours[name].gpus, ours[name].vcpus) == (item.gpu_count, item.vcpu)
            assert ours[name].usd_per_hour == item.on_demand_usd

    def test_say_their_source_region_and_date(self):
        head = prices.FILE.read_text().splitlines()[:2]
        assert "us-east-1" in head[0]
        assert "2026-07-06" in head[0]
        assert "Source:" in head[1]
        assert (prices.REGION, prices.LISTED) == ("us-east-1", "6 Jul 2026")

    def test_know_families_of_types_without_a_price(self):
        assert prices.families()["p5e"][0].usd_per_hour is None
        assert prices.family_of("p6-b200.48xlarge") == "p6-b200"
        assert prices.list_price("no.such") is None


class TestMost:
    def test_is_the_dearest_gpu_times_the_limit(self):
        # g6.16xlarge: 3.3968 for one GPU is the dearest GPU of g6.
        found = effect.most(replace(POOL, families=("g6",), gpus=10))
        assert found.usd_per_hour == Decimal("33.968")
        assert found.usd_per_month == Decimal("33.968") * 730

    def test_the_tightest_limit_decides(self):
        # 8 vCPUs let in g6.xlarge (0.8048 / 4) and g6.2xlarge (0.9776 / 8): at most 8 × 0.2012.
        found = effect.most(replace(POOL, families=("g6",), gpus=10, cpu=8))
        assert found.usd_per_hour == Decimal("1.6096")
        # 16 GiB let in g6.xlarge alone: 0.8048.
        assert effect.most(replace(POOL, families=("g6",), memory_gib=16)).usd_per_hour == Decimal(
            "0.8048"
        )

    def test_leaves_out_machines_that_are_over_a_limit_by_themselves(self):
        assert (
            effect.most(replace(POOL, families=("p5",), gpus=7)).usd_per_hour == Decimal("6.88") * 7
        )

    def test_is_nothing_for_a_limit_of_nothing(self):
        assert effect.most(replace(POOL, gpus=0)).usd_per_hour == 0

    def test_names_what_has_no_price(self):
        found = effect.most(replace(POOL, families=("p5e",)))
        assert (found.usd_per_hour, found.unpriced) == (0, ("p5e.48xlarge",))

    def test_takes_a_machine_that_fills_a_limit_exactly(self):
        # g6.xlarge: 1 GPU, 4 vCPUs, 16 GiB, 0.8048.
        just = replace(POOL, families=("g6",), gpus=1, cpu=4, memory_gib=16)
        assert effect.most(just).usd_per_hour == Decimal("0.8048")
        for less in ({"cpu": 3}, {"memory_gib": 15}):
            assert effect.most(replace(just, **less)).usd_per_hour == 0


class TestSettings:
    def test_are_in_the_words_and_order_of_the_page(self):
        pool = replace(POOL, gpus=1064, cpu=2000, memory_gib=3000)
        assert effect.settings(pool) == {
            "GPUs at most": "1,064",
            "vCPUs at most": "2,000",
            "Memory at most": "3,000 GiB",
            "Instance families": "g5, g6",
            "Spot share": "Spot first, on-demand where there is no Spot",
            "Consolidation": f"{effect.POLICY_WORDS[POOL.consolidation_policy]}, after 2 min",
            "Disruption budgets": "100 % of the nodes at once, when empty; "
            "1 node at once, when underutilized or drifted",
        }
        assert effect.settings(POOL)["Memory at most"] == "no limit"

    @pytest.mark.parametrize(
        ("types", "words"),
        [(("on-demand",), "On-demand only"), (("on-demand", "spot"), "Spot first"),
         (("spot",), "Spot only")],
    )  # fmt: skip
    def test_say_what_the_pool_may_buy(self, types, words):
        assert effect.spot_share(replace(POOL, capacity_types=types)).startswith(words)


class TestBudgetWords:
    def test_say_how_many_why_and_when(self):
        words = effect.budget_words(Budget("3", (), "0 8 * * 1", "10h"))
        assert words.startswith("3 nodes at once, for any reason, ")
        assert words.endswith("Mon from 08:00 UTC, for 10 h")
        assert effect.budget_words(Budget("10%")) == "10 % of the nodes at once, for any reason"


class TestDrifting:
    def test_names_machines_that_are_no_longer_allowed_and_why(self):
        machines = [
            Machine("a", "g5.xlarge", "spot"),
            Machine("b", "g6.xlarge", "spot"),
            Machine("c", "", ""),
        ]
        found = effect.drifting(machines, replace(POOL, families=("g6",)))
        assert [(machine.name, why) for machine, why in found] == [
            ("a", "family g5 is no longer allowed")
        ]
        found = effect.drifting(machines, replace(POOL, capacity_types=("on-demand",)))
        assert [(machine.name, why) for machine, why in found] == [
            ("a", "Spot is no longer allowed"),
            ("b", "Spot is no longer allowed"),
        ]


class TestExceeded:
    def test_says_which_limits_are_below_what_is_used(self):
        usage = {"nvidia.com/gpu": "9", "cpu": "35900m", "memory": "64Gi"}
        wanted = replace(POOL, gpus=8, cpu=36, memory_gib=63)
        assert effect.exceeded(usage, wanted) == [
            "9 GPUs in use, and the limit would be 8",
            "64 GiB of memory in use, and the limit would be 63",
        ]
        assert effect.exceeded({}, wanted) == []
        assert effect.exceeded({"nvidia.com/gpu": "8", "cpu": "37"}, wanted) == [
            "37 vCPUs in use, and the limit would be 36"
        ]
        assert effect.exceeded(usage, replace(POOL, gpus=9)) == []


class TestMeasureSpot:
    def test_weighs_by_hours(self):
        # g6.xlarge lists 0.8048: 3 h at half price and 1 h at full price cost 62.5 % of the list.
        found = effect.measure_spot(
            [span(3), span(1, usd="0.8048"), span(4, kind="on-demand", usd="0.8048")]
        )
        assert (found.hours, found.spot_hours, found.share_percent) == (8, 4, 50)
        assert found.discount_percent == Decimal("37.5")

    def test_says_when_prices_were_simulated(self):
        assert effect.measure_spot([span(1), span(1, is_simulated=True)]).is_simulated is True
        listed = [span(1), span(1, kind="on-demand", is_simulated=True)]
        assert effect.measure_spot(listed).is_simulated is False

    def test_compares_only_what_has_a_price_and_counts_no_time_twice_backwards(self):
        found = effect.measure_spot([span(2), span(1, usd=None), span(-1), span(1, kind="")])
        assert (found.hours, found.spot_hours, found.discount) == (4, 3, Decimal("0.5"))
        assert found.share_percent == 75

    @pytest.mark.parametrize("spans", [[], [span(0)]])
    def test_is_nothing_without_any_time(self, spans):
        assert effect.measure_spot(spans) is None

    def test_has_no_discount_where_nothing_compares(self):
        found = effect.measure_spot([span(1, usd=None), span(1, instance_type="no.such")])
        assert (found.discount, found.discount_percent) == (None, None)


class TestTooSmall:
    def test_says_nothing_where_a_machine_fits_or_the_pool_is_closed(self):
        assert effect.too_small(replace(POOL, families=("p4d", "g6"), gpus=1)) == ""
        assert effect.too_small(replace(POOL, families=("p4d",), gpus=0)) == ""
        assert effect.too_small(replace(POOL, families=("no-such",), gpus=1)) == ""

    def test_names_the_smallest_machine(self):
        assert effect.too_small(replace(POOL, families=("g6", "p4d"), memory_gib=15)) == (
            "No machine of g6, p4d fits within these limits: the smallest, g6.xlarge, has 1 GPU, "
            "4 vCPUs and 16 GiB."
        )


class TestChanges:
    def test_says_what_differs_in_words(self):
        after = replace(POOL, gpus=8, capacity_types=("spot",), cpu=100)
        assert [(item.label, item.before, item.after) for item in effect.changes(POOL, after)] == [
            ("GPUs at most", "64", "8"),
            ("vCPUs at most", "no limit", "100"),
            (
                "Spot share",
                "Spot first, on-demand where there is no Spot",
                effect.SPOT_SHARES[("spot",)],
            ),
        ]
