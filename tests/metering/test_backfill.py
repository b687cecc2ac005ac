"""Usage of the past that is brought in: how far it is, and that nothing of it is sealed before."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from apps.metering import actions, sealing
from apps.metering.backfill.actions import advance_backfill, begin_backfill, finish_backfill
from apps.metering.backfill.models import Backfill
from apps.metering.backfill.queries import sample, sample_months, still_to_come
from apps.metering.models import LateUsage, SealedHour
from tests.factories import NOW
from tests.metering.test_actions import entry, record

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SINCE = NOW.replace(hour=0) - 40 * DAY
UNTIL = NOW


def begin(name="history", *, since=SINCE, until=UNTIL, is_sample=False, now=NOW):
    return begin_backfill(name=name, since=since, until=until, is_sample=is_sample, now=now)


class TestBeginBackfill:
    def test_keeps_what_was_begun_before(self):
        begin()
        again = begin(since=SINCE - DAY, until=UNTIL - DAY, is_sample=True, now=NOW + DAY)
        assert (again.since, again.until, again.is_sample, again.begun_at) == (
            SINCE,
            UNTIL,
            False,
            NOW,
        )
        assert Backfill.objects.count() == 1

    def test_counts_its_days(self):
        found = begin()
        assert (found.days, found.days_stored) == (41, 0)
        advance_backfill(backfill=found, stored_until=SINCE + 3 * DAY)
        assert found.days_stored == 3
        advance_backfill(backfill=found, stored_until=UNTIL)
        assert found.days_stored == 41


class TestStillToCome:
    def test_is_the_earliest_moment_that_is_not_stored(self):
        assert still_to_come() is None
        first, second = begin(), begin("other", since=SINCE + DAY)
        assert still_to_come() == SINCE
        advance_backfill(backfill=first, stored_until=SINCE + 2 * DAY)
        assert still_to_come() == SINCE + DAY
        advance_backfill(backfill=second, stored_until=UNTIL)
        assert still_to_come() == SINCE + 2 * DAY
        advance_backfill(backfill=first, stored_until=UNTIL)
        assert still_to_come() is None


class TestSampleMonths:
    def test_are_those_that_hold_some_of_its_usage(self):
        begin()
        assert sample_months() == frozenset()
        since, until = datetime(2026, 9, 30, 23, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
        begin("sample", since=since, until=until, is_sample=True)
        assert sample_months() == {date(2026, month, 1) for month in (9, 10, 11)}


class TestSample:
    def test_is_a_backfill_that_was_made_up(self):
        begin()
        assert sample() is None
        made_up = begin("year", is_sample=True)
        finish_backfill_of(made_up)
        assert sample() == made_up


def finish_backfill_of(found):
    advance_backfill(backfill=found, stored_until=found.until)
    finish_backfill(backfill=found, now=NOW)


class TestGuards:
    @pytest.mark.parametrize(
        "change",
        [
            {"stored_until": SINCE - HOUR},
            {"stored_until": UNTIL + HOUR},
            {"finished_at": NOW},
        ],
    )
    def test_hold_it_within_its_time(self, change):
        found = begin()
        with pytest.raises(IntegrityError), transaction.atomic():
            Backfill.objects.filter(pk=found.pk).update(**change)

    def test_let_it_never_go_back(self):
        found = begin()
        advance_backfill(backfill=found, stored_until=SINCE + 2 * DAY)
        with pytest.raises(IntegrityError, match="never goes back"), transaction.atomic():
            advance_backfill(backfill=found, stored_until=SINCE + DAY)

    def test_let_what_is_finished_never_change(self):
        found = begin()
        finish_backfill_of(found)
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            finish_backfill(backfill=found, now=NOW + DAY)


@pytest.mark.usefixtures("names")
class TestSealing:
    def test_waits_for_what_is_still_to_come(self):
        found = begin()
        assert sealing.seal_hours(now=NOW) == 1
        assert sealing.sealed_until() == SINCE
        for day in (1, 2):
            at = SINCE + day * DAY
            actions.ingest_usage(
                entries=[entry(record(at - 2 * HOUR))], via="OTLP", now=at + HOUR / 6
            )
            advance_backfill(backfill=found, stored_until=at)
            assert sealing.seal_hours(now=NOW) == 22
            actions.roll_up_dirty_hours(now=NOW)
            assert sealing.seal_hours(now=NOW) == 2
            assert sealing.sealed_until() == at
        assert not LateUsage.objects.exists()
        finish_backfill_of(found)
        sealing.seal_hours(now=NOW)
        assert sealing.sealed_until() == NOW - 6 * HOUR
        assert SealedHour.objects.count() == (NOW - 6 * HOUR - SINCE) // HOUR + 1

    def test_still_notes_what_comes_to_hours_that_are_sealed(self):
        found = begin()
        advance_backfill(backfill=found, stored_until=SINCE + DAY)
        sealing.seal_hours(now=NOW)
        late = record(SINCE + HOUR)
        actions.ingest_usage(entries=[entry(late)], via="OTLP", now=NOW)
        assert list(LateUsage.objects.values_list("hour", "calls")) == [(SINCE + HOUR, 1)]
