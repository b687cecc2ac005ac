"""Labeled texts for the guard: made up, from templates and a seed.

The templates are in two halves. TUNING is what the rules were written against, and what tests hold
them to; HELD_OUT was written apart, in other words, and is measured only: whoever changes a rule
because of it moves that template to TUNING and writes another.
"""

from dataclasses import dataclass
from enum import StrEnum


class Half(StrEnum):
    """Which templates a text is made from."""

    TUNING = "tuning"
    HELD_OUT = "held out"


@dataclass(frozen=True)
class Labeled:
    """A text with what it holds. holds: the detectors that should hit; empty: harmless. hard: it is
    harmless, but written to look like something.
    """

    text: str
    role: str
    holds: frozenset[str]
    template: str
    hard: bool = False


@dataclass(frozen=True)
class Templates:
    """The two halves of a list, which share no template."""

    tuning: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, half: Half) -> tuple[str, ...]:
        """Return one half."""
        return self.tuning if half is Half.TUNING else self.held_out
