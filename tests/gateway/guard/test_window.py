"""How much of a text may go on, and that each character is looked at a bounded number of times."""

import pytest

from apps.gateway.guard.detectors.hits import Hit
from apps.gateway.guard.window import (
    LONGEST_FIND,
    LONGEST_LOOK,
    Look,
    Reach,
    Span,
    Written,
    held_from,
)

REACH = Reach(lead=20, spaced=10, solid=40)


def written(text: str, *, is_whole: bool = False) -> Written:
    found = Written(is_whole=is_whole)
    found.add(text)
    return found


def looked(look: Look, text: Written, *finds: tuple[int, int]) -> list[tuple[int, int]]:
    """Look once, with finds at places of the whole text, and return those that are settled."""
    span = look.ask(text)
    hits = [Hit("X", "", start - span.start, end - span.start, 1.0) for start, end in finds]
    return [(hit.start, hit.end) for hit in look.take(text, span, hits)]


class TestReach:
    @pytest.mark.parametrize("values", [(-1, 0, 0, 1), (0, 5, 4, 1), (0, -1, 4, 1), (0, 0, 0, 0)])
    def test_refuses_what_is_no_reach(self, values):
        with pytest.raises(ValueError, match="A reach wants"):
            Reach(*values)


class TestHeldFrom:
    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("", ""),
            ("short", "short"),
            ("one two three four", "three four"),
            ("one two three fours", "three fours"),
            ("y" * 60, "y" * 40),
            ("a " + "y" * 30, "y" * 30),
            ("a\nbbbbbbbbbbbb", "bbbbbbbbbbbb"),
            ("one two thr\u200bee fo\u200b\u200bur", "thr\u200bee fo\u200b\u200bur"),
            ("one\u00a0two three four", "three four"),
            ("one\u00a0" + "\u200b" * 100 + "b" * 10, "\u200b" * 100 + "b" * 10),
            ("one two thr\x00ee four", "thr\x00ee four"),
        ],
    )
    def test_holds_the_last_words_or_the_run_without_blanks(self, text, held):
        assert text[held_from(written(text), len(text), REACH) :] == held


class TestWritten:
    @pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 100])
    def test_reads_letters_that_are_escaped_however_they_are_cut(self, size):
        text = r"id \u0034\u0031\u0032-55 \u00e9 \u00 \u0034"
        found = Written()
        for at in range(0, len(text), size):
            found.add(text[at : at + size])
        assert found.length == len(text)
        assert found.tail.replace("\u2064", "") == r"id 412-55 \u00e9 \u00 4"
        assert found.tail.index("-55") == text.index("-55")


class TestLook:
    def test_tells_a_find_once_it_is_decided(self):
        look, text = Look(REACH), written("it is 12-34-56")
        assert looked(look, text, (6, 14)) == []
        text.add(" and then more")
        assert looked(look, text, (6, 14)) == [(6, 14)]
        text.add(" and more and more of it")
        assert looked(look, text, (6, 14)) == []

    def test_waits_at_a_find_that_may_go_on(self):
        look, text = Look(REACH), written("it is " + "y" * 50)
        assert looked(look, text, (6, 56)) == []
        assert look.decided == 6
        text.add("yy and then more words")
        assert looked(look, text, (6, 58)) == [(6, 58)]

    def test_tells_a_find_that_was_seen_too_late(self):
        look, text = Look(REACH), written("y" * 60)
        assert looked(look, text) == []
        assert look.decided == 20
        text.add("z and then more words")
        assert looked(look, text, (10, 61)) == [(10, 61)]

    def test_takes_a_find_without_end_as_it_is(self):
        look, text = Look(REACH), written("y" * 30)
        told = looked(look, text, (0, 30))
        for _ in range(2 * LONGEST_FIND):
            text.add("y")
            if look.ask(text):
                told += looked(look, text, (0, text.length))
        assert told[0][0] == 0
        assert LONGEST_FIND < told[0][1] < 2 * LONGEST_FIND

    def test_decides_all_of_a_text_that_ended(self):
        look, text = Look(REACH), written("it is 12", is_whole=True)
        assert looked(look, text, (6, 8)) == [(6, 8)]
        assert look.decided == 8
        assert look.ask(text) is None

    def test_asks_for_little_text_only_when_it_ends(self):
        look, text = Look(Reach(20, 10, 40, step=100)), written("y " * 20)
        assert look.ask(text) is None
        text.is_whole = True
        assert look.ask(text) == Span(0, 40)

    def test_looks_at_much_text_piece_by_piece(self):
        look, text = Look(REACH), written("abc " * 20_000, is_whole=True)
        spans = []
        while span := look.ask(text):
            spans.append(span)
            look.take(text, span, [])
        assert [span.end for span in spans] == [LONGEST_LOOK, 2 * LONGEST_LOOK, 80_000]
        assert all(b.start <= a.end - REACH.spaced for a, b in zip(spans, spans[1:], strict=False))

    @pytest.mark.parametrize("find", [False, True])
    def test_looks_at_each_character_a_bounded_number_of_times(self, find):
        look, text, seen = Look(REACH), Written(), 0
        for at in range(LONGEST_FIND):
            text.add("y" if find or at % 7 else " ")
            if span := look.ask(text):
                seen += span.end - span.start
                look.take(text, span, [Hit("X", "", 0, span.end, 1.0)] if find else [])
            text.forget(look.kept_from(text))
        assert seen < text.length * (REACH.lead + REACH.solid + 10)

    def test_keeps_no_more_of_a_text_than_it_needs(self):
        look, text = Look(REACH), Written()
        for _ in range(1_000):
            text.add("some words ")
            look.take(text, look.ask(text), [])
            text.forget(look.kept_from(text))
        assert len(text.tail) < 70
