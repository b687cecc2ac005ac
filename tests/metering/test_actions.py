"""Storing calls once, and summing each hour from its own calls."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import DataError, IntegrityError

from apps.metering import actions, store
from apps.metering.access_log import NOT_STORED, Entry, read_entry, read_record
from apps.metering.actions import Position
from apps.metering.models import DirtyHour, HourlyUsage, LogPosition
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.skus import Sku, quantities
from tests.factories import NOW, stored_calls
from tests.metering.test_access_log import CALL

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
HOUR = NOW  # 09:00
NEXT, BEFORE = HOUR + timedelta(hours=1), HOUR - timedelta(hours=1)
LATER = NOW + timedelta(days=1)


def record(occurred_at=HOUR, **changes):
    read = read_record(CALL | {"x-request-id": str(uuid4())})
    return replace(read, occurred_at=occurred_at, **changes)


def entry(record):
    return Entry({"x-request-id": str(record.event_id)}, record)


def ingest(*records, now=NOW, via="OTLP", **more):
    entries = [entry(one) for one in records]
    return actions.ingest_usage(entries=entries, via=via, now=now, **more).stored


def marks():
    return dict(DirtyHour.objects.values_list("hour", "marked_at"))


class TestIngestUsage:
    def test_stores_what_was_read_with_its_way_and_time(self):
        one, other = record(), record(NEXT, team="prior-auth")
        assert ingest(one, via="OTLP") == 1
        assert ingest(one, other, via="FILE", now=LATER) == 1
        for read, way, at in ((one, "OTLP", NOW), (other, "FILE", LATER)):
            row = stored_calls().get(pk=read.event_id)
            told = {name: value for name, value in vars(read).items() if name not in NOT_STORED}
            stored = {name: getattr(row, name) for name in told}
            assert (stored, row.received_via, row.received_at) == (told, way, at)

    def test_marks_the_hours_of_new_calls_only(self):
        first = record(HOUR + timedelta(minutes=59, seconds=59, microseconds=7))
        ingest(first, record(NEXT))
        assert marks() == {HOUR: NOW, NEXT: NOW}
        ingest(first, record(NEXT), now=LATER)
        assert marks() == {HOUR: NOW, NEXT: LATER}

    def test_asks_for_sums_where_something_is_new(self, enqueued):
        one = record()
        with enqueued() as asked:
            ingest(one)
        assert asked == [("metering.roll_up_dirty_hours", {})]
        with enqueued() as asked:
            ingest(one)
        assert asked == []

    def test_keeps_how_far_each_file_was_read(self):
        for offset in (10, 20):
            ingest(record(), position=Position("/log/a", 1, offset))
        ingest(record(), position=Position("/log/b", 2, 5), now=LATER)
        ingest(record())
        assert set(LogPosition.objects.values_list("path", "inode", "offset", "updated_at")) == {
            ("/log/a", 1, 20, NOW),
            ("/log/b", 2, 5, LATER),
        }

    def test_stores_nothing_where_the_position_cannot_be_kept(self):
        with pytest.raises(DataError):
            ingest(record(), position=Position("/" * 500, 1, 10))
        assert not stored_calls().exists()
        assert marks() == {}

    def test_tells_what_is_new_of_a_batch_that_came_in_part_before(self):
        one, other = record(), record()
        assert (ingest(one), ingest(one, other), ingest(other, one)) == (1, 1, 0)
        assert stored_calls().count() == 2

    def test_cuts_nothing_off(self):
        with pytest.raises((DataError, IntegrityError)):
            ingest(record(cost_center="C" * 33))


class TestWhatIsInDoubt:
    """Each batch has two in doubt, and one that is stored all the same."""

    def came(self, *values, via="OTLP", now=NOW):
        entries = [read_entry(CALL | {"x-request-id": str(uuid4())} | each) for each in values]
        return actions.ingest_usage(entries=entries, via=via, now=now), entries

    def test_is_kept_apart_with_its_reason_and_counts_nowhere(self):
        odd = {"start_time": "yesterday", "gen_ai.request.model": "other"}
        found, entries = self.came({"team": "nobody"}, {}, odd, via="FILE", now=LATER)
        assert (found.stored, dict(found.quarantined)) == (1, {"TEAM": 1, "UNREADABLE": 1})
        assert stored_calls().get().event_id == entries[1].record.event_id
        team, unreadable = QuarantinedRecord.objects.order_by("doubt")
        assert (team.doubt, team.detail) == ("TEAM", "team names no team")
        assert (team.team, team.model) == ("nobody", "prior-auth-extract")
        assert (team.event_id, team.occurred_at) == (
            entries[0].record.event_id,
            entries[0].record.occurred_at,
        )
        assert (unreadable.doubt, unreadable.event_id, unreadable.occurred_at) == (
            "UNREADABLE",
            None,
            None,
        )
        assert unreadable.detail == "start_time is missing or not ISO 8601"
        assert (unreadable.team, unreadable.model) == ("claims-review", "other")
        for row, came in ((team, entries[0]), (unreadable, entries[2])):
            assert (row.received_at, row.received_via) == (LATER, "FILE")
            assert (row.fingerprint, row.values) == (came.fingerprint, came.kept)

    def test_is_kept_once_however_often_it_comes(self):
        found, (entry, other) = self.came({"team": "nobody"}, {"team": "nobody"})
        assert dict(found.quarantined) == {"TEAM": 2}
        actions.ingest_usage(entries=[entry, other], via="FILE", now=LATER)
        rows = QuarantinedRecord.objects.values_list("received_at", "received_via")
        assert list(rows) == [(NOW, "OTLP")] * 2

    def test_of_one_id_with_other_counts_is_the_later_call(self):
        first = record()
        ingest(first)
        later = replace(first, output_tokens=31)
        entries = [entry(later), entry(first), entry(record())]
        found = actions.ingest_usage(entries=entries, via="OTLP", now=NOW)
        assert (found.stored, dict(found.quarantined)) == (1, {"OTHER_COUNTS": 1})
        assert stored_calls().get(pk=first.event_id).output_tokens == 30
        row = QuarantinedRecord.objects.get()
        assert (row.doubt, row.detail) == (
            "OTHER_COUNTS",
            "x-request-id is the id of another call",
        )

    def test_has_names_as_long_as_the_calls_own(self):
        long = {"team": "t" * 200, "gen_ai.request.model": "m" * 200}
        self.came(long, long | {"team": "-"})
        rows = QuarantinedRecord.objects.order_by("team").values_list("team", "model")
        assert list(rows) == [("", "m" * 40), ("t" * 63, "m" * 40)]

    def test_is_also_what_the_database_refuses_whatever_happens(self):
        odd = [entry(record(cost_center="C" * 33)) for _ in range(2)]
        entries = [entry(record()), odd[0], entry(record()), odd[1], entry(record())]
        found = actions.ingest_storable(entries=entries, via="FILE", now=LATER)
        assert (found.stored, dict(found.quarantined)) == (3, {"REFUSED": 2})
        assert stored_calls().count() == 3
        rows = QuarantinedRecord.objects.values_list("doubt", "detail", "event_id")
        assert set(rows) == {
            ("REFUSED", "the database refuses the record", each.record.event_id) for each in odd
        }

    def test_is_what_began_before_the_kept_months(self, settings):
        settings.USAGE_KEPT_MONTHS = 3
        first = datetime(2026, 8, 1, tzinfo=UTC)
        assert actions.first_kept(NOW) == first
        ingest(record(first), record(first - timedelta(microseconds=1)))
        assert stored_calls().get().occurred_at == first
        assert QuarantinedRecord.objects.get().doubt == "TOO_OLD"


class TestRollUpHours:
    def test_sums_the_calls_of_this_hour_and_of_no_other(self):
        last = NEXT - timedelta(microseconds=1)
        ingest(
            record(BEFORE, input_tokens=9000),
            record(HOUR),
            record(last, input_tokens=7, cached_input_tokens=3, output_tokens=2),
            record(NEXT, input_tokens=9000),
        )
        assert actions.roll_up_hours(hours=[HOUR], now=LATER)
        row = HourlyUsage.objects.get()
        assert (row.hour, row.metered_calls, row.rolled_up_at) == (HOUR, 2, LATER)
        assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (127, 23, 32)

    def test_tells_embeddings_and_reranks_from_the_other_calls(self):
        none = {"input_tokens": None, "cached_input_tokens": None, "output_tokens": None}
        embedding = {"operation": "EMBEDDING", "cached_input_tokens": None, "output_tokens": 0}
        ingest(
            record(),
            record(operation="", cached_input_tokens=None),
            record(**embedding | {"input_tokens": 64}),
            record(**embedding | {"input_tokens": 5}),
            record(operation="EMBEDDING", outcome="UNMETERED", **none),
            record(operation="RERANK", **none),
            record(operation="RERANK", **none),
            record(operation="RERANK", outcome="UNMETERED", **none),
            record(NEXT, operation="RERANK", **none),
        )
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        row = HourlyUsage.objects.get()
        assert (row.metered_calls, row.unmetered_calls, row.rerank_requests) == (6, 2, 2)
        assert (row.input_tokens, row.embedding_input_tokens) == (120 + 120 + 64 + 5, 69)
        assert (row.cached_input_tokens, row.cached_unknown_calls) == (20, 1)
        assert quantities(row) == [
            (Sku.INPUT, 220),
            (Sku.CACHED_INPUT, 20),
            (Sku.OUTPUT, 60),
            (Sku.EMBEDDING_INPUT, 69),
            (Sku.RERANK_REQUEST, 2),
        ]

    def test_keeps_who_pays_who_called_and_what_answered_apart(self):
        aside = {"input_tokens": None, "cached_input_tokens": None, "output_tokens": None}
        ingest(
            record(), record(), record(cost_center="CC-1"), record(team="prior-auth"),
            record(model="clinical-summary", version="clinical-summary-v1"),
            record(version="prior-auth-extract-v2"),
            record(outcome="FAILED", response_code=503, **aside),
            record(outcome="REFUSED", response_code=429, version="", **aside),
            record(outcome="UNMETERED", version="", **aside),
        )  # fmt: skip
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        rows = HourlyUsage.objects.order_by("cost_center", "team", "model", "version")
        usual = ("CC-4100", "claims-review", "prior-auth-extract", "prior-auth-extract-v1")
        found = {
            (r.cost_center, r.team, r.model, r.version): (
                r.metered_calls, r.unmetered_calls, r.refused_calls, r.failed_calls, r.input_tokens
            )
            for r in rows
        }  # fmt: skip
        assert found == {
            usual: (2, 0, 0, 1, 240),
            ("CC-1", *usual[1:]): (1, 0, 0, 0, 120),
            (usual[0], "prior-auth", *usual[2:]): (1, 0, 0, 0, 120),
            (*usual[:2], "clinical-summary", "clinical-summary-v1"): (1, 0, 0, 0, 120),
            (*usual[:3], "prior-auth-extract-v2"): (1, 0, 0, 0, 120),
            (*usual[:3], ""): (0, 1, 1, 0, 0),
        }

    def test_takes_its_own_mark_and_leaves_other_hours_as_they_are(self):
        ingest(record(), record(NEXT))
        actions.roll_up_dirty_hours(now=NOW)
        before = HourlyUsage.objects.get(hour=NEXT)
        ingest(record(), record(NEXT))
        assert actions.roll_up_hours(hours=[HOUR], now=LATER) == 1
        assert list(marks()) == [NEXT]
        assert HourlyUsage.objects.get(hour=HOUR).metered_calls == 2
        assert HourlyUsage.objects.get(hour=NEXT) == before
        assert actions.roll_up_hours(hours=[HOUR], now=LATER) == 0

    def test_sums_the_dirty_ones_of_several_hours_each_for_itself(self):
        ingest(record(BEFORE), record(), record(NEXT))
        actions.roll_up_dirty_hours(now=NOW)
        between = HourlyUsage.objects.get(hour=HOUR)
        ingest(record(BEFORE, input_tokens=70), record(NEXT), record(NEXT))
        assert actions.roll_up_hours(hours=[BEFORE, HOUR, NEXT], now=LATER) == 2
        sums = dict(HourlyUsage.objects.values_list("hour", "metered_calls"))
        assert sums == {BEFORE: 2, HOUR: 1, NEXT: 3}
        assert HourlyUsage.objects.get(hour=BEFORE).input_tokens == 190
        assert HourlyUsage.objects.get(hour=HOUR) == between
        assert marks() == {}

    def test_keeps_the_sums_and_the_mark_where_it_cannot_finish(self, monkeypatch):
        ingest(record())
        actions.roll_up_dirty_hours(now=NOW)
        ingest(record())

        def broken(hours):
            raise DataError("no sums")
            yield

        monkeypatch.setattr(store, "hour_sums", broken)
        with pytest.raises(DataError):
            actions.roll_up_hours(hours=[HOUR], now=LATER)
        assert HourlyUsage.objects.get().metered_calls == 1
        assert list(marks()) == [HOUR]


class TestRollUpDirtyHours:
    def test_goes_on_where_one_hour_cannot_be_summed(self, monkeypatch, caplog):
        ingest(record(BEFORE), record(), record(NEXT))
        sums = store.hour_sums

        def broken(hours):
            if BEFORE in hours:
                raise DataError("out of range")
            yield from sums(hours)

        monkeypatch.setattr(store, "hour_sums", broken)
        assert actions.roll_up_dirty_hours(now=NOW) == 2
        assert list(marks()) == [BEFORE]
        assert "the hour 2026-11-02 08:00 cannot be summed" in caplog.text

    def test_sums_every_dirty_hour_and_tells_how_many(self):
        ingest(record(NEXT), record(), record(BEFORE))
        assert actions.roll_up_dirty_hours(now=NOW) == 3
        assert marks() == {}
        assert HourlyUsage.objects.count() == 3
        assert actions.roll_up_dirty_hours(now=NOW) == 0
