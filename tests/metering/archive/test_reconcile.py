"""A day's way into the archive and back, on a real S3 server: no call is lost, and none counts
twice.
"""

import hashlib
from datetime import timedelta
from io import BytesIO

import pytest
from django.db import OperationalError
from pyarrow import parquet as public

from apps.audit.models import AuditEvent
from apps.common.periods import day_of
from apps.integrations.errors import TemporaryError
from apps.integrations.s3.client import RegistryStore
from apps.metering import actions, days, store
from apps.metering.access_log import read_entry
from apps.metering.archive import parquet, reconcile
from apps.metering.archive.actions import ask_due_days, want_restored
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import DirtyHour, HourlyUsage
from apps.metering.quarantine.actions import replay_waiting
from apps.metering.quarantine.doubles import find_doubles
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, stored_calls
from tests.integrations import versitygw
from tests.metering.test_access_log import CALL
from tests.metering.test_actions import entry, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
DAY = timedelta(days=1)
OLD = NOW - 70 * DAY
SUMS = ("hour", "team", "model", "version", "metered_calls", "input_tokens", "output_tokens")


def ingest(*records, now=NOW):
    return actions.ingest_usage(entries=[entry(one) for one in records], via="OTLP", now=now)


def late(event_id, at=OLD, **changes):
    """Return a record as it comes, with the keys that are kept of it."""
    told = {"x-request-id": str(event_id), "start_time": at.isoformat()}
    return read_entry(CALL | told | changes)


def summed():
    """Add up every hour, and check every day; return the sums."""
    actions.roll_up_dirty_hours(now=NOW)
    find_doubles(now=NOW + timedelta(seconds=1))
    return list(HourlyUsage.objects.order_by("hour", "team").values_list(*SUMS))


def rows():
    return list(ArchivedDay.objects.order_by("day", "asked_at", "id"))


def body_of(archive, row):
    return b"".join(archive.read(row.object_key, version_id=row.version_id))


def told_actions():
    return [each.action for each in AuditEvent.objects.order_by("id") if "usage." in each.action]


@pytest.fixture
def run(archive):
    """Do what is due at a moment."""
    return lambda now=NOW, archive=archive: reconcile.archive_days(archive=archive, now=now)


@pytest.fixture
def calls():
    """Two calls of an old day, in two hours and of two teams, and one of a recent day."""
    made = [record(OLD), record(OLD + timedelta(hours=3), team="prior-auth", output_tokens=7)]
    ingest(*made, record(NOW))
    summed()
    return made


