"""Whose figures of a call count, the access log's or the gate's, and what becomes of them."""

from uuid import uuid4

import pytest

from apps.metering import actions, store
from apps.metering.access_log import read_entry, read_record
from apps.metering.gate.counts import Basis, GateCount, Judged, Tokens, judged
from apps.metering.gate.models import CountDifference
from apps.metering.models import HourlyUsage
from apps.metering.quarantine.doubles import _entry
from apps.metering.quarantine.models import QuarantinedRecord
from tests.factories import NOW, stored_calls
from tests.metering.test_access_log import CALL

UNTOLD = {f"gen_ai.usage.{kind}_tokens": "-" for kind in ("input", "cached_input", "output")}
NONE = Tokens(None, None, None)


def of_gate(basis, completeness, *tokens, **more):
    """Return the keys of a record by which the gate tells its figures."""
    kinds = ("input", "cached_input", "output")
    told = {f"gate.usage.{kind}_tokens": n for kind, n in zip(kinds, tokens, strict=True)}
    return {"gate.basis": basis, "gate.usage.completeness": completeness, **told, **more}


CUT = UNTOLD | of_gate("COUNTED", "ABORTED", "100", "-", "7", response_flags="DC")
GUESSED = UNTOLD | of_gate("ESTIMATED", "ABORTED", 90, None, 5, response_flags="DC")


def call(**changes):
    return CALL | {"x-request-id": str(uuid4())} | changes


def ingest(*calls, now=NOW, via="OTLP"):
    entries = [read_entry(each) for each in calls]
    return actions.ingest_usage(entries=entries, via=via, now=now)


class TestJudged:
    LOGGED, GATE = Tokens(120, 20, 30), Tokens(100, None, 7)

    @pytest.mark.parametrize(
        ("logged", "gate", "found"),
        [
            (LOGGED, None, Judged(LOGGED, "")),
            (None, None, Judged(NONE, "")),
            (None, GateCount(Basis.USAGE, "COMPLETE", GATE), Judged(GATE, "USAGE")),
            (LOGGED, GateCount(Basis.USAGE, "COMPLETE", LOGGED), Judged(LOGGED, "USAGE")),
            (LOGGED, GateCount(Basis.USAGE, "COMPLETE", GATE), Judged(LOGGED, "USAGE", GATE)),
            # of an answer that was cut, the log has what the gate, or the last piece, told
            (LOGGED, GateCount(Basis.COUNTED, "ABORTED", GATE), Judged(GATE, "COUNTED")),
            (LOGGED, GateCount(Basis.ESTIMATED, "ENDED_EARLY", GATE), Judged(GATE, "ESTIMATED")),
            (
                None,
                GateCount(Basis.COUNTED, "ABORTED", Tokens(None, None, 7)),
                Judged(Tokens(None, None, 7), "ESTIMATED"),
            ),
            (None, GateCount(Basis.NOTHING, "COMPLETE", Tokens(0, 0, 0)), Judged(NONE, "NOTHING")),
        ],
    )
    def test_is_the_log_of_a_whole_answer_and_the_gate_of_one_that_was_cut(
        self, logged, gate, found
    ):
        assert judged(logged, gate) == found

    def test_takes_no_word_of_cached_tokens_for_none(self):
        for logged, gate in ((0, None), (None, 0)):
            found = judged(
                Tokens(9, logged, 1), GateCount(Basis.USAGE, "COMPLETE", Tokens(9, gate, 1))
            )
            assert found.other is None


