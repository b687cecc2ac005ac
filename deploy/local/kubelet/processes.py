"""The processes of containers: started under a shim, found again after a restart, waited for, ended
as a group.

FOLDER (one per container) holds run.json (which process, since when, where it listens), exit.json
(how it ended) and log. A process is told from a later one with the same number by the time the
kernel says it was started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SHIM = Path(__file__).parent / "shim.py"
LOST = -1  # the exit code of a process whose end nobody saw


@dataclass(frozen=True)
class Process:
    """One running container."""

    folder: Path
    pid: int  # the shim: leader of a session that holds everything the container started
    born: float
    facts: Mapping[str, Any]  # what the kubelet noted when it started it

    @property
    def container_id(self) -> str:
        """Return the id that goes into the status: unique for each start."""
        return f"process://{self.pid}-{int(self.born * 100)}"


def start(
    folder: Path, command: Sequence[str], environment: Mapping[str, str], facts: Mapping[str, Any]
) -> Process:
    """Start a container's process in its folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("exit.json", "message"):
        (folder / name).unlink(missing_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(SHIM), str(folder), "--", *command],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_hold_sigterm,
    )
    _children[child.pid] = child
    process = Process(folder, child.pid, _born(child.pid), facts)
    note = {"pid": process.pid, "born": process.born, "facts": dict(facts)}
    draft = folder / "run.json.new"
    draft.write_text(json.dumps(note))
    draft.replace(folder / "run.json")
    return process


def find(folder: Path) -> Process | None:
    """Return the process that was started in a folder, if it still runs."""
    try:
        note = json.loads((folder / "run.json").read_text())
        process = Process(folder, int(note["pid"]), float(note["born"]), note["facts"])
    except (OSError, ValueError, KeyError):
        return None
    return process if _alive(process) else None


def exit_code(folder: Path) -> int:
    """Return how the folder's process ended, LOST where it left no word."""
    try:
        return int(json.loads((folder / "exit.json").read_text())["code"])
    except (OSError, ValueError, KeyError):
        return LOST


async def ended(process: Process) -> int:
    """Wait, without polling, until a process has ended; return its exit code."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return _reaped(process)
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _set, gone)
        if _alive(process):
            await gone
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return _reaped(process)


async def stop(process: Process, grace: float) -> int:
    """End a process: SIGTERM, then after the grace SIGKILL for all that is left; return its exit
    code.
    """
    if _alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended(process), max(grace, 0.1))
    forced = _alive(process)
    kill(process)
    await ended(process)
    return 137 if forced else exit_code(process.folder)


def kill(process: Process) -> None:
    """Kill everything in the process's session at once."""
    if _alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for other in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(other.pid) == process.pid and other.create_time() >= process.born - 1:
                other.kill()


def kill_contents(process: Process) -> None:
    """Kill the container's program and leave the shim, which notes the exit: as the kernel does out
    of memory.
    """
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()


def tail(folder: Path, lines: int = 10, limit: int = 2048) -> str:
    """Return the end of a container's log without its prefixes, as a kubelet takes it for a
    termination message.
    """
    try:
        with (folder / "log").open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16384))
            found = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "\n".join(line.split(" ", 3)[-1] for line in found)[-limit:]


# ours to reap; adopted processes are reaped by init
_children: dict[int, subprocess.Popen[bytes]] = {}


def _hold_sigterm() -> None:
    """Let a stop that comes before the shim is ready wait until it is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _reaped(process: Process) -> int:
    child = _children.pop(process.pid, None)
    if child is not None:
        child.wait()
    return exit_code(process.folder)


def _born(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def _alive(process: Process) -> bool:
    try:
        found = psutil.Process(process.pid)
        return bool(
            abs(found.create_time() - process.born) < 1 and found.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False
