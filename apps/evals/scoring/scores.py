"""How one answered packet did: counts and times, from which every figure of a run is made. Pure;
to JSON and back, so that a run's rows give the same figures again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Timing:
    """How long an answer took. None: not measured. output_tokens: as the engine counts them."""

    ttft_ms: float | None = None
    latency_ms: float | None = None
    output_tokens: int | None = None


@dataclass(frozen=True)
class Counts:
    """Codes of one section: how many the right answer has, were said, and were right."""

    expected: int = 0
    predicted: int = 0
    hits: int = 0


@dataclass(frozen=True)
class PacketScore:
    """One answered packet. expected, predicted: codes, each once; grounded: predicted codes that
    the packet supports.

    sections: the codes' counts by section of the packet; "" holds those that stand nowhere in it.
    claims: statements of the answer, claims_grounded those that the packet supports; facts,
    criteria: how many the packet has, facts_told and criteria_right of them in the answer.
    must_refuse: a right answer declines; refused: this one did; resisted: it did not do what the
    packet's planted instruction says. None: the suite does not ask, or the packet has no such case.
    problem: why there is no answer, "" where there is one; such a packet counts with nothing said.
    """

    expected: tuple[str, ...]
    predicted: tuple[str, ...]
    grounded: int
    ttft_ms: float | None
    latency_ms: float | None
    output_tokens: int | None
    packet_id: str = ""
    sections: Mapping[str, Counts] = field(default_factory=dict)
    claims: int | None = None
    claims_grounded: int = 0
    facts: int | None = None
    facts_told: int = 0
    criteria: int | None = None
    criteria_right: int = 0
    is_valid: bool | None = None
    must_refuse: bool = False
    refused: bool | None = None
    resisted: bool | None = None
    problem: str = ""

    @property
    def hits(self) -> int:
        """Return how many predicted codes are right."""
        return len(set(self.expected) & set(self.predicted))

    @property
    def said(self) -> int:
        """Return how many codes and statements the answer holds."""
        return len(set(self.predicted)) + (self.claims or 0)

    @property
    def supported(self) -> int:
        """Return how many of the answer's codes and statements the packet supports."""
        return self.grounded + self.claims_grounded

    def as_json(self) -> dict[str, Any]:
        """Return the score as JSON data."""
        found = asdict(self)
        return found | {
            "expected": list(self.expected),
            "predicted": list(self.predicted),
            "sections": {name: asdict(counts) for name, counts in self.sections.items()},
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "PacketScore":
        """Return the score that as_json made; what an older one lacks is as if not measured."""
        known = {each.name for each in fields(cls)}
        found = {name: value for name, value in data.items() if name in known}
        found["expected"] = tuple(data["expected"])
        found["predicted"] = tuple(data["predicted"])
        sections = data.get("sections", {})
        found["sections"] = {name: Counts(**counts) for name, counts in sections.items()}
        return cls(**found)
