"""Calls by UTC day: once within a day, whoever stores at once; reads that open no other day."""

import importlib
import threading
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.models import Max

from apps.common.periods import day_of, month_bounds
from apps.metering import actions, days, store
from apps.metering.archive.models import ArchivedDay
from apps.metering.models import HourlyUsage, UsageEvent
from apps.metering.quarantine.models import CheckedDay, QuarantinedRecord
from apps.metering.stores.sql import patience
from tests import database
from tests.database import as_owner, owner_runs
from tests.factories import NOW, create_event
from tests.metering.test_actions import entry, record

DAY = timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0) + DAY


def days_made():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'metering_usageevent'::regclass"
        )
        return {row[0].removeprefix("metering_usageevent_") for row in cursor.fetchall()}


def insert(*records, via="OTLP"):
    days.make_days({day_of(one.occurred_at) for one in records})
    return store.insert(records, via=via, now=NOW)


def together(*jobs):
    """Run jobs at once, each with a connection of its own; return their results in order."""
    found = {}

    def run(number, job):
        try:
            found[number] = job()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[number] for number in range(len(jobs))]


@pytest.mark.django_db
class TestMakeDays:
    def test_makes_each_day_that_is_asked_for_once(self):
        before = days_made()
        for _ in range(2):
            days.make_days({date(2026, 1, 31), date(2024, 2, 29)})
        assert days_made() - before == {"20260131", "20240229"}

    def test_makes_none_where_none_is_asked_for(self):
        before = days_made()
        days.make_days(set())
        assert days_made() == before

    def test_makes_today_and_tomorrow_ahead(self):
        before = days_made()
        actions.make_days_ahead(now=NOW.replace(year=2027, month=12, day=31))
        assert days_made() - before == {"20271231", "20280101"}

    def test_gives_a_day_its_key_indexes_checks_and_guard(self):
        days.make_days({date(2026, 1, 31)})
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
                " WHERE indrelid = 'metering_usageevent_20260131'::regclass"
            )
            keys = sorted(row[0].partition("USING btree ")[2] for row in cursor.fetchall())
        assert keys == [
            "(event_id)", "(model, occurred_at DESC)", "(occurred_at)", "(team, occurred_at DESC)",
        ]  # fmt: skip
        at = NOW.replace(month=1, day=31)
        row = {"event_id": uuid4(), "occurred_at": at, "received_at": NOW, "received_via": "OTLP",
               "response_code": 200}  # fmt: skip
        for wrong in ({"outcome": "METERED"}, {"outcome": "FAILED", "unmetered_because": "X"}):
            with pytest.raises(IntegrityError, match="usage_event_"), transaction.atomic():
                create_event(**row | wrong)
        made = create_event(**row | {"outcome": "UNMETERED", "unmetered_because": "CLIENT_LEFT"})
        made.refresh_from_db()
        assert made.completeness == "ABORTED"
        with as_owner(), pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
            UsageEvent.objects.update(output_tokens=0)

    @pytest.mark.skipif(not database.has_two_roles(), reason="one role is owner and portal")
    def test_leaves_the_portal_no_other_way_to_a_day(self):
        days.make_days({date(2026, 1, 31)})
        for sql in (
            "SELECT FROM metering_usageevent_20260131",
            "DELETE FROM metering_usageevent_20260131",
            "DROP TABLE metering_usageevent_20260131",
            "ALTER TABLE metering_usageevent DETACH PARTITION metering_usageevent_20260131",
            "CREATE TABLE x PARTITION OF metering_usageevent DEFAULT",
        ):
            refused = pytest.raises(ProgrammingError, match="permission denied|must be owner")
            with refused, transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql)


@pytest.mark.django_db
class TestInsert:
    def test_stores_an_id_once_within_its_day(self):
        first = record(NOW, output_tokens=1)
        assert insert(first) == {first.event_id}
        assert insert(replace(first, occurred_at=MIDNIGHT - timedelta(microseconds=1))) == set()
        assert UsageEvent.objects.get().output_tokens == 1

    def test_leaves_the_same_id_of_another_day_to_the_night(self):
        first = record(MIDNIGHT - timedelta(microseconds=1))
        insert(first)
        assert insert(replace(first, occurred_at=MIDNIGHT)) == {first.event_id}
        assert UsageEvent.objects.count() == 2

    def test_needs_the_day(self):
        with pytest.raises(IntegrityError, match="no partition"), transaction.atomic():
            store.insert([record(NOW.replace(year=2031))], via="OTLP", now=NOW)


