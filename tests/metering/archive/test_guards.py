"""The database's own guards of archived days, tried by the portal's role and by the owner."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from apps.accounts.models import Role
from apps.common.periods import day_of
from apps.metering import days
from apps.metering.archive.models import ArchivedDay
from apps.metering.archive.queries import Standing, standing
from apps.metering.models import DirtyHour, UsageEvent
from tests.database import as_owner
from tests.factories import NOW, TeamFactory, UserFactory, create_event, stored_calls
from tests.metering.test_actions import record
from tests.metering.test_days import insert, together

DAY = day_of(NOW)


def verified(day=DAY, **changes):
    """Say that the day is in the archive as it is now."""
    held = days.held_by(day)
    row = ArchivedDay.objects.create(day=day, asked_at=NOW)
    values = {
        "status": "VERIFIED", "object_key": "usage/a", "version_id": "1", "sha256": "0" * 64,
        "size_bytes": 1, "rows": held.calls, "fingerprint": held.fingerprint, "archived_at": NOW,
    }  # fmt: skip
    ArchivedDay.objects.filter(pk=row.pk).update(**values | changes)
    row.refresh_from_db()
    return row


@pytest.fixture
def calls(each_store):
    made = [record(NOW), record(NOW + timedelta(hours=2))]
    insert(*made)
    return made


class TestHeldBy:
    def test_changes_with_every_call_and_every_value(self, calls):
        first = days.held_by(DAY)
        assert (first.calls, days.held_by(DAY)) == (2, first)
        assert days.held_by(DAY - timedelta(days=1)).calls == 0
        insert(record(NOW))
        second = days.held_by(DAY)
        assert (second.calls, second.fingerprint == first.fingerprint) == (3, False)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL timezone = 'Asia/Tokyo'; SET LOCAL datestyle = 'German'")
        assert days.held_by(DAY) == second


class TestDropDay:
    @pytest.mark.parametrize("what", ["nothing", "one that waits"])
    def test_refuses_a_day_that_is_not_archived(self, calls, what):
        if what != "nothing":
            ArchivedDay.objects.create(day=DAY, asked_at=NOW)
        with pytest.raises(IntegrityError, match="not in the archive"), transaction.atomic():
            days.drop_day(DAY, now=NOW)
        assert stored_calls().count() == 2

    def test_leaves_a_day_that_holds_another_call(self, calls):
        row = verified()
        insert(record(NOW))
        assert days.drop_day(DAY, now=NOW) is False
        row.refresh_from_db()
        assert (row.status, stored_calls().count()) == ("VERIFIED", 3)

    def test_leaves_a_day_that_holds_other_calls_though_as_many(self, calls):
        verified()
        with as_owner():
            UsageEvent.objects.filter(event_id=calls[0].event_id).delete()
        insert(record(NOW))
        assert days.drop_day(DAY, now=NOW) is False

    def test_leaves_a_day_with_an_hour_to_be_added_up(self, calls):
        verified()
        DirtyHour.objects.create(hour=NOW.replace(hour=23), marked_at=NOW)
        assert days.drop_day(DAY, now=NOW) is False
        DirtyHour.objects.all().delete()
        DirtyHour.objects.create(hour=NOW.replace(hour=0) - timedelta(hours=1), marked_at=NOW)
        DirtyHour.objects.create(hour=NOW.replace(hour=0) + timedelta(days=1), marked_at=NOW)
        assert days.drop_day(DAY, now=NOW) is True

    def test_leaves_the_other_days(self, calls):
        other = create_event(
            event_id=calls[0].event_id, occurred_at=NOW + timedelta(days=1), received_at=NOW,
            received_via="OTLP", outcome="REFUSED", response_code=429,
        )  # fmt: skip
        verified()
        assert days.drop_day(DAY, now=NOW) is True
        assert list(stored_calls()) == [other]


class TestADroppedDay:
    @pytest.fixture
    def dropped(self, calls):
        row = verified()
        days.drop_day(DAY, now=NOW)
        return row

    def test_is_not_made_anew(self, dropped):
        assert days.make_days({DAY, DAY + timedelta(days=1)}) == {DAY}
        assert DAY not in days.stored_days()
        assert days.in_archive({DAY, DAY + timedelta(days=1)}) == {DAY}

    def test_is_made_anew_by_bringing_it_back_once(self, dropped):
        assert days.restore_day(DAY, ("event_id",), [], now=NOW) == 0
        dropped.refresh_from_db()
        assert (dropped.status, dropped.restored_at) == ("RESTORED", NOW)
        assert days.make_days({DAY}) == days.in_archive({DAY}) == frozenset()
        assert DAY in days.stored_days()
        with pytest.raises(IntegrityError, match="never dropped"), transaction.atomic():
            days.restore_day(DAY, ("event_id",), [], now=NOW)

    def test_is_stored_in_several_statements(self, dropped, monkeypatch):
        for name in ("postgres", "clickhouse"):
            monkeypatch.setattr(f"apps.metering.stores.{name}.AT_ONCE", 2)
        columns = ("event_id", "occurred_at", "received_at", "received_via", "outcome", "team",
                   "cost_center", "user_id", "model", "version", "operation", "route",
                   "response_code", "response_flags", "unmetered_because", "basis")  # fmt: skip
        calls = [
            (uuid4(), NOW, NOW, "OTLP", "REFUSED", "", "", "", "", "", "", "", 429, "", "", "")
            for _ in range(5)
        ]
        assert days.restore_day(DAY, columns, iter(calls), now=NOW) == 5
        stored = stored_calls().values_list("event_id", flat=True)
        assert set(stored) == {call[0] for call in calls}

    def test_cannot_be_said_to_be_back(self, dropped):
        with pytest.raises(IntegrityError, match="not where it says"), transaction.atomic():
            ArchivedDay.objects.update(status="RESTORED")


class TestArchivedDay:
    def test_cannot_be_said_to_be_dropped(self, calls):
        row = verified()
        with pytest.raises(IntegrityError, match="not where it says"), transaction.atomic():
            ArchivedDay.objects.filter(pk=row.pk).update(status="DROPPED")

    @pytest.mark.parametrize("status", ["VERIFIED", "DROPPED", "RESTORED", "REPLACED"])
    def test_begins_by_waiting(self, db, status):
        values = {"object_key": "k", "sha256": "0", "rows": 0, "fingerprint": 0, "archived_at": NOW}
        with pytest.raises(IntegrityError, match="begins its archiving"), transaction.atomic():
            ArchivedDay.objects.create(day=DAY, asked_at=NOW, status=status, **values)

    @pytest.mark.parametrize(
        "change",
        [
            {"object_key": "other"}, {"version_id": "2"}, {"sha256": "1" * 64}, {"rows": 7},
            {"fingerprint": 7}, {"size_bytes": 7}, {"archived_at": NOW + timedelta(hours=1)},
        ],
    )  # fmt: skip
    def test_never_tells_something_else_of_its_object(self, calls, change):
        verified()
        with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            ArchivedDay.objects.update(**change)

    def test_tells_its_object_once_it_is_written(self, calls):
        with pytest.raises(IntegrityError, match="tells_its_object"), transaction.atomic():
            verified(object_key="")

    def test_is_one_for_a_day_at_a_time(self, calls):
        row = verified()
        with pytest.raises(IntegrityError, match="one_open"), transaction.atomic():
            ArchivedDay.objects.create(day=DAY, asked_at=NOW)
        ArchivedDay.objects.filter(pk=row.pk).update(status="REPLACED")
        ArchivedDay.objects.create(day=DAY, asked_at=NOW)


class TestStanding:
    def test_is_nothing_at_first(self, db):
        assert standing() == Standing(None, "")

    def test_names_the_newest_day_that_is_there_alone(self, calls):
        verified()
        assert standing().last_day is None
        days.drop_day(DAY, now=NOW)
        other = DAY - timedelta(days=1)
        insert(record(NOW - timedelta(days=1)))
        held = days.held_by(other)
        ArchivedDay.objects.create(day=other, asked_at=NOW)
        rest = {"object_key": "b", "sha256": "1" * 64, "rows": 1, "archived_at": NOW}
        waiting = ArchivedDay.objects.filter(day=other)
        waiting.update(status="VERIFIED", fingerprint=held.fingerprint, **rest)
        days.drop_day(other, now=NOW)
        assert standing() == Standing(DAY, "")

    def test_tells_what_stands_in_the_way_of_the_oldest_day(self, client, calls):
        for back, message in ((1, "The second."), (2, "The first."), (3, "")):
            day = DAY - timedelta(days=back)
            ArchivedDay.objects.create(day=day, asked_at=NOW, message=message)
        assert standing().trouble == "2026-10-31: The first."
        finance = UserFactory(with_roles=[Role.FINANCE])
        lead = UserFactory(team=TeamFactory(), with_roles=[Role.TEAM_LEAD])
        for person, is_told in ((finance, True), (lead, False)):
            client.force_login(person)
            assert ("2026-10-31: The first." in client.get("/usage/").content.decode()) is is_told

    def test_says_up_to_when_single_calls_are_not_listed(self, client, calls):
        verified()
        client.force_login(UserFactory(with_roles=[Role.FINANCE]))
        words = "up to 2 Nov 2026 are in the archive"
        assert words not in " ".join(client.get("/usage/").content.decode().split())
        days.drop_day(DAY, now=NOW)
        assert words in " ".join(client.get("/usage/").content.decode().split())


class TestTwoAtOnce:
    def test_a_day_that_somebody_stores_into_is_not_dropped(self, committed):
        with transaction.atomic():
            insert(record(NOW))
        verified()
        with transaction.atomic():
            assert days.make_days({DAY}) == frozenset()  # as a batch does, which may take its time
            (refused,) = together(_try_to_drop)
            assert insert(record(NOW))
        assert "lock timeout" in refused
        assert stored_calls().count() == 2

    def test_a_day_that_is_dropped_while_it_is_held_against_another_has_no_ids(self, committed):
        far, next_day = NOW + timedelta(days=40), NOW + timedelta(days=41)
        with transaction.atomic():
            insert(record(far), record(next_day))
        verified(day=day_of(far))
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                assert days.drop_day(day_of(far), now=NOW)
                found = pool.submit(_shared_ids, day_of(next_day), day_of(far))
                until = time.monotonic() + 20
                while not (waits := _somebody_waits_for_a_lock()) and time.monotonic() < until:
                    time.sleep(0.02)
                assert waits
            assert found.result(20) == []


def _shared_ids(day, other):
    try:
        return days.shared_ids(day, other)
    finally:
        connection.close()


def _somebody_waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


def _try_to_drop():
    try:
        return str(days.drop_day(DAY, now=NOW))
    except OperationalError as error:
        return str(error)
