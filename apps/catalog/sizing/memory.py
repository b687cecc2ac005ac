"""Whether a model fits on GPUs, and how many tokens its KV cache holds there. Pure.

Weights are counted from the files, exactly. What an engine needs beside weights and KV cache is the
library's figure, which is careful (3.5 GiB for the runtime, where an H100 took 1.3), until an
engine reported how much it took: then it is that, for every version of the model on this kind of
GPU.
"""

from dataclasses import dataclass
from datetime import datetime

from apps.catalog.sizing.cards import Machine
from apps.catalog.sizing.figures import Figures
from apps.catalog.sizing.shapes import Shape

FRACTION = 0.9  # of a GPU's memory, that vLLM takes unless it is told otherwise
# what the library takes for all but weights and KV cache, where it has no figures of a model: its
# own for an 8-billion model on one GPU
OVERHEAD = round(4.2 * 1024**3)


@dataclass(frozen=True)
class Reported:
    """What an engine itself said when it started an earlier version of the model. gpu, ways: where;
    fraction: of the GPU's memory that it was given, gpu_bytes; kv_bytes: of a token on one GPU;
    weight_bytes: on one GPU; kv_tokens: that its cache holds.
    """

    version: str
    engine: str
    gpu: str
    ways: int
    gpu_bytes: int
    fraction: float
    weight_bytes: int
    kv_bytes: int
    kv_tokens: int
    at: datetime | None = None

    @property
    def overhead_bytes(self) -> int:
        """Return what it took on one GPU beside weights and KV cache."""
        taken = round(self.gpu_bytes * self.fraction)
        return taken - self.weight_bytes - self.kv_tokens * self.kv_bytes


@dataclass(frozen=True)
class Room:
    """Memory of one GPU, in bytes, and what it holds. kv_tokens: None where a token's size is not
    known. by_library: the tokens without the correction. reported: by what it was corrected.
    """

    weight_bytes: int
    free_bytes: int
    kv_tokens: int | None
    by_library: int | None
    reported: Reported | None = None


def room(
    shape: Shape, machine: Machine, ways: int, figures: Figures | None, reported: Reported | None
) -> Room | None:
    """Return the room on one GPU of a machine; None where the size of the weights is not known.

    figures: for this kind of GPU and split, None where nobody measured. reported: by an earlier
    version of the model on this kind of GPU and split.
    """
    if not shape.weight_bytes:
        return None
    weights = -(-shape.weight_bytes // ways)
    usable = round(machine.usable_bytes * FRACTION)
    kv_bytes = shape.kv_bytes(ways) or (figures.kv_bytes if figures else None)
    careful = usable - weights - (figures.overhead_bytes if figures else OVERHEAD)
    free = usable - weights - reported.overhead_bytes if reported else careful
    return Room(
        weights,
        free,
        _tokens(free, kv_bytes),
        _tokens(careful, kv_bytes),
        reported,
    )


def _tokens(free: int, kv_bytes: int | None) -> int | None:
    if not kv_bytes:
        return None
    return max(free, 0) // kv_bytes