class TestTwoAtOnce:
    def test_make_one_day(self, committed):
        day = date(2026, 3, 8)
        try:
            made = together(*[lambda: days.make_days({day})] * 2)
            assert (made, "20260308" in days_made()) == ([frozenset()] * 2, True)
        finally:
            database.connect_as_owner()
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS metering_usageevent_20260308")

    def test_store_an_id_once(self, committed):
        same = [record(NOW) for _ in range(300)]
        parts = [same[:200], same[100:], same[::-1]]
        stored = together(*[lambda part=part: self._each(part) for part in parts])
        assert sum(len(ids) for ids in stored) == len(set().union(*stored)) == 300
        assert UsageEvent.objects.count() == 300

    @staticmethod
    def _each(records):
        ids = set()
        for start in range(0, len(records), 50):
            with transaction.atomic():
                ids |= insert(*records[start : start + 50])
        return ids


@pytest.mark.django_db
@pytest.mark.usefixtures("names")
class TestOneIdInOneBatch:
    def test_is_in_doubt_where_the_days_differ(self):
        first = record(NOW)
        other = replace(first, occurred_at=NOW - DAY)
        came = actions.ingest_usage(entries=[entry(first), entry(other)], via="OTLP", now=NOW)
        assert (came.stored, dict(came.quarantined)) == (1, {"OTHER_COUNTS": 1})
        assert UsageEvent.objects.get().occurred_at == NOW
        assert QuarantinedRecord.objects.get().occurred_at == NOW - DAY


def plan_of(query):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.django_db
class TestReads:
    """A read of some hours opens the tables of its days alone."""

    @pytest.fixture
    def two_months(self):
        made = {date(2026, 10, 1) + DAY * step for step in range(62)}
        days.make_days(made)
        return {f"{day:%Y%m%d}" for day in made}

    @pytest.fixture
    def asked(self, two_months, django_assert_num_queries):
        def ask(read, *names):
            with django_assert_num_queries(len(names)) as caught:
                read()
            found = [
                {day for day in two_months if f"_{day}" in plan_of(each["sql"])}
                for each in caught.captured_queries
            ]
            assert found == [set(each) for each in names]

        return ask

    def test_of_an_hour_is_of_one_day(self, asked):
        asked(lambda: list(store.hour_sums([NOW])), ["20261102"])
        asked(lambda: list(store.hour_sums([MIDNIGHT - timedelta(hours=1)])), ["20261102"])
        asked(lambda: list(store.hour_sums([MIDNIGHT])), ["20261103"])

    def test_of_a_month_is_of_its_days(self, asked):
        start, end = month_bounds(date(2026, 10, 1))
        october = [f"202610{day:02}" for day in range(1, 32)]
        asked(lambda: store.latest_call_at(start=start, end=end), october, [])

    def test_of_stored_ids_is_of_their_days(self, asked):
        calls = [record(NOW), record(NOW - DAY)]
        asked(lambda: store.counts_of(calls), ["20261101"], ["20261102"])

    def test_of_what_was_just_called_leaves_the_days_before(self, asked):
        recent = ["20261129", "20261130", "20261201"]
        since = NOW.replace(day=29)
        asked(lambda: store.calls_by_version("m", since), recent)
        ask = {"model": "m", "version": "m-v1", "unanswered_too": True}
        asked(lambda: store.wanting_calls(since=since, **ask), recent)

    def test_of_the_newest_calls_sorts_no_day_whole(self, two_months):
        newest = UsageEvent.objects.order_by("-occurred_at", "-event_id")[:20]
        plan = plan_of(newest.query)
        assert "Incremental Sort" in plan and "Seq Scan" not in plan
        assert "Backward" in plan


@pytest.mark.django_db
class TestSharedIds:
    def test_are_those_of_both_days(self):
        calls = [record(NOW) for _ in range(3)]
        insert(*calls)
        insert(*[replace(one, occurred_at=NOW - DAY) for one in calls[:2]])
        insert(replace(calls[2], occurred_at=NOW + DAY))
        today, yesterday = day_of(NOW), day_of(NOW - DAY)
        shared = sorted(one.event_id for one in calls[:2])
        assert days.shared_ids(today, yesterday) == days.shared_ids(yesterday, today) == shared
        assert days.shared_ids(yesterday, day_of(NOW + DAY)) == []
        assert days.shared_ids(today, date(2020, 1, 1)) == []


