"""What the pages show of a run's packets: one line for each, and one packet in full, with the
places in its text that state what a right answer holds. Pure: rows in, words out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from apps.common.badges import Badge
from apps.evals.models import EvalPacketResult, Side
from apps.evals.packets.packet import Packet, Span
from apps.evals.pages import figure
from apps.evals.runs.asking import PROBLEMS
from apps.evals.scoring.scores import PacketScore

RIGHT, WRONG, FAILED = "right", "wrong", "failed"


@dataclass(frozen=True)
class Answered:
    """What one side made of a packet."""

    result: EvalPacketResult
    score: PacketScore

    @property
    def outcome(self) -> str:
        """Return RIGHT, WRONG or FAILED: failed has no answer, right has nothing amiss."""
        if self.result.problem:
            return FAILED
        return WRONG if self.faults else RIGHT

    @property
    def missed(self) -> list[str]:
        """Return the codes that a right answer has and this one lacks."""
        return [code for code in self.score.expected if code not in self.score.predicted]

    @property
    def wrong(self) -> list[str]:
        """Return the codes that this answer has and a right one does not."""
        return [code for code in self.score.predicted if code not in self.score.expected]

    @property
    def faults(self) -> list[str]:
        """Return what is amiss, in words."""
        score = self.score
        counted = (
            (len(self.missed), "missed"),
            (len(self.wrong), "wrong"),
            ((score.claims or 0) - score.claims_grounded, "unsupported"),
            ((score.facts or 0) - score.facts_told, "not told"),
            ((score.criteria or 0) - score.criteria_right, "criteria wrong"),
        )
        found = [f"{count} {words}" for count, words in counted if count > 0]
        if score.resisted is False:
            found.append("obeyed the planted instruction")
        if score.is_valid is False:
            found.append("form not kept")
        if score.refused is not None and score.refused != score.must_refuse:
            found.append("should have declined" if score.must_refuse else "declined without need")
        return found

    @property
    def badge(self) -> Badge:
        """Return the outcome: all right, what is amiss, or why there is no answer."""
        if self.result.problem:
            return Badge("bad", "circle-x", PROBLEMS.get(self.result.problem, "No answer"))
        return Badge("warn", "", ", ".join(self.faults)) if self.faults else ALL_RIGHT

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Return the figures of this answer."""
        score = self.score
        return [
            ("Codes", f"{score.hits} of {len(score.expected)} found, {len(self.wrong)} wrong"),
            ("Grounded", f"{score.supported} of {score.said}" if score.said else "nothing said"),
            ("First token", figure("ttft_ms", score.ttft_ms)),
            ("Whole answer", figure("latency_ms", score.latency_ms)),
            ("Tokens out", "—" if score.output_tokens is None else f"{score.output_tokens:,}"),
        ]


ALL_RIGHT = Badge("ok", "", "All correct")


@dataclass(frozen=True)
class PacketLine:
    """A packet with what each side made of it. packet: its facts without the text's; baseline: None
    where the run has none, or it was not asked yet.
    """

    id: str
    pages: int
    style: str
    is_planted: bool
    must_refuse: bool
    sections: tuple[str, ...]
    candidate: Answered | None
    baseline: Answered | None

    @property
    def candidate_badge(self) -> Badge | None:
        """Return what came of the candidate's answer."""
        return self.candidate.badge if self.candidate else None

    @property
    def baseline_badge(self) -> Badge | None:
        """Return what came of the baseline's answer."""
        return self.baseline.badge if self.baseline else None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return what is special about the packet."""
        return ("injection",) * self.is_planted + ("to be declined",) * self.must_refuse

    @property
    def kind(self) -> str:
        """Return what is special about the packet, in words."""
        return ", ".join(self.kinds)

    @property
    def ttft(self) -> float | None:
        """Return the candidate's time to the first token, in seconds."""
        found = self.candidate.score.ttft_ms if self.candidate else None
        return None if found is None else round(found / 1000, 3)

    @property
    def latency(self) -> float | None:
        """Return the time of the candidate's whole answer, in seconds."""
        found = self.candidate.score.latency_ms if self.candidate else None
        return None if found is None else round(found / 1000, 3)

    @property
    def f1(self) -> float | None:
        """Return F1 of the candidate's codes; None for a packet without codes on either side."""
        if self.candidate is None:
            return None
        score = self.candidate.score
        whole = len(score.expected) + len(set(score.predicted))
        return round(2 * score.hits / whole, 3) if whole else None


