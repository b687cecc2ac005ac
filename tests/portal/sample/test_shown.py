"""What pages say of the sample: where there is one, every page says so."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from apps.metering.backfill.actions import advance_backfill, finish_backfill
from apps.metering.backfill.models import Backfill
from portal.sample.shown import shown_sample
from portal.sample.year import begin_year
from tests.factories import RegisteredModelFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 27, 7, 20, tzinfo=UTC)
MARK = 'href="/sample/"'


@pytest.fixture
def page(client, alice):
    client.force_login(alice)
    return lambda name="home", **more: client.get(reverse(name), **more).content.decode()


class TestPages:
    def test_say_nothing_where_there_is_no_sample(self, page, settings):
        assert MARK not in page()
        settings.SAMPLE = "year"
        assert MARK not in page()
        assert "Nothing here is made up." in page("sample")

    def test_ask_nothing_where_there_can_be_none(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert shown_sample() is None

    @pytest.mark.parametrize(
        "name", ["home", "chargeback:month", "catalog:model_list", "metering:usage_list"]
    )
    def test_are_marked_with_how_far_it_is(self, page, settings, name):
        settings.SAMPLE = "year"
        begun = begin_year(now=NOW)
        assert page(name).count(MARK) == 2
        assert "0 of 392 days are there" in page(name)
        advance_backfill(backfill=begun, stored_until=begun.since + timedelta(days=100))
        assert "100 of 392 days are there" in page(name)
        advance_backfill(backfill=begun, stored_until=begun.until)
        assert "its months are being closed" in page(name)
        finish_backfill(backfill=begun, now=NOW)
        found = page(name)
        assert found.count(MARK) == 2 and "Meridian Health, an invented company" in found
        assert "days are there" not in found


class TestFiles:
    def test_are_marked_as_their_pages_are(self, client, alice, settings):
        settings.SAMPLE = "year"
        client.force_login(alice)
        url = reverse("catalog:model_list")
        RegisteredModelFactory(), RegisteredModelFactory()
        assert "sample" not in client.get(url, {"format": "csv"})["Content-Disposition"]
        begin_year(now=NOW)
        answer = client.get(url, {"format": "csv"})
        assert answer["Content-Disposition"].endswith('-sample.csv"')
        head, *rows = b"".join(answer).decode().splitlines()
        assert head.endswith(",sample") and len(rows) == 2
        assert all(row.endswith(",Sample") for row in rows)


class TestSamplePage:
    def test_shows_progress_until_all_is_there(self, page, settings):
        settings.SAMPLE = "year"
        begun = begin_year(now=NOW)
        assert "Meridian Health does not exist." in page("sample")
        assert "until 27 Nov 2026 07:00 UTC" in page("sample")
        part = page("sample", headers={"HX-Request": "true"})
        assert "0 of 392" in part and "<html" not in part and "hx-get" in part
        advance_backfill(backfill=begun, stored_until=begun.until)
        finish_backfill(backfill=begun, now=NOW)
        part = page("sample", headers={"HX-Request": "true"})
        assert "All of it is there." in part and "hx-get" not in part


class TestBeginYear:
    def test_keeps_the_hour_at_which_it_was_begun_first(self):
        first = begin_year(now=NOW)
        again = begin_year(now=NOW + timedelta(days=3))
        assert (again.until, again.begun_at) == (first.until, NOW)
        assert first.until == NOW.replace(minute=0)
        assert Backfill.objects.count() == 1
