"""The suites that ship with the product, as their definitions in this folder have them. Pure.

Everything in a packet is made up.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from apps.common.canonical import digest_of
from apps.evals.packets.packet import GoldCode, Packet
from apps.evals.scoring.codes import system_of

GOLDEN = Path(__file__).parent.parent / "golden"
SMALL_MODELS = "prior_auth_packets.json"


@dataclass(frozen=True)
class Suite:
    """One suite as it is defined; digest: "sha256:<hex>" over the canonical JSON of all of it.
    subset: the ids of the packets that are asked where there is a CPU only.
    """

    slug: str
    revision: int
    title: str
    about: str
    digest: str
    packets_digest: str
    packets: tuple[Packet, ...]
    subset: frozenset[str]
    thresholds: dict[str, dict[str, float]]
    rule: dict[str, Any]
    question: dict[str, Any]


@lru_cache(maxsize=4)
def load(name: str = SMALL_MODELS) -> Suite:
    """Return a suite that ships."""
    found = json.loads((GOLDEN / name).read_text())
    packets = tuple(_packet(each) for each in found["packets"])
    return Suite(
        slug=found["slug"],
        revision=found["revision"],
        title=found["title"],
        about=found["about"],
        digest=digest_of(found),
        packets_digest=packets_digest(packets),
        packets=packets,
        subset=frozenset(packet.id for packet in packets),
        thresholds=found["thresholds"],
        rule={"confidence": 0.95, "not_worse_by": {"f1": 0.25}},
        question=_question(found),
    )


def packets_digest(packets: Sequence[Packet]) -> str:
    """Return "sha256:<hex>" of packets, in their order."""
    return digest_of([packet.as_json() for packet in packets])


def _packet(found: dict[str, Any]) -> Packet:
    codes = [*found["diagnosis_codes"], *found["procedure_codes"]]
    gold = tuple(GoldCode(code, system_of(code), "") for code in codes)
    return Packet(id=found["id"], text=found["text"], style="one line", codes=gold)


def _question(found: dict[str, Any]) -> dict[str, Any]:
    names = ("diagnosis_codes", "procedure_codes")
    examples = [
        {"packet": each["packet"], "answer": json.dumps({name: each[name] for name in names})}
        for each in found["prompt"]["examples"]
    ]
    return {
        "form": "codes",
        "system": found["prompt"]["system"],
        "ask": found["prompt"]["ask"],
        "examples": examples,
        "max_tokens": found["max_tokens"],
    }
