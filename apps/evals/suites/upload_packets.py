"""One packet of an upload, as people write it. Pure.

Evidence is a quote of the packet's text, whose place is looked up.
{"id": "p-1", "text": "…", "codes": ["I10", {"code": "E11.9", "evidence": "type 2 diabetes"}],
 "distractors": [{"code": "C71.9", "why": "ruled out", "evidence": "…"}],
 "claims": [{"text": "…", "evidence": "…"}],
 "criteria": [{"id": "C1", "text": "…", "finding": "met", "evidence": "…"}],
 "sections": [{"name": "history", "begins": "S:"}], "pages": 2, "style": "letter",
 "planted": {"text": "…", "betrays": ["J3490"]}, "refuse": ""}
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from apps.evals.packets.draft import WORDS_A_PAGE
from apps.evals.packets.packet import (
    FINDINGS,
    Claim,
    Criterion,
    Distractor,
    GoldCode,
    Packet,
    Planted,
    Section,
    Span,
)
from apps.evals.scoring.codes import normalized, system_of

MOST_CHARACTERS = 200_000
MOST_PLACES = 100  # of one quote or code
MOST_EVIDENCE = 1000  # places of all of a packet's
ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
PACKET = {
    "id", "text", "codes", "distractors", "claims", "criteria", "sections", "pages", "style",
    "planted", "refuse",
}  # fmt: skip


class BadPacket(Exception):
    """A packet that cannot be taken; the message says why, and repeats nothing of it."""


def read_packet(found: Any) -> Packet:
    """Return the packet that an object of an upload describes. Raises BadPacket."""
    if not isinstance(found, dict):
        raise BadPacket("a packet is an object.")
    if set(found) - PACKET:
        raise BadPacket(f"a packet has the fields {', '.join(sorted(PACKET))}, and no others.")
    if not is_id(found.get("id")):
        raise BadPacket("id has lower-case letters, digits and hyphens, 40 at most.")
    text = found.get("text")
    if not is_text(text, MOST_CHARACTERS) or not str(text).strip():
        raise BadPacket(f"text has 1 to {MOST_CHARACTERS:,} characters.")
    text = str(text)
    sections = tuple(_sections(text, _list(found, "sections")))
    packet = Packet(
        id=found["id"],
        text=text,
        pages=_pages(found, text),
        style=_optional(found, "style", 40),
        sections=sections,
        codes=tuple(_gold(text, each, sections) for each in _list(found, "codes")),
        distractors=tuple(_distractor(text, each) for each in _list(found, "distractors")),
        claims=tuple(
            _claim(text, each, number) for number, each in enumerate(_list(found, "claims"), 1)
        ),
        criteria=tuple(_criterion(text, each) for each in _list(found, "criteria")),
        planted=_planted(text, found.get("planted")),
        refuse=_optional(found, "refuse", 200),
    )
    if _places(packet) > MOST_EVIDENCE:
        raise BadPacket(f"a packet's evidence stands in {MOST_EVIDENCE:,} places at most.")
    return packet


def _places(packet: Packet) -> int:
    """Return in how many places all of a packet's evidence stands."""
    evidence = [one.spans for one in packet.codes]
    evidence += [one.spans for one in packet.distractors]
    evidence += [one.spans for one in packet.claims]
    evidence += [one.spans for one in packet.criteria]
    return sum(map(len, evidence))


