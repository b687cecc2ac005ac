"""How much of a text that is still being written may go on: what no find can reach any more. Pure.

A text comes in pieces of any length. What one rule looks for is bounded (Reach), so of what came,
only an end can still become part of a find: that end is held, what lies before it is decided. Each
look takes the new end with as much before it as a find is judged by, so that the work grows with
the text and not with its square.

The delay is stated by Reach: a caller is behind by at most `spaced` characters of ordinary text
and `step`, by `solid` where a run has no blank in it, and longer only while a find goes on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from apps.gateway.guard.detectors.escapes import FILLER
from apps.gateway.guard.detectors.hits import Hit, shifted
from apps.gateway.guard.detectors.views import PLAIN

LONGEST_LOOK = 32_000  # characters looked at in one go, so that other calls have their turn
LONGEST_FIND = 8_192  # a find that goes on beyond this is taken as it is
_BLANKS = " \n\t\r"
_AN_ESCAPE = r"\u0034"
_ESCAPED = re.compile(r"\\u00([2-7][0-9A-Fa-f])")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True)
class Reach:
    """How far what a rule looks for can stretch, in characters that a reader sees.

    lead: what is looked at again before the new text, for a find is judged by what stands before
    it. spaced: the longest find with blanks in it, and the words behind that it is judged by;
    solid: the longest without blanks. step: the least new text that is worth a look.
    """

    lead: int
    spaced: int
    solid: int
    step: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.spaced <= self.solid or self.lead < 0 or self.step < 1:
            raise ValueError("A reach wants 0 <= spaced <= solid, 0 <= lead and 1 <= step.")


@dataclass(frozen=True)
class Span:
    """Where something stands in a text: characters since its beginning, end exclusive."""

    start: int
    end: int


@dataclass
class Written:
    """A text that is still being written. Only its end is kept, from `base` on, as it is looked at:
    a letter that JSON's escape stands for is that letter, and nothing that is seen behind it, so
    that every place stays where it is.
    """

    tail: str = ""
    base: int = 0
    is_whole: bool = False

    @property
    def length(self) -> int:
        """Return how many characters came so far."""
        return self.base + len(self.tail)

    def add(self, text: str) -> Span:
        """Take the next piece, and return where it stands."""
        start = self.length
        self.tail += text
        near = max(start - self.base - len(_AN_ESCAPE) + 1, 0)
        if self.tail.find("u00", near) >= 0:
            self.tail = self.tail[:near] + _ESCAPED.sub(_letter, self.tail[near:])
        return Span(start, self.length)

    def part(self, span: Span) -> str:
        """Return a part that is still kept."""
        return self.tail[span.start - self.base : span.end - self.base]

    def past_escape(self, end: int) -> int:
        """Return where the escape ends whose letter stands before a place; the place itself where
        it was no escape.
        """
        while end < self.length and self.part(Span(end, end + 1)) == FILLER:
            end += 1
        return end

    def forget(self, before: int) -> None:
        """Keep nothing before a place."""
        if before > self.base:
            self.tail = self.tail[before - self.base :]
            self.base = before


def _letter(escape: re.Match[str]) -> str:
    return chr(int(escape.group(1), 16)) + FILLER * (len(_AN_ESCAPE) - 1)


@dataclass
class Look:
    """What one rule has seen of one text. decided: up to where nothing can change any more."""

    reach: Reach
    decided: int = 0
    _seen: int = 0  # up to where the rule has looked
    _is_at_find: bool = False  # what is held is a find that may go on
    _is_done: bool = False

    def ask(self, text: Written) -> Span | None:
        """Return what to look at next; None where there is nothing new, or too little."""
        new = text.length - self._seen
        if self._is_done or (not text.is_whole and new < self._least(text)):
            return None
        end = min(text.length, max(self._seen, self.decided) + LONGEST_LOOK)
        return Span(self.kept_from(text), end)

    def _least(self, text: Written) -> int:
        """Return how much new text is worth a look. While a find goes on nothing can be let go, and
        looking at all of it for each character would take the square of its length.
        """
        growing = (text.length - self.decided) // 4 if self._is_at_find else 0
        return max(self.reach.step, growing, 1)

    def kept_from(self, text: Written) -> int:
        """Return from where on the rule may still need the text: at a blank where there is one, so
        that no word is cut in two.
        """
        start = max(text.base, self.decided - self.reach.lead)
        if start == 0:
            return 0
        lead = text.part(Span(start, self.decided))
        blank = next((at for at, one in enumerate(lead[:64]) if one.isspace()), None)
        return start if blank is None else start + blank

    def take(self, text: Written, looked: Span, hits: Sequence[Hit]) -> list[Hit]:
        """Take what was found in a part that was asked for, its places counted from the part's
        start, and return the finds that are settled, counted from the text's: they lie in what is
        decided now, and are told once.
        """
        before, self._seen = self.decided, looked.end
        self._is_done = is_end = text.is_whole and looked.end == text.length
        found = [hit for hit in shifted(hits, looked.start) if hit.end > before]
        edge = looked.end if is_end else held_from(text, looked.end, self.reach)
        edge = max(before, edge)
        while crossing := [hit for hit in found if max(before, hit.start) < edge < hit.end]:
            edge = max(before, min(hit.start for hit in crossing))
        going_on = any(hit.start <= edge < hit.end for hit in found)
        if going_on and looked.end - edge > LONGEST_FIND:
            edge, going_on = looked.end, False
        self.decided, self._is_at_find = edge, going_on
        return [hit for hit in found if hit.end <= edge]


def held_from(text: Written, end: int, reach: Reach) -> int:
    """Return from where on a find could still begin that ends behind `end`: `spaced` characters
    before it, or where the run without blanks begins that this lies in, `solid` before it at most.
    Characters that nobody sees count for nothing.
    """
    start = max(text.base, end - reach.solid)
    near = text.part(Span(start, end))
    if near.isascii() and not _UNSEEN.search(near):
        at = len(near) - reach.spaced
        return (
            start + max((near.rfind(one, 0, at) + 1 for one in _BLANKS), default=0)
            if at > 0
            else start
        )
    return _held_by_sight(text, end, reach)


def _held_by_sight(text: Written, end: int, reach: Reach) -> int:
    seen, at = 0, end
    while at > text.base and seen < reach.solid:
        plain = PLAIN[ord(text.tail[at - 1 - text.base])] or ""
        if seen >= reach.spaced and plain.isspace():
            break
        seen += len(plain)
        at -= 1
    return at
