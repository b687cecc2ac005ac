"""When an hour is settled, and what still changes in it."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.metering import actions, sealing
from apps.metering.models import DirtyHour, HourlyUsage, LateUsage, SealedHour
from apps.metering.quarantine.doubles import find_doubles
from tests.factories import NOW
from tests.metering.test_actions import entry, record

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEFORE = NOW - 7 * HOUR  # the newest hour whose six hours are over


def ingest(*records, now=NOW):
    return actions.ingest_usage(entries=[entry(one) for one in records], via="OTLP", now=now)


def sealed():
    return list(SealedHour.objects.order_by("hour").values_list("hour", flat=True))


def noted():
    return list(LateUsage.objects.order_by("hour", "calls").values_list("hour", "calls"))


@pytest.mark.django_db
class TestSealHours:
    def test_seals_an_hour_when_its_grace_is_over(self, settings):
        assert sealing.seal_hours(now=NOW - timedelta(seconds=1)) == 1
        assert sealed() == [BEFORE - HOUR]
        assert sealing.seal_hours(now=NOW) == 1
        assert sealed() == [BEFORE - HOUR, BEFORE]
        assert SealedHour.objects.get(hour=BEFORE).sealed_at == NOW
        assert sealing.seal_hours(now=NOW + HOUR - timedelta(seconds=1)) == 0
        settings.USAGE_GRACE_HOURS = 1
        assert sealing.seal_hours(now=NOW) == 5

    def test_leaves_no_hour_out(self):
        sealing.seal_hours(now=NOW)
        assert sealing.seal_hours(now=NOW + 30 * HOUR) == 30
        assert sealed() == [BEFORE + step * HOUR for step in range(31)]

    def test_stops_before_an_hour_that_is_not_added_up(self):
        sealing.seal_hours(now=NOW)
        DirtyHour.objects.create(hour=BEFORE + 2 * HOUR, marked_at=NOW)
        assert sealing.seal_hours(now=NOW + 9 * HOUR) == 1
        DirtyHour.objects.all().delete()
        assert sealing.seal_hours(now=NOW + 9 * HOUR) == 8

    @pytest.mark.parametrize(("hours", "done"), [(-30, False), (0, False), (1, True)])
    def test_needs_every_hour_until_then_to_be_added_up(self, hours, done):
        DirtyHour.objects.create(hour=BEFORE + hours * HOUR, marked_at=NOW)
        assert sealing.seal_hours(now=NOW) == done
        assert bool(sealed()) is done

    def test_seals_an_hour_once(self):
        sealing.seal_hours(now=NOW)
        sealing.seal_hours(now=NOW + HOUR)
        assert SealedHour.objects.get(hour=BEFORE).sealed_at == NOW
        assert SealedHour.objects.count() == 2


@pytest.mark.django_db
class TestSealedUntil:
    def test_is_the_end_of_the_newest_sealed_hour(self):
        assert sealing.sealed_until() is None
        sealing.seal_hours(now=NOW)
        sealing.seal_hours(now=NOW + HOUR)
        assert sealing.sealed_until() == BEFORE + 2 * HOUR
        assert sealing.sealed_until(at=NOW) == BEFORE + HOUR
        assert sealing.sealed_until(at=NOW - HOUR) is None

    def test_is_told_in_words(self):
        assert sealing.words(NOW - DAY, NOW) == ""
        sealing.seal_hours(now=NOW)
        until = BEFORE + HOUR  # 03:00
        assert sealing.words(NOW - DAY, NOW) == "sealed until 03:00 UTC on 2 Nov 2026"
        assert sealing.words(NOW - DAY, until) == "sealed"
        assert sealing.words(until, NOW) == ""
        assert sealing.words(until - HOUR, NOW) != ""


@pytest.mark.django_db
@pytest.mark.usefixtures("names")
class TestLateUsage:
    def test_reaches_its_hour_and_is_noted(self):
        sealing.seal_hours(now=NOW)
        ingest(record(BEFORE), record(BEFORE), record(BEFORE - DAY), record(BEFORE + HOUR))
        assert noted() == [(BEFORE - DAY, 1), (BEFORE, 2)]
        assert LateUsage.objects.first().recorded_at == NOW
        actions.roll_up_dirty_hours(now=NOW)
        sums = dict(HourlyUsage.objects.values_list("hour", "metered_calls"))
        assert sums == {BEFORE - DAY: 1, BEFORE: 2, BEFORE + HOUR: 1}
        assert sealing.late_calls(BEFORE, NOW) == 2
        assert sealing.late_calls(BEFORE - DAY, BEFORE + HOUR) == 3
        assert sealing.late_calls(NOW, NOW + DAY) == 0

    def test_is_only_what_is_new(self):
        sealing.seal_hours(now=NOW)
        one = record(BEFORE)
        ingest(one)
        ingest(one)
        ingest(one, record(BEFORE))
        assert noted() == [(BEFORE, 1), (BEFORE, 1)]

    def test_is_none_of_an_hour_that_is_not_sealed(self):
        ingest(record(BEFORE - DAY))
        actions.roll_up_dirty_hours(now=NOW)
        sealing.seal_hours(now=NOW)
        assert noted() == []

    def test_is_none_of_what_came_before_the_seal_by_its_own_clock(self):
        sealing.seal_hours(now=NOW)
        ingest(record(BEFORE), now=NOW - HOUR - timedelta(seconds=1))
        ingest(record(BEFORE - DAY), now=NOW - HOUR - timedelta(seconds=1))
        assert noted() == []
        ingest(record(BEFORE), now=NOW - timedelta(seconds=9))
        assert noted() == [(BEFORE, 1)]

    def test_asks_nothing_for_young_hours(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            sealing.note_late({NOW: 1, NOW - 5 * HOUR: 2}, now=NOW)
        with django_assert_num_queries(2):
            sealing.note_late({NOW: 1, BEFORE: 2}, now=NOW)

    def test_is_told_of_what_is_taken_out_too(self):
        first = record(BEFORE - DAY)
        ingest(first, now=NOW - DAY)
        ingest(replace(first, occurred_at=BEFORE), now=NOW)
        actions.roll_up_dirty_hours(now=NOW)
        sealing.seal_hours(now=NOW)
        find_doubles(now=NOW + HOUR)
        assert noted() == [(BEFORE, -1)]
        assert sealing.late_calls(BEFORE, NOW) == -1

    def test_is_some(self):
        with pytest.raises(IntegrityError, match="late_usage_is_some"), transaction.atomic():
            LateUsage.objects.create(hour=NOW, calls=0, recorded_at=NOW)


class TestTwoAtOnce:
    def test_a_batch_that_is_being_stored_is_waited_for(self, committed, names):
        done = []

        def seal():
            done.append(sealing.seal_hours(now=NOW))
            connection.close()

        with transaction.atomic():
            ingest(record(BEFORE))
            thread = threading.Thread(target=seal)
            thread.start()
            time.sleep(0.5)
            assert done == []
        thread.join(30)
        assert (done, sealed(), noted()) == ([0], [], [])

    def test_a_batch_waits_for_the_seal_and_is_late(self, committed, names):
        done = []

        def store():
            done.append(ingest(record(BEFORE)).stored)
            connection.close()

        with transaction.atomic():
            assert sealing.seal_hours(now=NOW + timedelta(seconds=5)) == 1
            thread = threading.Thread(target=store)
            thread.start()
            time.sleep(0.5)
            assert done == []
        thread.join(30)
        assert (done, noted()) == ([1], [(BEFORE, 1)])