class TestRecord:
    @pytest.mark.parametrize(
        ("changes", "outcome", "reason", "basis", "metered", "estimated"),
        [
            (CUT, "METERED", "CLIENT_LEFT", "COUNTED", (100, None, 7), (None, None)),
            (GUESSED, "UNMETERED", "CLIENT_LEFT", "ESTIMATED", (None, None, None), (90, 5)),
            # the gate stopped it, and told the caller what it had counted
            (
                of_gate("COUNTED", "ENDED_EARLY", 100, 4, 7),
                "METERED", "ENDED_EARLY", "COUNTED", (100, 4, 7), (None, None),
            ),
            # to the gate an engine that breaks off looks like a client that leaves
            (
                CUT | {"response_flags": "UC"},
                "METERED", "ENGINE_BROKE_OFF", "COUNTED", (100, None, 7), (None, None),
            ),
            (
                UNTOLD | of_gate("USAGE", "COMPLETE", 100, 4, 7, response_flags="DC"),
                "METERED", "", "USAGE", (100, 4, 7), (None, None),
            ),
            (
                UNTOLD | of_gate("NOTHING", "COMPLETE", 0, 0, 0, response_flags="DC"),
                "UNMETERED", "CLIENT_LEFT", "NOTHING", (None, None, None), (None, None),
            ),
            # nothing was generated of what failed, whatever the gate had seen
            (
                CUT | {"response_code": 503},
                "FAILED", "", "", (None, None, None), (None, None),
            ),
        ],
    )  # fmt: skip
    def test_tells_what_was_counted_and_why_it_was_cut(
        self, changes, outcome, reason, basis, metered, estimated
    ):
        found = read_record(CALL | changes)
        assert (found.outcome, found.unmetered_because, found.basis) == (outcome, reason, basis)
        assert (found.input_tokens, found.cached_input_tokens, found.output_tokens) == metered
        assert (found.estimated_input_tokens, found.estimated_output_tokens) == estimated

    def test_of_a_rerank_stays_a_request(self):
        rerank = CUT | {"path": "/cohere/v2/rerank"}
        found = read_record(CALL | rerank)
        assert (found.basis, found.input_tokens) == ("", None)

    def test_takes_no_basis_that_nobody_knows(self):
        found = read_record(CALL | of_gate("GUESSED", "COMPLETE", 1, 1, 1))
        assert (found.basis, found.input_tokens) == ("", 120)


@pytest.mark.django_db
@pytest.mark.usefixtures("names", "each_store")
class TestStored:
    def test_is_rated_as_counted_and_stays_aborted(self):
        calls = [call(), call(**CUT), call(**GUESSED), call(**CUT, team="prior-auth")]
        assert ingest(*calls).stored == 4
        cut, guessed = (stored_calls().get(pk=each["x-request-id"]) for each in calls[1:3])
        assert (cut.completeness, guessed.completeness) == ("ABORTED", "ABORTED")
        left = "Its client left before the answer ended"
        assert (cut.why, guessed.why) == (left, left)
        actions.roll_up_dirty_hours(now=NOW)
        mine, other = HourlyUsage.objects.order_by("team")
        assert (mine.metered_calls, mine.counted_calls, mine.unmetered_calls) == (2, 1, 1)
        assert (mine.input_tokens, mine.output_tokens) == (120 + 100, 30 + 7)
        assert (mine.estimated_calls, mine.estimated_input_tokens) == (1, 90)
        assert (mine.estimated_output_tokens, mine.aborted_calls) == (5, 1)
        assert (other.metered_calls, other.counted_calls, other.estimated_calls) == (1, 1, 0)

    def test_is_an_estimate_of_the_engine_where_the_gate_could_not_tell_the_input(self):
        ingest(call(**GUESSED | {"gate.usage.input_tokens": "-"}), call())
        (event,) = stored_calls().filter(basis="ESTIMATED")
        assert (event.estimated_input_tokens, event.estimated_output_tokens) == (None, 5)
        (row,) = store.hour_sums([NOW])
        assert (row["gate_calls"], row["gate_output_tokens"]) == (0, 0)

    def test_lists_where_log_and_gate_differ_and_counts_the_log(self):
        same, other = (
            call(**of_gate("USAGE", "COMPLETE", 120, 20, 30)),
            call(**of_gate("USAGE", "COMPLETE", 120, 20, 31)),
        )
        for via in ("OTLP", "FILE"):
            ingest(same, other, via=via)
        (found,) = CountDifference.objects.all()
        assert (str(found.event_id), found.counts) == (other["x-request-id"], "LOG")
        assert (found.log_output_tokens, found.gate_output_tokens) == (30, 31)
        assert {each.output_tokens for each in stored_calls()} == {30}
        assert not QuarantinedRecord.objects.exists()

    def test_that_is_taken_out_is_read_back_as_it_was(self):
        calls = [call(**CUT), call(**GUESSED), call(**of_gate("USAGE", "COMPLETE", 120, 20, 30))]
        ingest(*calls)
        for event in stored_calls():
            entry = _entry(event)
            again = read_record(entry.values)
            assert again.counts == entry.record.counts
            for name in ("basis", "estimated_input_tokens", "estimated_output_tokens"):
                assert getattr(again, name) == getattr(event, name)
