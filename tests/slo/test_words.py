"""What is said of objectives: thresholds, what is left, and what nobody measured."""

from decimal import Decimal

import pytest

from apps.slo.burn import Kind
from apps.slo.models import Objective
from apps.slo.words import burn_words, left_words, percent_words, promise, time_words, window_words


@pytest.mark.parametrize(
    ("ms", "said"), [(800, "800 ms"), (1_200, "1.2 s"), (45_000, "45 s"), (90_000, "1.5 min")]
)
def test_says_a_threshold_as_people_do(ms, said):
    assert time_words(ms) == said


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, "not measured"),
        (1.0, "100 % left"),
        (0.624, "62 % left"),
        (0.001, "less than 1 % left"),
        (0.0, "0 % left"),
        (-0.5, "overspent by 50 %"),
        (-12.0, "overspent by 1,200 %"),
    ],
)
def test_says_what_is_left_of_a_budget(left, said):
    assert left_words(left) == said


@pytest.mark.parametrize(
    ("rate", "said"), [(None, "not measured"), (0.0, "0.0 ×"), (14.44, "14.4 ×"), (250.0, "250 ×")]
)
def test_says_how_fast_it_burns(rate, said):
    assert burn_words(rate) == said


def test_says_a_share_with_the_digits_that_it_has():
    assert [percent_words(Decimal(text)) for text in ("99.500", "90", "99.999")] == [
        "99.5 %", "90 %", "99.999 %",
    ]  # fmt: skip


def test_says_what_is_promised_and_over_which_time():
    row = Objective(target_percent=Decimal("95"), threshold_ms=120_000, window_days=1)
    assert promise(Kind.DURATION, row) == "95 % of answers complete within 2 min"
    assert window_words(row) == "1 day"
    whole = Objective(target_percent=Decimal("99.5"))
    assert promise(Kind.AVAILABILITY, whole) == "99.5 % of calls answered"
    assert window_words(whole) == "calendar month"