class TestAnOldDay:
    def test_is_in_the_archive_alone_and_its_sums_stay(self, calls, run, archive):
        before = summed()
        stored = list(days.rows_of(day_of(OLD), parquet.COLUMNS, 10))
        assert run() == 1
        (row,) = rows()
        assert (row.day, row.status, row.rows, row.message) == (day_of(OLD), "DROPPED", 2, "")
        assert (row.archived_at, row.dropped_at, row.next_check_at) == (NOW, NOW, None)
        assert row.last_call_at == OLD + timedelta(hours=3)
        body = body_of(archive, row)
        assert (hashlib.sha256(body).hexdigest(), len(body)) == (row.sha256, row.size_bytes)
        assert list(parquet.read(body, days.DEFAULTS)) == stored
        assert archive.head(row.object_key).locked_until == NOW + 24 * 31 * DAY
        assert versitygw.refused(archive, row.object_key, row.version_id)
        assert day_of(OLD) not in days.stored_days()
        assert day_of(NOW) in days.stored_days()
        assert stored_calls().get().occurred_at == NOW
        assert summed() == before
        assert told_actions() == ["usage.archived", "usage.dropped"]
        event = AuditEvent.objects.filter(action="usage.dropped").get()
        assert event.actor == "system:metering.archive_days"
        assert event.data == {
            "day": "2026-08-24", "object": row.object_key, "version": row.version_id,
            "sha256": row.sha256, "calls": 2,
        }  # fmt: skip

    def test_is_done_once(self, calls, run):
        assert ask_due_days(now=NOW) == 1
        assert ask_due_days(now=NOW) == 0
        run()
        assert (ask_due_days(now=NOW + DAY), run(), run(NOW + DAY)) == (0, 0, 0)
        assert len(rows()) == 1

    def test_is_one_that_has_more_days_than_are_kept(self, run, settings):
        settings.USAGE_RAW_DAYS = 40
        ingest(record(NOW - 40 * DAY), record(NOW - 41 * DAY))
        summed()
        run()
        assert [row.day for row in rows()] == [day_of(NOW - 41 * DAY)]

    def test_stays_while_an_hour_of_it_is_to_be_added_up(self, run):
        ingest(record(OLD))
        assert (run(), rows()) == (0, [])
        summed()
        assert run() == 1

    def test_stays_until_its_ids_were_looked_for_in_other_days(self, run):
        ingest(record(OLD))
        actions.roll_up_dirty_hours(now=NOW)
        assert (run(), rows()) == (0, [])
        find_doubles(now=NOW)
        assert run() == 0
        find_doubles(now=NOW + timedelta(seconds=1))
        assert run() == 1

    def test_can_be_one_without_calls(self, run, archive):
        days.make_days({day_of(OLD)})
        run()
        (row,) = rows()
        assert (row.status, row.rows, row.last_call_at) == ("DROPPED", 0, None)
        assert list(parquet.read(body_of(archive, row), days.DEFAULTS)) == []

    def test_is_one_of_several_and_the_pass_ends_in_time(self, run, archive):
        ingest(record(OLD), record(OLD + DAY), record(OLD + 2 * DAY))
        summed()
        ticks = iter([0.0, 1.0, 61.0])
        looked_at = reconcile.archive_days(archive=archive, now=NOW, clock=lambda: next(ticks))
        assert (looked_at, [row.status for row in rows()]) == (1, ["DROPPED", "WAITING", "WAITING"])
        assert run() == 2
        assert {row.status for row in rows()} == {"DROPPED"}

    def test_still_tells_until_when_there_was_usage(self, calls, run):
        run()
        last = OLD + timedelta(hours=3)
        ask = store.latest_call_at
        assert ask() == NOW
        assert (ask(end=OLD + DAY), ask(start=OLD, end=last)) == (last, None)
        assert ask(start=OLD + DAY, end=OLD + 2 * DAY) is None


