"""Loopback ports: one per name, remembered in `state/ports.json`, moved to a free one (and said so)
where taken.

A port just handed out is free until its server listens, so each hand-out is noted for all processes
of the user. Ports are handed out outside the range that the kernel uses for outgoing connections,
so that a port that was free yesterday is not in use today by some client of this machine.
"""

from __future__ import annotations

import json
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FREE_RANGE = range(20000, 30000)
# seconds for which a port that was handed out is nobody else's, though no server listens on it yet
HELD = 120.0
_RANDOM = random.SystemRandom()  # two processes with the same seed would race for the same port


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a loopback port that nobody listens on now, and that no outgoing connection will be
    given.
    """
    return next(port for port in _candidates() if is_free(port) and _take(port))


class PortBook:
    """The ports of one stack. Ask only while none of its parts runs: a port in use counts as
    somebody else's.

    own_range: never take the preferred port, for stacks that run beside another one.
    running: the stack's own parts listen on what is kept, so every port is where it was.
    moves: one sentence for each port that is not where it was expected.
    """

    def __init__(self, path: Path, *, own_range: bool = False, running: bool = False) -> None:
        self.path = path
        self.running = running
        self.own_range = own_range
        self.moves: list[str] = []
        self._kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        self._checked: set[str] = set()

    def __call__(self, name: str, preferred: int) -> int:
        """Return the port kept for `name`: `preferred` where free at first asking, else a free
        one.
        """
        if name not in self._checked and not (self.running and name in self._kept):
            self._checked.add(name)
            self._choose(name, preferred)
        return self._kept[name]

    def _choose(self, name: str, preferred: int) -> None:
        kept = self._kept.get(name)
        wanted = kept or (None if self.own_range else preferred)
        if wanted and is_free(wanted) and wanted not in self._others(name):
            chosen = wanted
        else:
            others = self._others(name)
            chosen = next(
                port
                for port in _candidates()
                if port not in others and is_free(port) and _take(port)
            )
            if wanted:
                self.moves.append(
                    f"port {wanted} is taken by another program: {name} listens on {chosen}"
                )
        if chosen != kept:
            self._kept[name] = chosen
            self._save()

    def _others(self, name: str) -> set[int]:
        return {port for other, port in self._kept.items() if other != name}

    def _save(self) -> None:
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps(self._kept, indent=1, sort_keys=True) + "\n")
        draft.replace(self.path)


def _take(port: int) -> bool:
    """Note that a port is handed out; tell whether nobody else was given it a moment ago."""
    folder = Path(tempfile.gettempdir()) / f"quartermaster-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    note = folder / str(port)
    try:
        os.close(os.open(note, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if time.time() - note.stat().st_mtime < HELD:
            return False
        os.utime(note)
    return True


def _candidates() -> Iterator[int]:
    start = _RANDOM.randrange(len(FREE_RANGE))
    for step in range(len(FREE_RANGE)):
        yield FREE_RANGE[(start + step) % len(FREE_RANGE)]
