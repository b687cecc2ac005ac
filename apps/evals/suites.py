"""The suites that ship with the product: packets, question, gold codes and thresholds, read from
`golden/`. Pure.

Everything in a packet is made up. The question is the same for every packet: a system line, two
worked examples as earlier turns, then the packet.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.common.canonical import digest_of

GOLDEN = Path(__file__).parent / "golden"
PRIOR_AUTHORIZATION = "prior_auth_packets.json"


@dataclass(frozen=True)
class Packet:
    """One synthetic packet with the codes a right answer has."""

    id: str
    text: str
    diagnosis_codes: tuple[str, ...]
    procedure_codes: tuple[str, ...]

    @property
    def gold(self) -> tuple[str, ...]:
        """Return all codes of a right answer."""
        return self.diagnosis_codes + self.procedure_codes


@dataclass(frozen=True)
class Suite:
    """One suite as it stands in its file; digest: "sha256:<hex>" over its canonical JSON."""

    slug: str
    revision: int
    title: str
    digest: str
    packets: tuple[Packet, ...]
    thresholds: dict[str, dict[str, float]]
    max_tokens: int
    prompt: dict[str, Any]

    def question(self, packet: Packet) -> list[dict[str, str]]:
        """Return the conversation that asks for a packet's codes."""
        turns = [{"role": "system", "content": str(self.prompt["system"])}]
        for example in self.prompt["examples"]:
            answer = {name: example[name] for name in ("diagnosis_codes", "procedure_codes")}
            turns.append({"role": "user", "content": self._ask(example["packet"])})
            turns.append({"role": "assistant", "content": json.dumps(answer)})
        return [*turns, {"role": "user", "content": self._ask(packet.text)}]

    def _ask(self, text: str) -> str:
        return str(self.prompt["ask"]).replace("{packet}", text)


@lru_cache(maxsize=4)
def load(name: str = PRIOR_AUTHORIZATION) -> Suite:
    """Return a suite of `golden/`."""
    found = json.loads((GOLDEN / name).read_text())
    packets = tuple(
        Packet(p["id"], p["text"], tuple(p["diagnosis_codes"]), tuple(p["procedure_codes"]))
        for p in found["packets"]
    )
    return Suite(
        slug=found["slug"],
        revision=found["revision"],
        title=found["title"],
        digest=digest_of(found),
        packets=packets,
        thresholds=found["thresholds"],
        max_tokens=found["max_tokens"],
        prompt=found["prompt"],
    )
