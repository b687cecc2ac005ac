"""How objectives stand: two models, two windows, and what nobody measured."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.periods import DAY, HOUR
from apps.metering.met.models import HOUR as AN_HOUR
from apps.slo.actions import Terms, end_objective
from apps.slo.burn import Health, Kind
from apps.slo.measure import measure
from apps.slo.models import Standing, Window
from tests.factories import NOW, RegisteredModelFactory
from tests.slo.samples import FAST, hours, met, objective

pytestmark = pytest.mark.django_db
MONTH = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def other(alice):
    return RegisteredModelFactory(owner_team=alice.team)


def standing(of):
    return Standing.objects.get(objective=of)


class TestMeasure:
    def test_tells_each_model_by_its_own_calls(self, registered_model, other, alice):
        mine, theirs = objective(registered_model, alice), objective(other, alice)
        hours(registered_model, good=1000, bad=5)
        hours(other, good=800, bad=200)
        assert measure(now=NOW) == 2
        found, burns = standing(mine), standing(theirs)
        assert (found.good, found.bad) == (72_000, 360)
        assert found.health == Health.HEALTHY
        assert found.budget_left == pytest.approx(1 - 5 / 1005 / 0.01)
        assert burns.health == Health.PAGE
        assert burns.burn_1h == burns.burn_6h == pytest.approx(20)
        assert burns.windows["5m"] == [800, 200, 0]
        assert burns.windows["3d"][0] == 800 * 71  # the present hour has no calls yet

    def test_tells_a_time_by_the_share_within_it(self, registered_model, alice):
        mine = objective(registered_model, alice, Kind.TTFT, terms=FAST)
        hours(registered_model, good=90, bad=10)
        measure(now=NOW)
        assert standing(mine).burn_6h == pytest.approx(2)
        assert standing(mine).health == Health.TICKET

    def test_is_unknown_without_calls_and_never_good(self, registered_model, other, alice):
        mine, theirs = objective(registered_model, alice), objective(other, alice)
        met(registered_model, NOW - HOUR, 0, 0, unknown=40, grain=AN_HOUR)
        measure(now=NOW)
        found = standing(mine)
        assert (found.health, found.unknown, found.budget_left) == (Health.UNKNOWN, 40, None)
        assert (found.burn_1h, found.burn_6h, found.burn_3d) == (None, None, None)
        assert standing(theirs).health == Health.UNKNOWN

    def test_looks_back_over_rolling_days_and_over_the_calendar_month(
        self, registered_model, alice
    ):
        rolling = objective(registered_model, alice)
        month = objective(registered_model, alice, window=Window.MONTH, terms=Terms(Decimal(99)))
        met(registered_model, NOW - 28 * DAY - HOUR, 0, 1, grain=AN_HOUR)
        met(registered_model, NOW - 28 * DAY, 10, 0, grain=AN_HOUR)
        met(registered_model, MONTH - HOUR, 20, 0, grain=AN_HOUR)
        met(registered_model, MONTH, 40, 0, grain=AN_HOUR)
        measure(now=NOW)
        assert (standing(rolling).good, standing(rolling).bad) == (70, 0)
        assert (standing(month).good, standing(month).since) == (40, MONTH)

    def test_says_since_when_it_stands_so(self, registered_model, other, alice):
        mine, theirs = objective(registered_model, alice), objective(other, alice)
        hours(registered_model, good=100)
        measure(now=NOW)
        measure(now=NOW + timedelta(minutes=1))
        assert standing(mine).health_since == NOW
        later = NOW + timedelta(minutes=20)
        for back in range(4):
            met(registered_model, NOW + back * timedelta(minutes=5), 0, 500)
        measure(now=later)
        assert standing(mine).health == Health.PAGE
        assert standing(mine).health_since == later
        assert standing(theirs).health_since == NOW

    def test_drops_what_was_ended_and_leaves_the_others(self, registered_model, other, alice):
        mine, theirs = objective(registered_model, alice), objective(other, alice)
        measure(now=NOW)
        end_objective(objective=mine, reason="Not kept.", actor=alice, now=NOW)
        assert measure(now=NOW) == 1
        assert list(Standing.objects.values_list("objective", flat=True)) == [theirs.pk]

    def test_asks_as_many_queries_for_many_models(
        self, registered_model, alice, django_assert_num_queries
    ):
        objective(registered_model, alice)
        with django_assert_num_queries(9):
            measure(now=NOW)
        for _ in range(5):
            objective(RegisteredModelFactory(owner_team=alice.team), alice)
        with django_assert_num_queries(9):
            measure(now=NOW)
