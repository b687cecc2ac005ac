"""How far a long piece of work is: bytes of how many, how fast, how long it still takes.

On a terminal one line is written again and again; in a log a line every ten seconds. Threads may
add to it at once.
"""

import sys
import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import TextIO

from apps.cli.output import size, span

WINDOW_SECONDS = 15.0  # over which the pace is measured
ON_TERMINAL, IN_LOG = 0.2, 10.0  # seconds between two lines


class Progress:
    """Counts bytes towards a total and says so. label: what is being done, "Sending"."""

    def __init__(
        self,
        label: str,
        total: int,
        *,
        done: int = 0,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.total, self.done = label, total, done
        self._stream, self._quiet, self._clock = stream or sys.stderr, quiet, clock
        self._terminal = self._stream.isatty()
        self._lock = Lock()
        self._seen = deque([(clock(), done)])
        self._told, self._begun = clock(), False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.show(last=True)

    def add(self, count: int) -> None:
        """Count bytes. A negative count takes back what has to be done again."""
        with self._lock:
            self.done += count
            now = self._clock()
            self._seen.append((now, self.done))
            while now - self._seen[0][0] > WINDOW_SECONDS and len(self._seen) > 2:
                self._seen.popleft()
            due = now - self._told >= (ON_TERMINAL if self._terminal else IN_LOG)
        if due:
            self.show()

    def set(self, done: int) -> None:
        """Say how many bytes are done by now."""
        self.add(done - self.done)

    def show(self, *, last: bool = False) -> None:
        """Write the line."""
        self._told = self._clock()
        if self._quiet:
            return
        if not self._terminal:
            print(self.line(), file=self._stream, flush=True)
            return
        print(f"\r\x1b[K{self.line()}", end="\n" if last else "", file=self._stream, flush=True)
        self._begun = not last

    def leave(self) -> None:
        """End the terminal's line as it stands: what is said next begins below it."""
        if self._begun:
            print(file=self._stream, flush=True)
            self._begun = False

    def line(self) -> str:
        """Return "Sending: 3.1 GiB of 12.0 GiB (26 %), 210.4 MiB/s, 43 s left"."""
        percent = 100 * self.done // self.total if self.total else 100
        words = f"{self.label}: {size(self.done)} of {size(self.total)} ({percent} %)"
        pace = self.pace()
        if not pace or self.done >= self.total:
            return words
        return f"{words}, {size(pace)}/s, {span((self.total - self.done) / pace)} left"

    def pace(self) -> float:
        """Return the bytes a second of the last seconds; 0 where nothing can be told yet."""
        (began, before), (ended, after) = self._seen[0], self._seen[-1]
        return max(0.0, (after - before) / (ended - began)) if ended > began else 0.0
