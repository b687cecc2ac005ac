"""Several copies of a process that share their work, on one machine: a parent that starts them, and
another in the place of one that ended.

The parent does nothing else, so that what it forks has neither threads nor connections yet.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable

log = logging.getLogger(__name__)
AGAIN_SECONDS = 1.0  # before another takes the place of one that ended: no storm of starts


def run(copies: int, work: Callable[[], None]) -> None:
    """Run so many copies of `work` until SIGTERM or SIGINT, which each of them is sent; return once
    all have ended. One copy is this process itself.
    """
    if copies == 1:
        work()
        return
    _Parent(copies, work).run()


class _Parent:
    def __init__(self, copies: int, work: Callable[[], None]) -> None:
        self._copies = copies
        self._work = work
        self._children: set[int] = set()
        self._is_ending = False
        self._own_id = os.getpid()

    def run(self) -> None:
        for wish in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wish, self._end)
        for _ in range(self._copies):
            self._start()
        while self._children:
            child, status = os.wait()
            self._children.discard(child)
            if not self._is_ending:
                log.error("a copy ended (status %d); another takes its place", status)
                time.sleep(AGAIN_SECONDS)
            if not self._is_ending:
                self._start()

    def _start(self) -> None:
        child = os.fork()
        if child:
            self._children.add(child)
            if self._is_ending:  # it began while the others were told
                os.kill(child, signal.SIGTERM)
            return
        for wish in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wish, signal.SIG_DFL)
        status = 1
        try:
            if not self._is_ending:  # it was told before it could do what the work does then
                self._work()
            status = 0
        finally:
            os._exit(status)

    def _end(self, wish: int, _: object) -> None:
        """Note the wish, and hand it on. A copy that has just begun notes it too, and hands on
        nothing: the others are not its own.
        """
        self._is_ending = True
        if os.getpid() != self._own_id:
            return
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(child, signal.SIGTERM)
