"""What a team may ask for, at each bound, and the words where it may not."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from apps.access.wishes import Wish, first_last_day, latest_last_day, problems
from apps.catalog.models import RegisteredModel
from tests.factories import NOW

FINE = {
    "purpose": "Read codes from packets.",
    "data_class": "INTERNAL",
    "tokens_per_minute": 5000,
    "monthly_budget_usd": Decimal("100.00"),
    "expires_date": date(2026, 12, 31),
    "service_class": "BATCH",
    "calls_at_once": 20,
}


def model(data_class="PHI"):
    return RegisteredModel(name="prior-auth-extract", data_class=data_class)


def wrong(now=NOW, of=None, **changes):
    return problems(FINE | changes, of or model(), now)


class TestProblems:
    def test_are_none_of_a_wish_that_is_fine(self):
        assert wrong() == {}
        assert set(FINE) == set(Wish.__dataclass_fields__)

    def test_are_all_said_at_once_in_the_order_of_the_form(self):
        odd = {
            "purpose": "Fun.",
            "data_class": "PHI",
            "tokens_per_minute": 0,
            "monthly_budget_usd": Decimal(0),
            "expires_date": NOW.date(),
            "service_class": "batch",
            "calls_at_once": 0,
        }
        assert set(wrong(of=model("INTERNAL"), **odd)) == set(FINE)

    def test_are_none_of_what_was_not_said(self):
        assert problems({}, model(), NOW) == {}
        assert list(problems({"tokens_per_minute": 0}, model(), NOW)) == ["tokens_per_minute"]

    @pytest.mark.parametrize(
        ("purpose", "words"),
        [
            ("a" * 9, "Say in a sentence or two what your team will do with it."),
            (f" {'a' * 9}\n", "Say in a sentence or two what your team will do with it."),
            ("a" * 10, None),
            (f" {'a' * 2000} ", None),
            ("a" * 2001, "Say it in at most 2,000 characters; this has 2,001."),
        ],
    )
    def test_of_the_purpose_are_its_length(self, purpose, words):
        assert wrong(purpose=purpose).get("purpose") == words

    @pytest.mark.parametrize(("tokens", "fits"), [
        (0, False), (1, True), (10_000_000, True), (10_000_001, False), (-1, False),
    ])  # fmt: skip
    def test_of_tokens_are_their_bounds(self, tokens, fits):
        words = None if fits else "Ask for 1 to 10,000,000 tokens per minute."
        assert wrong(tokens_per_minute=tokens).get("tokens_per_minute") == words

    @pytest.mark.parametrize(("calls", "fits"), [
        (None, True), (0, False), (1, True), (10_000, True), (10_001, False), (-1, False),
    ])  # fmt: skip
    def test_of_calls_at_once_are_their_bounds(self, calls, fits):
        words = None if fits else "Ask for 1 to 10,000 calls at once, or for any number."
        assert wrong(calls_at_once=calls).get("calls_at_once") == words

    @pytest.mark.parametrize(
        ("service_class", "fits"), [("INTERACTIVE", True), ("BATCH", True), ("", False)]
    )
    def test_of_the_class_are_that_there_is_none_such(self, service_class, fits):
        words = None if fits else "Choose interactive or batch."
        assert wrong(service_class=service_class).get("service_class") == words

    @pytest.mark.parametrize(
        ("budget", "words"),
        [
            ("0", "The monthly budget must be more than 0 USD."),
            ("-0.01", "The monthly budget must be more than 0 USD."),
            ("0.01", None),
            ("9999999999.99", None),
            ("10000000000.00", "Give the monthly budget in dollars and whole cents."),
            ("1.005", "Give the monthly budget in dollars and whole cents."),
            ("1.500", None),
        ],
    )
    def test_of_the_budget_are_its_bounds_and_cents(self, budget, words):
        assert wrong(monthly_budget_usd=Decimal(budget)).get("monthly_budget_usd") == words

    @pytest.mark.parametrize(
        ("highest", "asked", "fits"),
        [
            ("PUBLIC", "PUBLIC", True), ("PUBLIC", "INTERNAL", False), ("PUBLIC", "PHI", False),
            ("INTERNAL", "PUBLIC", True), ("INTERNAL", "INTERNAL", True),
            ("INTERNAL", "PHI", False), ("PHI", "PHI", True), ("PHI", "PUBLIC", True),
        ],
    )  # fmt: skip
    def test_of_the_data_are_that_the_model_may_not_see_it(self, highest, asked, fits):
        found = wrong(of=model(highest), data_class=asked).get("data_class")
        called = model(highest).get_data_class_display().lower()
        words = f"prior-auth-extract is approved for {called} data at most."
        assert found == (None if fits else words)

    @pytest.mark.parametrize(
        ("day", "words"),
        [
            (date(2026, 11, 1), "1 Nov 2026 has passed. Access must end after today."),
            (date(2026, 11, 2), "within a year: from 3 Nov 2026 to 3 Nov 2027, UTC."),
            (date(2026, 11, 3), None),
            (date(2027, 11, 3), None),
            (date(2027, 11, 4), "within a year: from 3 Nov 2026 to 3 Nov 2027, UTC."),
        ],
    )
    def test_of_the_last_day_are_that_it_is_over_or_too_far(self, day, words):
        found = wrong(expires_date=day).get("expires_date")
        assert found is None if words is None else found.endswith(words)


class TestLastDays:
    def test_are_days_in_utc_wherever_it_is_asked(self):
        late = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
        for now in (late, late.astimezone(timezone(timedelta(hours=14)))):
            assert first_last_day(now) == date(2026, 11, 3)
            assert latest_last_day(now) == date(2027, 11, 3)
