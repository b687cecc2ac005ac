"""A team's own patterns: what is refused, and that no text keeps one busy."""

import time

import pytest

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.expressions import BadExpression
from apps.gateway.guard.detectors.hits import Hit, pieces, shifted, without_overlaps
from apps.gateway.guard.detectors.own import OwnPattern, OwnPatterns


class TestOwnPattern:
    @pytest.mark.parametrize(
        ("pattern", "why"),
        [
            ("(", "RE2 cannot read"),
            (r"(a)\1", "RE2 cannot read"),
            ("(?<=a)b", "RE2 cannot read"),
            ("x" * 501, "at most 500"),
            ("a*", "empty text"),
            ("a\nb", "one line"),
            ("a{600}b{600}", "too large"),
            ("a{2000}", "RE2 cannot read"),
        ],
    )
    def test_refuses(self, pattern, why):
        with pytest.raises(BadExpression, match=why):
            OwnPattern("X", pattern)

    def test_takes_what_would_keep_another_engine_busy_for_ever(self):
        detector = OwnPatterns([OwnPattern("EVIL", "(a+)+b"), OwnPattern("WORSE", "(a|a)*c")])
        begun = time.process_time()
        assert detector.detect([Text("a", "user", "a" * 120_000)]) == []
        assert time.process_time() - begun < 1


class TestOwnPatterns:
    def test_says_which_and_where(self):
        detector = OwnPatterns(
            [OwnPattern("ORCHID", r"(?i)project orchid"), OwnPattern("N", "Q-[0-9]{4}")]
        )
        texts = [Text("a", "user", "about Project Orchid"), Text("b", "tool", "Q-1234, Q-9")]
        assert detector.detect(texts) == [Hit("ORCHID", "a", 6, 20, 1.0), Hit("N", "b", 0, 6, 1.0)]

    def test_sees_through_unseen_characters(self):
        (hit,) = OwnPatterns([OwnPattern("O", "orchid")]).detect(
            [Text("a", "user", "x or\u200bchid")]
        )
        assert (hit.start, hit.end) == (2, 9)

    def test_sees_through_escapes(self):
        text = r'{"note": "first\nQ-1234"}'
        (hit,) = OwnPatterns([OwnPattern("N", r"\bQ-[0-9]{4}")]).detect([Text("a", "tool", text)])
        assert text[hit.start : hit.end] == "Q-1234"


class TestPieces:
    def test_overlap_so_that_nothing_falls_between(self):
        text = Text("a", "user", "".join(chr(33 + at % 90) for at in range(2_500)))
        parts = list(pieces(text, reach=100, longest=1_000))
        assert [(offset, len(part.text)) for offset, part in parts] == [
            (0, 1_000),
            (900, 1_000),
            (1_800, 700),
        ]
        assert all(text.text[offset : offset + 1_000] == part.text for offset, part in parts)
        assert all(part.role == "user" for _, part in parts)

    def test_is_one_of_a_short_text(self):
        assert [offset for offset, _ in pieces(Text("a", "user", ""), 100)] == [0]
        assert [offset for offset, _ in pieces(Text("a", "user", "x" * 50), 100)] == [0]

    def test_come_back_as_places_of_the_whole(self):
        assert shifted([Hit("X", "a", 1, 3, 0.5)], 900) == [Hit("X", "a", 901, 903, 0.5)]


def test_of_hits_that_overlap_the_surest_stays():
    low, high = Hit("L", "a", 0, 10, 0.5), Hit("H", "a", 5, 12, 0.9)
    other, behind = Hit("L", "b", 0, 10, 0.5), Hit("L", "a", 12, 14, 0.5)
    assert without_overlaps([behind, low, other, high]) == [high, behind, other]
