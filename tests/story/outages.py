"""Ways to take a part of the stack away in the middle of something, and to bring it back.

Also the failures that the kubelet can be ordered to have, and an engineer's kubectl.

Parts are hit through the number that the supervisor keeps for them. A frozen part does not answer
and holds its connections, as a machine that hangs; then it is killed, and the supervisor starts it
again, as `make up` would.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from deploy.local.stack.testing import Stack


def _processes(stack: Stack, part: str) -> list[psutil.Process]:
    """Return a part's processes, its own first."""
    leader = psutil.Process(stack.part(part)["pid"])
    return [leader, *leader.children(recursive=True)]


def kill(stack: Stack, part: str) -> None:
    """End a part's main process at once: kill -9. The supervisor starts it again."""
    os.kill(stack.part(part)["pid"], signal.SIGKILL)


@contextmanager
def frozen(stack: Stack, part: str, seconds_to_return: float) -> Iterator[None]:
    """Freeze a part with all its processes; afterwards kill them and wait until the part is up
    again.
    """
    found = _processes(stack, part)
    for process in found:
        process.suspend()
    try:
        yield
    finally:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _gone(found[0])
        stack.wait_for(part, seconds=seconds_to_return)


def _gone(process: psutil.Process) -> None:
    """Wait until the supervisor has seen the end of a process."""
    with suppress(psutil.TimeoutExpired):
        process.wait(timeout=20)


@contextmanager
def without_repository(stack: Stack) -> Iterator[None]:
    """Take the GitOps repository away, as a Git server that knows no such repository."""
    repository, elsewhere = stack.state / "gitops.git", stack.state / "gitops-elsewhere.git"
    repository.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(repository)


@contextmanager
def ordered(stack: Stack, fault: str) -> Iterator[None]:
    """Have the kubelet fail in one way whatever it starts."""
    file = stack.state / "kubelet" / "faults.json"
    file.write_text(json.dumps({"*": fault}))
    try:
        yield
    finally:
        file.unlink()
