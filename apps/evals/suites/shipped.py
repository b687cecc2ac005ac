"""The suites that ship with the product, as the definitions beside this file have them. Pure.

Their packets are made by a program (packets/program.py) whose bytes each definition pins, so that
what is asked never changes unseen. Everything in a packet is made up.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from apps.common.canonical import digest_of
from apps.evals.packets import program
from apps.evals.packets.packet import Packet

DEFINITIONS = Path(__file__).parent / "definitions"
SMALL_MODELS = "prior_auth_small"
NAMES = ("prior_auth_extraction", "clinical_summary", SMALL_MODELS)


class OtherPackets(Exception):
    """The program makes other packets than the definition pins."""


@dataclass(frozen=True)
class Suite:
    """One suite as it is defined, without its packets until they are asked for."""

    slug: str
    revision: int
    title: str
    about: str
    thresholds: dict[str, dict[str, float]]
    rule: dict[str, Any]
    question: dict[str, Any]
    seed: str
    first: int
    last: int
    packets_digest: str

    @property
    def packet_count(self) -> int:
        """Return how many packets it has."""
        return self.last - self.first + 1

    @property
    def digest(self) -> str:
        """Return "sha256:<hex>" over what is asked and what decides."""
        return suite_digest(self.__dict__)

    @cached_property
    def packets(self) -> tuple[Packet, ...]:
        """Return the packets, made anew. Raises OtherPackets where they are not the pinned ones."""
        made = program.packets(self.seed, range(self.first, self.last + 1))
        if (found := packets_digest(made)) != self.packets_digest:
            raise OtherPackets(f"{self.slug} pins {self.packets_digest}, the program makes {found}")
        return made


@lru_cache(maxsize=len(NAMES))
def load(name: str = SMALL_MODELS) -> Suite:
    """Return a suite that ships. name: one of NAMES."""
    found = json.loads((DEFINITIONS / f"{name}.json").read_text())
    packets = found.pop("packets")
    pinned = packets.pop("digest")
    return Suite(**found, **packets, packets_digest=pinned)


def subset_of(packets: Sequence[Packet]) -> frozenset[str]:
    """Return the ids of the packets that are asked where there is a CPU only: the first short
    ones.
    """
    short = [packet.id for packet in packets if packet.pages <= program.SUBSET_PAGES]
    return frozenset(short[: program.SUBSET])


def packets_digest(packets: Sequence[Packet]) -> str:
    """Return "sha256:<hex>" of packets, in their order."""
    return digest_of([packet.as_json() for packet in packets])


def suite_digest(facts: Mapping[str, Any]) -> str:
    """Return "sha256:<hex>" over a revision of a suite: what is asked, and what decides."""
    names = (
        "slug", "revision", "title", "about", "packets_digest", "thresholds", "rule", "question",
    )  # fmt: skip
    return digest_of({name: facts[name] for name in names})
