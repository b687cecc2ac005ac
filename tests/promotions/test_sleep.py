"""What a version that sleeps does and costs, beside one that is warm and one of another model."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.fleet.costs import ColdStarts, MachinePrices, Price
from apps.fleet.models import NodeClaim, Replica
from apps.promotions import sleep
from apps.promotions.models import Promotion
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories

HOUR = timedelta(hours=1)
SPOT, ON_DEMAND = Price(Decimal("0.4")), Price(Decimal("0.8"), "list price")
BOTH = MachinePrices("g6.xlarge", 1, 1, SPOT, ON_DEMAND)
ONLY_SPOT_SEEN = MachinePrices("g6.xlarge", 1, 1, SPOT)
ONLY_ON_DEMAND = MachinePrices("g6.12xlarge", 1, 4, None, Price(Decimal("0.8")))
NONE = MachinePrices()
STARTED = ColdStarts(3, timedelta(seconds=90), Decimal("0.4"))
NEVER_STARTED = ColdStarts(0, None, None)


def replica(service, name, *, began, ended=None, price="1.00", **more):
    NodeClaim.objects.create(
        uid=name, name=name, node_name=name, created_at=NOW, learned_at=NOW, gpu_count=1,
        price_usd_per_hour=None if price is None else Decimal(price),
    )  # fmt: skip
    facts = {"namespace": "models", "model": service.rpartition("-")[0], "gpu_count": 1}
    return Replica.objects.create(
        uid=name, name=name, service=service, node_name=name, learned_at=NOW, created_at=began,
        ended_at=ended, **(facts | more),
    )  # fmt: skip


@pytest.mark.django_db
class TestSleepsOf:
    @pytest.fixture
    def sleeper(self, registered_model):
        chosen = {"serving_class": "SCALE_TO_ZERO", "pre_warm": "daily 08:00-12:00 UTC"}
        return factories.live(registered_model, 7, **chosen)

    @pytest.fixture
    def other(self):
        """Another model's sleeper, awake and dear."""
        made = factories.live(
            RegisteredModelFactory(name="other"), 7, serving_class="SCALE_TO_ZERO"
        )
        replica("other-v7", "z", began=NOW - HOUR, price="50", is_ready=True)
        return made

    def of(self, *rollouts):
        return sleep.sleeps_of(rollouts, now=NOW)

    def test_is_about_versions_that_sleep(self, sleeper, other, django_assert_num_queries):
        warm = factories.live(RegisteredModelFactory(), 1)
        with django_assert_num_queries(0):
            assert self.of(warm) == {}
        found = self.of(warm, sleeper, other)
        assert found.keys() == {sleeper.pk, other.pk}
        assert (found[sleeper.pk].state, found[other.pk].state) == ("IDLE", "AWAKE")
        assert found[sleeper.pk].kept_ready == "Every day, 08:00 to 12:00, UTC"
        assert found[other.pk].kept_ready == ""

    def test_counts_how_often_it_woke_in_a_day_and_what_that_cost(self, sleeper, other):
        service, day = "prior-auth-extract-v7", timedelta(hours=24)
        replica(service, "a", began=NOW - day - HOUR, ended=NOW - day + HOUR)
        replica(service, "b", began=NOW - 3 * HOUR, ended=NOW - 2 * HOUR, price="2")
        replica(service, "gone", began=NOW - 2 * day, ended=NOW - day - HOUR, price="9")
        replica(service, "eval", began=NOW - HOUR, namespace="evals", price="9")
        replica("prior-auth-extract-v6", "old", began=NOW - HOUR, price="9")
        found = self.of(sleeper, other)[sleeper.pk]
        assert (found.state, found.woken, found.awake_usd) == ("IDLE", 1, Decimal(3))
        replica(service, "c", began=NOW - HOUR, price=None)
        found = self.of(sleeper)[sleeper.pk]
        assert (found.state, found.woken, found.awake_usd) == ("WAKING", 2, None)

    @pytest.mark.parametrize(
        ("facts", "state"),
        [
            ({"is_ready": True}, "AWAKE"),
            ({}, "WAKING"),
            ({"is_ready": True, "deleting_at": NOW}, "IDLE"),
            ({"is_ready": True, "ended": NOW}, "IDLE"),
        ],
    )
    def test_tells_what_it_does_by_the_replicas_that_stay(self, sleeper, facts, state):
        replica("prior-auth-extract-v7", "a", began=NOW - HOUR, **facts)
        assert self.of(sleeper)[sleeper.pk].state == state

    def test_wakes_as_its_own_model_did(self, sleeper, other):
        for service, name, seconds in (("prior-auth-extract-v3", "a", 40), ("other-v7", "b", 7)):
            ready = NOW - HOUR + timedelta(seconds=seconds)
            replica(service, name, began=NOW - HOUR, ended=NOW, ready_at=ready)
        found = self.of(sleeper, other)
        assert (found[sleeper.pk].wakes_in, found[other.pk].wakes_in) == ("≈ 40 s", "≈ 7 s")


