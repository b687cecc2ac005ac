"""How far something is: phases one after the other, and one measure with its pace.

How to use:

    phases = [
        Phase("Node is launched", "done", at=launched_at),
        Phase("Weights are loaded", "now", since=launched_at, typical_seconds=40),
        Phase("Answers", "next", typical_seconds=5),
    ]
    {% include "components/_stepper.html" with steps=phases only %}

    progress = Progress("Copying the weights", done=size_now, total=size, unit="bytes", since=began)
    {% include "components/_progress.html" with progress=progress only %}

Elapsed time counts in the browser. A typical time that rests on few or simulated starts says so in
`typical_note`; without a typical time nothing is said. A total of None means that nobody knows how
much there is: then there is no bar, and no percent is made up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

State = Literal["done", "now", "next", "failed"]
Unit = Literal["bytes", "steps"]


def about(seconds: float | None, note: str = "") -> str:
    """Return a typical time in words: "≈ 40 s", "≈ 3 min (2 starts)"; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 120:
        words = f"≈ {seconds:.0f} s"
    else:
        words = f"≈ {seconds / 60:.0f} min" if seconds < 7200 else f"≈ {seconds / 3600:.0f} h"
    return f"{words} ({note})" if note else words


def took(length: timedelta) -> str:
    """Return how long something took: "42 s", "119 s", "61 min 36 s", "27 h 05 min"."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 120:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


@dataclass(frozen=True)
class Phase:
    """One step. at: when it was done or failed; since: since when it is under way."""

    label: str
    state: State
    detail: str = ""
    at: datetime | None = None
    since: datetime | None = None
    typical_seconds: float | None = None
    typical_note: str = ""

    @property
    def typical(self) -> str:
        """Return the typical time in words."""
        return about(self.typical_seconds, self.typical_note)


@dataclass(frozen=True)
class Progress:
    """How much of something is done, since when, and how long it usually takes."""

    words: str
    done: int
    total: int | None
    unit: Unit = "steps"
    since: datetime | None = None
    typical_seconds: float | None = None
    typical_note: str = ""
    failed: str = ""

    @property
    def typical(self) -> str:
        """Return the typical time in words."""
        return about(self.typical_seconds, self.typical_note)

    @property
    def percent(self) -> int | None:
        """Return the share done, 0 to 100, rounded down; None where the whole is unknown."""
        if not self.total:
            return None
        return max(0, min(100, 100 * self.done // self.total))
