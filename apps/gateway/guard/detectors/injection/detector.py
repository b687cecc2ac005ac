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
from apps.gateway.guard.detectors.expressions import compiled, spans
from apps.gateway.guard.detectors.hits import (
    DOCUMENT_ROLES,
    OPERATOR_ROLES,
    Hit,
    without_overlaps,
)
from apps.gateway.guard.detectors.injection.encodings import decoded
from apps.gateway.guard.detectors.injection.rules import HIDDEN, MARKS, RULES, Rule
from apps.gateway.guard.detectors.views import LEET, PLAIN, SQUEEZED, WORDS, View

THRESHOLD = 0.5
DEEPEST = 2  # encodings within each other
# signs that a text is worth another look: letters among digits; words turned or backwards
_LEET_SIGNS = compiled(r"[A-Za-z][013457@$!|][A-Za-z]|[A-Za-z]{2}[01345]{2}|\b[013457@$][a-z]{2}")
_TURNED = (
    "vtaber",
    "qvfertneq",
    "sbetrg",
    "vafgehpgvba",
    "flfgrz",
    "cebzcg",
    "nccebir",
    "bireevqr",
)
_BACKWARDS = ("erongi", "dragersid", "tegrof", "snoitcurtsni", "tpmorp", "evorppa", "edirrevo")
_UNSEEN = compiled("[\U000e0020-\U000e007e]{8,}|[\U000e0100-\U000e01ef\ufe00-\ufe0f]{8,}")


@dataclass(frozen=True)
class _Ready:
    rule: Rule
    expression: Any


def _ready(
    rules: Iterable[Rule], blank: str, *, leet: bool = False, bare: bool = False
) -> list[_Ready]:
    found = []
    for rule in rules:
        pattern = rule.pattern.replace("l", "i") if leet else rule.pattern
        pattern = pattern.replace(" ", blank)
        found.append(_Ready(rule, compiled(pattern if bare else rf"\b(?:{pattern})\b")))
    return found


_CLOSED = [rule for rule in RULES if rule.is_closed]
_BY_WORDS = _ready(RULES, " +")
_BY_LETTERS = _ready(_CLOSED, "", bare=True)
_BY_LEET = _ready(RULES, " +", leet=True)
_BY_MARKS = [_Ready(rule, compiled(f"(?i)(?:{rule.pattern})")) for rule in MARKS]


class Injection:
    """The detector of prompt injection. threshold: the least score of a hit, 0 to 1."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold

    @property
    def reach(self) -> int:
        """Return the overlap that windows need: the longest rule with its gaps."""
        return 1024

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts, of hits that overlap the surest."""
        return [
            hit
            for text in texts
            if text.role not in OPERATOR_ROLES
            for hit in without_overlaps(self._sure(text))
        ]

    def _sure(self, text: Text) -> Iterator[Hit]:
        for hit in _look(text, DEEPEST):
            if hit.score >= self._threshold:
                yield hit


def _look(text: Text, depth: int) -> Iterator[Hit]:
    yield from _hidden(text)
    yield from _by_view(text, View(text.text, PLAIN), _BY_MARKS)
    words = View(text.text, WORDS)
    yield from _by_view(text, words, _BY_WORDS)
    yield from _by_view(text, View(text.text, SQUEEZED), _BY_LETTERS)
    if _LEET_SIGNS.search(text.text):
        yield from _by_view(text, View(text.text, LEET), _BY_LEET)
    yield from _turned(text, words.text)
    if depth:
        for part in decoded(text.text):
            inside = replace(text, text=part.text)
            for hit in _look(inside, depth - 1):
                yield replace(hit, start=part.start, end=part.end)


def _by_view(text: Text, view: View, known: Iterable[_Ready]) -> Iterator[Hit]:
    is_document = text.role in DOCUMENT_ROLES
    for one in known:
        score = one.rule.in_document if is_document else one.rule.anywhere
        for start, end in spans(one.expression, view.text):
            yield Hit(one.rule.name, text.where, *view.span(start, end), score)


def _turned(text: Text, words: str) -> Iterator[Hit]:
    """Yield what a text says when each letter is turned by thirteen, or read from its end."""
    if any(sign in words for sign in _TURNED):
        yield from _whole(text, codecs.encode(words, "rot13"))
    if any(sign in words for sign in _BACKWARDS):
        yield from _whole(text, words[::-1])


def _whole(text: Text, seen: str) -> Iterator[Hit]:
    for hit in _by_view(text, View(seen, WORDS), _BY_WORDS):
        yield replace(hit, start=0, end=len(text.text))


def _hidden(text: Text) -> Iterator[Hit]:
    if text.text.isascii():
        return
    for start, end in spans(_UNSEEN, text.text):
        yield Hit(HIDDEN, text.where, start, end, 0.8)
