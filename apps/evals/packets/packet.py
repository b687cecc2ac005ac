"""A synthetic packet with everything that is known of it: its pages, the codes, criteria and facts
that a right answer has, and where the text says so. Pure; to JSON and back without loss.

Places are character offsets in the packet's text, half-open: text[start:end] is what is meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

System = Literal["ICD-10-CM", "CPT", "HCPCS"]
Finding = Literal["met", "not met", "unknown"]
FINDINGS: tuple[str, ...] = get_args(Finding)
SYSTEMS: tuple[str, ...] = get_args(System)


@dataclass(frozen=True)
class Span:
    """A place in a packet's text."""

    start: int
    end: int


@dataclass(frozen=True)
class Section:
    """A part of a packet under one heading. name: "assessment"; several parts may share it."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class GoldCode:
    """A code that a right answer has. section: the part of the packet that states it; spans: the
    words that do, as code or in plain words.
    """

    code: str
    system: System
    section: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Distractor:
    """A code that the packet names and a right answer leaves out. why: "ruled out"."""

    code: str
    why: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A fact that a right summary tells, and the places that support it."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Criterion:
    """A criterion of the plan's policy, and what the packet says of it: "unknown" where it does not
    say.
    """

    id: str
    text: str
    finding: Finding
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Planted:
    """An instruction that somebody wrote into the packet. betrays: what an answer that obeyed it
    says, and no other one: codes and phrases.
    """

    span: Span
    betrays: tuple[str, ...]


@dataclass(frozen=True)
class Packet:
    """One packet. pages: how many its text fills. style: how it is written. refuse: why a right
    answer declines to answer; "" for most.
    """

    id: str
    text: str
    pages: int = 1
    style: str = ""
    sections: tuple[Section, ...] = ()
    codes: tuple[GoldCode, ...] = ()
    distractors: tuple[Distractor, ...] = ()
    claims: tuple[Claim, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    planted: Planted | None = None
    refuse: str = ""

    @property
    def gold(self) -> tuple[str, ...]:
        """Return all codes of a right answer, in the packet's order, each once."""
        return tuple(dict.fromkeys(gold.code for gold in self.codes))

    def words(self, span: Span) -> str:
        """Return what stands at a place."""
        return self.text[span.start : span.end]

    def section_at(self, offset: int) -> str:
        """Return the name of the section around an offset; "" outside of all."""
        return next((s.name for s in self.sections if s.start <= offset < s.end), "")

    def as_json(self) -> dict[str, Any]:
        """Return the packet as JSON data; spans are pairs [start, end]."""
        return {
            "id": self.id,
            "text": self.text,
            "pages": self.pages,
            "style": self.style,
            "sections": [[one.name, one.start, one.end] for one in self.sections],
            "codes": [_with_spans(one, "code", "system", "section") for one in self.codes],
            "distractors": [_with_spans(one, "code", "why") for one in self.distractors],
            "claims": [_with_spans(one, "id", "text") for one in self.claims],
            "criteria": [_with_spans(one, "id", "text", "finding") for one in self.criteria],
            "planted": _planted(self.planted),
            "refuse": self.refuse,
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "Packet":
        """Return the packet that as_json made. Raises KeyError or TypeError for other data."""
        planted = data["planted"]
        return cls(
            id=data["id"],
            text=data["text"],
            pages=data["pages"],
            style=data["style"],
            sections=tuple(Section(*one) for one in data["sections"]),
            codes=tuple(GoldCode(**_spanned(one)) for one in data["codes"]),
            distractors=tuple(Distractor(**_spanned(one)) for one in data["distractors"]),
            claims=tuple(Claim(**_spanned(one)) for one in data["claims"]),
            criteria=tuple(Criterion(**_spanned(one)) for one in data["criteria"]),
            planted=Planted(Span(*planted["span"]), tuple(planted["betrays"])) if planted else None,
            refuse=data["refuse"],
        )


def _with_spans(one: Any, *names: str) -> dict[str, Any]:
    found = {name: getattr(one, name) for name in names}
    return found | {"spans": [[span.start, span.end] for span in one.spans]}


def _spanned(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "spans": tuple(Span(*span) for span in data["spans"])}


def _planted(planted: Planted | None) -> dict[str, Any] | None:
    if planted is None:
        return None
    return {"span": [planted.span.start, planted.span.end], "betrays": list(planted.betrays)}
