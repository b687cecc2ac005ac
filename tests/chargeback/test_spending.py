"""What a day's usage costs: whole, again and again, whatever changed; and that parts sum to the
whole.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, F, PositiveIntegerField, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.catalog.models import RegisteredModel
from apps.chargeback import actions, queries, spending
from apps.chargeback.counts import COUNTED
from apps.chargeback.models import (
    COUNTS,
    WHOSE,
    Counted,
    DailyLine,
    DayTotal,
    DirtyDay,
    MonthlyLine,
    Rate,
    Spend,
)
from apps.chargeback.prices.actions import BadRate
from apps.chargeback.rating import Prices
from apps.common.periods import month_bounds
from apps.metering.models import HourlyUsage
from tests.chargeback.pricing import CHEAP, DEAR, price, propose, publish
from tests.chargeback.test_queries import END, START, use
from tests.database import as_owner
from tests.factories import RegisteredModelFactory

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)
EVERYTHING = queries.Scope(None)


def spent(day=FIRST):
    """Return (team, SKU, price of the rate or None) → (quantity, cost) of a day."""
    rows = Spend.objects.filter(day=day).select_related("rate")
    return {
        (row.team, row.sku, row.rate and row.rate.unit_price_usd.normalize()): (
            int(row.quantity),
            row.list_cost_usd and row.list_cost_usd.normalize(),
        )
        for row in rows
    }


def marked():
    return sorted(DirtyDay.objects.values_list("day", flat=True))


class TestPriceDay:
    def test_prices_each_sku_by_the_rate_of_its_hour(self, registered_model):
        price(registered_model, CHEAP, START)
        price(registered_model, DEAR, START + 10 * HOUR)
        for hours in (0, 9, 10, 24):
            use(START + hours * HOUR)
        use(START, team="prior-auth", cached_input_tokens=0)
        assert actions.price_day(day=FIRST)
        assert spent() == {
            ("claims-review", "INPUT", Decimal("0.1")): (1600, Decimal("0.00016")),
            ("claims-review", "CACHED_INPUT", Decimal("0.01")): (400, Decimal("0.000004")),
            ("claims-review", "OUTPUT", Decimal("0.4")): (200, Decimal("0.00008")),
            ("claims-review", "INPUT", Decimal("0.2")): (800, Decimal("0.00016")),
            ("claims-review", "CACHED_INPUT", Decimal("0.02")): (200, Decimal("0.000004")),
            ("claims-review", "OUTPUT", Decimal("0.8")): (100, Decimal("0.00008")),
            ("prior-auth", "INPUT", Decimal("0.1")): (1000, Decimal("0.0001")),
            ("prior-auth", "OUTPUT", Decimal("0.4")): (100, Decimal("0.00004")),
        }
        assert spent(SECOND) == {}

    def test_never_prices_at_zero_what_has_no_rate(self, registered_model):
        price(registered_model, Prices(output=Decimal(0)), START)
        use(START)
        use(START, model="unpriced", version="unpriced-v1", team="prior-auth")
        actions.price_due_days()
        assert spent() == {
            ("claims-review", "INPUT", None): (800, None),
            ("claims-review", "CACHED_INPUT", None): (200, None),
            ("claims-review", "OUTPUT", Decimal(0)): (100, Decimal(0)),
            ("prior-auth", "INPUT", None): (800, None),
            ("prior-auth", "CACHED_INPUT", None): (200, None),
            ("prior-auth", "OUTPUT", None): (100, None),
        }
        lines = {line.team: line for line in DailyLine.objects.all()}
        assert (lines["claims-review"].list_cost_usd, lines["claims-review"].unpriced_tokens) == (
            0,
            1000,
        )
        assert (lines["prior-auth"].list_cost_usd, lines["prior-auth"].unpriced_tokens) == (
            None,
            1100,
        )

    def test_prices_embeddings_and_reranks_by_their_own_units(self, registered_model):
        prices = {"embedding_input": Decimal("0.02"), "rerank_request": Decimal("2.00")}
        price(registered_model, Prices(**prices), START)
        none = {"input_tokens": 64, "cached_input_tokens": 0, "output_tokens": 0}
        use(START, embedding_input_tokens=64, rerank_requests=3, **none)
        use(START, team="prior-auth", model="unpriced", version="unpriced-v1", rerank_requests=2,
            embedding_input_tokens=64, **none)  # fmt: skip
        actions.price_due_days()
        assert spent() == {
            ("claims-review", "EMBEDDING_INPUT", Decimal("0.02")): (64, Decimal("0.00000128")),
            ("claims-review", "RERANK_REQUEST", Decimal("2")): (3, Decimal("0.006")),
            ("prior-auth", "EMBEDDING_INPUT", None): (64, None),
            ("prior-auth", "RERANK_REQUEST", None): (2, None),
        }
        for line in (
            *DailyLine.objects.filter(team="prior-auth"),
            *MonthlyLine.objects.filter(team="prior-auth"),
        ):
            assert (line.unpriced_tokens, line.unpriced_requests, line.list_cost_usd) == (
                64,
                2,
                None,
            )
            assert (line.embedding_input_tokens, line.rerank_requests) == (64, 2)

    def test_rounds_nothing_of_the_smallest_price(self, registered_model):
        least = Prices(Decimal("0.0000000001"), Decimal(0), Decimal("9999999999.9999999999"))
        price(registered_model, least, START)
        use(START, input_tokens=1, cached_input_tokens=0, output_tokens=3)
        actions.price_due_days()
        assert Spend.objects.get(sku="INPUT").list_cost_usd == Decimal("1e-16")
        assert Spend.objects.get(sku="OUTPUT").list_cost_usd == Decimal("29999.9999999999999997")

    def test_leaves_a_line_of_calls_that_used_nothing(self):
        nothing = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0}
        use(START, metered_calls=0, refused_calls=3, **nothing)
        actions.price_due_days()
        line = DailyLine.objects.get()
        assert (line.refused_calls, line.unpriced_tokens, line.list_cost_usd) == (3, 0, None)
        assert not Spend.objects.exists()

    def test_takes_what_changed_and_nothing_of_another_day_or_month(self, registered_model):
        price(registered_model, CHEAP, START - 3 * DAY)
        for hour in (START - HOUR, START, START + DAY):
            use(hour)
        actions.price_due_days()
        others = list(DailyLine.objects.exclude(day=FIRST).order_by("day").values())
        HourlyUsage.objects.filter(hour=START).delete()
        use(START, output_tokens=400)
        use(START + HOUR, team="prior-auth")
        assert marked() == [FIRST]
        assert actions.price_day(day=FIRST)
        assert list(DailyLine.objects.exclude(day=FIRST).order_by("day").values()) == others
        of_day = DailyLine.objects.filter(day=FIRST).values_list("team", "output_tokens")
        assert set(of_day) == {("claims-review", 400), ("prior-auth", 100)}
        of_month = MonthlyLine.objects.values_list("month", "team", "output_tokens")
        assert set(of_month) == {
            (date(2026, 10, 1), "claims-review", 100),
            (FIRST, "claims-review", 500),
            (FIRST, "prior-auth", 100),
        }

    def test_does_the_same_when_it_is_done_again(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START)
        actions.price_due_days()
        before = [list(rows.order_by(*WHOSE).values(*WHOSE, *COUNTS, "list_cost_usd"))
                  for rows in (DailyLine.objects, MonthlyLine.objects)]  # fmt: skip
        first = spent()
        actions.mark_days(first=FIRST, last=FIRST, now=END)
        assert actions.price_due_days() == 1
        after = [list(rows.order_by(*WHOSE).values(*WHOSE, *COUNTS, "list_cost_usd"))
                 for rows in (DailyLine.objects, MonthlyLine.objects)]  # fmt: skip
        assert (after, spent()) == (before, first)

    def test_leaves_a_clean_day_alone(self, registered_model):
        use(START)
        assert actions.price_day(day=FIRST)
        assert not actions.price_day(day=FIRST)
        assert (marked(), actions.price_due_days()) == ([], 0)

    def test_empties_a_day_whose_hours_are_gone(self):
        use(START)
        use(START + DAY)
        actions.price_due_days()
        HourlyUsage.objects.filter(hour=START).delete()
        actions.price_due_days()
        assert [line.day for line in DailyLine.objects.all()] == [SECOND]
        assert not Spend.objects.filter(day=FIRST).exists()
        assert MonthlyLine.objects.get().metered_calls == 1

    def test_has_rows_that_the_database_never_changes(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START)
        actions.price_due_days()
        for model in (Spend, DailyLine, MonthlyLine):
            with (
                as_owner(),
                pytest.raises(IntegrityError, match="computed anew, never changed"),
                transaction.atomic(),
            ):
                model.objects.update(list_cost_usd=0)


class TestPriceDueDays:
    def test_prices_every_marked_day_and_goes_on_after_one_that_cannot_be(
        self, monkeypatch, caplog
    ):
        for days in (0, 1, 2):
            use(START + days * DAY)
        compute = spending.compute_day

        def broken(day):
            if day == SECOND:
                raise IntegrityError("too much")
            compute(day)

        monkeypatch.setattr(spending, "compute_day", broken)
        assert actions.price_due_days() == 2
        assert marked() == [SECOND]
        assert "the day 2026-11-02 cannot be priced" in caplog.text


class TestMarks:
    def test_are_made_with_the_hours_that_change_and_by_the_day_in_utc(self):
        use(START + 23 * HOUR)
        use(START + 24 * HOUR)
        assert marked() == [FIRST, SECOND]
        actions.price_due_days()
        HourlyUsage.objects.filter(hour=START + 24 * HOUR).delete()
        assert marked() == [SECOND]

    def test_let_a_new_price_reach_what_was_priced(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START + HOUR)
        use(START + DAY)
        actions.price_due_days()
        now = START + 2 * DAY
        publish(propose(registered_model, DEAR, START + DAY, now=now), now=now)
        actions.price_due_days()
        assert [line.list_cost_usd for line in DailyLine.objects.order_by("day")] == [
            Decimal("0.000122"),
            Decimal("0.000244"),
        ]
        assert MonthlyLine.objects.get().list_cost_usd == Decimal("0.000366")


class TestDayTotals:
    def test_are_the_sum_of_a_days_lines_made_anew_with_them(self, registered_model):
        price(registered_model, CHEAP, START)
        use(START, unmetered_calls=3, estimated_calls=2, estimated_input_tokens=70)
        use(START + HOUR, team="prior-auth")
        use(START + DAY, team="prior-auth", refused_calls=5)
        use(START + DAY, model="dear", version="dear-v1")
        for hours, more in ((2, {}), (3, {"failed_calls": 2})):
            use(START + hours * HOUR, **more)
            actions.price_due_days()
            whole = queries.day_totals(start=START, end=END, scope=queries.EVERYTHING)
            assert sorted(whole) == [START.date(), (START + DAY).date()]
            for day, total in whole.items():
                begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
                assert total == queries.totals(
                    queries.lines(start=begin, end=begin + DAY, scope=queries.EVERYTHING)
                )
            assert whole[START.date()].list_cost_usd > 0
        mine = queries.day_totals(start=START, end=END, scope=queries.Scope("prior-auth"))
        assert [total.metered_calls for total in mine.values()] == [1, 1]

    def test_go_with_the_last_hour_of_their_day(self):
        use(START)
        use(START + DAY)
        actions.price_due_days()
        HourlyUsage.objects.filter(hour=START).delete()
        actions.price_due_days()
        assert list(DayTotal.objects.values_list("day", flat=True)) == [(START + DAY).date()]


class TestColumns:
    def test_are_those_of_the_hourly_sums(self):
        counts = {
            field.name
            for field in HourlyUsage._meta.concrete_fields
            if isinstance(field, BigIntegerField | PositiveIntegerField) and field.name != "id"
        }
        # the gate's own codes, and what it counted of cut calls, are told by hours and calls alone
        of_the_gate = {f"refused_{code}_calls" for code in (400, 402, 413)}
        of_the_gate |= {"failed_502_calls", "failed_503_calls", "counted_calls"}
        assert set(COUNTS) == counts - of_the_gate

    def test_of_lines_and_figures_are_what_is_counted(self):
        assert {field.name for field in Counted._meta.fields} == set(COUNTED)


TEAMS = ("claims-review", "prior-auth")
MODELS = ("chat", "embed")
PRICE = st.decimals(min_value=0, max_value=10, places=6)
PRICE_LISTS = st.builds(Prices, *(st.none() | PRICE for _ in range(3))).filter(lambda p: p.by_sku)
# nine days around the end of a month, so that both months have some
BEGINS = datetime(2026, 10, 28, tzinfo=UTC)
USE = st.fixed_dictionaries(
    {
        "hour": st.integers(0, 9 * 24 - 1),
        "team": st.sampled_from(TEAMS),
        "model": st.sampled_from(MODELS),
        "version": st.integers(1, 2),
        "fresh": st.integers(0, 10**6),
        "cached": st.integers(0, 10**6),
        "output": st.integers(0, 10**6),
        "refused": st.integers(0, 3),
    }
)
CHANGE = st.tuples(st.sampled_from(MODELS), st.integers(0, 9 * 24 - 1), PRICE_LISTS)


def roll_up(found):
    """Store an hour's line as the roll-up does, in the place of what was there."""
    hour = BEGINS + found["hour"] * HOUR
    version = f"{found['model']}-v{found['version']}"
    named = {"team": found["team"], "model": found["model"], "version": version}
    HourlyUsage.objects.filter(hour=hour, **named).delete()
    use(hour, **named, input_tokens=found["fresh"] + found["cached"],
        cached_input_tokens=found["cached"], output_tokens=found["output"],
        refused_calls=found["refused"])  # fmt: skip


