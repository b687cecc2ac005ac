"""What is known about each part, kept in memory and in `state/status.json` for `make up` and `make
status` to read.

The file is replaced in one step, so a reader never sees half of it; it is written at most a few
times a second.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# The states of a part, in the order in which it passes them; UP are those that others may build on.
WAITING, BUILDING, PREPARING, STARTING, READY, DONE = (
    "waiting",
    "building",
    "preparing",
    "starting",
    "ready",
    "done",
)
UNHEALTHY, FAILED, STOPPED, REPLACED = "unhealthy", "failed", "stopped", "replaced"
UP = frozenset({READY, DONE, REPLACED})


@dataclass(frozen=True)
class Line:
    """One part as `make status` shows it."""

    name: str
    state: str = WAITING
    address: str = ""
    detail: str = ""  # why it is in this state, for people
    pid: int = 0
    started: float = 0.0  # when the process was started, by the kernel's clock
    since: float = 0.0  # since when it is in this state
    ready_after: float = 0.0  # seconds from the supervisor's start to the first time it was ready
    restarts: int = 0
    exit_code: int | None = None
    last_log: tuple[str, ...] = ()


class Board:
    """The lines of all parts; every change wakes whoever waits for one."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.started = time.time()
        self.facts = facts  # shown beside the lines: addresses, notes
        self._lines: dict[str, Line] = {}
        self._changed = threading.Condition()
        self._dirty = True

    def add(self, line: Line) -> None:
        """Put a part on the board."""
        with self._changed:
            self._lines[line.name] = replace(line, since=time.time())
            self._dirty = True

    def set(self, name: str, state: str, **fields: Any) -> None:
        """Change a part's state; without `detail` it has none."""
        with self._changed:
            old = self._lines[name]
            new = replace(old, **({"detail": ""} | fields), state=state)
            if (new.state, new.detail, new.pid) == (old.state, old.detail, old.pid):
                return
            if new.state != old.state:
                new = replace(new, since=time.time())
            if state in (READY, DONE) and not new.ready_after:
                new = replace(new, ready_after=round(time.time() - self.started, 1))
            self._lines[name] = new
            self._dirty = True
            self._changed.notify_all()

    def note(self, **facts: Any) -> None:
        """Change what is shown beside the lines."""
        with self._changed:
            if any(self.facts.get(key) != value for key, value in facts.items()):
                self.facts.update(facts)
                self._dirty = True

    def line(self, name: str) -> Line:
        """Return what is known about a part now."""
        with self._changed:
            return self._lines[name]

    def missing(self, names: tuple[str, ...]) -> list[str]:
        """Return those of `names` that others cannot build on yet."""
        with self._changed:
            return [name for name in names if self._lines[name].state not in UP]

    def settled(self) -> bool:
        """Return whether every part is up."""
        with self._changed:
            return all(line.state in UP for line in self._lines.values())

    def wait_for_change(self, timeout: float) -> None:
        """Wait until some part changes its state, or the time is up."""
        with self._changed:
            self._changed.wait(timeout)

    def wake(self) -> None:
        """Wake everybody who waits, as at the end."""
        with self._changed:
            self._changed.notify_all()

    def save(self) -> None:
        """Write the file where something changed since the last time."""
        with self._changed:
            if not self._dirty:
                return
            self._dirty = False
            lines = [asdict(line) for line in self._lines.values()]
            text = json.dumps({"started": self.started, **self.facts, "parts": lines}, indent=1)
        draft = self.path.with_suffix(".part")
        draft.write_text(text + "\n")
        draft.replace(self.path)
