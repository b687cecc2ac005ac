"""The building of the Go programs, in words for the board (`deploy/local/platform` does the work).

Parts start as their programs appear; nothing waits for all of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping

from deploy.local import platform

ASK_EVERY = 2.0


class Building:
    """One build in the background: started where programs are missing, asked how far it is."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.pid = platform.start_build(env)
        self._asked = 0.0
        self._answer = (
            ""
            if self.pid is None
            else "starting to build the platform's programs (first time only)"
        )
        self._over = self.pid is None

    def __call__(self) -> str:
        """Return how far it is in one sentence, "" once everything is there."""
        if self._over or time.monotonic() - self._asked < ASK_EVERY:
            return self._answer
        self._asked = time.monotonic()
        rows = platform.progress(self.env)
        self._over = all(row.state == "ready" for row in rows)
        self._answer = sentence(rows)
        return self._answer

    def stop(self) -> None:
        """End the build if it is ours; what was compiled is kept."""
        if self.pid is not None and not self._over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def sentence(rows: list[platform.Progress]) -> str:
    """Return where the whole build is: programs ready, the one in work, what failed, the time that
    is left.
    """
    ready = [row for row in rows if row.state == "ready"]
    if len(ready) == len(rows):
        return ""
    parts = [f"{len(ready)} of {len(rows)} programs ready (first time only)"]
    parts += [
        row.sentence().splitlines()[0]
        for row in rows
        if row.state in ("downloading", "building", "failed")
    ]
    left = sum(row.seconds_left or 0 for row in rows if row.state != "ready")
    if left:
        parts.append(f"about {max(1, round(left / 60))} min left in all")
    return "; ".join(parts)
