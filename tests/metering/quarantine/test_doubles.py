"""The same id under two days: it counts once, and nothing is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from apps.audit.actions import System
from apps.audit.actions import record as write
from apps.audit.models import Action, AuditEvent
from apps.common.periods import day_of
from apps.metering import actions, days, store
from apps.metering.access_log import KEYS, read_entry
from apps.metering.models import DirtyHour, HourlyUsage, LateUsage, SealedHour
from apps.metering.quarantine import doubles
from apps.metering.quarantine.actions import replay_records
from apps.metering.quarantine.models import CheckedDay, QuarantinedRecord
from tests.factories import NOW, stored_calls
from tests.metering.quarantine.test_actions import finance  # noqa: F401 (a fixture)
from tests.metering.test_access_log import CALL
from tests.metering.test_actions import entry, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
DAY = timedelta(days=1)
NIGHT = NOW + DAY


def ingest(*records, now=NOW, via="OTLP"):
    return actions.ingest_usage(entries=[entry(one) for one in records], via=via, now=now)


def check(now=NIGHT, **more):
    actions.roll_up_dirty_hours(now=now - timedelta(seconds=1))
    return doubles.find_doubles(now=now, **more)


def unchecked():
    return days.unchecked_days(days.stored_days())


def counted():
    actions.roll_up_dirty_hours(now=NOW)
    sums = HourlyUsage.objects.order_by().values_list("hour").annotate(Sum("metered_calls"))
    return dict(sums)


@pytest.fixture
def both():
    """One id under two days, the second one received later; and a call of each of these days."""
    first = record(NOW - DAY, output_tokens=3)
    more = {"team": "prior-auth", "route": "models/m", "ttft_ms": 81.5, "response_flags": "DC"}
    second = replace(first, occurred_at=NOW, **more)
    ingest(first, record(NOW - DAY))
    ingest(second, record(NOW), now=NOW + timedelta(minutes=5), via="FILE")
    return first, second


class TestFindDoubles:
    def test_keeps_the_later_one_apart_and_counts_the_earlier_one(self, both, enqueued):
        assert counted() == {NOW - DAY: 2, NOW: 2}
        with enqueued() as asked:
            assert check() == 1
        assert ("metering.roll_up_dirty_hours", {}) in asked
        assert list(DirtyHour.objects.values_list("hour", "marked_at")) == [(NOW, NIGHT)]
        left = stored_calls().get(event_id=both[0].event_id)
        assert (left.occurred_at, left.output_tokens) == (NOW - DAY, 3)
        assert stored_calls().count() == 3
        assert counted() == {NOW - DAY: 2, NOW: 1}
        kept = QuarantinedRecord.objects.get()
        assert (kept.doubt, kept.status, kept.event_id) == ("OTHER_DAY", "WAITING", left.event_id)
        assert kept.detail == "x-request-id is the id of an earlier call, of another day"
        assert (kept.occurred_at, kept.team) == (NOW, "prior-auth")
        assert (kept.received_at, kept.received_via) == (NOW + timedelta(minutes=5), "FILE")
        came = {key: str(value) for key, value in CALL.items() if key in KEYS}
        assert kept.values == came | {
            "x-request-id": str(left.event_id), "start_time": NOW.isoformat(),
            "team": "prior-auth", "route_name": "models/m", "response_flags": "DC",
            "gen_ai.usage.output_tokens": "3", "gen_ai.latency.ttft_ms": "81.5",
        }  # fmt: skip
        assert store.in_quarantine(NOW, NOW + timedelta(hours=1)) == 1

    def test_notes_that_a_sealed_hour_has_a_call_less(self, both):
        SealedHour.objects.create(hour=NOW, sealed_at=NOW)
        check()
        assert list(LateUsage.objects.values_list("hour", "calls")) == [(NOW, -1)]

    def test_says_so_in_the_record(self, both):
        check()
        event = AuditEvent.objects.filter(action="usage.taken_out").get()
        assert event.actor == "system:metering.find_doubles"
        assert event.target_id == str(QuarantinedRecord.objects.get().pk)
        assert event.data == {
            "event_id": str(both[0].event_id), "hour": NOW.isoformat(), "team": "prior-auth",
            "model": "prior-auth-extract",
        }  # fmt: skip

    def test_takes_nothing_out_where_that_cannot_be_recorded(self, both, audit_away):
        from tests.trail import AuditAway

        actions.roll_up_dirty_hours(now=NOW)
        with audit_away(), pytest.raises(AuditAway):
            doubles.find_doubles(now=NIGHT)
        assert (stored_calls().count(), QuarantinedRecord.objects.count()) == (4, 0)

    def test_goes_by_when_they_came_and_then_by_when_they_began(self):
        early = record(NOW - DAY)
        ingest(replace(early, occurred_at=NOW))
        ingest(early, now=NOW + timedelta(seconds=1))
        check()
        assert stored_calls().get().occurred_at == NOW
        at_once = record(NOW)
        ingest(at_once)
        ingest(replace(at_once, occurred_at=NOW - DAY))
        check(NIGHT + DAY)
        assert stored_calls().get(event_id=at_once.event_id).occurred_at == NOW - DAY

    def test_leaves_one_of_three(self):
        first = record(NOW - 2 * DAY)
        for step in range(3):
            ingest(replace(first, occurred_at=NOW - step * DAY), now=NOW + timedelta(minutes=step))
        assert check() == 2
        assert stored_calls().get().occurred_at == NOW
        assert QuarantinedRecord.objects.count() == 2

    def test_finds_nothing_twice(self, both):
        assert (check(), check(NIGHT + DAY)) == (1, 0)
        assert QuarantinedRecord.objects.count() == 1


class TestWhatIsChecked:
    def test_is_each_day_that_changed_since(self, both):
        assert unchecked() == []  # nothing is added up yet, so nothing is settled
        check()
        actions.roll_up_dirty_hours(now=NIGHT)
        assert unchecked() == [day_of(NOW)]
        check(NIGHT + timedelta(minutes=1))
        assert unchecked() == []
        ingest(record(NOW - DAY), now=NIGHT + DAY)
        actions.roll_up_dirty_hours(now=NIGHT + DAY)
        assert unchecked() == [day_of(NOW - DAY)]
        assert CheckedDay.objects.get(day=day_of(NOW)).checked_at == NIGHT + timedelta(minutes=1)

    def test_goes_on_in_the_next_pass_where_the_time_is_over(self, both):
        ticks = iter([0.0, 1.0, 501.0])
        check(clock=lambda: next(ticks))
        assert [row.day for row in CheckedDay.objects.all()] == [day_of(NOW - DAY)]
        check(NIGHT + timedelta(minutes=1))
        assert CheckedDay.objects.count() == 2

    def test_is_nothing_where_no_call_is_stored(self):
        assert doubles.find_doubles(now=NOW) == 0

    def test_is_asked_of_some_days_alone(self, both, django_assert_num_queries):
        actions.roll_up_dirty_hours(now=NOW)
        with django_assert_num_queries(3):
            assert days.unchecked_days([day_of(NOW - DAY)]) == [day_of(NOW - DAY)]
        with django_assert_num_queries(0):
            assert days.unchecked_days([]) == []


class TestWhatWasTakenOut:
    def test_is_not_stored_again(self, both):
        check()
        came = ingest(both[1], record(NOW))
        assert (came.stored, dict(came.quarantined)) == (1, {"OTHER_DAY": 1})
        assert not stored_calls().filter(event_id=both[1].event_id, occurred_at=NOW).exists()

    @pytest.mark.parametrize(("few", "queries"), [(2, 1), (1, 2)])
    def test_is_known_however_many_there_are(
        self, both, monkeypatch, django_assert_num_queries, few, queries
    ):
        other = record(NOW - DAY)
        ingest(other)
        ingest(replace(other, occurred_at=NOW), now=NOW + timedelta(minutes=1))
        assert check() == 2
        monkeypatch.setattr(store, "FEW", few)
        with django_assert_num_queries(queries):
            found = store.taken_out([both[0].event_id, record().event_id])
        assert (both[0].event_id, day_of(NOW)) in found
        assert ((other.event_id, day_of(NOW)) in found) is (few == 2)

    def test_is_no_hindrance_for_the_first_one(self, both):
        check()
        came = ingest(both[0])
        assert (came.stored, dict(came.quarantined)) == (0, {})
        told = {"x-request-id": str(both[0].event_id), "start_time": (NOW - 2 * DAY).isoformat()}
        third = actions.ingest_usage(entries=[read_entry(CALL | told)], via="FILE", now=NOW)
        assert third.stored == 1  # of a third day: the next night finds it

    def test_is_never_counted_however_often_it_is_tried(self, both, finance):  # noqa: F811
        check()
        records = QuarantinedRecord.objects.all()
        assert replay_records(records=records, actor=finance, now=NIGHT) == 0
        assert records.get().doubt == "OTHER_DAY"
        assert stored_calls().count() == 3


class TestTakeOut:
    """The database's own guard."""

    def test_refuses_a_call_that_is_alone(self, both):
        alone = stored_calls().exclude(event_id=both[0].event_id).first()
        with pytest.raises(IntegrityError, match="no earlier call"), transaction.atomic():
            store.take_out(alone)

    def test_refuses_the_earlier_one(self, both):
        first = stored_calls().get(event_id=both[0].event_id, occurred_at=NOW - DAY)
        with pytest.raises(IntegrityError, match="no earlier call"), transaction.atomic():
            store.take_out(first)

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_refuses_one_that_is_not_kept_and_recorded_first(self, both, is_kept):
        second = stored_calls().get(event_id=both[0].event_id, occurred_at=NOW)
        if is_kept:
            actions.keep_apart([doubles._entry(second)], via="OTLP", now=NOW)
        with pytest.raises(IntegrityError, match="kept first"), transaction.atomic():
            store.take_out(second)
        if not is_kept:
            actions.keep_apart([doubles._entry(second)], via="OTLP", now=NOW)
        target = QuarantinedRecord.objects.get()
        write(action=Action.USAGE_TAKEN_OUT, actor=System("tests"), target=target, now=NOW)
        store.take_out(second)
        assert stored_calls().filter(event_id=both[0].event_id).count() == 1