class TestWords:
    def test_mark_a_start_of_simulated_machines(self):
        assert sleep.waking(STARTED) == "≈ 90 s"
        made_up = ColdStarts(3, timedelta(seconds=90), None, is_simulated=True)
        assert sleep.waking(made_up) == "≈ 90 s (simulated)"
        assert sleep.waking(NEVER_STARTED) == "a time not measured yet"

    def test_say_what_a_warm_version_costs(self):
        assert sleep.warm_words(BOTH).endswith(
            "One g6.xlarge on demand: $0.80 (list price) × 730 h = about $584 a month, called or "
            "not."
        )
        shared = sleep.warm_words(ONLY_ON_DEMAND)
        assert "1 of the 4 GPUs of a g6.12xlarge on demand: $0.80 × 730 h" in shared
        assert sleep.warm_words(ONLY_SPOT_SEEN).endswith("Its machine has no known price yet.")
        assert sleep.warm_words(BOTH, only_spot=True).endswith(
            "It cannot be chosen now: every NodePool buys Spot machines only."
        )
        assert sleep.warm_price(BOTH) == "about $584 a month"
        assert sleep.warm_price(ONLY_SPOT_SEEN) == "price not known yet"

    @pytest.mark.parametrize(
        ("prices", "figure", "hour"),
        [
            (
                BOTH,
                "$0 while idle, $0.40 an hour awake",
                "$0.40 an hour on Spot, or $0.80 (list price) on demand where there is no Spot,",
            ),
            (ONLY_SPOT_SEEN, "$0 while idle, $0.40 an hour awake", "$0.40 an hour on Spot"),
            (
                ONLY_ON_DEMAND,
                "$0 while idle, $0.80 an hour awake",
                "the Spot price an hour (none seen yet), or $0.80 on demand where there is no "
                "Spot,",
            ),
            (NONE, "$0 while idle", "the Spot price an hour (none seen yet)"),
        ],
    )
    def test_say_what_a_sleeper_costs(self, prices, figure, hour):
        assert sleep.sleeping_price(prices) == figure
        # 90 s at $0.40 an hour
        said = sleep.sleeping_words(STARTED, prices, 900)
        assert f"waits ≈ 90 s; then it costs about $0.01 a start, and {hour} until 15 min" in said
        never = sleep.sleeping_words(NEVER_STARTED, prices, 20)
        assert f"waits a time not measured yet; then it costs {hour} until 1 min" in never

    def test_say_what_hours_kept_ready_cost(self):
        hours = "daily 08:00-20:00 UTC"
        said = "Every day, 08:00 to 20:00, UTC: 365 hours a month, "
        assert sleep.pre_warm_words("", BOTH) == "never: only a call wakes it"
        assert sleep.pre_warm_words(hours, BOTH) == (
            f"{said}about $146 on Spot or about $292 on demand (list price) a month, called or not"
        )
        assert sleep.pre_warm_words(hours, ONLY_SPOT_SEEN) == (
            f"{said}about $146 on Spot a month, called or not"
        )
        assert sleep.pre_warm_words(hours, NONE) == (
            f"{said}at a price not known yet, called or not"
        )


@pytest.mark.django_db
class TestClassFacts:
    def facts(self, registered_model, prices, monkeypatch, **chosen):
        asked = []
        monkeypatch.setattr(
            sleep, "machine_prices", lambda name, now: asked.append((name, now)) or prices
        )
        promotion = Promotion(registered_model=registered_model, **chosen)
        found = sleep.class_facts(promotion, NOW)
        assert asked == [("prior-auth-extract", NOW)]
        return found

    def test_say_what_an_approval_makes_a_model_cost(self, registered_model, monkeypatch):
        def facts(prices, **chosen):
            return self.facts(registered_model, prices, monkeypatch, **chosen)

        label = "While nobody calls"
        assert facts(BOTH) == [(label, "Warm, about $584 a month a replica (list price)")]
        assert facts(ONLY_ON_DEMAND) == [(label, "Warm, about $584 a month a replica")]
        assert facts(ONLY_SPOT_SEEN) == [(label, "Warm, at a price not known yet")]
        assert facts(BOTH, serving_class="SCALE_TO_ZERO") == [
            (label, "Scale to zero, $0"),
            ("Kept ready", "never: only a call wakes it"),
        ]
