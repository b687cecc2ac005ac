"""The order of a trace's steps, and where in the whole each lies."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.traces.models import Span
from apps.traces.waterfall import duration_words, waterfall

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
TRACE = "ab" * 16


def step(number, parent=None, *, after=0.0, lasts=1.0, trace=TRACE, **more):
    """One span: seconds after the start, seconds long."""
    return Span(
        id=f"{trace}{number:016x}", trace_id=trace,
        parent_id="" if parent is None else f"{parent:016x}",
        started_at=START + timedelta(seconds=after), duration_us=int(lasts * 1e6),
        service="s", name=str(number), **more,
    )  # fmt: skip


def order(*spans):
    return [(line.span.name, line.depth) for line in waterfall(spans).lines]


class TestWaterfall:
    def test_puts_what_was_caused_below_its_cause(self):
        spans = (
            step(4, 2, after=0.3),
            step(3, 1, after=0.5),
            step(2, 1, after=0.2),
            step(1, lasts=2),
        )
        assert order(*spans) == [("1", 0), ("2", 1), ("4", 2), ("3", 1)]

    def test_begins_anew_where_the_cause_is_not_there(self):
        assert order(step(1), step(2, 9, after=0.5), step(3, 2, after=0.6)) == [
            ("1", 0), ("2", 0), ("3", 1),
        ]  # fmt: skip

    def test_shows_each_step_of_a_circle_once(self):
        found = order(step(1, 2), step(2, 1, after=0.1), step(3, 3, after=0.2))
        assert sorted(name for name, _ in found) == ["1", "2", "3"]

    def test_keeps_the_same_id_of_two_traces_apart(self):
        other = step(1, trace="cd" * 16, after=0.5)
        assert order(step(1), step(2, 1, after=0.1), other) == [("1", 0), ("2", 1), ("1", 0)]

    def test_tells_where_in_the_whole_each_lies(self):
        found = waterfall([step(1, lasts=4), step(2, 1, after=1, lasts=2)])
        assert (found.took, found.started_at) == ("4.00 s", START)
        first, second = found.lines
        assert (first.begins, first.takes, second.begins, second.takes) == (0, 100, 25, 50)
        assert (second.after, second.took) == ("1.00 s", "2.00 s")
        assert found.ticks == [(0, "0"), (25, "1.00 s"), (50, "2.00 s"), (75, "3.00 s")]

    def test_goes_beyond_no_edge_where_clocks_differ(self):
        found = waterfall([step(1, after=1, lasts=1), step(2, 1, after=0, lasts=5)])
        assert all(line.begins >= 0 and line.begins + line.takes <= 100 for line in found.lines)

    def test_takes_no_time_without_a_fault(self):
        (line,) = waterfall([step(1, lasts=0)]).lines
        assert (line.begins, line.takes) == (0, 0)

    def test_is_none_without_steps(self):
        assert waterfall([]) is None

    def test_says_the_facts_in_words(self):
        facts = {
            "input_tokens": 1200, "output_tokens": 30, "queue_seconds": 0.25, "status": 200,
            "verdict": "passed", "stand_in": "yes", "first_token_ms": 42.5,
        }  # fmt: skip
        found = waterfall([step(1, facts=facts)])
        (line,) = found.lines
        assert line.tokens == "1,200 in · 30 out tokens"
        assert line.is_stand_in and found.stand_in
        assert dict(line.facts) == {
            "Tokens in": "1,200", "Tokens out": "30", "Waited for a seat": "250 ms",
            "Response code": "200", "Verdict": "passed", "First token after": "42 ms",
        }  # fmt: skip

    def test_says_no_tokens_where_none_are_told(self):
        (line,) = waterfall([step(1)]).lines
        assert (line.tokens, line.is_stand_in) == ("", False)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0.04, "0.0 ms"), (9.94, "9.9 ms"), (38.4, "38 ms"), (999.4, "999 ms"), (1240, "1.24 s")],
)
def test_duration_words(milliseconds, words):
    assert duration_words(milliseconds) == words
