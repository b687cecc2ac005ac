"""The most that a call may use: never less than it can use, and no more than asked for."""

import itertools
from decimal import Decimal

import pytest

from apps.chargeback.rating import Prices, Tokens, cost_usd
from apps.gateway.gate.answers import NOTHING_USED
from apps.gateway.gate.calls import Text
from apps.gateway.purse.bounds import (
    START_AND_END,
    UNKNOWN_OVERHEAD,
    Bound,
    Cost,
    bound,
    cost,
    overhead,
)
from apps.metering.gate.counts import Basis
from apps.metering.skus import quantities
from tests.gateway.purse.worlds import a_call, used

PRICES = Prices(Decimal(2), Decimal("0.5"), Decimal(8))  # a million tokens
MILLION = Decimal(1_000_000)


def most(call=None, context=1000, over=20, prices=PRICES, **changes):
    return bound(call or a_call(**changes), context=context, overhead=over, prices=prices)


class TestBound:
    def test_is_the_body_the_template_and_the_answer_asked_for(self):
        assert most() == Bound(130, (120 * 2 + 10 * 8) / MILLION, 120)
        assert most(body=b"x" * 300, max_tokens=50).tokens == 300 + 20 + 50

    def test_is_the_context_where_that_is_less(self):
        assert most(max_tokens=None) == Bound(1000, (1000 * 8) / MILLION, 120)
        assert most(max_tokens=950).tokens == 1000
        assert most(max_tokens=5000) == most(max_tokens=1000) == most(max_tokens=None)
        assert most(body=b"x" * 5000).tokens == 1000

    def test_costs_the_most_that_prompt_and_answer_can_in_one_context(self):
        dear = Prices(Decimal(10), Decimal(1), Decimal(1))
        assert most(max_tokens=None, prices=dear).usd == (120 * 10 + 880 * 1) / MILLION

    def test_counts_the_prompt_once_and_the_answer_for_each_choice(self):
        assert most(n=3).tokens == 120 + 30
        assert most(n=3, max_tokens=None).tokens == max(3 * 1000, 120 + 3 * 880)

    def test_holds_for_whatever_an_engine_makes_of_it(self):
        for body, asked, n in itertools.product((30, 300, 3000), (1, 400, None), (1, 4)):
            found = most(body=b"x" * body, max_tokens=asked, n=n)
            for prompt in range(1, min(body + 20, 1000) + 1, 37):
                answer = min(1000 - prompt, 1000 if asked is None else asked)
                assert prompt + n * answer <= found.tokens
                dearest = (prompt * 2 + n * answer * 8) / MILLION
                assert dearest <= found.usd

    def test_is_the_whole_context_where_there_are_images(self):
        assert most(has_images=True) == Bound(1000, (990 * 2 + 10 * 8) / MILLION, 1000)

    def test_gives_each_of_many_prompts_its_own_context(self):
        found = most(operation="COMPLETION", n=5, body=b"x" * 4000)
        assert found == Bound(
            4000 + 20 + 5 * START_AND_END + 5 * 10,
            ((4000 + 20 + 5 * START_AND_END) * 2 + 50 * 8) / MILLION,
            4000 + 20 + 5 * START_AND_END,
        )
        one = most(operation="COMPLETION", n=1, body=b"x" * 4000)
        assert one == most(body=b"x" * 4000)

    def test_reads_embeddings_alone_and_counts_reranks_by_the_request(self):
        prices = Prices(embedding_input=Decimal(1), rerank_request=Decimal(2))
        found = most(operation="EMBEDDING", body=b"x" * 5000, prices=prices)
        assert found == Bound(5020, 5020 / MILLION, 5020)
        assert most(operation="RERANK", prices=prices) == Bound(0, Decimal("0.002"), 0)
        # a price of another kind of call says nothing of these
        assert most(operation="EMBEDDING", prices=PRICES) == Bound(120, None, 120)
        assert most(operation="RERANK", prices=PRICES) == Bound(0, None, 0)

    def test_gives_an_embedding_with_images_the_whole_context(self):
        prices = Prices(embedding_input=Decimal(1))
        found = most(operation="EMBEDDING", has_images=True, prices=prices)
        assert found == Bound(1000, 1000 / MILLION, 1000)

    def test_grows_with_what_normalizing_makes_of_characters(self):
        text = "\ufdfa" * 4  # one character, which becomes eighteen
        call = a_call(texts=(Text("messages[0].content", "user", text),))
        gained = 4 * (33 - 3)
        assert most(call).tokens == 130 + gained
        plain = a_call(texts=(Text("messages[0].content", "user", "Größe, naïve, 検査"),))
        assert most(plain).tokens == 130

    def test_takes_nothing_off_for_a_text_that_normalizing_makes_shorter(self):
        wide, grows = "\uff21" * 9, "\ufdfa" * 4  # three bytes that become one; the other as above
        texts = [
            Text(f"messages[{at}].content", "user", text) for at, text in enumerate((wide, grows))
        ]
        assert most(a_call(texts=(texts[0],))).tokens == 130
        assert most(a_call(texts=tuple(texts))).tokens == 130 + 4 * (33 - 3)

    def test_takes_the_dearest_price_of_each_kind_and_what_is_known_of_them(self):
        dear_cache = Prices(Decimal(2), Decimal(3), Decimal(8))
        assert most(prices=dear_cache).usd == (120 * 3 + 10 * 8) / MILLION
        assert most(prices=Prices(output=Decimal(8))).usd == 80 / MILLION
        assert most(prices=Prices(input=Decimal(2))).usd == 240 / MILLION
        assert most(prices=Prices(cached_input=Decimal(3))).usd == 360 / MILLION
        assert most(prices=Prices()).usd is None
        assert most(prices=Prices(input=Decimal(0), output=Decimal(0))).usd == 0


