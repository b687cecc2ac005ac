"""Rounding once, so that lines sum to their total."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.chargeback.closing.rounding import CENT, cents, in_cents

AMOUNTS = st.lists(st.decimals(-10_000, 10_000, places=12), max_size=40)


def dollars(*texts):
    return [Decimal(text) for text in texts]


def test_gives_the_missing_cents_to_those_that_lost_most():
    assert in_cents(dollars("0.333", "0.333", "0.334")) == dollars("0.33", "0.33", "0.34")
    assert in_cents(dollars("1.005", "1.005")) == dollars("1.01", "1.00")
    assert in_cents(dollars("0.004", "0.004", "0.004")) == dollars("0.01", "0.00", "0.00")
    assert in_cents(dollars("-0.004", "0.006")) == dollars("0.00", "0.00")
    assert in_cents([]) == []


@given(AMOUNTS)
def test_sums_to_the_rounded_total_and_moves_nothing_by_a_cent(exact):
    rounded = in_cents(exact)
    assert sum(rounded, Decimal(0)) == cents(sum(exact, Decimal(0)))
    assert all(abs(one - other) < CENT for one, other in zip(rounded, exact, strict=True))
