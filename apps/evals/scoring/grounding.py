"""Whether a packet supports what an answer says. Pure, by words alone, the same for every model.

What is read is clauses: sentences and lines, split at "but", "however", semicolons and the like, so
that a denial reaches no further than what it denies. Words are compared by their first six letters.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from apps.evals.packets.packet import Packet
from apps.evals.scoring.codes import mentions

ENOUGH = 0.7
STEM = 6
REACH = 200  # characters that a denial reaches at most
METHOD = (
    "A code is supported where the packet states it: the code itself, or the words that are marked "
    "as its evidence, where nothing denies it (ruled out, no evidence of, in the family only). A "
    "statement is supported where at least 70 % of its words of meaning, and every number and code "
    "in it, stand within two neighboring clauses of the packet that say it the same way: a denial "
    "supports no assertion, nor the reverse. Words are compared by their beginnings, so what is "
    "said in other words counts as not supported, and a changed order of words is not noticed."
)

_CLAUSE_END = re.compile(
    r"(?<=[.!?;])\s+|\n+|;|(?<!\s),?\s+\b(?:but|however|although|whereas|while|yet)\b\s*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]*\d[0-9a-z]*(?:[.,]\d[0-9a-z]*)*|[a-z]+")
_NO = frozenset(
    (
        "no", "not", "never", "none", "neither", "nor", "deny", "denies", "denied", "denying",
        "absent", "absence", "excluded", "exclude", "unlikely", "lack", "lacks", "lacking",
    )
)  # fmt: skip
_UNDECIDED = re.compile(r"\bnot (?:be |been )?(?:ruled out|excluded)\b")
_DENIES = re.compile(r"\bnegative for\b|\bfree of\b|\bruled? out\b|\br/o\b|n't\b")
# What denies a code that follows in the same clause, and what denies one that stands before it.
_BEFORE = re.compile(
    r"\b(?:no (?:evidence|sign|signs|history|indication) of|no|negative for|denie[sd]|denying|"
    r"absence of|free of|ruled? out|ruling out|r/o|does not have|do not have|never had|"
    r"not consistent with|to exclude|family history of|family history|"
    r"mother|father|brother|sister|parent|sibling|grandmother|grandfather)\b[^.]*\Z",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\A[^.]*\b(?:(?:was|were|is|has been|had been) (?:ruled out|excluded|considered|rejected|"
    r"not confirmed|not requested|not found|unlikely|denied|withdrawn)|does not apply|ruled out)\b",
    re.IGNORECASE,
)
_STOP = _NO | frozenset(
    (
        "a", "an", "the", "and", "are", "as", "at", "be", "been", "being", "by", "for", "from",
        "had", "has", "have", "in", "into", "is", "it", "its", "of", "on", "or", "s", "she", "he",
        "her", "his", "that", "their", "them", "then", "there", "these", "they", "this", "to",
        "was", "were", "which", "who", "will", "with", "also", "both", "than", "very", "patient",
        "member", "diagnosis", "request", "requests", "requested", "ask", "asks", "asked", "found",
        "provider",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Clause:
    """A clause of a text: its words of meaning, the numbers and codes among them, whether it
    denies something.
    """

    start: int
    end: int
    words: frozenset[str]
    figures: frozenset[str]
    denies: bool


@dataclass(frozen=True)
class Reading:
    """A text's clauses in their order, and in which of them each word stands."""

    clauses: tuple[Clause, ...]
    places: Mapping[str, Sequence[int]]


def read_clauses(text: str) -> Reading:
    """Return a text's clauses."""
    found = tuple(_clause(text, start, end) for start, end in _bounds(text))
    places: dict[str, list[int]] = {}
    for place, clause in enumerate(found):
        for word in clause.words:
            places.setdefault(word, []).append(place)
    return Reading(found, places)


def supported(statement: str, reading: Reading) -> bool:
    """Tell whether a text supports a statement; one without words of meaning is not."""
    said = _clause(statement, 0, len(statement))
    if not said.words:
        return False
    shared = Counter(place for word in said.words for place in reading.places.get(word, ()))
    enough = ENOUGH * len(said.words)
    # a window is a clause with the next one; only those that share enough words are looked at
    starts = {place for place in shared if shared[place] + shared[place + 1] >= enough}
    starts |= {
        place - 1 for place in shared if place and shared[place] + shared[place - 1] >= enough
    }
    return any(_carries(said, reading.clauses[place : place + 2]) for place in starts)


def supports_code(packet: Packet, code: str) -> bool:
    """Tell whether a packet supports a normalized code."""
    if any(gold.code == code and gold.spans for gold in packet.codes):
        return True
    away = [span for each in packet.distractors if each.code == code for span in each.spans]
    return any(
        not _is_denied(packet.text, start, end)
        for found, start, end in mentions(packet.text)
        if found == code and not any(span.start <= start < span.end for span in away)
    )


def section_of(packet: Packet, code: str) -> str:
    """Return the section of the packet that a code belongs to: where the right answer has it, or
    where it stands first; "" where it stands nowhere.
    """
    for gold in packet.codes:
        if gold.code == code:
            return gold.section
    places = (start for found, start, _ in mentions(packet.text) if found == code)
    first = next(places, None)
    return "" if first is None else packet.section_at(first)


@lru_cache(maxsize=64)
def reading_of(text: str) -> Reading:
    """Return a packet's clauses; kept, because a suite asks two models about the same packet."""
    return read_clauses(text)


def _bounds(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _CLAUSE_END.finditer(text):
        if match.start() > start:
            yield start, match.start()
        start = match.end()
    if start < len(text):
        yield start, len(text)


def _clause(text: str, start: int, end: int) -> Clause:
    part = text[start:end].lower()
    found = set(_WORD.findall(part))
    figures = frozenset(word for word in found if not word.isalpha())
    words = figures | {word[:STEM] for word in found - _STOP - figures}
    return Clause(start, end, words, figures, _denies(part))


def _denies(part: str) -> bool:
    """Tell whether lower-case words deny something; what is not ruled out is not denied."""
    rest = _UNDECIDED.sub("", part)
    return bool(_NO.intersection(_WORD.findall(rest)) or _DENIES.search(rest))


def _carries(said: Clause, window: Sequence[Clause]) -> bool:
    """Tell whether neighboring clauses carry a statement: those alone that deny something where it
    does, or that deny nothing where it asserts.
    """
    window = [clause for clause in window if clause.denies == said.denies]
    words = {word for clause in window for word in clause.words}
    return said.figures <= words and len(said.words & words) >= ENOUGH * len(said.words)


def _is_denied(text: str, start: int, end: int) -> bool:
    """Tell whether the clause around a place denies what stands there."""
    for begin, stop in _bounds(text):
        if begin <= start < stop:
            before = text[max(begin, start - REACH) : start]
            after = text[end : min(stop, end + REACH)]
            return bool(_BEFORE.search(before) or _AFTER.search(after))
    return False
