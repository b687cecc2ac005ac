"""The month, from hourly sums and dated rates."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.access import actions as access
from apps.accounts.models import Role
from apps.chargeback import queries
from apps.chargeback.actions import price_due_days
from apps.chargeback.rating import Prices, list_cost_usd
from apps.common.errors import NotPermitted
from apps.metering.models import HourlyUsage
from tests.access.test_actions import WISH
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.factories import RegisteredModelFactory, UserFactory

TABLES = re.compile(r"(?:metering|chargeback|catalog)_[a-z]+")
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
ALL = queries.Scope(team=None)


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


NO_TOKENS = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}


def lines(**asked):
    """Return the lines once every day is priced."""
    price_due_days()
    return queries.lines(**asked)


@pytest.mark.django_db
class TestLines:
    def test_price_each_hour_with_the_rate_in_force_at_its_start(self, registered_model):
        price(registered_model, CHEAP, START)
        price(registered_model, DEAR, START + timedelta(hours=10))
        use(START + timedelta(hours=9))
        use(START + timedelta(hours=10))
        (line,) = lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert line.list_cost_usd == list_cost_usd(**usage, prices=CHEAP) + list_cost_usd(
            **usage, prices=DEAR
        )
        assert (line.input_tokens, line.metered_calls, line.unpriced_tokens) == (2000, 2, 0)

    def test_never_price_at_zero_what_has_no_rate(self, registered_model):
        use(START)
        (line,) = lines(start=START, end=END, scope=ALL)
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
        (line,) = lines(start=START, end=END, scope=ALL)
        assert (line.unmetered_calls, line.list_cost_usd) == (1, 0)

    def test_belong_to_the_month_of_their_hour(self):
        use(START - timedelta(hours=1))
        use(END)
        assert lines(start=START, end=END, scope=ALL) == []

    def test_show_a_team_only_its_own(self):
        use(START)
        use(START, team="prior-auth", cost_center="CC-4200")
        (line,) = lines(start=START, end=END, scope=queries.Scope("prior-auth"))
        assert line.team == "prior-auth"

    def test_of_days_sum_to_the_month(self, registered_model):
        price(registered_model, CHEAP, START)
        for day in range(5):
            use(START + timedelta(days=day))
        days = lines(start=START, end=END, scope=ALL, by_day=True)
        assert [line.day for line in days] == [date(2026, 11, day) for day in range(1, 6)]
        assert queries.totals(days) == queries.totals(lines(start=START, end=END, scope=ALL))

    def test_come_dearest_first_each_model_at_its_own_price(self, registered_model):
        other = RegisteredModelFactory(name="clinical-summary")
        price(registered_model, CHEAP, START)
        price(other, DEAR, START)
        use(START)
        use(START, model=other.name, version="clinical-summary-v3")
        use(START, model="unpriced", version="unpriced-v1")
        found = lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert [(line.model, line.list_cost_usd, line.day) for line in found] == [
            ("clinical-summary", list_cost_usd(**usage, prices=DEAR), None),
            ("prior-auth-extract", list_cost_usd(**usage, prices=CHEAP), None),
            ("unpriced", None, None),
        ]

    def test_price_what_they_can_and_count_the_rest_as_unpriced(self, registered_model):
        price(registered_model, CHEAP, START + timedelta(hours=1))
        use(START, output_tokens=7, refused_calls=2)
        use(START + timedelta(hours=1), failed_calls=3)
        (line,) = lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert line.list_cost_usd == list_cost_usd(**usage, prices=CHEAP)
        assert (line.unpriced_tokens, line.output_tokens, line.cached_input_tokens) == (
            1007,
            107,
            400,
        )
        assert (line.refused_calls, line.failed_calls) == (2, 3)

    def test_of_a_month_are_read_from_its_own_lines_and_from_no_hour_or_day(self):
        use(START)
        price_due_days()
        with CaptureQueriesContext(connection) as asked:
            queries.lines(start=START, end=END, scope=ALL)
            queries.month_totals(month=START.date(), scope=ALL)
        tables = [set(TABLES.findall(query["sql"])) for query in asked.captured_queries]
        assert tables == [{"chargeback_monthlyline"}] * 2

    def test_are_of_whole_days(self):
        for start, end in ((START, END - timedelta(hours=1)), (START + timedelta(hours=1), END)):
            with pytest.raises(ValueError, match="whole days"):
                queries.lines(start=start, end=end, scope=ALL)

    def test_of_several_days_are_their_sum(self, registered_model):
        price(registered_model, CHEAP, START)
        for days in range(4):
            use(START + timedelta(days=days))
        (line,) = lines(start=START + timedelta(days=1), end=START + timedelta(days=3), scope=ALL)
        assert (line.metered_calls, line.day, line.list_cost_usd) == (
            2,
            None,
            Decimal("0.000244"),
        )


@pytest.mark.django_db
class TestReranks:
    def test_without_a_price_cost_an_unknown_amount_and_not_nothing(self, registered_model):
        use(START, rerank_requests=7, **NO_TOKENS)
        use(START, team="prior-auth", metered_calls=0, refused_calls=3, **NO_TOKENS)
        found = {line.team: line for line in lines(start=START, end=END, scope=ALL)}
        assert found["claims-review"].list_cost_usd is None
        assert found["prior-auth"].list_cost_usd == 0
        assert (
            queries.totals(list(found.values())).unpriced_words == "7 rerank requests have no price"
        )

    def test_are_priced_by_the_thousand(self, registered_model):
        price(registered_model, replace(CHEAP, rerank_request=Decimal("2.00")), START)
        use(START, rerank_requests=7)
        (line,) = lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert line.list_cost_usd == list_cost_usd(**usage, prices=CHEAP) + Decimal("0.014")
        assert line.unpriced == 0


@pytest.mark.django_db
class TestTotals:
    def test_sum_every_figure_and_the_cost_of_what_has_a_price(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START, unmetered_calls=1, refused_calls=2, refused_401_calls=1, failed_calls=3)
        use(START, team="prior-auth", estimated_calls=2, estimated_input_tokens=1_000,
            estimated_output_tokens=70)  # fmt: skip
        use(START, model="unpriced", version="unpriced-v1", embedding_input_tokens=300,
            estimated_calls=1, estimated_output_tokens=1)  # fmt: skip
        use(START, model="unpriced", version="unpriced-v2", rerank_requests=7, **NO_TOKENS)
        found = lines(start=START, end=END, scope=ALL)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        assert queries.totals(found) == queries.Totals(
            metered_calls=4, unmetered_calls=1, refused_calls=2, failed_calls=3,
            refused_401_calls=1, refused_403_calls=0, refused_404_calls=0, refused_429_calls=0,
            input_tokens=3000, cached_input_tokens=600, embedding_input_tokens=300,
            output_tokens=300, rerank_requests=7, unpriced_tokens=1100, unpriced_requests=7,
            estimated_calls=3, estimated_input_tokens=1_000, estimated_output_tokens=71,
            list_cost_usd=2 * list_cost_usd(**usage, prices=CHEAP), estimated_cost_usd=0,
        )  # fmt: skip


@pytest.mark.django_db
class TestPricesAt:
    def test_are_the_models_own_and_neither_past_nor_future_ones(self, registered_model):
        price(RegisteredModelFactory(), DEAR, START)
        price(registered_model, CHEAP, START)
        price(registered_model, DEAR, END, active_to=END + timedelta(days=1))
        expected = {
            START - timedelta(microseconds=1): None,
            START: CHEAP,
            END - timedelta(microseconds=1): CHEAP,
            END: DEAR,
            END + timedelta(days=1): None,
        }
        assert {at: queries.prices_at(registered_model, at) for at in expected} == expected

    def test_are_of_each_model_that_has_any(self, registered_model):
        other, none = RegisteredModelFactory(), RegisteredModelFactory()
        more = Prices(image=Decimal(3), rerank_request=Decimal(2))
        price(registered_model, CHEAP, START)
        price(other, more, START)
        found = queries.prices([registered_model, other, none], START)
        assert found == {registered_model.pk: CHEAP, other.pk: more}


@pytest.mark.django_db
class TestSpentThisMonth:
    def test_is_of_each_team_and_model_in_this_month_in_utc(self, registered_model):
        other = RegisteredModelFactory(name="clinical-summary")
        price(registered_model, CHEAP, START - timedelta(days=3))
        price(other, DEAR, START - timedelta(days=3))
        use(START)
        use(START + timedelta(hours=5), version="prior-auth-extract-v2")
        use(START, model=other.name)
        use(START, team="prior-auth")
        use(START, model="unpriced")
        use(START - timedelta(hours=1))
        use(END)
        usage = {"input_tokens": 1000, "cached_input_tokens": 200, "output_tokens": 100}
        cheap, dear = (list_cost_usd(**usage, prices=prices) for prices in (CHEAP, DEAR))
        price_due_days()
        east = timezone(timedelta(hours=14))
        for now in (START, (END - timedelta(hours=1)).astimezone(east)):
            assert queries.spent_this_month(scope=ALL, now=now) == {
                ("claims-review", "prior-auth-extract"): 2 * cheap,
                ("claims-review", "clinical-summary"): dear,
                ("prior-auth", "prior-auth-extract"): cheap,
                ("claims-review", "unpriced"): None,
            }
        assert queries.spent_this_month(scope=queries.Scope("prior-auth"), now=START) == {
            ("prior-auth", "prior-auth-extract"): cheap
        }


@pytest.mark.django_db
class TestUseOf:
    def test_counts_alike_in_whole_days_and_in_the_hours_at_their_ends(
        self, registered_model, charlie, alice
    ):
        granted = START + timedelta(hours=22)
        request = access.submit_request(
            model=registered_model, wish=WISH, requester=charlie, now=granted
        )
        grant = access.approve_request(request=request, approver=alice, reason="Fits.", now=granted)
        told = {
            "unmetered_calls": 3, "estimated_calls": 2, "estimated_input_tokens": 70,
            "estimated_output_tokens": 5,
        }  # fmt: skip
        for hours in (21, 23, 24):  # not granted yet; an hour of the first day; a whole day
            use(START + timedelta(hours=hours), **told)
        price_due_days()
        found = queries.use_of(grant, START + timedelta(days=3)).all
        assert (found.metered_calls, found.unmetered_calls) == (2, 6)
        assert (found.unpriced_tokens, found.unpriced_requests) == (2_200, 0)
        assert (found.estimated_calls, found.estimated_input_tokens) == (4, 140)
        assert (found.estimated_output_tokens, found.list_cost_usd) == (10, 0)

    def test_is_of_this_month_and_since_it_was_granted_until_it_ended(
        self, registered_model, charlie, alice
    ):
        price(registered_model, CHEAP, START - timedelta(days=90))
        first = START - timedelta(days=10)  # the hour in which it was granted
        granted = first + timedelta(minutes=20, seconds=7, microseconds=9)
        request = access.submit_request(
            model=registered_model, wish=WISH, requester=charlie, now=granted
        )
        grant = access.approve_request(request=request, approver=alice, reason="Fits.", now=granted)
        for hour in (first, START - timedelta(hours=1), START, START + timedelta(days=2)):
            use(hour)
        use(START, team="prior-auth")
        use(START, model="clinical-summary")
        use(first - timedelta(hours=1))  # before it was granted
        use(START + timedelta(days=5))  # of this month, later than now
        price_due_days()
        now = START + timedelta(days=3) - timedelta(minutes=1)
        found = queries.use_of(grant, now)
        assert (found.month.metered_calls, found.all.metered_calls) == (3, 4)
        assert found.all.list_cost_usd == 4 * list_cost_usd(
            input_tokens=1000, cached_input_tokens=200, output_tokens=100, prices=CHEAP
        )
        ended = START + timedelta(hours=7, minutes=9)
        for hours in (-2, 5, 7, 8):
            use(START + timedelta(hours=hours), version="prior-auth-extract-v2")
        price_due_days()
        access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=ended)
        assert queries.use_of(grant, now).all.metered_calls == 6

    def test_of_hours_within_one_day_are_those_hours(self, registered_model, charlie, alice):
        price(registered_model, CHEAP, START)
        granted, ended = START + timedelta(hours=3), START + timedelta(hours=6)
        request = access.submit_request(
            model=registered_model, wish=WISH, requester=charlie, now=granted
        )
        grant = access.approve_request(request=request, approver=alice, reason="Fits.", now=granted)
        access.revoke_grant(grant=grant, actor=alice, reason="No more.", now=ended)
        for hours in range(2, 8):
            use(START + timedelta(hours=hours))
        price_due_days()
        found = queries.use_of(grant, END).all
        assert (found.metered_calls, found.list_cost_usd) == (3, 3 * Decimal("0.000122"))


class TestScopeOf:
    def test_is_the_team_for_a_team_lead(self, charlie):
        assert queries.scope_of(charlie) == queries.Scope("claims-review")

    @pytest.mark.parametrize("role", [Role.FINANCE, Role.PLATFORM_ENGINEER, Role.AUDITOR])
    def test_is_everything_for_those_who_oversee(self, db, role):
        assert queries.scope_of(UserFactory(with_roles=[role])) == ALL

    def test_refuses_a_person_without_a_role_or_without_a_team(self, charlie):
        charlie.role_bindings.all().delete()
        for person in (charlie, UserFactory(team=None, with_roles=[Role.TEAM_LEAD])):
            with pytest.raises(NotPermitted):
                queries.scope_of(person)