def _pages(found: Mapping[str, Any], text: str) -> int:
    pages = found.get("pages", max(1, -(-len(text.split()) // WORDS_A_PAGE)))
    if not isinstance(pages, int) or isinstance(pages, bool) or not 1 <= pages <= 1000:
        raise BadPacket("pages is a number from 1 to 1,000.")
    return pages


def _sections(text: str, listed: list[Any]) -> Iterator[Section]:
    """Yield the sections: each ends where the next one begins."""
    starts: list[tuple[str, int]] = []
    after = 0
    for each in listed:
        given = _object(each, "a section", {"name", "begins"})
        if not isinstance(given.get("name"), str) or not _NAME.fullmatch(given["name"]):
            raise BadPacket("a section's name has lower-case letters, digits and hyphens.")
        begins = given.get("begins")
        place = text.find(begins, after) if isinstance(begins, str) and begins else -1
        if place < 0:
            raise BadPacket("a section begins with words that do not stand after the one before.")
        starts.append((given["name"], place))
        after = place + 1
    ends = [place for _, place in starts[1:]] + [len(text)]
    for (name, place), end in zip(starts, ends, strict=True):
        yield Section(name, place, end)


def _gold(text: str, each: Any, sections: Sequence[Section]) -> GoldCode:
    given = (
        {"code": each} if isinstance(each, str) else _object(each, "a code", {"code", "evidence"})
    )
    code = _code(given)
    spans = _evidence(text, given) or _spans(text, code)
    start = spans[0].start if spans else -1
    section = next((one.name for one in sections if one.start <= start < one.end), "")
    return GoldCode(code, system_of(code), section, spans)


def _distractor(text: str, each: Any) -> Distractor:
    given = _object(each, "a distractor", {"code", "why", "evidence"})
    code = _code(given)
    return Distractor(
        code, _optional(given, "why", 60), _evidence(text, given) or _spans(text, code)
    )


def _claim(text: str, each: Any, number: int) -> Claim:
    given = _object(each, "a claim", {"text", "evidence"})
    if not is_text(given.get("text"), 500) or not given["text"].strip():
        raise BadPacket("a claim has a text of 1 to 500 characters.")
    return Claim(f"F{number}", given["text"], _evidence(text, given))


def _criterion(text: str, each: Any) -> Criterion:
    given = _object(each, "a criterion", {"id", "text", "finding", "evidence"})
    name = given.get("id")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9-]{1,20}", name):
        raise BadPacket("a criterion's id has up to 20 letters, digits and hyphens.")
    if not is_text(given.get("text"), 500) or not given["text"].strip():
        raise BadPacket("a criterion has a text of 1 to 500 characters.")
    if given.get("finding") not in FINDINGS:
        raise BadPacket(f"a criterion's finding is one of {', '.join(FINDINGS)}.")
    return Criterion(name, given["text"], given["finding"], _evidence(text, given))


def _planted(text: str, found: Any) -> Planted | None:
    if found is None:
        return None
    given = _object(found, "planted", {"text", "betrays"})
    spans = _spans(text, given["text"]) if isinstance(given.get("text"), str) else ()
    if not spans:
        raise BadPacket("planted quotes an instruction that stands in the packet's text.")
    betrays = given.get("betrays")
    if (
        not isinstance(betrays, list)
        or not betrays
        or not all(isinstance(each, str) and len(each.strip()) >= 3 for each in betrays)
    ):
        raise BadPacket("planted's betrays lists what an answer that obeyed it says.")
    return Planted(spans[0], tuple(normalized(each) or each.strip() for each in betrays))


def _evidence(text: str, given: Mapping[str, Any]) -> tuple[Span, ...]:
    """Return the places of a quote; empty where none was given."""
    quote = given.get("evidence", "")
    if not isinstance(quote, str):
        raise BadPacket("evidence is a quote of the packet's text.")
    if not quote:
        return ()
    spans = _spans(text, quote)
    if not spans:
        raise BadPacket("evidence is a quote that does not stand in the packet's text.")
    return spans


def _spans(text: str, quote: str) -> tuple[Span, ...]:
    """Return the places of a quote. Raises BadPacket where they are too many to be evidence."""
    if not quote:
        return ()
    places = islice(re.finditer(re.escape(quote), text), MOST_PLACES + 1)
    found = tuple(Span(match.start(), match.end()) for match in places)
    if len(found) > MOST_PLACES:
        raise BadPacket(
            f"a quote or code stands in the packet's text more than {MOST_PLACES} times: quote "
            f"more words as its evidence."
        )
    return found


def _code(given: Mapping[str, Any]) -> str:
    code = given.get("code")
    found = normalized(code) if isinstance(code, str) else ""
    if not found:
        raise BadPacket("one of its codes is no ICD-10-CM, CPT or HCPCS code.")
    return found


def _object(found: Any, what: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(found, dict) or set(found) - names:
        raise BadPacket(f"{what} has the fields {', '.join(sorted(names))}.")
    return found


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name, [])
    if not isinstance(value, list) or len(value) > 200:
        raise BadPacket(f"{name} is a list of 200 at most.")
    return value


def _optional(found: Mapping[str, Any], name: str, most: int) -> str:
    value = found.get(name, "")
    if not is_text(value, most):
        raise BadPacket(f"{name} is a text of {most} characters at most.")
    return str(value)


def is_id(value: Any) -> bool:
    """Tell whether a value is an id as suites and packets have them."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


def is_text(value: Any, most: int) -> bool:
    """Tell whether a value is a text of `most` characters at most."""
    return isinstance(value, str) and len(value) <= most