class TestALateCall:
    def test_waits_in_quarantine_and_then_counts_in_its_hour(self, calls, run, archive):
        run()
        other = late(record().event_id, output_tokens="5")
        came = actions.ingest_usage(entries=[other], via="FILE", now=NOW)
        assert (came.stored, dict(came.quarantined)) == (0, {"ARCHIVED": 1})
        waiting = QuarantinedRecord.objects.get()
        assert (waiting.doubt, waiting.detail) == (
            "ARCHIVED", "its day is in the archive, and is brought back",
        )  # fmt: skip
        assert day_of(OLD) not in days.stored_days()
        assert replay_waiting(now=NOW) == 0
        assert run() == 1
        assert [row.status for row in rows()] == ["RESTORED"]
        assert rows()[0].restored_at == NOW
        stored = stored_calls().filter(occurred_at__lt=NOW - DAY).order_by("occurred_at")
        assert {each.event_id for each in stored} == {each.event_id for each in calls}
        assert replay_waiting(now=NOW) == 1
        assert QuarantinedRecord.objects.get().status == "REPLAYED"
        hours = {(hour, team): n for hour, team, _, _, n, *_ in summed()}
        assert hours[OLD, "claims-review"] == 2
        assert hours[OLD + timedelta(hours=3), "prior-auth"] == 1

    def test_is_archived_with_its_day_later_as_another_object(self, calls, run, archive):
        run()
        actions.ingest_usage(entries=[late(record().event_id)], via="FILE", now=NOW)
        run()
        replay_waiting(now=NOW)
        before = summed()
        assert run(NOW + DAY - timedelta(seconds=1)) == 0
        assert run(NOW + DAY) == 1
        first, second = rows()
        assert (first.status, second.status) == ("RESTORED", "DROPPED")
        assert (first.rows, second.rows) == (2, 3)
        assert first.object_key != second.object_key
        assert hashlib.sha256(body_of(archive, first)).hexdigest() == first.sha256
        assert summed() == before
        assert told_actions() == [
            "usage.archived", "usage.dropped", "usage.restored", "usage.replayed",
            "usage.archived", "usage.dropped",
        ]  # fmt: skip

    def test_that_was_counted_before_counts_no_second_time(self, calls, run):
        before = summed()
        run()
        same = late(calls[0].event_id)
        actions.ingest_usage(entries=[same], via="FILE", now=NOW)
        run()
        replay_waiting(now=NOW)
        assert QuarantinedRecord.objects.get().status == "REPLAYED"
        assert stored_calls().filter(event_id=calls[0].event_id).count() == 1
        assert summed() == before
        run(NOW + DAY)
        first, second = rows()
        assert (first.object_key, first.version_id) == (second.object_key, second.version_id)
        assert second.status == "DROPPED"

    def test_with_the_id_and_other_counts_is_doubted_for_that(self, calls, run):
        run()
        other = {"gen_ai.usage.output_tokens": "999"}
        entries = [late(calls[0].event_id, **other)]
        actions.ingest_usage(entries=entries, via="FILE", now=NOW)
        run()
        assert replay_waiting(now=NOW) == 0
        assert QuarantinedRecord.objects.get().doubt == "OTHER_COUNTS"
        assert stored_calls().get(event_id=calls[0].event_id).output_tokens == 30

    def test_is_waited_for_from_the_first_try_on(self, calls, run):
        run()
        assert want_restored(now=NOW) == 0
        actions.ingest_usage(entries=[late(record().event_id)], via="FILE", now=NOW)
        assert (want_restored(now=NOW), want_restored(now=NOW)) == (1, 0)
        assert (rows()[0].attempts, rows()[0].next_check_at) == (0, NOW)

    def test_has_its_day_brought_back_in_the_record(self, calls, run, enqueued):
        run()
        actions.ingest_usage(entries=[late(record().event_id)], via="FILE", now=NOW)
        with enqueued() as asked:
            run()
        names = [name for name, _ in asked]
        assert names == ["metering.replay_waiting", "metering.roll_up_dirty_hours"]
        event = AuditEvent.objects.get(action="usage.restored")
        row = rows()[0]
        assert (event.target_id, event.data["sha256"], event.data["calls"]) == (
            str(row.pk), row.sha256, 2,
        )  # fmt: skip
        assert (row.next_check_at, row.reason, row.message) == (None, "", "")

    def test_leaves_the_other_days_where_they_are(self, run):
        ingest(record(OLD), record(OLD + DAY))
        summed()
        run()
        actions.ingest_usage(entries=[late(record().event_id)], via="FILE", now=NOW)
        run()
        assert [row.status for row in rows()] == ["RESTORED", "DROPPED"]


class TestAnHourToBeAddedUp:
    def test_waits_until_its_day_is_brought_back(self, calls, run):
        before = summed()
        run()
        DirtyHour.objects.create(hour=OLD, marked_at=NOW)
        assert actions.roll_up_dirty_hours(now=NOW) == 0
        assert DirtyHour.objects.filter(hour=OLD).exists()
        assert list(HourlyUsage.objects.order_by("hour", "team").values_list(*SUMS)) == before
        run()
        assert actions.roll_up_dirty_hours(now=NOW) == 1
        assert summed() == before


