"""Budgets and burn rates: what the workbook's rules say of counts. Pure."""

from decimal import Decimal

import pytest

from apps.metering.met.queries import Met
from apps.slo.burn import (
    ENOUGH,
    NONE,
    RULES,
    Counts,
    Health,
    Kind,
    budget_left,
    burn_rate,
    counts_of,
    firing,
    health_of,
)

MET = Met(90, 6, 4, 50, 40, 80, 10, {800: 45}, {2_000: 60})
P99 = Decimal("0.99")
HOUR, SHORT = RULES[0].long.key, RULES[0].short.key


def burning(times, target=P99, calls=1000):
    """Return counts whose budget burns so many times too fast."""
    bad = round(times * float(1 - target) * calls)
    return Counts(calls - bad, bad)


class TestCountsOf:
    def test_counts_availability_by_what_failed(self):
        assert counts_of(MET, Kind.AVAILABILITY, None) == Counts(90, 6, 4)

    def test_counts_a_time_by_the_calls_within_it_and_those_nobody_measured(self):
        assert counts_of(MET, Kind.TTFT, 800) == Counts(45, 5, 40)
        assert counts_of(MET, Kind.DURATION, 2_000) == Counts(60, 20, 10)

    def test_is_nothing_where_nobody_called(self):
        assert counts_of(None, Kind.TTFT, 800) == NONE

    def test_needs_a_threshold_for_a_time(self):
        with pytest.raises(ValueError, match="threshold"):
            counts_of(MET, Kind.TTFT, None)


class TestBurnRate:
    def test_is_the_missed_share_by_the_share_that_may_be_missed(self):
        assert burn_rate(Counts(99, 1), P99) == pytest.approx(1)
        assert burn_rate(Counts(90, 10), P99) == pytest.approx(10)
        assert burn_rate(Counts(50, 0), P99) == 0

    def test_counts_what_nobody_measured_as_neither(self):
        assert burn_rate(Counts(99, 1, 1000), P99) == pytest.approx(1)

    def test_is_unknown_where_nothing_was_measured(self):
        assert burn_rate(Counts(0, 0, 50), P99) is None


class TestBudgetLeft:
    def test_is_what_of_the_budget_no_call_used(self):
        assert budget_left(Counts(995, 5), P99) == pytest.approx(0.5)
        assert budget_left(Counts(100, 0), P99) == 1

    def test_goes_below_nothing(self):
        assert budget_left(Counts(97, 3), P99) == pytest.approx(-2)

    def test_is_unknown_where_nothing_was_measured(self):
        assert budget_left(Counts(0, 0, 9), P99) is None


class TestFiring:
    def test_has_the_rules_of_the_workbook(self):
        found = [(rule.level, rule.factor, rule.long.key, rule.short.key) for rule in RULES]
        assert found == [
            ("PAGE", 14.4, "1h", "5m"),
            ("PAGE", 6.0, "6h", "30m"),
            ("TICKET", 1.0, "3d", "6h"),
        ]

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.words)
    def test_fires_where_both_windows_burn_and_not_where_one_does(self, rule):
        fast, slow = burning(rule.factor * 1.1), burning(rule.factor * 0.5)
        long, short = rule.long.key, rule.short.key
        assert firing({long: fast, short: fast}, P99) == rule
        assert firing({long: fast, short: slow}, P99) is None
        assert firing({long: slow, short: fast}, P99) is None
        assert firing({long: fast}, P99) is None

    def test_names_the_worst_rule(self):
        fast = burning(20)
        assert firing({key: fast for key in ("5m", "30m", "1h", "6h", "3d")}, P99) == RULES[0]

    def test_says_nothing_by_a_few_calls(self):
        few = Counts(0, ENOUGH - 1)
        assert firing({HOUR: few, SHORT: few}, P99) is None
        enough = Counts(0, ENOUGH)
        assert firing({HOUR: enough, SHORT: few}, P99) == RULES[0]

    def test_wakes_nobody_by_what_was_not_measured(self):
        unknown = Counts(0, 0, 500)
        assert firing({HOUR: unknown, SHORT: unknown}, P99) is None


class TestHealthOf:
    def test_is_unknown_without_a_measured_call(self):
        assert health_of(Counts(unknown=7), {}, P99) == Health.UNKNOWN

    def test_says_whether_the_budget_lasts(self):
        assert health_of(Counts(999, 1), {}, P99) == Health.HEALTHY
        assert health_of(Counts(99, 1), {}, P99) == Health.SPENT

    def test_says_first_that_it_burns(self):
        fast = {"1h": burning(20), "5m": burning(20)}
        assert health_of(Counts(10, 90), fast, P99) == Health.PAGE
        slow = {"3d": burning(2), "6h": burning(2)}
        assert health_of(Counts(10, 90), slow, P99) == Health.TICKET
