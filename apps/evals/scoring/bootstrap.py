"""How sure a figure is: packets drawn again with replacement, always with the same draws, so that a
report can be made again to the digit. Pure.

A figure is a sum over packets divided by another. scipy is loaded where it is needed only: neither
a web process nor a test that compares nothing pays for it.
"""

from collections.abc import Sequence
from typing import Any

RESAMPLES = 2000
SEED = 0
Parts = Sequence[tuple[float, float]]  # of each packet: what counts, and of how much


def interval(parts: Parts, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Return the middle `confidence` of a figure; None and None below two packets."""
    if len(parts) < 2:
        return None, None
    return _drawn([_columns(parts)], confidence, SEED, RESAMPLES)


def paired(
    candidate: Parts,
    baseline: Parts,
    *,
    confidence: float,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> tuple[float | None, float | None]:
    """Return the middle `confidence` of the difference of a figure, candidate less baseline, over
    the same packets in the same order; None and None below two packets.
    """
    if len(candidate) != len(baseline):
        raise ValueError("a pair has the same packets")
    if len(candidate) < 2:
        return None, None
    return _drawn([_columns(candidate), _columns(baseline)], confidence, seed, resamples)


def _columns(parts: Parts) -> tuple[list[float], list[float]]:
    return [part for part, _ in parts], [whole for _, whole in parts]


def _drawn(
    sides: Sequence[tuple[list[float], list[float]]], confidence: float, seed: int, resamples: int
) -> tuple[float, float]:
    import numpy as np
    from scipy.stats import bootstrap

    def figure(part: Any, whole: Any, axis: int) -> Any:
        total = whole.sum(axis=axis)
        return np.where(total > 0, part.sum(axis=axis) / np.where(total > 0, total, 1), 0.0)

    def statistic(*columns: Any, axis: int = -1) -> Any:
        first = figure(columns[0], columns[1], axis)
        return first - figure(columns[2], columns[3], axis) if len(columns) > 2 else first

    columns = [np.asarray(column, dtype=float) for side in sides for column in side]
    found = bootstrap(
        columns,
        statistic,
        n_resamples=resamples,
        paired=True,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
