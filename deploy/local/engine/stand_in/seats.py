"""The places of an engine that answers so many calls at once: who waits, and who is next."""

from __future__ import annotations

import heapq
from itertools import count
from threading import Condition


class Seats:
    """A number of places. Who waits for one gets it in the order of (priority, arrival): the lower
    priority first, as vLLM's scheduler has it; nobody is asked to leave.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._changed = Condition()
        self._waiting: list[tuple[int, int]] = []
        self._arrivals = count()

    def take(self, priority: int = 0) -> None:
        """Wait for a place, and take it."""
        with self._changed:
            ticket = (priority, next(self._arrivals))
            heapq.heappush(self._waiting, ticket)
            self._changed.wait_for(lambda: self._free and self._waiting[0] == ticket)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()  # the next one may be waiting for a place that is free, too

    def leave(self) -> None:
        """Give a place back."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()
