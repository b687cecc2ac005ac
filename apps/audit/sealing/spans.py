"""Which entries a reading of the record reads: all of them, or those that came since the last
reading and a part of what is older. Pure.

A part begins and ends at checkpoints that lie in S3, so that it needs nothing of what stands before
it but the hashes that the first one was signed over. Every part comes about once in NIGHTS nights.
While something is wrong, all is read every night: nothing that was found is forgotten meanwhile.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

NIGHTS = 7  # in which everything that is older is read once


class Reading(Protocol):
    """What an earlier reading read and found: a Verification."""

    verified_at: datetime
    first: int
    again_first: int
    again_end: int
    size: int
    anchored_size: int
    found: int


@dataclass(frozen=True)
class Plan:
    """What to read: everything from `first` on, and `again_first` to `again_end` (not included)."""

    first: int = 0
    again_first: int = 0
    again_end: int = 0

    @property
    def beginnings(self) -> list[int]:
        """Return after how many entries it begins to read, where it is not at the beginning."""
        again = [self.again_first] if self.again_first < self.again_end else []
        return [first for first in (*again, self.first) if first]


WHOLE = Plan()


def plan(*, last: Reading | None, sizes: Sequence[int]) -> Plan:
    """Return what to read tonight.

    last: the last reading; sizes: those of the checkpoints in S3, ascending. It is all of the
    record where the last reading found something, or does not tell from where to go on.
    """
    if last is None or last.found:
        return WHOLE
    first = last.anchored_size
    begin = last.again_end if last.again_end < first else 0
    end = _checkpoint_at(sizes, begin + -(-first // NIGHTS), most=first)
    known = {0, *sizes}
    return Plan(first, begin, end) if {first, begin, end} <= known else WHOLE


def read_since(readings: Iterable[Reading], size: int) -> datetime | None:
    """Return since when each of the first `size` entries was read at least once; None where some
    were not. readings: newest first.
    """
    missing = [(0, size)]
    for one in readings:
        for first, end in ((one.first, one.size), (one.again_first, one.again_end)):
            missing = [rest for gap in missing for rest in _without(gap, first, end)]
        if not missing:
            return one.verified_at
    return None


def _checkpoint_at(sizes: Sequence[int], size: int, *, most: int) -> int:
    """Return the first checkpoint's size from `size` on, `most` at most."""
    index = bisect_left(sizes, size)
    return min(sizes[index], most) if index < len(sizes) else most


def _without(gap: tuple[int, int], first: int, end: int) -> list[tuple[int, int]]:
    low, high = gap
    rest = [(low, min(high, first)), (max(low, end), high)] if first < end else [gap]
    return [one for one in rest if one[0] < one[1]]
