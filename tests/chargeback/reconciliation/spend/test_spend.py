"""The price list's ledger beside its hours: what a difference is, and the page."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest

from apps.accounts.models import Role
from apps.chargeback import actions
from apps.chargeback.models import DirtyDay, Spend
from apps.chargeback.reconciliation.spend.compare import Day, Side, State, summary
from apps.chargeback.reconciliation.spend.queries import days
from apps.common.periods import DAY, month_bounds
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory, UserFactory

URL = "/chargeback/reconciliation/spend/"
NOVEMBER = month_bounds(date(2026, 11, 1))
START = NOVEMBER[0] + DAY


def side(usd, unpriced="0"):
    return Side(None if usd is None else Decimal(usd), Decimal(unpriced))


def day(ledger, hours, *, is_marked=False):
    return Day(date(2026, 11, 2), "m", ledger, hours, is_marked)


class TestDay:
    @pytest.mark.parametrize(
        ("ledger", "hours", "is_marked", "state", "unexplained"),
        [
            (side("1"), side("1"), False, State.MATCHES, 0),
            (side("1"), side("1"), True, State.MATCHES, 0),
            (side("1"), side("1.0000001"), False, State.UNEXPLAINED, Decimal("0.0000001")),
            (side("1"), side("0.5"), True, State.WAITING, 0),
            (side(None, "5"), side(None, "5"), False, State.UNPRICED, 0),
            (side(None, "5"), side("2"), False, State.UNEXPLAINED, 2),
            (side("2", "5"), side("2"), False, State.UNEXPLAINED, 0),
        ],
    )
    def test_says_whether_both_sides_agree(self, ledger, hours, is_marked, state, unexplained):
        found = day(ledger, hours, is_marked=is_marked)
        assert (found.state, found.unexplained_usd) == (state, unexplained)
        assert bool(found.words) == (state != State.MATCHES)


def test_a_month_is_what_its_days_come_to():
    found = summary(
        [
            day(side("1"), side("3")),
            day(side("5"), side("1")),
            day(side("1"), side("2"), is_marked=True),
            day(side(None, "5"), side(None, "5")),
        ]
    )
    assert (found.ledger_usd, found.hours_usd, found.unexplained_usd) == (7, 6, 6)
    assert (found.days, found.unexplained_days, found.waiting_days) == (4, 2, 1)


@pytest.fixture
def used(registered_model):
    """Two models on two days, priced; one of them has no price."""
    RegisteredModelFactory(name="other")
    price(registered_model, CHEAP, NOVEMBER[0])
    for at in (START, START + timedelta(hours=3), START + DAY):
        use(at)
    use(START, model="other", version="other-v1")
    actions.price_due_days()


@pytest.mark.django_db
@pytest.mark.usefixtures("used")
class TestDays:
    def test_agree_where_nothing_changed(self, django_assert_num_queries):
        with django_assert_num_queries(3):
            found = days(*NOVEMBER)
        assert [(x.day.day, x.model, x.state) for x in found] == [
            (3, "prior-auth-extract", State.MATCHES), (2, "other", State.UNPRICED),
            (2, "prior-auth-extract", State.MATCHES),
        ]  # fmt: skip
        assert found[2].ledger.usd == 2 * found[0].ledger.usd > 0
        assert found[1].ledger.usd is None and found[1].hours.unpriced == 1100

    def test_wait_where_an_hour_changed(self):
        use(START + timedelta(hours=5))
        found = {(x.day.day, x.model): x for x in days(*NOVEMBER)}
        assert found[2, "prior-auth-extract"].state == State.WAITING
        assert found[3, "prior-auth-extract"].state == State.MATCHES
        actions.price_due_days()
        assert {x.state for x in days(*NOVEMBER)} == {State.MATCHES, State.UNPRICED}

    def test_are_unexplained_where_the_ledger_was_not_priced_from_its_hours(self):
        use(START + timedelta(hours=5))
        DirtyDay.objects.all().delete()
        found = {(x.day.day, x.model): x for x in days(*NOVEMBER)}
        assert found[2, "prior-auth-extract"].state == State.UNEXPLAINED

    def test_know_of_a_day_that_only_the_ledger_has(self):
        Spend.objects.filter(day=START.date(), model="other").delete()
        found = {(x.day.day, x.model): x for x in days(*NOVEMBER)}
        assert found[2, "other"].state == State.UNEXPLAINED


@pytest.mark.django_db
class TestPage:
    @pytest.fixture
    def finance(self, client):
        client.force_login(UserFactory(with_roles=[Role.FINANCE]))
        return client

    @pytest.mark.usefixtures("used")
    def test_shows_both_sides_and_is_also_a_file(self, finance):
        text = " ".join(finance.get(URL, {"month": "2026-11"}).content.decode().split())
        assert "prior-auth-extract" in text and "1,100 units have no price" in text
        answer = finance.get(URL, {"month": "2026-11", "format": "csv"})
        found = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
        assert {row["state"] for row in found} == {"MATCHES", "UNPRICED"}

    def test_is_empty_in_words(self, finance):
        assert "In this month nobody used a model." in finance.get(URL).content.decode()

    def test_is_not_there_for_those_who_see_one_team(self, client):
        client.force_login(UserFactory(with_roles=[Role.TEAM_LEAD]))
        assert client.get(URL).status_code == 404
