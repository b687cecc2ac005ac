"""Writes a packet's text page by page and keeps where in it everything stands. Pure.

A line is plain words with marks: `<gold:E11.9|type 2 diabetes (E11.9)>` is a code that a right
answer has, `<away:M23.91|…>` one that it leaves out. What a whole line is evidence for stands in
its refs: "claim:F1", "criterion:C2", "planted".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from apps.evals.packets.packet import Section, Span

WORDS_A_PAGE = 300
_MARK = re.compile(r"<(gold|away):([^|<>]+)\|([^<>]*)>")


@dataclass(frozen=True)
class Line:
    """One line of a packet."""

    text: str
    refs: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        """Return the line as it is read, without marks."""
        return _MARK.sub(lambda match: match.group(3), self.text) if "<" in self.text else self.text


@dataclass(frozen=True)
class Block:
    """Lines under one heading. section: what pages and figures call it; heading: what the packet
    does, "" for none.
    """

    section: str
    heading: str
    lines: tuple[Line, ...]


@dataclass
class Draft:
    """A packet's text so far. places: of "gold:E11.9", "claim:F1" and the like."""

    text: str = ""
    places: dict[str, list[Span]] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def spans(self, ref: str) -> tuple[Span, ...]:
        """Return where something stands."""
        return tuple(self.places.get(ref, ()))

    def section_of(self, ref: str) -> str:
        """Return the section in which something stands first; "" where it stands nowhere."""
        start = next((span.start for span in self.places.get(ref, ())), -1)
        return next((s.name for s in self.sections if s.start <= start < s.end), "")


def count_words(blocks: Iterable[Block]) -> int:
    """Return how many words blocks have, their headings included."""
    return sum(
        len(block.heading.split()) + sum(len(line.plain.split()) for line in block.lines)
        for block in blocks
    )


def write(blocks: Sequence[Block], name: str) -> tuple[Draft, int]:
    """Return the text of blocks, and how many pages it fills. name: stands at the head of each
    page; a packet of one page has no such line.
    """
    pages = list(_paged(blocks))
    parts: list[str] = []
    draft, length = Draft(), 0

    def put(text: str) -> None:
        nonlocal length
        parts.append(text)
        length += len(text)

    for number, page in enumerate(pages, 1):
        if len(pages) > 1:
            put(f"Page {number} of {len(pages)}, {name}\n")
        for section, heading, lines in page:
            begun = length
            if heading:
                put(f"{heading}\n")
            for line in lines:
                _note(draft, line, length)
                put(f"{line.plain}\n")
            draft.sections.append(Section(section, begun, length))
    draft.text = "".join(parts)
    return draft, len(pages)


def _paged(blocks: Sequence[Block]) -> Iterator[list[tuple[str, str, list[Line]]]]:
    """Yield the pages: of each block as many lines as fit; its heading stands once."""
    page: list[tuple[str, str, list[Line]]] = []
    room = WORDS_A_PAGE
    for block in blocks:
        page.append((block.section, block.heading, []))
        room -= len(block.heading.split())
        for line in block.lines:
            size = len(line.plain.split())
            if size > room and room < WORDS_A_PAGE:
                yield page
                page, room = [(block.section, "", [])], WORDS_A_PAGE
            page[-1][2].append(line)
            room -= size
    yield page


def _note(draft: Draft, line: Line, start: int) -> None:
    """Keep what a line that begins at `start` is evidence for."""
    if not line.refs and "<" not in line.text:
        return
    end = start + len(line.plain)
    for ref in line.refs:
        draft.places.setdefault(ref, []).append(Span(start, end))
    shift = 0
    for match in _MARK.finditer(line.text):
        kind, code, words = match.groups()
        begun = start + match.start() - shift
        draft.places.setdefault(f"{kind}:{code}", []).append(Span(begun, begun + len(words)))
        shift += len(match.group()) - len(words)
