"""What a budget says, in words and in judgment."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apps.access.budgets import terms
from apps.access.budgets.models import in_unit
from apps.access.budgets.terms import Terms

TERMS = Terms(Decimal(100), mode="SOFT")


class TestLoosens:
    @pytest.mark.parametrize(
        ("changes", "more"),
        [
            ({"amount": Decimal("100.01")}, True),
            ({"amount": Decimal("99.99")}, False),
            ({"mode": "WARN"}, True),
            ({"mode": "HARD"}, False),
            ({"mode": "WARN", "amount": Decimal(1)}, True),
            ({"zone": "America/Chicago"}, True),
            ({"thresholds": (1,)}, False),
            ({}, False),
        ],
    )
    def test_is_what_lets_more_be_spent(self, changes, more):
        assert terms.loosens(TERMS, replace(TERMS, **changes)) is more


class TestWords:
    @pytest.mark.parametrize(
        ("amount", "unit", "words"),
        [
            ("1234.5", "USD", "$1,234.50"),
            ("-3", "USD", "−$3.00"),
            ("5000000", "TOKENS", "5,000,000 tokens"),
            ("1", "TOKENS", "1 token"),
            ("-7", "TOKENS", "−7 tokens"),
        ],
    )
    def test_of_amounts_have_their_unit(self, amount, unit, words):
        assert in_unit(Decimal(amount), unit) == words

    def test_of_modes_say_which_one_refuses_calls(self):
        words = {mode: terms.mode_words(mode) for mode in ("WARN", "SOFT", "HARD")}
        assert [mode for mode, text in words.items() if "refused" in text] == ["HARD"]
        assert len(set(words.values())) == 3

    def test_of_terms_for_the_record_are_plain(self):
        assert terms.as_data(TERMS) == {
            "amount": "100",
            "zone": "UTC",
            "mode": "SOFT",
            "thresholds": [80, 100],
        }


class TestLastDay:
    NOW = datetime(2026, 11, 30, 23, tzinfo=UTC)  # the 30th in Chicago as well

    @pytest.mark.parametrize(
        ("day", "zone", "words"),
        [
            (date(2026, 11, 30), "UTC", ""),
            (date(2026, 11, 29), "UTC", "29 Nov 2026 has passed."),
            (date(2027, 3, 2), "UTC", ""),
            (date(2027, 3, 3), "UTC", "A boost ends by 2 Mar 2027."),
        ],
    )
    def test_is_from_today_to_a_quarter_of_a_year_ahead(self, day, zone, words):
        assert terms.last_day_problem(day, zone, self.NOW).startswith(words)
        assert bool(terms.last_day_problem(day, zone, self.NOW)) == bool(words)

    def test_is_the_day_of_the_budgets_zone(self):
        now = datetime(2026, 12, 1, 3, tzinfo=UTC)
        assert terms.last_day_problem(date(2026, 11, 30), "America/Chicago", now) == ""
        assert terms.last_day_problem(date(2026, 11, 30), "UTC", now)
        end = terms.end_of(date(2027, 3, 13), "America/Chicago")
        assert end == datetime(2027, 3, 14, 6, tzinfo=UTC)
        # clocks went forward in that night
        assert terms.end_of(date(2027, 3, 14), "America/Chicago") == datetime(
            2027, 3, 15, 5, tzinfo=UTC
        )
