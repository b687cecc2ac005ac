"""Prices, applied."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chargeback.rating import Prices, list_cost_usd, unpriced_words

PRICES = Prices(input=Decimal("0.38"), cached_input=Decimal("0.04"), output=Decimal("1.10"))
COUNTS = st.integers(min_value=0, max_value=10**12)


class TestListCostUsd:
    def test_prices_cached_input_once_at_its_own_rate(self):
        cost = list_cost_usd(
            input_tokens=1_000_000,
            cached_input_tokens=400_000,
            output_tokens=100_000,
            prices=PRICES,
        )
        assert cost == Decimal("0.228") + Decimal("0.016") + Decimal("0.11")

    @given(first=COUNTS, second=COUNTS, output=COUNTS)
    def test_is_the_same_in_parts_and_in_sum(self, first, second, output):
        def cost(tokens, answer):
            return list_cost_usd(
                input_tokens=tokens, cached_input_tokens=0, output_tokens=answer, prices=PRICES
            )

        assert cost(first, output) + cost(second, 0) == cost(first + second, output)

    @pytest.mark.parametrize("counts", [(1, 2, 0), (1, -1, 0), (1, 0, -1)])
    def test_refuses_counts_that_cannot_be(self, counts):
        with pytest.raises(ValueError, match="cannot be negative"):
            list_cost_usd(
                input_tokens=counts[0],
                cached_input_tokens=counts[1],
                output_tokens=counts[2],
                prices=PRICES,
            )


class TestUnpricedWords:
    def test_name_what_has_no_price(self):
        assert unpriced_words(0, 0) == ""
        assert unpriced_words(1, 0) == "1 token has no price"
        assert unpriced_words(1100, 0) == "1,100 tokens have no price"
        assert unpriced_words(0, 1) == "1 rerank request has no price"
        assert unpriced_words(1, 1) == "1 token and 1 rerank request have no price"