class TestWhatStandsInTheWay:
    def test_of_an_archive_that_is_away_is_said_and_tried_again(self, calls, run):
        away = RegistryStore(bucket="none", name="archive of usage", connect_timeout=0.2)
        away._s3.meta.events.register("before-send.s3", _nobody_answers)
        run(archive=away)
        (row,) = rows()
        assert (row.status, row.reason, row.attempts) == ("WAITING", "WAITING", 1)
        assert row.message == (
            "The archive of usage (S3) cannot be reached: EndpointConnectionError. "
            "Trying again by itself."
        )
        assert row.next_check_at == NOW + timedelta(seconds=4)
        assert stored_calls().count() == 3
        assert run(NOW + timedelta(seconds=3)) == 0
        assert run(NOW + timedelta(seconds=4)) == 1
        assert [(row.status, row.message) for row in rows()] == [("DROPPED", "")]

    def test_of_an_archive_that_refuses_is_tried_again_in_an_hour(self, calls, run):
        run(archive=RegistryStore(bucket="no-such-bucket", name="archive of usage"))
        (row,) = rows()
        assert (row.status, row.reason) == ("WAITING", "REFUSED")
        assert "in the archive of usage" in row.message
        assert row.next_check_at == NOW + timedelta(hours=1)

    def test_of_a_call_that_came_before_the_drop_is_archived_with_it(self, calls, run, monkeypatch):
        lock = RegistryStore.lock

        def call_comes(store, stored, *, until):
            lock(store, stored, until=until)
            monkeypatch.setattr(RegistryStore, "lock", lock)
            ingest(record(OLD, output_tokens=1))
            summed()

        monkeypatch.setattr(RegistryStore, "lock", call_comes)
        run()
        assert [(row.status, row.rows) for row in rows()] == [("REPLACED", 2)]
        assert stored_calls().filter(occurred_at__lt=NOW - DAY).count() == 3
        run()
        assert [(row.status, row.rows) for row in rows()] == [("REPLACED", 2), ("DROPPED", 3)]

    def test_of_an_hour_that_became_dirty_before_the_drop_too(self, calls, run, monkeypatch):
        put_new = RegistryStore.put_new

        def hour_changes(store, *given, **named):
            put_new(store, *given, **named)
            DirtyHour.objects.create(hour=OLD, marked_at=NOW)

        monkeypatch.setattr(RegistryStore, "put_new", hour_changes)
        run()
        assert [row.status for row in rows()] == ["REPLACED"]

    def test_of_calls_that_arrive_while_it_is_written(self, calls, run, monkeypatch):
        held_by = days.held_by

        def one_comes(day):
            found = held_by(day)
            ingest(record(OLD))
            return found

        monkeypatch.setattr(days, "held_by", one_comes)
        run()
        assert [(row.status, row.reason) for row in rows()] == [("WAITING", "WAITING")]
        assert "arrived while it was written" in rows()[0].message

    def test_of_a_worker_that_died_after_the_upload(self, calls, run, archive):
        file = parquet.write(days.rows_of(day_of(OLD), parquet.COLUMNS, 10))
        key = f"usage/2026/08/2026-08-24-{file.sha256[:16]}.parquet"
        archive.put_new(key, file.body, locked_until=NOW + 30 * DAY)
        version = archive.head(key).version_id
        run()
        (row,) = rows()
        assert (row.status, row.object_key, row.version_id) == ("DROPPED", key, version)
        assert archive.head(key).locked_until == NOW + 24 * 31 * DAY

    def test_of_an_object_with_other_bytes_under_the_name(self, calls, run, archive):
        file = parquet.write(days.rows_of(day_of(OLD), parquet.COLUMNS, 10))
        key = f"usage/2026/08/2026-08-24-{file.sha256[:16]}.parquet"
        versitygw.put_raw(archive, key, b"something else")
        run()
        (row,) = rows()
        assert row.object_key == key.replace(".parquet", ".1.parquet")
        assert body_of(archive, row) == file.body

    def test_of_bytes_that_are_never_read_back_as_written(self, calls, run, monkeypatch):
        monkeypatch.setattr(RegistryStore, "read", lambda *_, **__: iter([b"other"]))
        run()
        (row,) = rows()
        assert (row.status, row.reason) == ("WAITING", "REFUSED")
        assert "can be read back as it was written" in row.message
        assert stored_calls().count() == 3

    def test_of_a_day_that_is_being_used(self, calls, run, monkeypatch):
        def used(*_, **__):
            raise OperationalError("canceling statement due to lock timeout")

        with monkeypatch.context() as patch:
            patch.setattr(days, "drop_day", used)
            run()
        (row,) = rows()
        assert (row.status, row.reason) == ("VERIFIED", "BUSY")
        assert row.message == "Its calls are being used. Trying again by itself."
        run(NOW + timedelta(minutes=6))
        assert rows()[0].status == "DROPPED"


