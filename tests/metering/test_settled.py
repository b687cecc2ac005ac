"""Calls that the gate settled and the ledger took in: counted once, before and after."""

import uuid
from datetime import timedelta

import pytest

from apps.access.holds.models import SettledCall
from apps.metering import actions, settled
from apps.metering.models import DirtyHour
from tests.metering.test_actions import BEFORE, HOUR, LATER, NEXT, NOW, ingest, record

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
SECOND, MINUTE, LEAST = timedelta(seconds=1), timedelta(minutes=1), timedelta(microseconds=1)
DAY = timedelta(days=1)


def settle(call, at=None, **changes):
    values = {"cost_center": "CC-1", "team": "claims", "model": "summary", "tokens": 5}
    at = at or call.occurred_at + SECOND
    return SettledCall.objects.create(
        call_id=call.event_id, occurred_at=at, settled_at=at, **values | changes
    )


def summed():
    return dict(SettledCall.objects.values_list("call_id", "summed_at"))


class TestTakeIn:
    def test_takes_in_the_calls_that_the_sum_holds_and_no_others(self):
        mine, edge, other = record(HOUR), record(NEXT - SECOND), record(NEXT)
        before = record(BEFORE)
        ingest(mine, edge, other, before)
        for call in (mine, other, before):
            settle(call)
        settle(edge, at=NEXT + SECOND)  # by the gate's clock it began in the next hour
        never_logged = settle(record(HOUR, event_id=uuid.uuid4()))
        assert actions.roll_up_hours(hours=[HOUR], now=LATER) == 1
        assert summed() == {
            mine.event_id: LATER,
            edge.event_id: LATER,
            other.event_id: None,
            before.event_id: None,
            never_logged.call_id: None,
        }
        actions.roll_up_hours(hours=[NEXT], now=LATER + SECOND)
        assert summed()[other.event_id] == LATER + SECOND
        assert summed()[mine.event_id] == LATER

    def test_looks_as_far_around_its_hours_as_a_call_lasts(self):
        longest = 15 * MINUTE
        first, last = record(HOUR), record(NEXT - LEAST)
        other_first, other_last = record(HOUR), record(NEXT - LEAST)
        ingest(first, last, other_first, other_last)
        settle(first, at=HOUR - longest)
        settle(last, at=NEXT + longest - LEAST)
        settle(other_first, at=HOUR - longest - LEAST)
        settle(other_last, at=NEXT + longest)
        actions.roll_up_hours(hours=[HOUR], now=LATER)
        assert summed() == {
            first.event_id: LATER, last.event_id: LATER, other_first.event_id: None,
            other_last.event_id: None,
        }  # fmt: skip
        assert settled.take_in_late(LATER + SECOND) == 2
        assert summed()[other_last.event_id] == LATER + SECOND

    def test_takes_in_the_calls_of_several_hours_and_not_of_one_between_them(self):
        calls = [record(at) for at in (BEFORE - LEAST, BEFORE, HOUR, NEXT, NEXT + 60 * MINUTE)]
        ingest(*calls)
        for call in calls:
            settle(call)
        assert actions.roll_up_hours(hours=[NEXT, BEFORE], now=LATER) == 2
        assert [summed()[call.event_id] for call in calls] == [None, LATER, None, LATER, None]

    def test_leaves_what_was_only_estimated_for_no_sum_has_it(self):
        cut, reranked = record(HOUR), record(HOUR)
        ingest(cut, reranked)
        settle(cut, basis="ESTIMATED", operation="CHAT")
        settle(reranked, basis="ESTIMATED", operation="RERANK")
        actions.roll_up_hours(hours=[HOUR], now=LATER)
        assert settled.take_in_late(LATER + SECOND) == 0
        assert summed() == {cut.event_id: None, reranked.event_id: LATER}

    def test_leaves_the_calls_of_an_hour_that_cannot_be_summed(self, monkeypatch):
        call = record(HOUR)
        ingest(call)
        settle(call)

        def broken(*_):
            raise RuntimeError

        monkeypatch.setattr(settled, "take_in", broken)
        with pytest.raises(RuntimeError):
            actions.roll_up_hours(hours=[HOUR], now=LATER)
        assert DirtyHour.objects.filter(hour=HOUR).exists()
        assert summed() == {call.event_id: None}


class TestTakeInLate:
    def test_takes_in_what_was_settled_after_its_hour_was_summed(self):
        late, waiting = record(HOUR), record(NEXT)
        ingest(late, waiting)
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        for call in (late, waiting):
            settle(call)
        never_logged = settle(record(HOUR, event_id=uuid.uuid4()))
        assert settled.take_in_late(LATER) == 1
        assert summed() == {
            late.event_id: LATER,
            waiting.event_id: None,
            never_logged.call_id: None,
        }
        assert settled.take_in_late(LATER) == 0

    def test_takes_in_a_call_whose_request_took_long_to_arrive(self):
        slow, other = record(HOUR + 50 * MINUTE), record(HOUR)
        ingest(slow, other)
        settle(slow, at=slow.occurred_at + 40 * MINUTE)  # when the gate had all of it
        settle(other)
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        assert summed() == {slow.event_id: None, other.event_id: NOW}
        settled.take_in_late(LATER)
        assert summed() == {slow.event_id: LATER, other.event_id: NOW}

    def test_leaves_what_was_only_estimated(self):
        cut, whole = record(HOUR), record(HOUR)
        ingest(cut, whole)
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        settle(cut, basis="ESTIMATED", operation="CHAT")
        settle(whole, basis="USAGE", operation="CHAT")
        assert settled.take_in_late(LATER) == 1
        assert summed() == {cut.event_id: None, whole.event_id: LATER}

    def test_looks_a_day_around_the_gates_moment(self):
        calls = [record(HOUR) for _ in range(4)]
        ingest(*calls)
        actions.roll_up_hours(hours=[HOUR], now=NOW)
        for call, away in zip(calls, (DAY, DAY + LEAST, -DAY + LEAST, -DAY), strict=True):
            settle(call, at=HOUR + away)
        assert settled.take_in_late(LATER) == 2
        assert [summed()[call.event_id] for call in calls] == [LATER, None, LATER, None]
        # and so does who asks which calls the ledger never heard of
        found = settled.missing(HOUR + 2 * DAY).values_list("call_id", flat=True)
        assert set(found) == {calls[1].event_id, calls[3].event_id}


class TestMissing:
    def test_are_the_calls_that_the_ledger_never_heard_of(self):
        cut, late = record(HOUR), record(NEXT)
        ingest(cut)
        settle(cut, basis="ESTIMATED", operation="CHAT")
        never_logged = settle(record(HOUR, event_id=uuid.uuid4()))
        settle(late)
        assert list(settled.missing(NEXT)) == [never_logged]
        at = never_logged.occurred_at
        assert not settled.missing(at).exists()
        assert list(settled.missing(at + LEAST)) == [never_logged]

    def test_are_none_that_a_sum_took_in_though_its_day_is_gone_since(self):
        SettledCall.objects.create(
            call_id=uuid.uuid4(), occurred_at=HOUR, settled_at=HOUR, summed_at=LATER, tokens=5
        )
        other = SettledCall.objects.create(
            call_id=uuid.uuid4(), occurred_at=HOUR, settled_at=HOUR, tokens=5
        )
        assert list(settled.missing(NEXT)) == [other]
