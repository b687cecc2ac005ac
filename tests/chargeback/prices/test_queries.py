"""What proposed prices would change."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.chargeback.actions import price_due_days
from apps.chargeback.prices import queries
from apps.chargeback.rating import Prices
from apps.metering.skus import Sku
from tests.chargeback.pricing import CHEAP, DEAR, price, propose
from tests.chargeback.test_queries import END, START, use
from tests.factories import RegisteredModelFactory

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDDLE = START + 10 * DAY


class TestEffectOf:
    def test_names_what_ends_and_what_never_comes(self, registered_model):
        other = RegisteredModelFactory()
        price(other, CHEAP, START)
        first, second, third = (
            price(registered_model, prices, begins)
            for prices, begins in ((CHEAP, START), (DEAR, MIDDLE), (CHEAP, END))
        )
        effect = queries.effect_of(registered_model, DEAR, MIDDLE + HOUR)
        assert (effect.ends, effect.replaces, effect.dropped) == (second, [third], [])
        effect = queries.effect_of(registered_model, DEAR, MIDDLE)
        assert (effect.ends, effect.replaces) == (
            None,
            [second, third],
        )  # the first ends there anyway
        effect = queries.effect_of(registered_model, DEAR, START - HOUR)
        assert (effect.ends, effect.replaces) == (None, [first, second, third])
        effect = queries.effect_of(other, DEAR, START - HOUR)
        assert len(effect.replaces) == 1

    def test_names_what_has_no_price_any_more(self, registered_model):
        price(registered_model, CHEAP, START)
        only = Prices(output=Decimal(1), image=Decimal(1))
        lost = [Sku.INPUT, Sku.CACHED_INPUT]
        assert queries.effect_of(registered_model, only, MIDDLE).dropped == lost
        assert queries.effect_of(registered_model, only, START).dropped == lost


class TestLastMonth:
    def test_prices_its_quantities_by_both_lists(self, registered_model):
        use(START)
        use(END - HOUR, team="prior-auth")
        use(START - HOUR)
        use(END)
        use(START, model="clinical-summary")
        price_due_days()
        now = END + 3 * DAY
        found = queries.last_month(registered_model, CHEAP, Prices(output=Decimal(1)), now)
        assert (found.start, found.end) == (START, END)
        assert list(found.rows) == [
            queries.SkuCost(Sku.INPUT, Decimal(1600), Decimal("0.00016"), None),
            queries.SkuCost(Sku.CACHED_INPUT, Decimal(400), Decimal("0.000004"), None),
            queries.SkuCost(Sku.OUTPUT, Decimal(200), Decimal("0.00008"), Decimal("0.0002")),
        ]
        assert (found.before_usd, found.proposed_usd) == (Decimal("0.000244"), Decimal("0.0002"))
        assert not found.is_whole
        assert queries.last_month(registered_model, CHEAP, DEAR, now).is_whole

    def test_knows_no_sum_where_nothing_has_a_price(self, registered_model):
        use(START)
        price_due_days()
        found = queries.last_month(registered_model, Prices(), CHEAP, END)
        assert (found.before_usd, found.proposed_usd) == (None, Decimal("0.000122"))
        assert not queries.last_month(registered_model, CHEAP, DEAR, START).rows


class TestPricedAgain:
    def test_is_what_was_used_since_their_hour_as_it_is_priced_now(self, registered_model):
        price(registered_model, CHEAP, START)
        price(registered_model, DEAR, MIDDLE)
        for hour in (START, MIDDLE - HOUR, MIDDLE, MIDDLE + DAY):
            use(hour)
        use(MIDDLE, model="clinical-summary")
        change = propose(registered_model, CHEAP, START + HOUR, now=MIDDLE + DAY)
        found = queries.priced_again(
            change, MIDDLE + DAY + timedelta(minutes=5, seconds=7, microseconds=9)
        )
        assert found.end == MIDDLE + DAY + HOUR
        assert found.before_usd == Decimal("0.000122") * 5  # one hour cheap, two at twice as much
        assert found.proposed_usd == Decimal("0.000122") * 3

    def test_is_nothing_for_prices_to_come(self, registered_model):
        change = propose(registered_model, CHEAP, MIDDLE)
        assert queries.priced_again(change, MIDDLE) is None
