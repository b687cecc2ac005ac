"""How long something takes."""

import statistics
import time
from collections.abc import Callable


def timed(ask: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    begun = time.perf_counter()
    ask()
    return time.perf_counter() - begun


def median(ask: Callable[[], object], rounds: int = 3) -> float:
    """Return the median of the seconds that something takes."""
    return statistics.median(timed(ask) for _ in range(rounds))


def p95(seconds: list[float]) -> float:
    """Return the time that 95 of 100 are not above: one that was measured."""
    return sorted(seconds)[max(0, -(-95 * len(seconds) // 100) - 1)]