class TestBringingBack:
    @pytest.fixture
    def wanted(self, calls, run):
        run()
        actions.ingest_usage(entries=[late(record().event_id)], via="FILE", now=NOW)
        (row,) = rows()
        return row

    def test_takes_the_version_that_was_verified(self, wanted, run, archive):
        versitygw.put_raw(archive, wanted.object_key, b"somebody wrote over it")
        run()
        assert rows()[0].status == "RESTORED"
        assert stored_calls().count() == 3

    @pytest.mark.parametrize("what", ["other bytes", "a file with fewer calls"])
    def test_takes_nothing_else(self, wanted, run, archive, monkeypatch, what):
        fewer = BytesIO()
        public.write_table(public.read_table(BytesIO(body_of(archive, wanted)))[:1], fewer)
        body = b"other" if what == "other bytes" else fewer.getvalue()
        with monkeypatch.context() as patch:
            patch.setattr(RegistryStore, "read", lambda *_, **__: iter([body]))
            if what != "other bytes":
                patch.setattr(reconcile.hashlib, "sha256", lambda _: _Digest(wanted.sha256))
            run()
        (row,) = rows()
        assert (row.status, row.reason) == ("DROPPED", "REFUSED")
        assert day_of(OLD) not in days.stored_days()
        assert row.next_check_at == NOW + timedelta(hours=1)
        run(NOW + timedelta(hours=1))
        assert rows()[0].status == "RESTORED"

    def test_says_when_the_archive_is_away(self, wanted, run, monkeypatch):
        def away(*_, **__):
            raise TemporaryError("The archive of usage (S3) is busy: 503.", retry_after=9)

        monkeypatch.setattr(RegistryStore, "read", away)
        run()
        (row,) = rows()
        assert (row.status, row.next_check_at) == ("DROPPED", NOW + timedelta(seconds=9))

    def test_comes_before_what_is_to_be_written(self, wanted, archive):
        ingest(record(OLD - DAY))
        summed()
        ticks = iter([0.0, 1.0, 99.0])
        reconcile.archive_days(archive=archive, now=NOW, clock=lambda: next(ticks))
        assert [row.status for row in rows()] == ["WAITING", "RESTORED"]


class _Digest:
    def __init__(self, value):
        self.value = value

    def hexdigest(self):
        return self.value


def _nobody_answers(**_):
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")


def test_a_record_keeps_its_place_when_it_is_restored(calls, run):
    """The time it was received, and by which way, come back with it."""
    columns = ("event_id", "received_at", "received_via", "completeness", "ttft_ms", "user_id")
    before = list(stored_calls().order_by("event_id").values_list(*columns))
    run()
    DirtyHour.objects.create(hour=OLD, marked_at=NOW)
    run(NOW + DAY)
    assert list(stored_calls().order_by("event_id").values_list(*columns)) == before
