"""A month against the same days of the one before, added up by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.chargeback.actions import allocate_day, price_due_days
from apps.chargeback.month import comparison
from apps.chargeback.month.comparison import SameDays, same_days
from apps.chargeback.queries import EVERYTHING, Scope
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import at, machine, replica

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def moment(month, day, hour=0):
    return datetime(2026, month, day, hour, tzinfo=UTC)


class TestSameDays:
    @pytest.mark.parametrize(("now", "count", "words"), [
        (moment(11, 1, 23), 0, "1 Oct"),
        (moment(11, 2), 1, "1 Oct"),
        (moment(11, 27, 8), 26, "1–26 Oct"),
        (moment(12, 9), 30, "1–30 Oct"),
        (moment(10, 15), 0, "1 Oct"),
    ])  # fmt: skip
    def test_are_those_that_are_over(self, now, count, words):
        found = same_days(NOVEMBER, now)
        assert (found.count, found.words) == (count, words)

    def test_are_no_more_than_the_month_before_has(self):
        assert same_days(OCTOBER, moment(12, 1)).count == 30
        assert same_days(date(2026, 3, 1), moment(12, 1)).words == "1–28 Feb"


@pytest.mark.django_db
class TestOfPrices:
    """CHEAP: a thousand input tokens of which none is cached are $0.0001."""

    @pytest.fixture(autouse=True)
    def usage(self, registered_model):
        price(registered_model, CHEAP, moment(9, 1))
        fresh = {"cached_input_tokens": 0, "output_tokens": 0}
        for day in (1, 2, 3, 20):
            use(moment(10, day), input_tokens=1000, **fresh)
        use(moment(11, 1), input_tokens=1000, **fresh)
        use(moment(11, 2), input_tokens=2000, team="prior-auth", **fresh)
        use(moment(11, 3), input_tokens=4000, **fresh)
        use(moment(11, 25), input_tokens=9000, **fresh)
        price_due_days()

    def test_hold_the_same_days_against_each_other(self):
        found = comparison.of_prices(SameDays(NOVEMBER, 2), EVERYTHING)
        assert (found.now_usd, found.before_usd) == (Decimal("0.0003"), Decimal("0.0002"))
        assert found.words == "+50.0% vs 1–2 Oct"

    def test_come_to_the_same_from_either_end_of_the_month(self):
        found = comparison.of_prices(SameDays(NOVEMBER, 24), EVERYTHING)
        assert (found.now_usd, found.before_usd) == (Decimal("0.0007"), Decimal("0.0004"))

    def test_are_a_team_s_own(self):
        found = comparison.of_prices(SameDays(NOVEMBER, 2), Scope("claims-review"))
        assert found.words == "−50.0% vs 1–2 Oct"
        assert comparison.of_prices(SameDays(NOVEMBER, 2), Scope("prior-auth")).words == ""

    def test_say_where_some_tokens_have_no_price(self):
        RegisteredModelFactory(name="embed")
        use(moment(11, 1), model="embed", version="embed-v1")
        price_due_days()
        found = comparison.of_prices(SameDays(NOVEMBER, 2), EVERYTHING)
        assert found.words == "+50.0% vs 1–2 Oct, of what has a price"

    def test_say_that_nothing_changed(self):
        found = comparison.of_prices(SameDays(NOVEMBER, 1), EVERYTHING)
        assert found.words == "same as 1 Oct"


@pytest.mark.django_db
class TestOfMachines:
    """One machine an hour on 2 October for $8, and on 2 November for $12."""

    @pytest.fixture(autouse=True)
    def machines(self):
        october = -31 * 24
        old = machine("old", october, october + 1, price="8", gpus=1)
        replica(old, "chat-v1", october, october + 1, ready=october)
        new = machine("new", 0, 1, price="12", gpus=1)
        replica(new, "chat-v1", 0, 1)
        for hours, team in ((october, "a"), (0, "a")):
            use(at(hours), model="chat", version="chat-v1", team=team)
        for month in (10, 11):
            for day in (1, 2, 3):
                allocate_day(day=date(2026, month, day), now=moment(11, 9))

    def test_hold_the_same_days_against_each_other(self):
        found = comparison.of_machines(SameDays(NOVEMBER, 3), EVERYTHING)
        assert (found.now_usd, found.before_usd) == (Decimal(12), Decimal(8))
        assert found.words == "+50.0% vs 1–3 Oct"
        assert comparison.of_machines(SameDays(NOVEMBER, 3), Scope("a")).words == found.words

    def test_say_nothing_where_a_day_is_not_shared_out_to_its_end(self):
        assert comparison.of_machines(SameDays(NOVEMBER, 4), EVERYTHING).words == ""
        allocate_day(day=date(2026, 11, 4), now=moment(11, 4) + timedelta(hours=5))
        allocate_day(day=date(2026, 10, 4), now=moment(11, 9))
        for scope in (EVERYTHING, Scope("a")):
            assert comparison.of_machines(SameDays(NOVEMBER, 4), scope).words == ""
        allocate_day(day=date(2026, 11, 4), now=moment(11, 9))
        assert comparison.of_machines(SameDays(NOVEMBER, 4), EVERYTHING).words != ""

    def test_say_where_some_machines_have_no_price(self):
        machine("free", 5, 6, price=None, gpus=1)
        allocate_day(day=date(2026, 11, 2), now=moment(11, 9))
        found = comparison.of_machines(SameDays(NOVEMBER, 3), EVERYTHING)
        assert found.words == "+50.0% vs 1–3 Oct, of what has a price"
        assert comparison.of_machines(SameDays(NOVEMBER, 3), Scope("a")).is_whole
