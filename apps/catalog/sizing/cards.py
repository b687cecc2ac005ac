"""The GPUs of EC2 and what is known of them: which of the library's measured tables holds, and how
much memory an engine sees. Pure.
"""

from dataclasses import dataclass
from decimal import Decimal

# Of the memory that AWS names, what an engine sees: measured on an H100 (79.18 of 80 GiB).
SEEN = 0.98975
MIB = 1024 * 1024


@dataclass(frozen=True)
class Card:
    """A kind of GPU. table: the library's name of its measurements, "" where nobody measured it."""

    name: str
    title: str
    table: str


CARDS = {
    card.name: card
    for card in (
        Card("a10g", "A10G", ""),
        # the library describes it and has no measurements of it
        Card("l4", "L4", ""),
        Card("l40s", "L40S", "l40s"),
        Card("rtx-pro-server-6000", "RTX PRO 6000", "rtx_pro_6000_server"),
        Card("a100", "A100", "a100_sxm"),
        Card("h100", "H100", "h100_sxm"),
        Card("h200", "H200", "h200_sxm"),
        Card("b200", "B200", "b200_sxm"),
        Card("b300", "B300", "b300_sxm"),
    )
}


def usable_bytes(gpu_mib: int) -> int:
    """Return how much memory of a GPU an engine sees. gpu_mib: as AWS names it."""
    return round(gpu_mib * MIB * SEEN)


@dataclass(frozen=True)
class Machine:
    """A type of machine with its prices, as whoever knows them hands it in. gpu_mib: memory of one
    GPU as AWS names it; memory_gib: of the host. usd: per hour; None where no price is known.
    """

    name: str
    gpu: str
    gpus: int
    gpu_mib: int
    vcpus: int
    memory_gib: int
    on_demand_usd: Decimal | None
    spot_usd: Decimal | None

    @property
    def card(self) -> Card:
        """Return its kind of GPU; one that nobody measured where it is not listed here."""
        return CARDS.get(self.gpu) or Card(self.gpu, self.gpu, "")

    @property
    def usable_bytes(self) -> int:
        """Return how much memory of one GPU an engine sees."""
        return usable_bytes(self.gpu_mib)

    @property
    def splits(self) -> tuple[int, ...]:
        """Return over how many of its GPUs a layer can be split: 1, 2, 4, 8 as far as it has."""
        return tuple(way for way in (1, 2, 4, 8) if way <= self.gpus)
