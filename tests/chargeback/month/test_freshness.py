"""How complete a month is, and by which prices."""

from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.chargeback.actions import price_day
from apps.chargeback.month.freshness import metered_words, prices_words, quarantine_url
from apps.metering.models import DirtyHour, Outcome, SealedHour
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.chargeback.test_queries import END, START, use
from tests.factories import RegisteredModelFactory, UserFactory
from tests.metering.test_views import call

DAY = timedelta(days=1)


class TestMeteredWords:
    """How complete a month is belongs to that month, not to the clock."""

    @pytest.fixture(autouse=True)
    def calls(self, db):
        for moment in (START + DAY, START + 2 * DAY, END + DAY):
            call(Outcome.REFUSED, occurred_at=moment)

    def test_of_a_past_month_is_complete_whatever_came_since(self):
        assert metered_words(START, END, END) == "complete: every hour is added up and priced"

    def test_of_this_month_ends_with_its_newest_call(self):
        found = metered_words(START, END, END - DAY)
        assert found == "metered until 00:00:00 UTC on 3 Nov 2026"
        october = START - DAY
        assert metered_words(october, START, october) == "no call metered yet this month"

    def test_counts_the_hours_that_wait_to_be_added_up(self):
        for hour in (START, START + timedelta(hours=5), END, START - timedelta(hours=1)):
            DirtyHour.objects.create(hour=hour, marked_at=END)
        assert metered_words(START, END, END) == "2 hours still being added up"
        assert metered_words(START, END, START + 3 * DAY) == (
            "metered until 00:00:00 UTC on 3 Nov 2026 · 2 hours still being added up"
        )

    def test_counts_the_days_that_wait_to_be_priced(self):
        for hour in (START, START + timedelta(hours=5), START + 3 * DAY, END):
            use(hour)
        DirtyHour.objects.create(hour=START, marked_at=END)
        assert metered_words(START, END, END) == (
            "1 hour still being added up · 2 days still being priced"
        )
        price_day(day=START.date())
        DirtyHour.objects.all().delete()
        assert metered_words(START, END, END) == "1 day still being priced"
        found = metered_words(START, END, START + 3 * DAY)
        assert found == "metered until 00:00:00 UTC on 3 Nov 2026 · 1 day still being priced"

    def test_says_until_when_it_is_sealed(self):
        SealedHour.objects.create(hour=START + 2 * DAY, sealed_at=END)
        words = "sealed until 01:00 UTC on 3 Nov 2026"
        assert metered_words(START, END, END) == (
            f"complete: every hour is added up and priced · {words}"
        )
        found = metered_words(START, END, START + 3 * DAY)
        assert found == f"metered until 00:00:00 UTC on 3 Nov 2026 · {words}"
        SealedHour.objects.create(hour=END - timedelta(hours=1), sealed_at=END)
        whole = "complete: every hour is added up and priced · sealed"
        assert metered_words(START, END, END) == whole

    def test_of_a_month_to_come_has_not_begun(self):
        assert metered_words(END, END + 31 * DAY, START) == "has not begun"


class TestPricesWords:
    """The newest price that was in force in the month shown, whatever came later."""

    @pytest.fixture(autouse=True)
    def prices(self, registered_model):
        price(registered_model, CHEAP, START - 40 * DAY)
        other = RegisteredModelFactory(name="embed")
        price(other, CHEAP, START - 20 * DAY)
        price(other, DEAR, START + 3 * DAY)
        price(registered_model, DEAR, END + 2 * DAY)

    def test_name_the_newest_day_and_the_changes_of_the_month(self):
        words = prices_words(START, END, END + 30 * DAY)
        assert words == "prices of 4 Nov 2026, 1 change in the month"

    def test_of_the_month_before_know_nothing_of_later_ones(self):
        october = START - 31 * DAY
        words = prices_words(october, START, END)
        assert words == "prices of 12 Oct 2026, 1 change in the month"

    def test_of_this_month_end_now(self):
        assert prices_words(START, END, START + DAY) == "prices of 12 Oct 2026"
        assert prices_words(START - 90 * DAY, START - 60 * DAY, END) == "no price in force"


@pytest.mark.django_db
class TestQuarantineUrl:
    def test_leads_those_who_see_every_team_to_what_waits(self, charlie):
        auditor = UserFactory(with_roles=[Role.AUDITOR])
        url = quarantine_url(START, auditor)
        assert url == "/usage/quarantine/?since=2026-11-01&status=WAITING"
        assert quarantine_url(START, charlie) == ""
