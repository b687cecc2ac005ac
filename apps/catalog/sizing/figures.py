"""Figures of one model on one kind of GPU: milliseconds of a step at many batches and lengths, as
the library's measured tables have them, read between the points of a grid. Pure: compute.py alone
calls the library.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
STEP_TOKENS = 8192  # of prompts that one step carries: vLLM's chunked prefill
Grid = Sequence[Sequence[float]]  # one row for each batch, one figure for each length; ms


@dataclass(frozen=True)
class Figures:
    """Steps of an engine, in milliseconds; memory in bytes on one GPU.

    decode: a step that carries `batch` sequences of `length` tokens. prefill: one prompt of
    `length` alone, by length. single: a step that carries one prompt (at most STEP_TOKENS of it)
    beside `batch` sequences; full: one that carries STEP_TOKENS of such prompts. overhead_bytes:
    all that is neither weights nor KV cache. kv_bytes: of one token. note: why they are estimated
    rather than measured, "" where they are.
    """

    lengths: Sequence[int]
    batches: Sequence[int]
    decode: Grid
    prefill: Sequence[float]
    single: Grid
    full: Grid
    overhead_bytes: int
    kv_bytes: int
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return them as they are kept."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return figures as they were kept."""
        return cls(**kept)

    def decode_ms(self, batch: float, length: float) -> float:
        """Return a step that only continues answers."""
        return self._at(self.decode, batch, length)

    def prefill_ms(self, length: float) -> float:
        """Return how long one prompt takes on an idle engine, without HTTP."""
        low, high, part = place(self.lengths, length)
        return _between(self.prefill[low], self.prefill[high], part)

    def single_ms(self, batch: float, length: float) -> float:
        """Return a step that carries one prompt beside the answers."""
        return self._at(self.single, batch, length)

    def mixed_ms(self, batch: float, length: float, tokens: float) -> float:
        """Return a step that carries `tokens` of prompts of this length beside the answers."""
        least = min(length, STEP_TOKENS)
        if tokens <= least:
            return self.single_ms(batch, length)
        share = (min(tokens, STEP_TOKENS) - least) / (STEP_TOKENS - least)
        return _between(self.single_ms(batch, length), self._at(self.full, batch, length), share)

    def _at(self, grid: Grid, batch: float, length: float) -> float:
        low, high, part = place(self.batches, batch)
        first, last, share = place(self.lengths, length)
        rows = [_between(grid[row][first], grid[row][last], share) for row in (low, high)]
        return _between(rows[0], rows[1], part)


def place(points: Sequence[int], value: float) -> tuple[int, int, float]:
    """Return between which two points a value lies, and how far from the first: below the first
    point and above the last one, the line of the nearest two goes on.
    """
    if len(points) == 1:
        return 0, 0, 0.0
    low = min(max(bisect_right(points, value) - 1, 0), len(points) - 2)
    return low, low + 1, (value - points[low]) / (points[low + 1] - points[low])


def _between(one: float, other: float, part: float) -> float:
    return max(one + (other - one) * part, 0.0)
