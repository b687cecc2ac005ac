"""What a day's allocation rests on, and which days have to be shared out."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.chargeback import actions
from apps.chargeback.inputs import due_days, inputs
from apps.chargeback.models import ChangedDay
from apps.chargeback.speeds import DEFAULT, H100
from apps.fleet.models import NodeInterval, Replica
from apps.fleet.pricing.actions import (
    Terms,
    Told,
    end_price_override,
    record_prices,
    set_price_override,
)
from apps.fleet.pricing.models import NodePrice
from apps.metering.models import HourlyUsage
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory, UserFactory
from tests.fleet.machines import DAY, at, interval, machine, replica

pytestmark = pytest.mark.django_db
MONDAY = date(2026, 11, 2)


def days(*places):
    return [MONDAY + timedelta(days=place) for place in places]


def marked():
    return sorted(ChangedDay.objects.values_list("day", flat=True))


class TestInputs:
    def test_are_the_day_s_parts_of_machines_with_their_cards_and_prices(self):
        machine("gpu-1", -5, 5, price="40")
        machine("gpu-2", 20, None, instance_type="g6.xlarge", price=None, gpus=0)
        machine("cpu-1", 2, 3, instance_type="m7i.large", price="0.1", gpus=0)
        machine("gone", -9, -1)
        machine("dark", 1, 2, observed=False)
        found = {one.claim: one for one in inputs(at(0), at(24)).stretches}
        first, second, third, dark = sorted(found.values(), key=lambda one: one.claim)
        assert (first.gpu_name, first.gpus, first.from_at, first.to_at) == (
            "h100",
            8,
            at(0),
            at(5),
        )
        assert (first.usd_per_hour, first.on_demand_usd_per_hour) == (
            Decimal(40),
            Decimal("55.04"),
        )
        assert (second.gpu_name, second.gpus, second.usd_per_hour) == ("l4", 1, None)
        assert (second.from_at, second.to_at) == (at(20), at(24))
        assert (third.gpu_name, third.gpus, third.on_demand_usd_per_hour) == ("", 0, None)
        assert [one.is_observed for one in (first, second, third, dark)] == [True] * 3 + [False]

    def test_tell_what_is_simulated(self):
        machine("gpu-1", 0, 1)
        found = inputs(at(0), at(24))
        assert not found.has_simulated_machines and not found.has_simulated_prices
        machine("gpu-2", 0, 1, provider_id="kwok://x", price_basis="simulated-spot")
        found = inputs(at(0), at(24))
        assert found.has_simulated_machines and found.has_simulated_prices

    def test_hold_work_with_estimates_and_what_nobody_told(self):
        use(at(1), estimated_calls=1, estimated_input_tokens=7, estimated_output_tokens=3,
            unmetered_calls=3)  # fmt: skip
        use(at(2), metered_calls=0, refused_calls=4)
        use(at(3), version="")
        use(at(24))
        (found,) = inputs(at(0), at(24)).work
        assert (found.hour, found.version, found.team, found.cost_center) == (
            at(1),
            "prior-auth-extract-v1",
            "claims-review",
            "CC-4100",
        )
        assert (found.input_tokens, found.cached_input_tokens, found.output_tokens) == (
            1007,
            200,
            103,
        )
        assert found.untold_calls == 2

    def test_weigh_a_model_by_its_size(self):
        RegisteredModelFactory(name="large", parameter_count=8_000_000_000)
        RegisteredModelFactory(name="small", parameter_count=135_000_000)
        found = inputs(at(0), at(24))
        assert found.weigh("large", "h100", Fraction(1)) == H100.weights
        assert found.weigh("small", "h100", Fraction(1)) == DEFAULT


class TestDueDays:
    def test_are_none_before_anything_happened(self):
        assert due_days(at(5)) == []

    def test_are_those_never_shared_out_newest_first_and_always_today(self):
        machine("gpu-1", 0, 1)
        use(at(-24))
        assert due_days(at(30)) == days(1, 0, -1)
        for day in days(1, 0, -1):
            actions.allocate_day(day=day, now=at(30))
        assert due_days(at(31)) == days(1)
        assert due_days(at(49)) == days(2, 1)

    def test_are_those_that_changed(self):
        machine("gpu-1", 0, 1)
        for day in days(0, 1):
            actions.allocate_day(day=day, now=at(47))
        assert due_days(at(47)) == days(1)
        use(at(3))
        assert due_days(at(47)) == days(1, 0)
        ChangedDay.objects.create(day=MONDAY + timedelta(days=9), changed_at=DAY)
        assert due_days(at(47)) == days(1, 0)


class TestMarks:
    """Whatever changes a day that was shared out marks it, in the transaction of the change."""

    @pytest.fixture(autouse=True)
    def shared_out(self, db):
        for day in days(-1, 0, 1, 2, 3):
            actions.allocate_day(day=day, now=at(24 * 9))

    def forget(self):
        ChangedDay.objects.all().delete()

    def test_an_hour_that_is_summed_anew_marks_its_day(self):
        use(at(3))
        use(at(4), team="other")
        use(at(50))
        assert marked() == days(0, 2)
        self.forget()
        HourlyUsage.objects.filter(hour=at(50)).delete()
        assert marked() == days(2)

    def test_a_machine_marks_every_day_of_its_life(self):
        machine("gpu-1", 5, 30)
        assert marked() == days(0, 1)

    def test_a_machine_that_runs_marks_what_was_shared_out_since(self):
        claim = machine("gpu-1", 26, None)
        assert marked() == days(1, 2, 3)
        self.forget()
        span = claim.intervals.get()
        span.ended_at = at(50)
        span.save(update_fields=["ended_at"])
        assert marked() == days(2, 3)

    def test_another_price_or_end_marks_the_days_that_it_changes(self):
        claim = machine("gpu-1", 5, 80)
        self.forget()
        NodeInterval.objects.filter(node_claim=claim).update(ended_at=at(55))
        assert marked() == days(2, 3)
        self.forget()
        NodeInterval.objects.filter(node_claim=claim).update(price_usd_per_hour=Decimal(3))
        assert marked() == days(0, 1, 2)
        self.forget()
        NodeInterval.objects.filter(node_claim=claim).update(end_reason="Other terms")
        assert marked() == []
        NodeInterval.objects.filter(node_claim=claim).delete()
        assert marked() == days(0, 1, 2)

    def test_a_replica_marks_the_days_of_what_is_learned_about_it(self):
        claim = machine("gpu-1", 5, 80)
        row = replica(claim, begin=5, end=60, ready=None)
        self.forget()
        Replica.objects.filter(pk=row.pk).update(is_ready=False, message="waits", restarts=3)
        assert marked() == []
        Replica.objects.filter(pk=row.pk).update(ready_at=at(6))
        assert marked() == days(0, 1, 2)
        self.forget()
        Replica.objects.filter(pk=row.pk).update(ended_at=at(40))
        assert marked() == days(1, 2)

    def test_a_price_that_is_learned_marks_every_day_since(self):
        told = Told(
            NodePrice.Source.SPOT, "g6.xlarge", "us-east-1", "us-east-1a", Decimal(1), at(30)
        )
        later = replace(told, active_from=at(50))
        record_prices(feed="SPOT us-east-1", told=[later, told], told_until=at(60), now=at(60))
        assert set(days(1, 2, 3)) <= set(marked()) and not set(days(-1, 0)) & set(marked())
        self.forget()
        record_prices(feed="SPOT us-east-1", told=[told], told_until=at(61), now=at(61))
        assert marked() == []

    def test_a_contract_marks_every_day_since_when_it_is_set_and_when_it_is_ended(self):
        fiona = UserFactory(with_roles=[Role.FINANCE])
        row = set_price_override(
            terms=Terms("g6.xlarge", "spot", "us-east-1", usd_per_hour=Decimal(1)),
            active_from=at(30), active_to=None, reason="EDP", actor=fiona, now=at(60),
        )  # fmt: skip
        assert set(days(1, 2, 3)) <= set(marked()) and MONDAY not in marked()
        self.forget()
        end_price_override(override=row, active_to=at(52), actor=fiona, now=at(61))
        assert set(days(1, 2, 3)) <= set(marked())

    def test_leave_today_alone(self):
        now = timezone.now()
        use(now.replace(minute=0, second=0, microsecond=0))
        machine("gpu-1", (now - DAY) / timedelta(hours=1) - 0.001, None)
        soon = timezone.now() + timedelta(hours=1)  # a day's last hour may find it marked
        assert all(day < soon.date() for day in marked())

    def test_an_interval_of_another_machine_changes_nothing_of_a_day_before(self):
        claim = machine("gpu-1", 5, 10)
        self.forget()
        interval(claim, 49, 50)
        assert marked() == days(2)
