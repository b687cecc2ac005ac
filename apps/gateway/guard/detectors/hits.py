"""What a detector is, and what it says: where something stands and how sure it is, never the text
itself. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from apps.gateway.gate.calls import Text

DOCUMENT_ROLES = frozenset({"tool", "function", "document"})  # others wrote it, not the caller
OPERATOR_ROLES = frozenset({"system", "developer"})  # who built the application wrote it
LONGEST_PIECE = 32_000  # characters that are looked at in one go


@dataclass(frozen=True)
class Hit:
    """One find. detector: the entity's name, as presidio has it, or the rule's: US_SSN,
    INJECTION_OVERRIDE. where: the text's place. start, end: characters of that text, end exclusive.
    score: 0 to 1.
    """

    detector: str
    where: str
    start: int
    end: int
    score: float


class Detector(Protocol):
    """Looks at texts. reach: the most characters that one find and what it is judged by can span,
    so that a stream which is looked at in windows must overlap by as much.
    """

    @property
    def reach(self) -> int:
        """Return the overlap that windows need."""

    def detect(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts, in their order. Time grows with their length alone."""


def pieces(text: Text, reach: int, longest: int = LONGEST_PIECE) -> Iterable[tuple[int, Text]]:
    """Yield (offset, piece) of a text, pieces of at most `longest` characters that overlap by
    `reach`, so that between two of them somebody else can work.
    """
    step = max(longest - reach, 1)
    for offset in range(0, max(len(text.text) - reach, 1), step):
        yield offset, replace(text, text=text.text[offset : offset + longest])


def shifted(hits: Iterable[Hit], offset: int) -> list[Hit]:
    """Return the hits of a piece as hits of the whole text."""
    return [replace(hit, start=hit.start + offset, end=hit.end + offset) for hit in hits]


def without_overlaps(hits: Iterable[Hit]) -> list[Hit]:
    """Return the hits in the order in which they stand, of those that overlap the surest."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda one: (one.where, one.start, -one.score, -one.end)):
        last = kept[-1] if kept else None
        if last is None or last.where != hit.where or hit.start >= last.end:
            kept.append(hit)
        elif hit.score > last.score:
            kept[-1] = hit
    return kept
