"""The month, from hourly sums and dated rates."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.audit.actions import System
from apps.chargeback import actions, queries
from apps.chargeback.rating import Prices, list_cost_usd
from apps.common.errors import NotPermitted
from apps.metering.models import HourlyUsage

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
ALL = queries.Scope(team=None)
CHEAP = Prices(Decimal("0.10"), Decimal("0.01"), Decimal("0.40"))
DEAR = Prices(Decimal("0.20"), Decimal("0.02"), Decimal("0.80"))


def use(hour, **changes):
    values = {
        "cost_center": "CC-4100",
        "team": "claims-review",
        "model": "prior-auth-extract",
        "version": "prior-auth-extract-v1",
        "metered_calls": 1,
        "unmetered_calls": 0,
        "refused_calls": 0,
        "failed_calls": 0,
        "input_tokens": 1000,
        "cached_input_tokens": 200,
        "output_tokens": 100,
    }
    return HourlyUsage.objects.create(hour=hour, rolled_up_at=hour, **values | changes)


def rate(model, prices, active_from):
    return actions.set_rate(
        model=model, prices=prices, active_from=active_from, actor=System("tests"), now=START
    )


@pytest.mark.django_db
class TestLines:
    def test_price_each_hour_with_the_rate_in_force_at_its_start(self, registered_model):
        rate(registered_model, CHEAP, START)
        rate(registered_model, DEAR, START + timedelta(hours=10))
        use(START + timedelta(hours=9))
        use(START + timedelta(hours=10))
        (line,) = queries.lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert line.list_cost_usd == list_cost_usd(**usage, prices=CHEAP) + list_cost_usd(
            **usage, prices=DEAR
        )
        assert (line.input_tokens, line.metered_calls, line.unpriced_tokens) == (2000, 2, 0)

    def test_never_price_at_zero_what_has_no_rate(self, registered_model):
        use(START)
        (line,) = queries.lines(start=START, end=END, scope=ALL)
        assert (line.list_cost_usd, line.unpriced_tokens) == (None, 1100)

    def test_count_an_aborted_call_as_unmetered(self, registered_model):
        use(
            START,
            metered_calls=0,
            unmetered_calls=1,
            input_tokens=0,
            cached_input_tokens=0,
            output_tokens=0,
        )
        (line,) = queries.lines(start=START, end=END, scope=ALL)
        assert (line.unmetered_calls, line.list_cost_usd) == (1, 0)

    def test_belong_to_the_month_of_their_hour(self):
        use(START - timedelta(hours=1))
        use(END)
        assert queries.lines(start=START, end=END, scope=ALL) == []

    def test_show_a_team_only_its_own(self):
        use(START)
        use(START, team="prior-auth", cost_center="CC-4200")
        (line,) = queries.lines(start=START, end=END, scope=queries.Scope("prior-auth"))
        assert line.team == "prior-auth"

    def test_of_days_sum_to_the_month(self, registered_model):
        rate(registered_model, CHEAP, START)
        for day in range(5):
            use(START + timedelta(days=day))
        days = queries.lines(start=START, end=END, scope=ALL, by_day=True)
        assert [line.day for line in days] == [date(2026, 11, day) for day in range(1, 6)]
        assert queries.totals(days) == queries.totals(
            queries.lines(start=START, end=END, scope=ALL)
        )


class TestScopeOf:
    def test_is_the_team_for_a_team_lead(self, charlie):
        assert queries.scope_of(charlie) == queries.Scope("claims-review")

    def test_refuses_a_person_without_a_role(self, charlie):
        charlie.role_bindings.all().delete()
        with pytest.raises(NotPermitted):
            queries.scope_of(charlie)


@pytest.mark.django_db
class TestSetRate:
    def test_ends_the_rate_before(self, registered_model):
        first = rate(registered_model, CHEAP, START)
        rate(registered_model, DEAR, END)
        first.refresh_from_db()
        assert first.active_to == END

    def test_refuses_a_start_that_is_no_whole_hour_or_not_after_the_last(self, registered_model):
        rate(registered_model, CHEAP, START)
        for moment in (START, START + timedelta(minutes=30), START - timedelta(hours=1)):
            with pytest.raises(actions.BadRate):
                rate(registered_model, DEAR, moment)

    def test_is_for_finance(self, registered_model, charlie):
        with pytest.raises(NotPermitted):
            actions.set_rate(
                model=registered_model, prices=CHEAP, active_from=START, actor=charlie, now=START
            )
