"""What a worker does: leases that ended, counters held to the ledger, rows that nobody needs."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.access.budgets.models import Budget
from apps.access.holds.models import BudgetReservation, Counter, Kind, SettledCall
from apps.chargeback.budgets import counters
from apps.chargeback.budgets.queries import balances
from apps.common import zones
from apps.gateway.purse import upkeep
from apps.gateway.purse.turns import LEASE, Limit, Settled, Turn, Wanted, Whose
from apps.metering import actions as metering
from apps.metering.gate.models import LostCall
from apps.metering.models import HourlyUsage
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.chargeback.test_queries import use
from tests.factories import (
    CostCenterFactory,
    ModelVersionFactory,
    RegisteredModelFactory,
    TeamFactory,
)
from tests.gateway.purse.worlds import AT, put, take
from tests.metering.test_actions import ingest, record

pytestmark = pytest.mark.django_db
START = datetime(2026, 11, 1, tzinfo=UTC)
WHOSE = Whose(AT, "CC-4100", "claims-review", "prior-auth-extract")
HOUR = timedelta(hours=1)


@pytest.fixture
def team(db):
    return TeamFactory(slug="claims-review", cost_center=CostCenterFactory(code="CC-4100"))


@pytest.fixture
def model(team):
    found = RegisteredModelFactory(name="prior-auth-extract", owner_team=team)
    ModelVersionFactory(registered_model=found, number=1)
    return found


def reserve(usd="1", tokens=10, now=AT):
    one = Wanted(uuid.uuid4(), WHOSE, Decimal(usd), tokens, tokens, ())
    take(Turn(wanted=[one]), now)
    return one


def settle(one, usd="0.5", tokens=4, now=AT):
    take(Turn(settled=[Settled(one.id, one.whose, Decimal(usd), tokens)]), now)


def agrees(at=AT):
    """Tell what the counters are, which is what the pages show."""
    found = {}
    for left in balances(Budget.objects.active(at).named(), at).values():
        row = Counter.objects.get(kind=left.budget.unit, starts_at=left.start)
        assert (row.used, row.reserved) == (left.spent + left.settled, left.reserved)
        found[left.budget.unit] = row.used
    return found


class TestGiveBackExpired:
    def test_gives_back_and_names_what_gates_that_died_held(self, team, caplog):
        put(10, team=team)
        lost, other = reserve(), reserve(now=AT + timedelta(seconds=1))
        assert upkeep.give_back_expired(now=AT + LEASE - timedelta(seconds=1)) == []
        assert upkeep.give_back_expired(now=AT + LEASE) == [lost.id]
        assert f"{lost.id} died: 10 tokens of claims-review for prior-auth-extract" in caplog.text
        assert str(other.id) not in caplog.text
        assert Counter.objects.get(kind="USD").reserved == 1
        assert Counter.objects.get(kind="CALLS").reserved == 1
        noted = LostCall.objects.get()
        assert (noted.call_id, noted.occurred_at, noted.noted_at) == (lost.id, AT, AT + LEASE)
        assert (noted.team, noted.model) == ("claims-review", "prior-auth-extract")
        assert noted.cost_center == lost.whose.cost_center
        assert upkeep.give_back_expired(now=AT + LEASE) == []

    def test_goes_on_until_nothing_has_expired_the_oldest_first(self, team, monkeypatch):
        monkeypatch.setattr(upkeep, "AT_ONCE", 1)
        second, first = reserve(now=AT + timedelta(seconds=1)), reserve()
        assert upkeep.give_back_expired(now=AT + HOUR) == [first.id, second.id]
        assert set(LostCall.objects.values_list("call_id", flat=True)) == {first.id, second.id}
        assert not BudgetReservation.objects.exists()

    def test_notes_nothing_where_another_worker_was_faster(self, team, monkeypatch, caplog):
        gone, came_back = reserve(), reserve()
        seen = upkeep._expired(AT + LEASE)
        assert seen.keys() == {gone.id, came_back.id}
        settle(gone)
        take(Turn(extended=[came_back.id]), AT + LEASE)
        monkeypatch.setattr(upkeep, "_expired", lambda now: seen)
        assert upkeep.give_back_expired(now=AT + LEASE) == []
        assert not LostCall.objects.exists() and "died" not in caplog.text
        assert BudgetReservation.objects.get().call_id == came_back.id


class TestKeepCounters:
    def test_counts_what_was_used_before_there_was_a_gate_or_a_budget(self, team, model):
        price(model, CHEAP, START)
        use(START)
        use(START + HOUR, team="other", cost_center="CC-9")
        one = reserve()
        settle(one)
        held = reserve()
        put(10, team=team)
        put(10_000, team=team, unit="TOKENS")
        assert agrees() == {"USD": Decimal("0.500122"), "TOKENS": 1104}
        assert set(Counter.objects.filter(kind="USD").values_list("reserved", flat=True)) == {1}
        settle(held)
        assert agrees() == {"USD": Decimal("1.000122"), "TOKENS": 1108}

    def test_follows_the_ledger_through_sums_prices_and_corrections(self, team, model):
        price(model, CHEAP, START)
        put(10, team=team)
        put(10_000, team=team, unit="TOKENS")
        call = record(
            AT, team="claims-review", model=model.name, version=f"{model.name}-v1",
            input_tokens=1000, cached_input_tokens=200, output_tokens=100,
        )  # fmt: skip
        one = Wanted(call.event_id, WHOSE, Decimal(1), 2000, 2000, ())
        take(Turn(wanted=[one]))
        settle(one, usd="0.000122", tokens=1100)
        ingest(call, now=AT)
        before = agrees()
        assert metering.roll_up_dirty_hours(now=AT) == 1
        assert SettledCall.objects.get().summed_at == AT
        assert upkeep.keep_counters(now=AT) == []  # it was the same call, and the same cost
        assert agrees() == before == {"USD": Decimal("0.000122"), "TOKENS": 1100}
        price(model, DEAR, AT.replace(minute=0, second=0) - HOUR)
        assert [drift.used for drift in upkeep.keep_counters(now=AT)] == [Decimal("0.000122")]
        HourlyUsage.objects.all().delete()
        use(AT.replace(minute=0, second=0), output_tokens=1100)
        upkeep.keep_counters(now=AT)
        assert agrees()["TOKENS"] == 2100
        assert upkeep.keep_counters(now=AT) == []

    def test_counts_once_what_was_settled_after_its_hour_was_summed(self, team, model):
        put(10_000, team=team, unit="TOKENS")
        call = record(
            AT, team="claims-review", model=model.name, version=f"{model.name}-v1",
            input_tokens=1000, cached_input_tokens=200, output_tokens=100,
        )  # fmt: skip
        one = Wanted(call.event_id, WHOSE, None, 2000, 2000, ())
        take(Turn(wanted=[one]))
        ingest(call, now=AT)
        metering.roll_up_dirty_hours(now=AT)
        take(Turn(settled=[Settled(one.id, WHOSE, None, 1100)]))
        upkeep.keep_counters(now=AT)
        assert agrees() == {"TOKENS": 1100}

    @pytest.mark.parametrize("zone", ["UTC", "America/New_York", "America/Los_Angeles"])
    def test_has_the_next_months_counters_before_it_begins(self, team, zone):
        put(10, team=team, zone=zone, ready=False)
        end = zones.month_bounds_in(zone, AT.date())[1]  # in New York in winter, begun in summer
        upkeep.keep_counters(now=end - timedelta(hours=25))
        assert Counter.objects.count() == 1
        upkeep.keep_counters(now=end - timedelta(hours=23))
        rows = Counter.objects.order_by("starts_at")
        assert [row.is_ready for row in rows] == [True, True]
        assert rows[0].ends_at == rows[1].starts_at == end
        limits = [Limit(Kind.USD, 2, rows[1].starts_at, Decimal(1))]
        whose = Whose(end, "CC-4100", "claims-review", "prior-auth-extract")
        one = Wanted(uuid.uuid4(), whose, Decimal(1), 1, 1, limits)
        (answer,), _ = take(Turn(wanted=[one]), end)
        assert answer.is_held

    def test_forgets_windows_that_are_over_and_budgets_that_ended(self, team):
        budget, other = put(10, team=team), put(5, unit="TOKENS", team=team)
        reserve()
        assert Counter.objects.filter(kind=Kind.MINUTE).count() == 1
        Budget.objects.filter(pk=budget.pk).update(
            active_to=AT, ended_by=budget.set_by, end_reason="Over."
        )
        upkeep.keep_counters(now=AT + timedelta(seconds=59))
        assert Counter.objects.filter(kind="USD").exists()
        upkeep.keep_counters(now=AT + counters.GONE_FOR)
        kinds = ["CALLS", "MINUTE", "TOKENS"]
        assert sorted(Counter.objects.values_list("kind", flat=True)) == kinds
        upkeep.keep_counters(now=AT + counters.KEPT_FOR + timedelta(minutes=1))
        assert sorted(Counter.objects.values_list("kind", flat=True)) == ["CALLS", "TOKENS"]
        assert agrees(AT) == {other.unit: 0}

    def test_keeps_the_counter_of_a_budget_that_is_set_meanwhile(self, team, monkeypatch):
        put(10, team=team)
        windows, began = counters.Counted.windows, []

        def while_a_budget_is_set(self, now):
            if not began:
                began.append(now)
                put(5, unit="TOKENS", team=team)
            return windows(self, now)

        monkeypatch.setattr(counters.Counted, "windows", while_a_budget_is_set)
        counters._forget(AT)
        assert sorted(Counter.objects.values_list("kind", flat=True)) == ["TOKENS", "USD"]

    def test_is_ready_only_once_it_counts_what_was_used(self, team, model):
        price(model, CHEAP, START)
        use(START)
        budget = put(10, team=team, ready=False)
        counters._make([counters.Counted.of(budget)], AT)  # a gate that died in between
        limits = [Limit(Kind.USD, 2, START, Decimal(10))]
        one = Wanted(uuid.uuid4(), WHOSE, Decimal(1), 1, 1, limits)
        (answer,), _ = take(Turn(wanted=[one]))
        assert not answer.is_ready and not BudgetReservation.objects.exists()
        counters.make_ready([counters.Counted.of(budget)], AT)
        (answer,), _ = take(Turn(wanted=[one]))
        assert answer.is_held
        assert agrees() == {"USD": Decimal("0.000122")}


class TestForgetSettled:
    def test_deletes_what_is_summed_or_of_months_that_are_over(self, team):
        put(10, team=team)
        old, fresh, waiting = (reserve() for _ in range(3))
        for one in (old, fresh, waiting):
            settle(one)
        rows = SettledCall.objects
        rows.filter(call_id=old.id).update(summed_at=AT - upkeep.SUMMED_KEPT_FOR)
        rows.filter(call_id=fresh.id).update(summed_at=AT)
        assert upkeep.forget_settled(now=AT) == 1
        assert set(rows.values_list("call_id", flat=True)) == {fresh.id, waiting.id}
        assert upkeep.forget_settled(now=AT + upkeep.LOST_KEPT_FOR) == 2

    def test_keeps_what_is_summed_for_a_day_and_what_is_not_for_the_month_of_any_zone(self, team):
        day, least = timedelta(days=1), timedelta(microseconds=1)
        summed = [reserve() for _ in range(2)]
        lost, young = reserve(), replace(reserve(), whose=replace(WHOSE, at=AT + least))
        for one in (*summed, lost, young):
            settle(one)
        rows = SettledCall.objects
        for at, one in enumerate(summed):
            rows.filter(call_id=one.id).update(summed_at=AT + 40 * day + at * least)
        assert upkeep.forget_settled(now=AT + 33 * day - least) == 0
        assert upkeep.forget_settled(now=AT + 33 * day) == 1
        assert not rows.filter(call_id=lost.id).exists()
        assert upkeep.forget_settled(now=AT + 33 * day + least) == 1
        # of a call that is summed, the sum's moment counts, however long ago it was
        assert upkeep.forget_settled(now=AT + 41 * day - least) == 0
        assert upkeep.forget_settled(now=AT + 41 * day) == 1
        assert rows.get().call_id == summed[1].id

    def test_goes_on_until_none_is_left(self, team, monkeypatch):
        monkeypatch.setattr(upkeep, "AT_ONCE", 2)
        for _ in range(5):
            settle(reserve())
        other = reserve()
        settle(other)
        SettledCall.objects.exclude(call_id=other.id).update(summed_at=AT)
        assert upkeep.forget_settled(now=AT + timedelta(days=1)) == 5
        assert SettledCall.objects.get().call_id == other.id
