"""Calls that no line of the access log tells of, and what the ledger makes of them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.access.holds.models import SettledCall
from apps.accounts.models import Role
from apps.metering import actions
from apps.metering.gate.models import CountDifference, LostCall
from apps.metering.gate.reconcile import LetIn, let_in_missing, patience
from apps.metering.models import EngineHour, HourlyUsage, LateUsage, QuarantinedRecord
from apps.metering.quarantine.actions import leave_out
from tests.factories import NOW, UserFactory, stored_calls
from tests.metering.gate.test_counts import call, ingest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
MODEL = "prior-auth-extract"
DUE = NOW + timedelta(hours=5, minutes=31)  # after what was called at half past nine
TOLD = {"basis": "USAGE", "completeness": "COMPLETE", "operation": "CHAT",
        "input_tokens": 100, "cached_input_tokens": 10, "output_tokens": 7}  # fmt: skip
WHOSE = {"team": "claims-review", "cost_center": "CC-4100", "model": MODEL}


def settled(minutes=30, **changes):
    at = NOW + timedelta(minutes=minutes)
    values = WHOSE | TOLD | {"tokens": 107} | changes
    return SettledCall.objects.create(call_id=uuid4(), occurred_at=at, settled_at=at, **values)


def lost(minutes=30, **changes):
    at = NOW + timedelta(minutes=minutes)
    return LostCall.objects.create(call_id=uuid4(), occurred_at=at, noted_at=at, **WHOSE | changes)


def stored(row):
    return stored_calls().filter(pk=row.call_id).first()


def told_later(row, **changes):
    """The line of the access log of a call, as it comes at last."""
    told = {"x-request-id": str(row.call_id), "start_time": row.occurred_at.isoformat()}
    return call(**told | changes)


class TestSettled:
    def test_are_let_in_once_when_no_line_came_in_time(self):
        mine, other, young = settled(), settled(20, team="prior-auth"), settled(32)
        assert patience() == timedelta(hours=5)
        assert let_in_missing(now=DUE) == LetIn(settled=2, lost=0)
        assert let_in_missing(now=DUE) == LetIn(settled=0, lost=0)
        event = stored(mine)
        assert (event.received_via, event.outcome, event.completeness, event.basis) == (
            "GATE", "METERED", "COMPLETE", "USAGE",
        )  # fmt: skip
        assert (event.team, event.cost_center, event.model) == tuple(WHOSE.values())
        assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (100, 10, 7)
        assert (event.occurred_at, event.operation) == (mine.occurred_at, "CHAT")
        assert (stored(other).team, stored(young)) == ("prior-auth", None)
        assert not LateUsage.objects.exists()

    def test_count_in_their_hour_and_are_no_more_beside_it(self):
        mine, told = settled(), settled(10)
        ingest(told_later(told))
        actions.roll_up_dirty_hours(now=NOW + timedelta(hours=1))
        let_in_missing(now=DUE)
        actions.roll_up_dirty_hours(now=DUE)
        (hour,) = HourlyUsage.objects.all()
        assert (hour.metered_calls, hour.input_tokens) == (2, 120 + 100)
        assert set(SettledCall.objects.exclude(summed_at=None)) == {mine, told}

    def test_are_of_the_version_that_answered_all_others_of_that_hour(self):
        of_other = {"model": "clinical-summary", "model_override": "clinical-summary-v1"}
        ingest(call(), call(**{f"gen_ai.request.{key}": name for key, name in of_other.items()}))
        actions.roll_up_dirty_hours(now=NOW)
        one, nobody = settled(), settled(model="other")
        let_in_missing(now=DUE)
        assert (stored(one).version, stored(nobody).version) == (f"{MODEL}-v1", "")

    def test_are_of_no_version_where_several_answered(self):
        second = {"gen_ai.request.model_override": f"{MODEL}-v2"}
        ingest(call(), call(**second))
        actions.roll_up_dirty_hours(now=NOW)
        mine = settled()
        let_in_missing(now=DUE)
        assert stored(mine).version == ""

    def test_that_were_cut_or_guessed_stay_so(self):
        cut = settled(basis="COUNTED", completeness="ABORTED", cached_input_tokens=None)
        guess = settled(basis="ESTIMATED", completeness="FAILED")
        stopped = settled(basis="COUNTED", completeness="ENDED_EARLY")
        rerank = settled(operation="RERANK", basis="ESTIMATED", completeness="ENDED_EARLY",
                         input_tokens=3, output_tokens=0)  # fmt: skip
        old = settled(basis="", completeness="", input_tokens=None, output_tokens=None)
        let_in_missing(now=DUE)
        found = [
            (event.outcome, event.completeness, event.input_tokens, event.estimated_output_tokens)
            for event in map(stored, (cut, guess, stopped, rerank, old))
        ]
        assert found == [
            ("METERED", "ABORTED", 100, None),
            ("UNMETERED", "FAILED", None, 7),
            ("METERED", "ENDED_EARLY", 100, None),
            ("METERED", "COMPLETE", None, None),
            ("UNMETERED", "ENDED_EARLY", None, None),
        ]

    def test_are_counted_once_when_their_line_comes_at_last(self):
        same, other, silent = settled(), settled(), settled()
        let_in_missing(now=DUE)
        usage = {f"gen_ai.usage.{name}_tokens": n for name, n in
                 (("input", 100), ("cached_input", 10), ("output", 7))}  # fmt: skip
        untold = dict.fromkeys(usage, "-") | {"response_flags": "DC"}
        lines = (told_later(same, **usage), told_later(other), told_later(silent, **untold))
        for via in ("OTLP", "FILE"):
            came = ingest(*lines, via=via, now=DUE + timedelta(hours=1))
            assert (came.stored, came.quarantined.total()) == (0, 0)
        actions.roll_up_dirty_hours(now=DUE)
        assert [hour.input_tokens for hour in HourlyUsage.objects.all()] == [300]
        (found,) = CountDifference.objects.all()
        assert (found.event_id, found.counts) == (other.call_id, "GATE")
        assert (found.log_input_tokens, found.gate_input_tokens) == (120, 100)
        assert not QuarantinedRecord.objects.exists()

    def test_leave_a_call_of_the_day_before_by_the_gateways_clock_alone(self):
        midnight = 15 * 60  # minutes after nine
        row = settled(midnight)
        ingest(told_later(row, start_time=(row.occurred_at - timedelta(seconds=1)).isoformat()),
               now=row.occurred_at)  # fmt: skip
        assert let_in_missing(now=row.occurred_at + timedelta(hours=6)) == LetIn(0, 0)
        assert stored_calls().count() == 1


class TestKeptApart:
    """Calls whose line of the access log is in doubt: people decide whether they count."""

    def test_are_not_let_in_past_those_who_decide(self):
        waiting, out, other = settled(), settled(), settled()
        gone = lost()
        for row in (waiting, out, gone):
            absurd = {"gen_ai.usage.input_tokens": "999999999"}
            assert ingest(told_later(row, **absurd)).quarantined == {"ABSURD": 1}
        finance = UserFactory(with_roles=[Role.FINANCE])
        for row in (out, gone):
            item = QuarantinedRecord.objects.get(event_id=row.call_id)
            leave_out(item=item, actor=finance, reason="The engine told nonsense.", now=NOW)
        assert let_in_missing(now=DUE) == LetIn(settled=1, lost=0)
        assert [stored(row) for row in (waiting, out, gone)] == [None] * 3
        assert stored(other).received_via == "GATE"
        # what nobody decided still counts beside the sum; what was left out counts nowhere
        assert set(SettledCall.objects.all()) == {waiting, other}
        assert not LostCall.objects.exists()


class TestLost:
    def test_are_let_in_without_usage_and_estimated_from_the_engines_hour(self):
        mine, other, told = lost(), lost(team="prior-auth", model="other"), lost(5)
        ingest(call(), told_later(told))
        actions.roll_up_dirty_hours(now=NOW)
        EngineHour.objects.create(
            hour=NOW, version=f"{MODEL}-v1", prompt_tokens=290, generation_tokens=65,
            is_whole=True, recorded_at=NOW,
        )  # fmt: skip
        assert let_in_missing(now=DUE) == LetIn(settled=0, lost=2)
        assert not LostCall.objects.exists()
        event = stored(mine)
        assert (event.outcome, event.completeness, event.response_code) == (
            "UNMETERED",
            "FAILED",
            0,
        )
        assert event.why == "A part of the gateway failed during the answer"
        actions.roll_up_dirty_hours(now=DUE)
        hour = HourlyUsage.objects.get(model=MODEL)
        assert (hour.metered_calls, hour.unmetered_calls, hour.estimated_calls) == (2, 1, 1)
        assert (hour.estimated_input_tokens, hour.estimated_output_tokens) == (50, 5)
        assert HourlyUsage.objects.get(model="other").estimated_calls == 0
        assert stored(other).version == ""

    def test_that_their_gate_settled_after_all_count_as_settled(self):
        row = settled()
        LostCall.objects.create(
            call_id=row.call_id, occurred_at=row.occurred_at, noted_at=NOW, **WHOSE
        )
        assert let_in_missing(now=DUE) == LetIn(settled=1, lost=0)
        assert (stored(row).outcome, LostCall.objects.count()) == ("METERED", 0)
