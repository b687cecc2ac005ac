"""What a difference is called."""

from dataclasses import replace
from datetime import date

import pytest

from apps.chargeback.reconciliation.compare import (
    AGAIN,
    LESS,
    MORE,
    RERANKED,
    Day,
    Side,
    State,
    named,
    summary,
)

NOTHING = Side(0, 0, 0)
DAY = Day(
    day=date(2026, 11, 2), model="m", version="m-v1", watched_hours=24, unwatched_hours=0,
    unwatched_tokens=0, context=2000, input=Side(1_000_000, 1_000_000, 0), output=NOTHING,
)  # fmt: skip


class TestSide:
    def test_names_what_is_left_of_a_difference(self):
        side = Side(engine=500, metered=380, estimated=100)
        assert (side.difference, side.rest) == (120, 20)
        assert Side(10, 30, 0).difference == -20

    @pytest.mark.parametrize(
        ("rest", "room", "explained"),
        [(5000, 0, True), (5001, 0, False), (-5000, 0, True), (-5001, 0, False),
         (5001, 5001, True), (5002, 5001, False)],
    )  # fmt: skip
    def test_is_explained_within_half_a_percent_or_one_call(self, rest, room, explained):
        assert Side(1_000_000, 1_000_000 - rest, 0).is_explained(room) is explained


class TestDay:
    def test_matches_where_both_kinds_of_token_do(self):
        assert (DAY.state, DAY.unexplained, DAY.words) == (State.MATCHES, 0, "")

    @pytest.mark.parametrize("kind", ["input", "output"])
    def test_is_unexplained_where_one_kind_is(self, kind):
        more = replace(DAY, **{kind: Side(1_000_000, 900_000, 20_000)})
        assert (more.state, more.unexplained, more.words) == (State.UNEXPLAINED, 80_000, MORE)
        less = replace(DAY, **{kind: Side(900_000, 1_000_000, 0)})
        assert (less.state, less.unexplained, less.words) == (State.UNEXPLAINED, 100_000, LESS)

    def test_counts_only_the_kind_that_is_unexplained(self):
        day = replace(DAY, input=Side(1_000_000, 999_000, 0), output=Side(90_000, 50_000, 0))
        assert day.unexplained == 40_000

    def test_is_unknown_where_no_hour_was_watched(self):
        day = replace(DAY, watched_hours=0, unwatched_hours=1, input=Side(0, 0, 0))
        assert (day.state, day.unexplained) == (State.UNKNOWN, 0)
        assert day.words == "In 1 hour the engine was not watched all the time."

    def test_says_which_part_was_not_compared(self):
        assert replace(DAY, unwatched_hours=3).words == (
            "In 3 hours the engine was not watched all the time."
        )


class TestNamed:
    def test_is_at_most_a_context_for_each_further_answer(self):
        further = {"reranks": 0, "context": 2000}
        assert named(5000, further_answers=3, **further) == 5000
        assert named(7000, further_answers=3, **further) == 6000
        assert named(7000, further_answers=0, **further) == 0
        assert named(-7000, further_answers=3, **further) == 0

    def test_is_all_that_was_read_where_it_reranked(self):
        assert named(7000, further_answers=0, reranks=1, context=1) == 7000

    def test_leaves_the_rest_unexplained_and_says_why_there_is_more(self):
        read = Side(1_000_000, 900_000, 0, named=90_000)
        day = replace(DAY, input=read, further_answers=45)
        assert (day.state, day.unexplained, day.words) == (
            State.UNEXPLAINED, 10_000, f"{MORE} {AGAIN}",
        )  # fmt: skip
        explained = replace(day, input=replace(read, named=100_000))
        assert (explained.state, explained.words) == (State.MATCHES, AGAIN)
        assert replace(explained, reranks=1).words == RERANKED


def test_a_month_is_what_its_days_come_to():
    bad = replace(DAY, output=Side(90_000, 50_000, 10_000))
    unknown = replace(DAY, watched_hours=0)
    found = summary([DAY, bad, bad, unknown])
    assert (found.days, found.unexplained_days, found.unknown_days) == (4, 2, 1)
    assert (found.unexplained_tokens, found.estimated_tokens) == (60_000, 20_000)
