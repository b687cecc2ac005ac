"""What one part of the local stack is: the words that the supervisor and the parts' own folders
share.

A part is one real process. Each folder of `deploy/local` describes its parts with `parts(context)`;
the supervisor (`deploy/local/stack`) starts them in the order of their needs, watches and restarts
them, and knows nothing else.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class NotReady(Exception):
    """The part does not answer yet; the message says what was tried, in words for `make status`."""


class Ports(Protocol):
    """Hands out one loopback TCP port per name; the same name gives the same port until `make
    reset`.
    """

    def __call__(self, name: str, preferred: int) -> int:
        """Return the port kept for `name`: `preferred` where free at first asking, else a free
        one.
        """


@dataclass(frozen=True)
class Context:
    """Where one stack lives. Two stacks on one machine share `binaries` and nothing else."""

    root: Path  # the project's checkout
    state: Path  # everything that this stack writes: data, logs, keys, kubeconfigs
    binaries: Path  # the Go programs: built into the user's cache, or a folder that was given
    python: str  # the interpreter of the project's environment
    ports: Ports
    # the environment `make up` was called with: replaced parts are read here
    env: Mapping[str, str]

    def folder(self, name: str) -> Path:
        """Return `state/<name>`, made where missing, readable by its owner only."""
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Part:
    """One process and how to know that it works.

    prepare and after must be safe to run again: they run before each start and after each time it
    became ready. ready raises NotReady until the part works; it is also the health check, every few
    seconds, and must answer in 2 s.
    """

    name: str  # "kube-apiserver": also its log file's name, `state/logs/<name>.log`
    command: list[str]
    address: str  # what a person may open or point a client at; "" where it listens to nobody
    ready: Callable[[], None]
    # added to a minimal environment, not to the caller's
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # parts that must be ready first
    programs: tuple[str, ...] = ()  # files that must exist in `binaries` before it can start
    # the variable that points at a real one: when set, the part is not started
    replaced_by: str = ""
    prepare: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing
    cwd: Path | None = None
    # a job: done when it exits 0, tried again when it does not; `ready` is not asked
    once: bool = False
    stop_signal: signal.Signals = signal.SIGTERM  # what ends it gently; SIGKILL follows after 10 s