@pytest.mark.django_db
class TestRowsOf:
    def test_are_those_of_the_day_by_time_and_id(self):
        calls = [record(NOW), record(NOW), record(NOW), record(NOW - timedelta(hours=9))]
        insert(*calls, record(MIDNIGHT), record(NOW - timedelta(hours=9, microseconds=1)))
        found = list(days.rows_of(day_of(NOW), ("occurred_at", "event_id"), 2))
        assert found == sorted((one.occurred_at, one.event_id) for one in calls)


@pytest.mark.django_db
class TestUncheckedDays:
    TODAY, BEFORE = date(2026, 11, 2), date(2026, 11, 1)

    def use(self, hour, rolled_up_at):
        calls = ("metered", "unmetered", "refused", "failed")
        HourlyUsage.objects.create(
            hour=hour, rolled_up_at=rolled_up_at, input_tokens=0, cached_input_tokens=0,
            output_tokens=0, **{f"{kind}_calls": 0 for kind in calls},
        )  # fmt: skip

    @pytest.mark.parametrize(("seconds", "due"), [(-1, True), (0, True), (1, False)])
    def test_are_those_that_changed_since(self, seconds, due):
        self.use(NOW, NOW - timedelta(minutes=1))
        self.use(NOW + timedelta(hours=1), NOW)
        checked_at = NOW + timedelta(seconds=seconds)
        CheckedDay.objects.create(day=self.TODAY, checked_at=checked_at)
        CheckedDay.objects.create(day=self.BEFORE, checked_at=NOW - DAY)
        found = days.unchecked_days([self.BEFORE, self.TODAY])
        assert found == ([self.TODAY] if due else [])

    def test_are_those_that_were_never_checked_and_have_calls(self):
        first, last = NOW.replace(hour=0) - DAY, MIDNIGHT - timedelta(hours=1)
        self.use(first, NOW)
        self.use(last, NOW)
        both = [self.BEFORE, self.TODAY]
        assert days.unchecked_days([*both, date(2026, 11, 3)]) == both
        assert days.unchecked_days([self.TODAY]) == [self.TODAY]

    def test_are_those_that_were_brought_back_since(self):
        self.use(NOW, NOW)
        CheckedDay.objects.create(day=self.TODAY, checked_at=NOW + timedelta(minutes=1))
        assert days.unchecked_days([self.TODAY]) == []
        ArchivedDay.objects.create(
            day=self.TODAY, asked_at=NOW, restored_at=NOW + timedelta(minutes=1)
        )
        assert days.unchecked_days([self.TODAY]) == [self.TODAY]


@pytest.mark.django_db
class TestPatience:
    def test_lasts_for_its_block(self):
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '7s'")
        with patience():
            assert timeout() == "10min"
        assert timeout() == "7s"

    def test_ends_with_an_error_too(self):
        before = timeout()
        with pytest.raises(ZeroDivisionError), patience():
            raise ZeroDivisionError
        assert timeout() == before


def timeout():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


MIGRATION = importlib.import_module("apps.metering.migrations.0008_days")


@pytest.mark.django_db
class TestMigration:
    def test_keeps_every_call_both_ways(self):
        for number, at in enumerate((NOW, MIDNIGHT, NOW - 40 * DAY)):
            insert(record(at, output_tokens=number))
        event_id = uuid4()
        insert(record(NOW, event_id=event_id, output_tokens=9))
        before = list(UsageEvent.objects.order_by("occurred_at", "output_tokens").values())
        # a column that came after it, which it cannot copy
        owner_runs("ALTER TABLE metering_usageevent ALTER operation SET DEFAULT 'CHAT'")
        owner_runs("ALTER TABLE metering_usageevent ALTER basis SET DEFAULT ''")
        owner_runs("DROP TRIGGER usage_event_no_change ON metering_usageevent")
        owner_runs(MIGRATION.BACKWARD)
        assert self._all() == before
        owner_runs(MIGRATION.FORWARD)
        assert self._all() == before
        assert days_made() == {"20260923", "20261102", "20261103"}
        latest = UsageEvent.objects.filter(event_id=UUID(str(event_id))).aggregate(
            at=Max("occurred_at")
        )
        assert latest["at"] == NOW

    @staticmethod
    def _all():
        owner_runs("GRANT SELECT ON metering_usageevent TO PUBLIC")
        return list(UsageEvent.objects.order_by("occurred_at", "output_tokens").values())
