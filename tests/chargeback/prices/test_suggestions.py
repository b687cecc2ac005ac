"""Prices from what a model's machines cost, and a margin."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.chargeback import actions
from apps.chargeback.prices.suggestions import from_real_cost, priced
from apps.chargeback.rating import Prices
from apps.chargeback.speeds import DEFAULT, Weights
from apps.metering.skus import Sku
from tests.chargeback.pricing import CHEAP, finance, price
from tests.chargeback.test_queries import START, use
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import at, machine, replica
from tests.pages import joined

TOKENS = st.integers(0, 10**9).map(Decimal)
NOW = at(24 * 7)


class TestPriced:
    def test_weighs_each_kind_of_token(self):
        weights = Weights(fresh=10, cached=1, output=50, is_measured=True)
        used = {Sku.INPUT: Decimal(1_000_000), Sku.OUTPUT: Decimal(200_000)}
        # 10 and 10 millions of work: half of the money each
        assert priced(Decimal(10), used, weights) == Prices(Decimal(5), Decimal("0.5"), Decimal(25))

    @given(fresh=TOKENS, cached=TOKENS, output=TOKENS, usd=st.integers(0, 10**6).map(Decimal))
    def test_brings_in_the_cost_but_for_rounding(self, fresh, cached, output, usd):
        used = {Sku.INPUT: fresh + 1, Sku.CACHED_INPUT: cached, Sku.OUTPUT: output}
        prices = priced(usd, used, DEFAULT).by_sku
        brings = sum(used[sku] * prices[sku] for sku in used) / 1_000_000
        off = sum(used.values()) * Decimal("0.00005") / 1_000_000 + Decimal("1e-9")
        assert abs(brings - usd) <= off

    def test_refuses_to_share_among_nothing(self):
        with pytest.raises(ValueError, match="nothing was used"):
            priced(Decimal(1), {}, DEFAULT)


@pytest.mark.django_db
class TestFromRealCost:
    @pytest.fixture
    def chat(self):
        """A model with a machine that works and idles, and another model beside it."""
        chat, other = (RegisteredModelFactory(name=name) for name in ("chat", "other"))
        big = machine("big", 0, 2, price="8")
        replica(big, "chat-v1", 0, 2, ready=1, gpus=4)
        replica(big, "other-v1", 0, 2, gpus=4)
        replica(big, "chat-v1", 0, 1, namespace="evals", gpus=0)
        for team in ("a", "b"):
            use(at(1), model="chat", version="chat-v1", team=team, input_tokens=500_000,
                cached_input_tokens=0, output_tokens=0)  # fmt: skip
        use(at(1), model="other", version="other-v1", input_tokens=7_000_000)
        use(START - timedelta(days=40), model="chat", version="chat-v1")
        actions.price_due_days()
        actions.allocate_day(day=at(0).date(), now=NOW)
        return chat

    def test_is_the_cost_of_its_own_machines_with_idling_and_the_margin(self, chat):
        found = from_real_cost(chat, margin_percent=Decimal(25), now=NOW)
        assert (found.cost_usd, found.tokens, found.why_not) == (8, 1_000_000, "")
        assert found.prices == Prices(Decimal(10), Decimal(1), Decimal("53.9773"))
        assert (found.end - found.start, found.end) == (timedelta(days=30), NOW)
        loss = from_real_cost(chat, margin_percent=Decimal(-50), now=NOW)
        assert loss.prices.input == 4

    def test_says_what_is_missing(self, chat):
        unseen = from_real_cost(RegisteredModelFactory(), margin_percent=Decimal(0), now=NOW)
        assert (unseen.prices, unseen.why_not) == (
            None,
            "No machine of the model was seen in these days.",
        )
        replica(machine("third", 3, 4, price="1", gpus=1), "idle-v1", 3, 4)
        replica(machine("free", 5, 6, price=None, gpus=1), "chat-v1", 5, 6)
        actions.allocate_day(day=at(0).date(), now=NOW)
        unused = from_real_cost(
            RegisteredModelFactory(name="idle"), margin_percent=Decimal(0), now=NOW
        )
        assert unused.why_not == "Nobody used the model in these days."
        unpriced = from_real_cost(chat, margin_percent=Decimal(0), now=NOW)
        assert unpriced.why_not.startswith("Some of its machines have no price")
        assert unpriced.prices is None

    def test_fills_the_form_of_a_proposal(self, chat, client, monkeypatch):
        monkeypatch.setattr("apps.chargeback.prices.views.now", lambda: NOW)
        price(chat, CHEAP, START)
        client.force_login(finance("fiona"))
        url = reverse("chargeback:price_change_create")
        page = client.get(url, {"model": "chat", "margin": "25"})
        shown = {field.name: field.value() for field in page.context["form"]}
        assert (shown["model"], shown["input"], shown["output"]) == ("chat", "10", "53.9773")
        assert "$8.00 of machines for 1,000,000 tokens" in shown["justification"]
        assert "margin of 25%" in joined(page.content)
        page = client.get(url, {"model": "other-one", "margin": "25"})
        assert page.context["suggestion"] is None
        RegisteredModelFactory(name="unseen")
        page = client.get(url, {"model": "unseen", "margin": "25"})
        assert "There is nothing to suggest prices from." in joined(page.content)
        page = client.get(url, {"model": "chat"})
        assert page.context["form"]["input"].value() == "0.1"
