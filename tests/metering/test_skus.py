"""How much of each SKU a line of usage holds."""

from dataclasses import dataclass

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from apps.metering.skus import OF_A_LINE, TOKEN_SKUS, UNITS, Sku, quantities, rows_sql

COUNTS = st.integers(min_value=0, max_value=2**53)


@dataclass(frozen=True)
class Used:
    """A line of usage."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0


class TestQuantities:
    def test_take_cached_input_out_of_the_input(self):
        assert quantities(Used(1000, 200, 7)) == [
            (Sku.INPUT, 800),
            (Sku.CACHED_INPUT, 200),
            (Sku.OUTPUT, 7),
        ]

    def test_leave_out_what_was_not_used(self):
        assert quantities(Used()) == []
        assert quantities(Used(5, 5)) == [(Sku.CACHED_INPUT, 5)]

    @given(fresh=COUNTS, cached=COUNTS, output=COUNTS)
    def test_lose_no_token_and_make_none(self, fresh, cached, output):
        found = quantities(Used(fresh + cached, cached, output))
        assert sum(quantity for _, quantity in found) == fresh + cached + output

    @pytest.mark.parametrize("used", [Used(1, 2), Used(1, -1), Used(1, 0, -1), Used(-1)])
    def test_are_not_of_counts_that_cannot_be(self, used):
        with pytest.raises(ValueError, match="token counts"):
            quantities(used)


@pytest.mark.django_db
class TestRowsSql:
    @pytest.mark.parametrize("used", [Used(1000, 200, 7), Used(5, 5), Used(2**53, 0, 2**53)])
    def test_says_the_same_as_quantities(self, used):
        sql = (
            f"SELECT q.* FROM (SELECT %s::bigint AS input_tokens, %s::bigint AS"  # noqa: S608
            f" cached_input_tokens, %s::bigint AS output_tokens) u,"
            f" LATERAL (VALUES {rows_sql('u')}) q (sku, quantity, per)"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [used.input_tokens, used.cached_input_tokens, used.output_tokens])
            rows = cursor.fetchall()
        assert [(sku, quantity) for sku, quantity, _ in rows if quantity] == quantities(used)
        assert {sku: per for sku, _, per in rows} == {sku: UNITS[sku].per for sku in OF_A_LINE}


class TestUnits:
    def test_are_named_for_every_sku(self):
        assert set(UNITS) == set(Sku)
        assert set(OF_A_LINE) <= set(TOKEN_SKUS) < set(Sku)

    def test_price_tokens_by_the_million(self):
        assert {UNITS[sku].per for sku in TOKEN_SKUS} == {1_000_000}