def by_hand():
    """Return the cost of all usage and its tokens without a price, hour by hour in Python."""
    cost, unpriced = Decimal(0), 0
    rates = list(Rate.objects.current().select_related("registered_model"))
    for row in HourlyUsage.objects.all():
        in_force = {
            rate.sku: rate.unit_price_usd
            for rate in rates
            if rate.registered_model.name == row.model
            and rate.active_from <= row.hour
            and (rate.active_to is None or rate.active_to > row.hour)
        }
        for sku, tokens in (
            ("INPUT", row.input_tokens - row.cached_input_tokens),
            ("CACHED_INPUT", row.cached_input_tokens),
            ("OUTPUT", row.output_tokens),
        ):
            if sku in in_force:
                cost += tokens * in_force[sku] / 1_000_000
            else:
                unpriced += tokens
    return cost, unpriced


def publish_all(changes):
    """Publish price lists, each from its own hour on, as if nothing had been used yet; then mark
    all days as the last publication would.
    """
    for name, hours, prices in changes:
        model = RegisteredModel.objects.get(name=name)
        begins = BEGINS + hours * HOUR
        with suppress(BadRate):  # it changes nothing
            publish(propose(model, prices, begins))
    actions.mark_days(first=BEGINS.date(), last=date(2026, 11, 5), now=END)


