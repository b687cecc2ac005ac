"""Patterns with words around them: how identifiers and secrets are told from other numbers. Pure.

A recognizer knows a pattern, how sure it makes one alone, and how sure with one of its words within
60 characters before it, or in parentheses right behind it. What was found may be checked further: a
digit that must fit, ranges that nobody is given.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.escapes import past_escape, unescaped
from apps.gateway.guard.detectors.expressions import compiled, spans
from apps.gateway.guard.detectors.hits import Hit, without_overlaps
from apps.gateway.guard.detectors.views import PLAIN, View

BEFORE, BEHIND = 60, 16  # characters in which a word counts
LABEL = 132  # the longest that a pattern asks for before the entity itself
SPACED = 64  # the longest find with blanks in it
_INNER_WORD = re.compile("([a-z])([A-Z])")


def always(found: str) -> bool:
    """Take whatever the pattern found."""
    return True


@dataclass(frozen=True)
class Recognizer:
    """One way to write an entity. alone, with_word: the scores, 0 to 1. group: the part of the
    pattern that is the entity. words: a pattern of words in lower case; "" for none. only_nearest:
    a word counts for the first find behind it alone, as "born" for the date that follows. mark: a
    short pattern that the text of each match holds, in whatever case; "" where there is none.
    """

    entity: str
    pattern: str
    alone: float
    with_word: float = 0.0
    words: str = ""
    group: int = 0
    check: Callable[[str], bool] = always
    only_nearest: bool = False
    mark: str = ""

    @cached_property
    def _expression(self) -> Any:
        return compiled(self.pattern)

    @cached_property
    def _words(self) -> Any:
        return compiled(self.words) if self.words else None

    def find(self, text: str) -> Iterator[tuple[int, int, float]]:
        """Yield (start, end, score) in a text."""
        last_end = 0
        for start, end in spans(self._expression, text, self.group):
            if self.check(text[start:end]):
                since = max(last_end, start - BEFORE) if self.only_nearest else start - BEFORE
                yield start, end, self._score(text, max(since, 0), start, end)
            last_end = end

    def _score(self, text: str, since: int, start: int, end: int) -> float:
        if self._words is None or self.with_word <= self.alone:
            return self.alone
        behind = text[end : end + BEHIND]
        around = _apart(f"{text[since:start]} | {behind if '(' in behind[:2] else ''}")
        return self.with_word if self._words.search(around) else self.alone


def _apart(text: str) -> str:
    """Return a text in lower case with its words apart: "patient_dob" and "memberSsn" are two."""
    return _INNER_WORD.sub(r"\1 \2", text).replace("_", " ").lower()


class Recognizers:
    """Several recognizers as one detector. threshold: the least score of a hit. signs: a pattern of
    characters of which each find has one; "" where there is no such. tags: what a page's tags stand
    around is read without them, too.
    """

    def __init__(
        self,
        known: Sequence[Recognizer],
        threshold: float,
        signs: str = "",
        *,
        tags: bool = False,
    ) -> None:
        self._known = known
        self._threshold = threshold
        self._tags = tags
        self._signs = compiled(signs) if signs else None
        marks = [one.mark for one in known]
        self._marks = compiled(f"(?i){'|'.join(marks)}") if all(marks) else None

    @property
    def reach(self) -> int:
        """Return the overlap that windows need: the longest e-mail address with its words."""
        return 512

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts; of finds of one entity that overlap, the surest. One
        number can be two entities: which of them counts is the rule's business.
        """
        found = []
        for text in texts:
            by_entity: dict[str, list[Hit]] = {}
            for hit in self._in(text):
                by_entity.setdefault(hit.detector, []).append(hit)
            alone = [hit for hits in by_entity.values() for hit in without_overlaps(hits)]
            found += sorted(alone, key=lambda hit: (hit.start, -hit.score))
        return found

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell whether a find can lie in a text and end behind `new`, far faster than by looking
        for it.
        """
        if self._signs is not None and not self._signs.search(View(text[new:], PLAIN).text):
            return False
        return self._has_marks(View(text, PLAIN).text)

    def _has_marks(self, seen: str) -> bool:
        return self._marks is None or self._marks.search(seen) is not None

    def _in(self, text: Text) -> Iterator[Hit]:
        """Yield the finds in a text as it is, and in what its escapes show."""
        for source in dict.fromkeys((text.text, unescaped(text.text, tags=self._tags))):
            view = View(source, PLAIN)
            seen = view.text
            if self._signs is not None and not self._signs.search(seen):
                continue
            if not self._has_marks(seen):
                continue
            for one in self._known:
                for start, end, score in one.find(seen):
                    if score >= self._threshold:
                        begin, behind = view.span(start, end)
                        end_there = past_escape(source, behind)
                        yield Hit(one.entity, text.where, begin, end_there, score)
