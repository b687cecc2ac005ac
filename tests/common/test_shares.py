"""Parts that sum to their whole again."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common import shares

weights = st.lists(
    st.fractions(min_value=0, max_value=10**6, max_denominator=10**4), min_size=1, max_size=9
)


class TestSplit:
    def test_gives_what_is_left_over_to_those_who_lost_most(self):
        assert shares.split(10, [1, 1, 1]) == [4, 3, 3]
        assert shares.split(10, [Fraction(5, 2), Fraction(3, 2), 1]) == [5, 3, 2]
        assert shares.split(7, [10, 29, 61]) == [1, 2, 4]
        assert shares.split(100, [3, 3, 1]) == [43, 43, 14]

    def test_gives_nothing_to_a_weight_of_nothing(self):
        assert shares.split(3, [0, 2, 0]) == [0, 3, 0]
        assert shares.split(0, [0, 0]) == [0, 0]
        assert shares.split(0, []) == []

    @pytest.mark.parametrize(
        ("total", "given_weights"), [(-1, [1]), (1, [2, -1]), (1, [0]), (1, [])]
    )
    def test_refuses_what_cannot_be_divided(self, total, given_weights):
        with pytest.raises(ValueError):
            shares.split(total, given_weights)

    @given(st.integers(0, 10**24), weights)
    def test_sums_to_the_whole_and_is_never_one_off(self, total, given_weights):
        if not sum(given_weights):
            return
        parts = shares.split(total, given_weights)
        assert sum(parts) == total
        for part, weight in zip(parts, given_weights, strict=True):
            assert abs(part - total * weight / sum(given_weights)) < 1


class TestDecimals:
    def test_round_the_sum_once(self):
        thirds = [Fraction(1, 3)] * 3
        assert shares.decimals(thirds, places=2) == [
            Decimal("0.34"),
            Decimal("0.33"),
            Decimal("0.33"),
        ]
        assert shares.decimals([Fraction(1, 200), Fraction(1, 100)], places=2) == [
            Decimal("0.01"),
            Decimal("0.01"),
        ]

    def test_are_nothing_where_there_is_nothing(self):
        assert shares.decimals([Fraction(0), Fraction(1, 10**6)], places=2) == [Decimal(0)] * 2
        assert shares.decimals([], places=2) == []

    @given(weights)
    def test_sum_to_the_exact_sum_rounded(self, amounts):
        exact = sum(amounts)
        parts = shares.decimals(amounts, places=3)
        assert Fraction(sum(parts)) == Fraction(round(exact * 1000), 1000)


class TestRatios:
    def test_sum_to_one(self):
        assert shares.ratios([1, 1, 1], places=4) == [
            Decimal("0.3334"),
            Decimal("0.3333"),
            Decimal("0.3333"),
        ]

    def test_are_refused_without_any_weight(self):
        with pytest.raises(ValueError):
            shares.ratios([0, 0], places=4)