def of_months(scope=EVERYTHING):
    """Return the totals of both months three times: from lines, from lines by day, in SQL."""
    months = [month_bounds(month) for month in (date(2026, 10, 1), FIRST)]
    by_line = [queries.lines(start=start, end=end, scope=scope) for start, end in months]
    by_day = [queries.lines(start=s, end=e, scope=scope, by_day=True) for s, e in months]
    in_sql = [queries.month_totals(month=start.date(), scope=scope) for start, _ in months]
    return [queries.totals(found) for found in by_line], [
        queries.totals(found) for found in by_day
    ], in_sql  # fmt: skip


class TestParts:
    @settings(max_examples=30,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(
        early=st.lists(USE, max_size=8),
        changes=st.lists(CHANGE, max_size=4),
        late=st.lists(USE, max_size=5),
        later=st.lists(CHANGE, max_size=2),
    )
    def test_sum_to_the_whole_whatever_was_used_priced_and_came_late(
        self, db, early, changes, late, later
    ):
        with transaction.atomic():  # an example leaves nothing for the next one
            for name in MODELS:
                RegisteredModelFactory(name=name)
            for used, priced in ((early, changes), (late, later)):
                for found in used:
                    roll_up(found)
                publish_all(priced)
                actions.price_due_days()
                self.check()
            transaction.set_rollback(True)

    def check(self):
        cost, unpriced = by_hand()
        by_line, by_day, in_sql = of_months()
        assert by_line == by_day == in_sql
        assert sum(each.list_cost_usd for each in by_line) == cost
        assert sum(each.unpriced_tokens for each in by_line) == unpriced
        tokens = HourlyUsage.objects.aggregate(each=Sum(F("input_tokens") + F("output_tokens")))
        assert sum(each.input_tokens + each.output_tokens for each in by_line) == (
            tokens["each"] or 0
        )
        of_teams = [of_months(queries.Scope(team))[0] for team in TEAMS]
        for month, whole in enumerate(by_line):
            parts = [each[month] for each in of_teams]
            assert sum(each.list_cost_usd for each in parts) == whole.list_cost_usd
            assert sum(each.refused_calls for each in parts) == whole.refused_calls
        days = queries.day_totals(start=BEGINS, end=BEGINS + 9 * DAY, scope=EVERYTHING)
        assert sum(each.list_cost_usd for each in days.values()) == cost
        spend = Spend.objects.aggregate(usd=Sum("list_cost_usd"))
        assert (spend["usd"] or 0) == cost
