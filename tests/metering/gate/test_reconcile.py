"""Calls that no line of the access log tells of, and what the ledger makes of them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.access.holds.models import SettledCall
from apps.accounts.models import Role
from apps.common.periods import day_of
from apps.metering import actions, days
from apps.metering.gate import reconcile
from apps.metering.gate.models import CountDifference, LostCall
from apps.metering.gate.reconcile import LetIn, let_in_missing, patience
from apps.metering.models import EngineHour, HourlyUsage, LateUsage
from apps.metering.quarantine.actions import leave_out
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, UserFactory, stored_calls
from tests.metering.archive.test_guards import verified
from tests.metering.gate.test_counts import call, ingest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names", "each_store")]
MODEL = "prior-auth-extract"
DUE = NOW + timedelta(hours=5, minutes=31)  # after what was called at half past nine
TOLD = {"basis": "USAGE", "completeness": "COMPLETE", "operation": "CHAT",
        "input_tokens": 100, "cached_input_tokens": 10, "output_tokens": 7}  # fmt: skip
WHOSE = {"team": "claims-review", "cost_center": "CC-4100", "model": MODEL}


def settled(minutes=30, **changes):
    at = NOW + timedelta(minutes=minutes)
    values = WHOSE | TOLD | {"tokens": 107, "occurred_at": at, "settled_at": at} | changes
    return SettledCall.objects.create(call_id=uuid4(), **values)


def lost(minutes=30, **changes):
    at = NOW + timedelta(minutes=minutes)
    values = WHOSE | {"occurred_at": at, "noted_at": at} | changes
    return LostCall.objects.create(call_id=uuid4(), **values)


def stored(row):
    return stored_calls().filter(pk=row.call_id).first()


def told_later(row, **changes):
    """The line of the access log of a call, as it comes at last."""
    told = {"x-request-id": str(row.call_id), "start_time": row.occurred_at.isoformat()}
    return call(**told | changes)


class TestPatience:
    @pytest.mark.parametrize(("grace", "hours"), [(1, 1), (2, 1), (3, 2), (6, 5)])
    def test_ends_an_hour_before_the_hour_is_sealed_and_lasts_an_hour(self, settings, grace, hours):
        settings.USAGE_GRACE_HOURS = grace
        assert patience() == timedelta(hours=hours)

    @pytest.mark.parametrize("make", [settled, lost])
    def test_is_had_to_the_microsecond_with_what_is_settled_and_what_is_lost(self, make):
        least = timedelta(microseconds=1)
        due = make()
        young = make(occurred_at=due.occurred_at + least, team="prior-auth")
        at = due.occurred_at + patience()
        assert let_in_missing(now=at) == LetIn(0, 0)
        let_in_missing(now=at + least)
        assert {event.pk for event in stored_calls()} == {due.pk}
        let_in_missing(now=at + 2 * least)
        assert {event.pk for event in stored_calls()} == {due.pk, young.pk}


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
        assert (event.response_code, event.received_at, event.unmetered_because) == (200, DUE, "")
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

    def test_are_of_the_version_of_their_own_hour_and_of_what_was_metered(self):
        later = {"gen_ai.request.model_override": f"{MODEL}-v2"}
        hour = timedelta(hours=1)
        ingest(call(), call(**later, start_time=(NOW + hour).isoformat()), now=NOW + hour)
        untold = {"gen_ai.usage.input_tokens": None, "gen_ai.usage.output_tokens": None}
        # the later one answered nothing in the first hour
        ingest(call(**later, **untold, response_code=503))
        actions.roll_up_dirty_hours(now=NOW + hour)
        first, second = settled(), settled(60)
        let_in_missing(now=DUE + hour)
        assert [stored(row).version for row in (first, second)] == [f"{MODEL}-v1", f"{MODEL}-v2"]

    def test_are_of_the_one_version_that_is_known_beside_calls_of_an_unknown_one(self):
        first = settled(10)
        let_in_missing(now=DUE)
        actions.roll_up_dirty_hours(now=DUE)
        ingest(call())
        actions.roll_up_dirty_hours(now=DUE)
        second = settled(20)
        let_in_missing(now=DUE)
        assert [stored(row).version for row in (first, second)] == ["", f"{MODEL}-v1"]

    def test_are_each_named_in_the_log_as_what_they_were(self, caplog):
        mine, dead = settled(), lost(team="prior-auth", model="other")
        told = settled(10)
        ingest(told_later(told))
        let_in_missing(now=DUE)
        said = [one.getMessage() for one in caplog.records if "never told" in one.getMessage()]
        assert said == [
            f"the access log never told of the call {mine.pk} of claims-review for {MODEL}, "
            "settled by its gate: it is let in",
            f"the access log never told of the call {dead.pk} of prior-auth for other, "
            "lost with its gate: it is let in",
        ]

    def test_are_let_in_some_at_a_time(self, monkeypatch):
        monkeypatch.setattr(reconcile, "AT_ONCE", 2)
        rows = [settled(at) for at in (1, 2, 3)] + [lost(at) for at in (1, 2, 3, 4, 5)]
        assert let_in_missing(now=DUE) == LetIn(settled=3, lost=5)
        assert {event.pk for event in stored_calls()} == {row.pk for row in rows}

    def test_are_left_where_their_day_is_in_the_archive_alone(self):
        ingest(call(), now=NOW)
        actions.roll_up_dirty_hours(now=NOW)
        verified()
        assert days.drop_day(day_of(NOW), now=NOW) is True
        archived, dead, next_day = settled(), lost(), settled(24 * 60)
        assert let_in_missing(now=DUE + timedelta(days=1)) == LetIn(settled=1, lost=0)
        assert [stored(row) is None for row in (archived, dead, next_day)] == [True, True, False]
        assert set(SettledCall.objects.all()) == {archived, next_day}
        assert LostCall.objects.get() == dead

    @pytest.mark.parametrize(
        ("completeness", "found"),
        [
            ("COMPLETE", ("METERED", "", "COMPLETE")),
            ("ENDED_EARLY", ("METERED", "", "COMPLETE")),
            ("ABORTED", ("UNMETERED", "CLIENT_LEFT", "ABORTED")),
            ("FAILED", ("UNMETERED", "ENGINE_BROKE_OFF", "FAILED")),
        ],
    )
    def test_that_rerank_count_as_a_request_where_they_were_answered(self, completeness, found):
        row = settled(operation="RERANK", completeness=completeness)
        let_in_missing(now=DUE)
        event = stored(row)
        assert (event.outcome, event.unmetered_because, event.completeness) == found
        assert (event.input_tokens, event.output_tokens, event.basis) == (None, None, "")

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"basis": "COUNTED", "completeness": "ABORTED", "input_tokens": None}, "CLIENT_LEFT"),
            ({"basis": "USAGE", "completeness": "COMPLETE", "output_tokens": None}, "UNKNOWN"),
            ({"basis": "NOTHING", "completeness": "FAILED"}, "ENGINE_BROKE_OFF"),
            ({"basis": "", "completeness": ""}, "UNKNOWN"),
        ],
    )
    def test_without_whole_figures_count_as_unmetered_and_say_why(self, changes, why):
        row = settled(**changes)
        let_in_missing(now=DUE)
        event = stored(row)
        assert (event.outcome, event.unmetered_because, event.basis) == ("UNMETERED", why, "")
        assert (event.input_tokens, event.cached_input_tokens, event.output_tokens) == (None,) * 3
        assert (event.estimated_input_tokens, event.estimated_output_tokens) == (None, None)

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

    @pytest.mark.parametrize(("ours", "of_log"), [(0, -1), (-1, 1)])
    def test_leave_a_call_of_another_day_by_the_gateways_clock_alone(self, ours, of_log):
        midnight, second = NOW + timedelta(hours=15), timedelta(seconds=1)
        at = midnight + ours * second
        row = settled(occurred_at=at)
        ingest(told_later(row, start_time=(at + of_log * second).isoformat()), now=at)
        assert let_in_missing(now=at + timedelta(hours=6)) == LetIn(0, 0)
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

    def test_stay_noted_until_all_their_lines_are_left_out(self):
        row, gone = settled(), lost()
        finance = UserFactory(with_roles=[Role.FINANCE])
        for each in (row, gone):
            for absurd in ("999999998", "999999999"):
                ingest(told_later(each, **{"gen_ai.usage.input_tokens": absurd}))
            lines = QuarantinedRecord.objects.filter(event_id=each.call_id)
            leave_out(item=lines[0], actor=finance, reason="Nonsense.", now=NOW)
        assert let_in_missing(now=DUE) == LetIn(0, 0)
        assert SettledCall.objects.get() == row and LostCall.objects.get() == gone
        for each in (row, gone):
            line = QuarantinedRecord.objects.get(event_id=each.call_id, status="WAITING")
            leave_out(item=line, actor=finance, reason="Nonsense too.", now=NOW)
        assert let_in_missing(now=DUE) == LetIn(0, 0)
        assert not SettledCall.objects.exists() and not LostCall.objects.exists()
        assert not stored_calls().exists()


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
