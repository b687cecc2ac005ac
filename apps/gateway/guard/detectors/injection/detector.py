"""Finds instructions that were slipped into a text, however they are written. Pure.

A text is looked at as its words, without any blanks, with digits read as letters, turned by
thirteen letters and backwards, where it looks as if that were worth it; then what is encoded in it,
in the same ways. What the operator of the application wrote is left alone: it is the instructions.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.escapes import FILLER, unescaped
from apps.gateway.guard.detectors.expressions import LARGE, compiled, spans
from apps.gateway.guard.detectors.hits import (
    DOCUMENT_ROLES,
    OPERATOR_ROLES,
    Hit,
    without_overlaps,
)
from apps.gateway.guard.detectors.injection.encodings import decoded
from apps.gateway.guard.detectors.injection.marks import MARKS
from apps.gateway.guard.detectors.injection.rule import Rule
from apps.gateway.guard.detectors.injection.rules import HIDDEN, RULES, VOCABULARY
from apps.gateway.guard.detectors.views import LEET, PLAIN, SENTENCE_END, SQUEEZED, WORDS, View

THRESHOLD = 0.5
DEEPEST = 2  # encodings within each other
BEHIND = 60  # characters in which words tell that something else is meant
# signs that a text is worth another look: letters among digits; words turned or backwards
_LEET_SIGNS = compiled(r"[A-Za-z][013457@$!|][A-Za-z]|[A-Za-z]{2}[01345]{2}|\b[013457@$][a-z]{2}")
_TURNED = frozenset(codecs.encode(word, "rot13") for word in VOCABULARY) - VOCABULARY
_BACKWARDS = frozenset(word[::-1] for word in VOCABULARY) - VOCABULARY
_LEAST_TURNED = 2  # different words, before a text is turned
_UNSEEN = compiled("[\U000e0020-\U000e007e]{8,}|[\U000e0100-\U000e01ef\ufe00-\ufe0f]{8,}")


@dataclass(frozen=True)
class _Ready:
    rule: Rule
    expression: Any
    not_before: Any  # None where nothing behind it matters

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        for start, end in spans(self.expression, text):
            if self.not_before is None or not self.not_before.match(text[end : end + BEHIND]):
                yield start, end


class _Book:
    """Rules ready for one view. One expression holds all of them: most texts have none of it, and
    it tells that in one pass.
    """

    def __init__(
        self, rules: Iterable[Rule], *, blank: str = " +", is_leet: bool = False, edge: str = r"\b"
    ) -> None:
        patterns = [(rule, _written(rule.pattern, is_leet).replace(" ", blank)) for rule in rules]
        everything = "|".join(f"(?:{pattern})" for _, pattern in patterns)
        self._any = compiled(f"(?i)(?:{everything})", LARGE)
        self._each = [
            _Ready(
                rule,
                compiled(f"(?i){edge}(?:{pattern}){edge}"),
                _behind(rule, blank, edge, is_leet=is_leet),
            )
            for rule, pattern in patterns
        ]

    def ready(self, text: str) -> list[_Ready]:
        """Return the rules that may hit in a text."""
        return self._each if self._any.search(text) else []


def _behind(rule: Rule, blank: str, edge: str, *, is_leet: bool) -> Any:
    if not rule.not_before:
        return None
    pattern = _written(rule.not_before, is_leet).replace(" ", blank)
    return compiled(f"(?i){blank}(?:{pattern}){edge}")


def _written(pattern: str, is_leet: bool) -> str:
    return pattern.replace("l", "i") if is_leet else pattern


_BY_WORDS = _Book(RULES)
_BY_LETTERS = _Book((rule for rule in RULES if rule.is_closed), blank="", edge="")
_BY_LEET = _Book(RULES, is_leet=True)
_BY_MARKS = _Book(MARKS, blank=" ", edge="")


class AnyInjection:
    """Finds whatever may be an instruction, however sure, and all of what overlaps."""

    @property
    def reach(self) -> int:
        """Return the overlap that windows need: the longest rule with its gaps."""
        return 1024

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts."""
        read = [text for text in texts if text.role not in OPERATOR_ROLES]
        return [hit for text in read for hit in _look(text, DEEPEST)]


def surest(hits: Iterable[Hit], threshold: float) -> list[Hit]:
    """Return the hits that are as sure as the threshold, of those that overlap the surest."""
    return without_overlaps(hit for hit in hits if hit.score >= threshold)


class Injection:
    """The detector of prompt injection. threshold: the least score of a hit, 0 to 1."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold

    @property
    def reach(self) -> int:
        """Return the overlap that windows need."""
        return AnyInjection().reach

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts, in their order."""
        found = (AnyInjection().detect([text]) for text in texts)
        return [hit for hits in found for hit in surest(hits, self._threshold)]


def _look(text: Text, depth: int) -> Iterator[Hit]:
    yield from _hidden(text)
    yield from _in_every_writing(text)
    shown = replace(text, text=unescaped(text.text))
    if shown != text:
        yield from _in_every_writing(shown)
        if depth:
            yield from _at(text, 0, len(text.text), _decoded(_bare(shown), depth))
    if depth:
        yield from _decoded(text, depth)


def _in_every_writing(text: Text) -> Iterator[Hit]:
    yield from _by_view(text, View(text.text, PLAIN), _BY_MARKS)
    words = View(text.text, WORDS)
    yield from _by_view(text, words, _BY_WORDS)
    yield from _by_view(text, View(text.text, SQUEEZED), _BY_LETTERS)
    if _LEET_SIGNS.search(text.text):
        yield from _by_view(text, View(text.text, LEET), _BY_LEET)
    yield from _turned(text, words.text)


def _decoded(text: Text, depth: int) -> Iterator[Hit]:
    for part in decoded(text.text):
        inside = _look(replace(text, text=part.text), depth - 1)
        yield from _at(text, part.start, part.end, inside)


def _at(text: Text, start: int, end: int, inside: Iterable[Hit]) -> Iterator[Hit]:
    for hit in inside:
        yield replace(hit, where=text.where, start=start, end=end)


def _bare(shown: Text) -> Text:
    return replace(shown, text=shown.text.replace(FILLER, ""))


def _by_view(text: Text, view: View, known: _Book) -> Iterator[Hit]:
    is_document = text.role in DOCUMENT_ROLES
    for one in known.ready(view.text):
        score = one.rule.in_document if is_document else one.rule.anywhere
        for start, end in one.spans(view.text):
            yield Hit(one.rule.name, text.where, *view.span(start, end), score)


def _turned(text: Text, words: str) -> Iterator[Hit]:
    """Yield what a text says when each letter is turned by thirteen, or read from its end."""
    known = set(words.replace(SENTENCE_END, " ").split())
    if len(known & _TURNED) >= _LEAST_TURNED:
        yield from _whole(text, codecs.encode(words, "rot13"))
    if len(known & _BACKWARDS) >= _LEAST_TURNED:
        yield from _whole(text, words[::-1])


def _whole(text: Text, seen: str) -> Iterator[Hit]:
    yield from _at(text, 0, len(text.text), _by_view(text, View(seen, WORDS), _BY_WORDS))


def _hidden(text: Text) -> Iterator[Hit]:
    if text.text.isascii():
        return
    for start, end in spans(_UNSEEN, text.text):
        yield Hit(HIDDEN, text.where, start, end, 0.8)
