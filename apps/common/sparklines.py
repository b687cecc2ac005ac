"""Sparklines: a row of bars without axes, beside the figure whose course they show. Pure.

How to use:
    Sparkline.of(values, mark=1.0, words="Burn by day: …")     # None is a gap, never a bar of 0
    {% include "components/_sparkline.html" with spark=line.spark only %}

They say no figure that the words do not: `words` is their text for whoever does not see them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, GAP, HEIGHT = 3, 1, 20  # units of its drawing
LEAST = 1.0  # a bar of 0 is a line at the foot, which a gap is not


@dataclass(frozen=True)
class Bar:
    """One bar of the drawing. is_over: above the mark."""

    x: int
    y: float
    height: float
    is_over: bool


@dataclass(frozen=True)
class Sparkline:
    """Bars and the line that they are held against. words: what they show."""

    bars: tuple[Bar, ...]
    width: int
    mark_y: float
    words: str

    @classmethod
    def of(cls, values: Sequence[float | None], *, mark: float, words: str) -> "Sparkline":
        """Return the sparkline of some values, 0 or more. mark: above 0; a bar above it stands
        out, and it is never higher than half of the drawing.
        """
        highest = max([2 * mark, *(value for value in values if value is not None)])
        bars = []
        for place, value in enumerate(values):
            if value is not None:
                height = round(max(LEAST, value / highest * HEIGHT), 1)
                x = place * (WIDTH + GAP)
                bars.append(Bar(x, round(HEIGHT - height, 1), height, value > mark))
        width = max(1, len(values) * (WIDTH + GAP) - GAP)
        return cls(tuple(bars), width, round(HEIGHT - mark / highest * HEIGHT, 1), words)