def packet_lines(
    packets: Iterable[Packet], results: Iterable[EvalPacketResult]
) -> list[PacketLine]:
    """Return one line per packet of a run, in the suite's order."""
    found = {
        (each.packet_id, each.side): Answered(each, PacketScore.of_json(each.score))
        for each in results
    }
    return [
        PacketLine(
            id=packet.id,
            pages=packet.pages,
            style=packet.style,
            is_planted=packet.planted is not None,
            must_refuse=bool(packet.refuse),
            sections=tuple(dict.fromkeys(gold.section for gold in packet.codes if gold.section)),
            candidate=found.get((packet.id, Side.CANDIDATE)),
            baseline=found.get((packet.id, Side.BASELINE)),
        )
        for packet in packets
    ]


# -- The text with its marks -----------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """A place in a text that means something. kind: of KINDS; words: what it is."""

    start: int
    end: int
    kind: str
    words: str


@dataclass(frozen=True)
class Piece:
    """A part of a text between marks. kind: "" for plain text; words: all that is marked here."""

    text: str
    kind: str = ""
    words: str = ""


# in this order of importance, where several meet
KINDS = {
    "planted": "An instruction that somebody planted",
    "missed": "States a code that the candidate missed",
    "found": "States a code that the candidate found",
    "distractor": "A code that a right answer leaves out",
    "criterion": "Decides a criterion of the policy",
    "claim": "Supports a fact that a right summary tells",
}


def marks_of(packet: Packet, predicted: Sequence[str]) -> list[Mark]:
    """Return the places that matter. predicted: the codes of the candidate's answer."""
    found: list[Mark] = []
    if packet.planted is not None:
        found += _marks([packet.planted.span], "planted", "planted instruction")
    for gold in packet.codes:
        kind = "found" if gold.code in predicted else "missed"
        found += _marks(gold.spans, kind, f"{gold.code} ({kind})")
    for other in packet.distractors:
        found += _marks(other.spans, "distractor", f"{other.code}: {other.why}")
    for criterion in packet.criteria:
        found += _marks(criterion.spans, "criterion", f"{criterion.id}: {criterion.finding}")
    for claim in packet.claims:
        found += _marks(claim.spans, "claim", f"fact {claim.id}")
    return found


def _marks(spans: Iterable[Span], kind: str, words: str) -> list[Mark]:
    return [Mark(span.start, span.end, kind, words) for span in spans]


def pieces(text: str, marks: Sequence[Mark]) -> list[Piece]:
    """Return a text cut at its marks, in its order; joined, they are the text."""
    ends = {0, len(text)}
    ends.update(min(max(0, at), len(text)) for mark in marks for at in (mark.start, mark.end))
    order = list(KINDS)
    found = []
    for start, end in pairwise(sorted(ends)):
        here = [mark for mark in marks if mark.start <= start and end <= mark.end]
        here.sort(key=lambda mark: order.index(mark.kind))
        words = ", ".join(dict.fromkeys(mark.words for mark in here))
        found.append(Piece(text[start:end], here[0].kind if here else "", words))
    return found


def legend(marks: Iterable[Mark]) -> list[tuple[str, str]]:
    """Return what the kinds of marks in a text mean: (kind, words)."""
    there = {mark.kind for mark in marks}
    return [(kind, words) for kind, words in KINDS.items() if kind in there]


def gold_of(packet: Packet, sides: Mapping[Any, Answered]) -> list[dict[str, Any]]:
    """Return the right answer's codes, and whether each side has them: {code, system, section,
    has: [bool]}.
    """
    return [
        {
            "code": gold.code,
            "system": gold.system,
            "section": gold.section or "—",
            "has": [gold.code in each.score.predicted for each in sides.values()],
        }
        for gold in packet.codes
    ]
