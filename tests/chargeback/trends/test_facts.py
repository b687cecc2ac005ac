"""A day's facts, added up by hand: two versions, two machines, two days."""

from datetime import date
from decimal import Decimal

import pytest

from apps.chargeback.actions import allocate_day
from apps.chargeback.method import FACTS, Fact
from apps.chargeback.models import AllocatedDay, ChangedDay
from apps.chargeback.trends.models import DayFact
from apps.common.periods import DAY
from apps.fleet.models import NodeClaim
from apps.fleet.sightings import NOT_BOUGHT, RECLAIMED, TAKEN_BACK, UNDERUTILIZED
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import at, machine, replica
from tests.promotions import factories

pytestmark = pytest.mark.django_db
MONDAY = date(2026, 11, 2)
QUARTER = 0.25


def facts(day=2, now=24 * 30):
    """Share a day out; return fact → (events, GPU-hours, USD)."""
    allocate_day(day=date(2026, 11, day), now=at(now))
    rows = DayFact.objects.filter(day=date(2026, 11, day))
    return {row.fact: (row.events, row.gpu_hours, row.usd) for row in rows}


def ended(name, begin, end, reason, **more):
    claim = machine(name, begin, end, **more)
    NodeClaim.objects.filter(pk=claim.pk).update(end_reason=reason)
    return claim


class TestHours:
    def test_are_ready_used_and_not_split(self):
        RegisteredModelFactory(name="chat", parameter_count=8_030_000_000)
        replica(machine("a", 0, 2, price="4", gpus=1), "chat-v1", 0, 2, ready=1)
        replica(machine("b", 0, 2, price="2", gpus=1), "embed-v1", 0, 2)
        # of an hour of a GPU at the measured speed: 1/10
        use(at(1), model="chat", version="chat-v1", input_tokens=0, cached_input_tokens=0,
            output_tokens=2_425_263)  # fmt: skip
        use(at(0), model="embed", version="embed-v1")
        found = facts()
        assert found["READY"][1] == 3
        assert found["USED"][1] == pytest.approx(Decimal("0.1"), abs=Decimal("1e-6"))
        assert found["UNSPLIT"][1] == 1
        assert found["NO_CALLS"][1:] == (1, 2)
        assert found["LESS_WORK"][2] == pytest.approx(Decimal("3.6"), abs=Decimal("1e-5"))
        assert found["START"] == (2, 1, 4)

    def test_of_a_day_without_machines_are_nothing_and_known(self):
        assert set(facts()) == set(Fact.values)
        assert {found[2] for found in facts().values()} == {0}


class TestSpot:
    """A p5.48xlarge is listed at $55.04 an hour on demand."""

    def test_is_held_against_the_list_price_on_demand(self):
        listed = Decimal("55.04")
        replica(machine("a", 0, 2, price="20", gpus=8), "chat-v1", 0, 2)
        machine("b", 0, 1, price="60", gpus=8)
        machine("c", 0, 1, price="9", gpus=8, capacity_type="on-demand")
        assert facts()["SPOT"] == (0, 24, 3 * listed - 100)

    def test_is_not_known_where_no_on_demand_price_is_listed(self):
        machine("a", 0, 2, price="20", gpus=8, instance_type="p9.huge")
        assert facts()["SPOT"] == (0, 16, None)


class TestSleep:
    def rest(self, **more):
        """A version with two of a machine's eight GPUs, $16 an hour, sleeps from 2 to 26."""
        first = machine("a", 0, 2, price="16", gpus=8)
        replica(first, "chat-v1", 0, 2, gpus=2, **more)
        replica(machine("b", 26, 27, price="99", gpus=8), "chat-v1", 26, 27, gpus=2)

    def test_saves_what_its_last_replica_paid_for_its_gpus(self):
        self.rest()
        assert facts(2)["SLEEP"] == (1, 44, 88)
        assert facts(3)["SLEEP"] == (0, 4, 8)

    def test_is_longer_than_a_move_takes(self):
        big = machine("a", 0, 9, price="8", gpus=8)
        replica(big, "chat-v1", 0, 2)
        replica(big, "chat-v1", 2 + QUARTER, 3)
        replica(big, "embed-v1", 0, 2)
        replica(big, "embed-v1", 2.3, 3)
        assert facts()["SLEEP"][0] == 1

    def test_of_days_before_is_told_once_the_version_woke_up(self):
        replica(machine("a", 0, 2, price="16", gpus=8), "chat-v1", 0, 2, gpus=2)
        assert facts(2, now=24)["SLEEP"] == (0, 0, 0)
        facts(3, now=48)
        replica(machine("b", 50, 51, gpus=8), "chat-v1", 50, 51, gpus=2)
        ChangedDay.objects.all().delete()
        assert facts(4, now=60)["SLEEP"] == (0, 4, 8)
        assert set(ChangedDay.objects.values_list("day", flat=True)) == {MONDAY, MONDAY + DAY}
        assert (facts(2)["SLEEP"], facts(3)["SLEEP"]) == ((1, 44, 88), (0, 48, 96))
        ChangedDay.objects.all().delete()
        facts(4)
        assert not ChangedDay.objects.exists()

    def test_needs_that_no_other_replica_served(self):
        self.rest()
        replica(machine("c", 0, 30, price="8", gpus=1), "chat-v1", 0, 30)
        assert facts()["SLEEP"] == (0, 0, 0)

    def test_is_no_outage_after_a_machine_was_taken_back(self):
        self.rest()
        NodeClaim.objects.filter(name="a").update(end_reason=RECLAIMED)
        assert facts()["SLEEP"] == (0, 0, 0)

    def test_is_not_known_without_a_price(self):
        replica(machine("a", 0, 2, price=None, gpus=8), "chat-v1", 0, 2)
        replica(machine("b", 20, 21, gpus=8), "chat-v1", 20, 21)
        assert facts()["SLEEP"] == (1, 18, None)

    def test_is_of_served_versions_alone(self):
        self.rest(namespace="evals")
        assert facts()["SLEEP"] == (0, 0, 0)

    def test_goes_on_while_a_version_that_may_sleep_is_live(self):
        replica(machine("a", 0, 2, price="8", gpus=8), "chat-v1", 0, 2)
        assert facts()["SLEEP"] == (0, 0, 0)
        model = RegisteredModelFactory(name="chat")
        factories.live(model, 1, serving_class="SCALE_TO_ZERO")
        assert facts(now=12)["SLEEP"] == (1, 10, 10)
        assert facts()["SLEEP"] == (1, 22, 22)