class TestOverhead:
    def test_is_the_texts_that_a_template_can_write(self):
        template = (
            "{# a long comment that is never written #}Be kind.{% if tools %}{{ 'Tools:' }}"
            '{% endif %}{% for m in messages %}{{ "<|" + m.role + "|>" }}{% endfor %}'
        )
        texts = ["Be kind.", "Tools:", "<|", "|>"]
        assert overhead(template) == START_AND_END + sum(map(len, texts))

    def test_counts_bytes_over_many_lines_and_both_kinds_of_quotes(self):
        template = (
            "{# never\nwritten #}Größe {%\n set a = 'é\\'s' %}"
            '{{\n "検\\"査" }} end{#\nnor this #}'
        )
        texts = ["Größe ", " end", "é\\'s", '検\\"査']
        assert overhead(template) == START_AND_END + sum(len(text.encode()) for text in texts)
        assert sum(len(text.encode()) for text in texts) > sum(map(len, texts))

    def test_is_a_lot_where_no_template_is_known(self):
        assert overhead("") == UNKNOWN_OVERHEAD


class TestCost:
    @pytest.mark.parametrize("cached", [None, 0, 20])
    def test_is_what_the_ledger_counts(self, cached):
        found = cost(a_call(), used(50, 10, cached), prices=PRICES, prompt=99)
        ledgers = quantities(Tokens(50, cached or 0, 10))
        usd = sum(cost_usd(sku, quantity, PRICES.by_sku[sku]) for sku, quantity in ledgers)
        assert found == Cost(60, usd)

    def test_is_nothing_where_nothing_was_generated(self):
        for operation in ("CHAT", "EMBEDDING", "RERANK"):
            call = a_call(operation=operation)
            prices = Prices(Decimal(2), embedding_input=Decimal(1), rerank_request=Decimal(2))
            assert cost(call, NOTHING_USED, prices=prices, prompt=99) == Cost(0, 0)

    def test_takes_the_most_that_was_read_where_nobody_told(self):
        found = cost(a_call(), used(None, 7, basis=Basis.ESTIMATED), prices=PRICES, prompt=99)
        assert found == Cost(106, (99 * 2 + 7 * 8) / MILLION)

    def test_counts_embeddings_and_reranks_as_they_are_charged(self):
        prices = Prices(embedding_input=Decimal(1), rerank_request=Decimal(2))
        found = cost(a_call(operation="EMBEDDING"), used(40, None), prices=prices, prompt=0)
        assert found == Cost(40, 40 / MILLION)
        found = cost(a_call(operation="EMBEDDING"), used(None, None), prices=prices, prompt=77)
        assert found == Cost(77, 77 / MILLION)
        found = cost(a_call(operation="RERANK"), used(None, None), prices=prices, prompt=0)
        assert found == Cost(0, Decimal("0.002"))

    def test_takes_no_count_that_cannot_be(self):
        found = cost(a_call(), used(-5, 10**30, 99), prices=PRICES, prompt=0)
        assert found.tokens == 10**12
        assert found.usd == 8 * Decimal(10**6)
        assert cost(a_call(), used(50, 10, -5), prices=PRICES, prompt=0) == cost(
            a_call(), used(50, 10, 0), prices=PRICES, prompt=0
        )
        more_cached_than_read = cost(a_call(), used(50, 10, 99), prices=PRICES, prompt=0)
        assert more_cached_than_read == Cost(60, (50 * Decimal("0.5") + 10 * 8) / MILLION)

    def test_without_any_price_is_not_known(self):
        assert cost(a_call(), used(), prices=Prices(), prompt=0) == Cost(60, None)
