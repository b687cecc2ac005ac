"""How a budget's month is said: what is left, what it comes to, when it runs out."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from apps.chargeback.budgets import words
from apps.chargeback.budgets.queries import Standing
from apps.chargeback.forecast import Outlook
from tests.chargeback.budgets.test_limits import budget, left, use

TODAY = date(2026, 11, 18)
DAYS = [date(2026, 11, day) for day in range(18, 31)]


def standing(*, spent="40", unit="USD", low=(), high=(), **terms):
    """Return a month of a limit of 100: 18 November, and what will have been spent by day."""
    found = left(budget(unit=unit, **terms), spent=[use(spent, int(float(spent)))])
    outlook = Outlook(list(zip(DAYS, map(Decimal, low), map(Decimal, high), strict=False)))
    by_day = {date(2026, 10, 30): Decimal(500), date(2026, 11, 4): Decimal(spent)}
    return Standing(found, TODAY, by_day, outlook if low else None)


class TestRunOutWords:
    @pytest.mark.parametrize(
        ("low", "high", "said"),
        [
            ((41, 42, 99), (50, 60, 99), "lasts the month"),
            ((41, 42, 43), (50, 60, 100), "perhaps from 20 Nov 2026 on"),
            ((41, 100, 120), (100, 110, 140), "between 18 and 19 Nov 2026"),
            ((41, 100, 120), (99, 110, 140), "on about 19 Nov 2026"),
            ((), (), "not known: too few days of use"),
        ],
    )
    def test_say_the_days_between_busy_and_quiet_weeks(self, low, high, said):
        assert words.run_out_words(standing(low=low, high=high)) == said

    def test_say_since_when_it_is_spent(self):
        spent = standing(spent="100", low=(101,), high=(102,))
        assert words.run_out_words(spent) == "spent since 4 Nov 2026"
        assert words.run_out_days(spent) == (date(2026, 11, 4), date(2026, 11, 4))
        # what calls hold has spent it: no day of the ledger did
        held = replace(
            spent, balance=replace(spent.balance, spent=Decimal(1), reserved=Decimal(99))
        )
        assert words.run_out_words(replace(held, spent_by_day={})) == "spent since 18 Nov 2026"


class TestOutlookWords:
    def test_have_a_range_and_no_more_digits_than_they_deserve(self):
        usd = standing(low=("41.1", "1234.5"), high=("50", "1414"))
        tokens = standing(unit="TOKENS", low=(41, 1234567), high=(50, 7654321))
        assert words.outlook_words(usd) == "about $1,230 to $1,410"
        assert words.outlook_words(tokens) == "about 1,230,000 to 7,650,000 tokens"
        same = standing(unit="TOKENS", low=(0, 7), high=(0, 7))
        assert words.outlook_words(same) == "about 7 tokens"
        assert words.outlook_words(standing()) == "A forecast needs two whole weeks of use."


class TestMeter:
    def test_shows_what_is_used_and_what_is_held(self):
        found = left(budget(), spent=[use(40, unpriced=1)], reserved=[use(5)], settled=[use("0.5")])
        made = words.meter(found, Decimal(90))
        assert (made.used, made.flight, made.limit, made.forecast) == (
            Decimal("40.5"), 5, 100, 90,
        )  # fmt: skip
        assert (made.text, made.label) == ("$45.50 of $100.00", "November 2026, UTC")
        assert made.note == "1 token has no price: what that costs is not in it."
        assert words.meter(left(budget())).note == ""

    def test_of_tokens_knows_them_all(self):
        found = left(budget(unit="TOKENS"), spent=[use(1, 3, unpriced=3)])
        assert "no price" not in words.meter(found).note

    @pytest.mark.parametrize(
        ("spent", "tone", "state"),
        [
            ("79.99", "busy", "Within budget"),
            ("80", "warn", "80 % reached"),
            ("99.99", "warn", "80 % reached"),
            ("100", "bad", "Spent"),
        ],
    )
    def test_has_the_tone_of_its_state(self, spent, tone, state):
        found = standing(spent=spent)
        assert words.tone(found.balance) == tone
        assert words.state_badge(found).words == state


class TestFigures:
    def test_name_what_is_held_and_boosted(self):
        found = standing()
        held = replace(found.balance, reserved=Decimal(5), settled=Decimal(2), boosted=Decimal(10))
        said = words.figures(replace(found, balance=held))
        assert said["left"] == "$53.00"
        assert said["used_note"] == (
            "47 % · $5.00 held by calls under way · $2.00 settled and not in the ledger’s sums"
        )
        assert said["boosted"] == "$10.00 of the limit by boosts"
        plain = words.figures(found)
        assert (plain["used_note"], plain["boosted"]) == ("40 %", "")