class TestConsolidation:
    """At 2 a machine of $16 goes, and its two replicas move to one of $6 that was launched for
    them, until 5.
    """

    def moved(self, *, reason=UNDERUTILIZED, launched=2, price="6"):
        old = ended("old", 0, 2, reason, price="16", gpus=8)
        for version in ("chat-v1", "embed-v1"):
            replica(old, version, 0, 2)
        new = machine("new", launched, 5, price=price, gpus=2)
        replica(new, "chat-v1", 2, 5)
        replica(new, "embed-v1", 2, 4)

    def test_saves_what_was_replaced_less_what_replaced_it(self):
        self.moved()
        assert facts()["CONSOLIDATION"] == (1, 18, 30)

    def test_takes_nothing_off_for_a_machine_that_was_there_already(self):
        self.moved(launched=1)
        assert facts()["CONSOLIDATION"] == (1, 24, 48)

    def test_goes_on_with_the_days_after(self):
        old = ended("old", 22, 23, UNDERUTILIZED, price="16", gpus=8)
        replica(old, "chat-v1", 22, 23)
        replica(machine("new", 20, 30, gpus=2), "chat-v1", 23, 29)
        assert facts(2)["CONSOLIDATION"] == (1, 8, 16)
        assert facts(3)["CONSOLIDATION"] == (0, 40, 80)

    def test_shares_one_new_machine_among_those_that_moved_to_it(self):
        new = machine("new", 2, 4, price="10", gpus=2)
        for name in ("chat", "embed"):
            old = ended(f"old-{name}", 0, 2, UNDERUTILIZED, price="8", gpus=1)
            replica(old, f"{name}-v1", 0, 2)
            replica(new, f"{name}-v1", 2, 4)
        # twice $8 for two hours, less $10 for two hours
        assert facts()["CONSOLIDATION"] == (2, 0, 12)

    def test_leaves_out_what_was_empty_or_went_for_another_reason(self):
        self.moved(reason="Karpenter removed it: Drifted")
        ended("empty", 0, 2, UNDERUTILIZED, price="16", gpus=8)
        assert facts()["CONSOLIDATION"] == (0, 0, 0)

    def test_is_not_known_where_the_new_machine_has_no_price(self):
        self.moved(price=None)
        assert facts()["CONSOLIDATION"] == (1, 18, None)


class TestReclaims:
    def test_cost_the_starts_elsewhere(self):
        for name, reason, hour in (("a", RECLAIMED, 2), ("b", TAKEN_BACK, 5)):
            gone = ended(name, 0, hour, reason, price="8", gpus=8)
            replica(gone, f"{name}-v1", 0, hour)
            # launched for it, ready half an hour later: a GPU of four, $12 an hour
            new = machine(f"new-{name}", hour, 9, price="12", gpus=4)
            replica(new, f"{name}-v1", hour, 9, ready=hour + 0.5)
        ended("c", 0, 7, RECLAIMED, price="8", gpus=8)
        found = facts()
        assert found["RECLAIM"] == (3, 1, 3)
        assert found["START"] == (4, 1, 3)

    def test_are_of_spot_machines_that_aws_took(self):
        ended("a", 0, 2, RECLAIMED, capacity_type="on-demand")
        ended("b", 0, 2, NOT_BOUGHT)
        assert facts()["RECLAIM"] == (0, 0, 0)

    def test_count_where_they_happened_and_cost_where_the_start_was(self):
        gone = ended("a", 0, 23.9, RECLAIMED, price="8", gpus=8)
        replica(gone, "a-v1", 0, 23.9)
        replica(machine("new", 24, 30, price="8", gpus=8), "a-v1", 24, 30, ready=25)
        assert facts(2)["RECLAIM"] == (1, 0, 0)
        assert facts(3)["RECLAIM"] == (0, 1, 1)


class TestStored:
    def test_facts_are_replaced_with_the_day_and_name_their_method(self):
        machine("a", 0, 2, price="20", gpus=8)
        facts()
        machine("b", 0, 2, price="20", gpus=8)
        assert facts()["SPOT"][1] == 32
        assert DayFact.objects.count() == len(Fact.values)
        assert AllocatedDay.objects.count() == 1
        row = DayFact.objects.get(fact="SPOT")
        assert row.method_version == FACTS[Fact.SPOT].version
        assert len({method.id for method in FACTS.values()}) == len(FACTS)

    def test_facts_never_change(self):
        from django.db import IntegrityError, transaction

        from tests.database import as_owner

        facts()
        with as_owner(), pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
            DayFact.objects.update(usd=1)
