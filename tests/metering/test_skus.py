"""How much of each SKU a line of usage holds."""

from dataclasses import asdict, dataclass

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
    embedding_input_tokens: int = 0
    rerank_requests: int = 0


ESTIMATES = {
    "estimated_input_tokens": 90,
    "estimated_cached_input_tokens": 30,
    "estimated_output_tokens": 7,
}


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

    def test_tell_what_embeddings_read_from_the_other_input(self):
        assert quantities(Used(1000, 200, 7, 300)) == [
            (Sku.INPUT, 500),
            (Sku.CACHED_INPUT, 200),
            (Sku.OUTPUT, 7),
            (Sku.EMBEDDING_INPUT, 300),
        ]
        assert quantities(Used(64, embedding_input_tokens=64)) == [(Sku.EMBEDDING_INPUT, 64)]

    def test_count_reranks_beside_the_tokens(self):
        assert quantities(Used(rerank_requests=3)) == [(Sku.RERANK_REQUEST, 3)]
        assert quantities(Used(8, rerank_requests=2)) == [(Sku.INPUT, 8), (Sku.RERANK_REQUEST, 2)]

    @given(fresh=COUNTS, cached=COUNTS, output=COUNTS)
    def test_lose_no_token_and_make_none(self, fresh, cached, output):
        found = quantities(Used(fresh + cached, cached, output))
        assert sum(quantity for _, quantity in found) == fresh + cached + output

    @pytest.mark.parametrize(
        "used", [Used(1, 2), Used(1, -1), Used(1, 0, -1), Used(-1), Used(5, 3, 0, 3)]
    )
    def test_are_not_of_counts_that_cannot_be(self, used):
        with pytest.raises(ValueError, match="cannot be negative"):
            quantities(used)


@pytest.mark.django_db
class TestRowsSql:
    @pytest.mark.parametrize(
        "used", [Used(1000, 200, 7), Used(5, 5), Used(2**53, 0, 2**53), Used(9, 2, 1, 4, 3)]
    )
    def test_says_the_same_as_quantities(self, used):
        given = asdict(used) | ESTIMATES
        columns = ", ".join(f"%s::bigint AS {name}" for name in given)
        sql = (
            f"SELECT q.* FROM (SELECT {columns}) u,"  # noqa: S608
            f" LATERAL (VALUES {rows_sql('u')}) q (sku, quantity, per, estimated)"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, list(given.values()))
            rows = cursor.fetchall()
        metered = [(sku, quantity) for sku, quantity, _, estimated in rows if not estimated]
        assert [pair for pair in metered if pair[1]] == quantities(used)
        assert {sku: per for sku, _, per, _ in rows} == {sku: UNITS[sku].per for sku in OF_A_LINE}
        assert [(sku, quantity) for sku, quantity, _, estimated in rows if estimated] == [
            (Sku.INPUT, 60),
            (Sku.CACHED_INPUT, 30),
            (Sku.OUTPUT, 7),
        ]


class TestUnits:
    def test_are_named_for_every_sku(self):
        assert set(UNITS) == set(Sku)
        assert set(OF_A_LINE) == {*TOKEN_SKUS, Sku.RERANK_REQUEST}

    def test_price_tokens_by_the_million(self):
        assert {UNITS[sku].per for sku in TOKEN_SKUS} == {1_000_000}
