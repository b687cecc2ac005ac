"""An id that comes again after its day went into the archive: the day is found and brought back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.common.periods import day_of
from apps.integrations.errors import PermanentError, TemporaryError
from apps.metering import actions, days
from apps.metering.archive import doubles, reconcile
from apps.metering.archive.actions import ask_due_days
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import HourlyUsage
from apps.metering.quarantine.doubles import find_doubles
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, stored_calls
from tests.metering.test_actions import entry, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD, OLDER = NOW - 70 * DAY, NOW - 80 * DAY
MORNING = NOW + DAY


def ingest(*records, now=NOW):
    actions.ingest_usage(entries=[entry(one) for one in records], via="OTLP", now=now)


def settled(now):
    """Add up every hour and hold the stored days against each other."""
    actions.roll_up_dirty_hours(now=now)
    return find_doubles(now=now + timedelta(seconds=1))


class Counting:
    """An archive that tells which objects were read, or cannot be."""

    def __init__(self, archive, error=None):
        self.archive, self.error, self.keys = archive, error, []

    def read(self, key, *, version_id=""):
        """Read an object."""
        self.keys.append(key)
        if self.error is not None:
            raise self.error
        return self.archive.read(key, version_id=version_id)


@pytest.fixture
def reads(archive):
    return Counting(archive)


@pytest.fixture
def old(archive):
    """A call of each of two old days and another one of the later of them, in the archive."""
    made = {"older": record(OLDER), "old": record(OLD), "other": record(OLD + HOUR)}
    ingest(*made.values())
    ingest(record(NOW))
    settled(NOW)
    assert reconcile.archive_days(archive=archive, now=NOW) == 2
    return made


def search(archive, now=MORNING, **more):
    return doubles.search_archive(archive=archive, now=now, **more)


def wanted():
    """Return the days that are to be brought back."""
    return set(ArchivedDay.objects.exclude(next_check_at=None).values_list("day", flat=True))


def again(one, at, now):
    """Let the id of a call come again, as another call."""
    ingest(replace(one, occurred_at=at, team="prior-auth", output_tokens=9), record(at), now=now)
    settled(now)


class TestSearchArchive:
    def test_brings_back_the_day_that_holds_an_id_which_came_again(self, old, reads, archive):
        at = NOW + 2 * HOUR
        again(old["old"], at, at)
        before = {day_of(NOW), day_of(OLD), day_of(OLDER)}
        assert search(reads) == 1
        assert wanted() == {day_of(OLD)} and len(reads.keys) == 2
        reconcile.archive_days(archive=archive, now=MORNING)
        assert day_of(OLD) in days.stored_days() and day_of(OLDER) not in days.stored_days()
        assert settled(MORNING + HOUR) == 1
        kept = QuarantinedRecord.objects.get()
        assert (kept.doubt, kept.event_id, kept.occurred_at) == (
            "OTHER_DAY", old["old"].event_id, at,
        )  # fmt: skip
        actions.roll_up_dirty_hours(now=MORNING + HOUR)
        sums = HourlyUsage.objects.order_by("hour").values_list("hour", "metered_calls")
        assert list(sums) == [(OLDER, 1), (OLD, 1), (OLD + HOUR, 1), (NOW, 1), (at, 1)]
        assert {day_of(hour) for hour, _ in sums} == before

    def test_takes_the_archived_call_out_where_it_was_received_later(self, reads, archive):
        first = record(NOW, output_tokens=3)
        ingest(replace(first, occurred_at=OLD), now=NOW)
        settled(NOW)
        reconcile.archive_days(archive=archive, now=NOW)
        ingest(first, now=NOW - HOUR)
        settled(NOW + HOUR)
        assert search(reads) == 1
        reconcile.archive_days(archive=archive, now=MORNING)
        assert settled(MORNING + HOUR) == 1
        assert QuarantinedRecord.objects.get().occurred_at == OLD
        assert stored_calls().get(event_id=first.event_id).occurred_at == NOW

    def test_reads_a_file_again_for_what_changed_since_alone(self, old, reads):
        assert search(reads) == 0 and reads.keys == []  # nothing changed since it was archived
        ingest(record(NOW), record(NOW - DAY), now=NOW + HOUR)
        settled(NOW + HOUR)
        assert search(reads) == 0
        assert len(reads.keys) == 2 and wanted() == set()
        assert search(reads, MORNING + HOUR) == 0 and len(reads.keys) == 2
        again(old["older"], NOW + 3 * HOUR, MORNING + 2 * HOUR)
        assert search(reads, MORNING + 3 * HOUR) == 1
        assert wanted() == {day_of(OLDER)}

    def test_goes_on_day_by_day_where_memory_is_small(self, old, reads, monkeypatch):
        monkeypatch.setattr(doubles, "MOST_IDS", 1)
        ingest(record(NOW - 2 * DAY), record(NOW - 2 * DAY), now=NOW + HOUR)
        settled(NOW + HOUR)
        again(old["old"], NOW - DAY, NOW + 2 * HOUR)
        assert search(reads) == 0  # of the day that changed first
        assert ArchivedDay.objects.filter(searched_until=NOW + HOUR).count() == 2
        assert search(reads) == 1 and wanted() == {day_of(OLD)}
        assert ArchivedDay.objects.get(day=day_of(OLDER)).searched_until > NOW + 2 * HOUR

    def test_ends_with_its_pass_and_goes_on_in_the_next(self, old, reads):
        again(old["old"], NOW + 2 * HOUR, NOW + 2 * HOUR)
        ticks = iter([0, 0, doubles.PASS_SECONDS + 1])
        assert search(reads, clock=lambda: next(ticks)) == 0
        assert len(reads.keys) == 1
        assert search(reads) == 1 and len(reads.keys) == 2

    def test_waits_for_the_archive_and_names_a_file_that_is_not_whole(self, old, archive):
        again(old["old"], NOW + 2 * HOUR, NOW + 2 * HOUR)
        away = Counting(archive, TemporaryError("S3 is away."))
        assert search(away) == 0 and len(away.keys) == 1
        assert not ArchivedDay.objects.exclude(message="").exists()
        broken = Counting(archive, PermanentError("Nobody may read it."))
        assert search(broken) == 0 and len(broken.keys) == 2
        told = set(ArchivedDay.objects.values_list("message", "searched_until", "next_check_at"))
        assert told == {("Its ids cannot be read: Nobody may read it.", None, None)}
        assert search(Counting(archive)) == 1
        assert ArchivedDay.objects.get(day=day_of(OLDER)).message == ""

    def test_finds_nothing_in_an_empty_archive(self, reads):
        ingest(record(NOW))
        settled(NOW)
        assert search(reads) == 0


class TestAskDueDays:
    def test_waits_for_the_search_of_a_day_that_changed(self, old, reads):
        ingest(record(OLD + 3 * DAY), now=NOW + HOUR)
        settled(NOW + HOUR)
        assert ask_due_days(now=MORNING) == 0
        search(reads)
        assert ask_due_days(now=MORNING) == 1
