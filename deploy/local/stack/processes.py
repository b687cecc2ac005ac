"""Starting and ending processes so that nothing of ours outlives us and nothing of others is
touched.

Each part leads a session of its own. `state/run/<part>.json` says which process it is, with the
time the kernel says it was started, so a number that was given to another program since is never
signaled. Processes that left their part's session (an engine that a kubelet started) carry the
stack's mark in their environment and are found by it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "QUARTERMASTER_STACK"  # in the environment of everything we start: the stack's state folder
GRACE = 10.0  # seconds between the gentle signal and SIGKILL


@dataclass(frozen=True)
class Running:
    """One process that we started, told apart from a later one with the same number by its start
    time.
    """

    name: str
    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """Return the live process, or None where it ended (a zombie has ended)."""
        try:
            process = psutil.Process(self.pid)
            if (
                abs(process.create_time() - self.started) > 1
                or process.status() == psutil.STATUS_ZOMBIE
            ):
                return None
            return process
        except psutil.Error:
            return None


def start(
    name: str, command: list[str], *, env: Mapping[str, str], cwd: Path, log: Path, run: Path
) -> tuple[subprocess.Popen[bytes], Running]:
    """Start a part in its own session, its output appended to `log`, and note it under `run`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        started = psutil.Process(child.pid).create_time()
    except psutil.Error:  # it ended at once; its exit code tells the rest
        started = time.time()
    running = Running(name, child.pid, started)
    note = {"pid": child.pid, "started": started}
    _write(run / f"{name}.json", json.dumps(note))
    return child, running


def noted(run: Path) -> list[Running]:
    """Return the processes that were noted under `run`, dead ones included."""
    found = []
    for path in sorted(run.glob("*.json")):
        with contextlib.suppress(ValueError, KeyError):
            note = json.loads(path.read_text())
            found.append(Running(path.stem, int(note["pid"]), float(note["started"])))
    return found


def session(running: Running) -> list[psutil.Process]:
    """Return the live processes of a part's session, the leader included.

    While one of them lives, the kernel gives the leader's number to nobody else; so a leader that
    was started at another time means that all of ours are gone, and the session is a stranger's.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) != running.pid:
                continue
            if process.pid == running.pid and abs(process.create_time() - running.started) > 1:
                return []
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def marked(state: Path) -> list[psutil.Process]:
    """Return the live processes that carry this stack's mark, with all that they started, this
    process excepted.

    vLLM's own processes write their title over their environment: they are found by their parent.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(state):
                found |= {
                    other.pid: other for other in (process, *process.children(recursive=True))
                }
    return list(found.values())


def end(
    running: Running, *, stop_signal: signal.Signals = signal.SIGTERM, grace: float = GRACE
) -> None:
    """End a part: its leader gently, then whatever is left of its session at once."""
    leader = running.process()
    if leader is not None:
        with contextlib.suppress(psutil.Error):
            leader.send_signal(stop_signal)
        _wait_gone(leader, grace)
    finish(session(running))


def finish(processes: list[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _wait_gone(process: psutil.Process, grace: float) -> None:
    until = time.monotonic() + grace
    while time.monotonic() < until:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.Error:
            return
        time.sleep(0.05)


def end_leftovers(state: Path, gentle: Mapping[str, signal.Signals]) -> list[str]:
    """End everything that an earlier supervisor of this state left running; return the names of the
    parts.

    gentle: the stop signal of parts that want another than SIGTERM.
    """
    run = state / "run"
    left = [running for running in noted(run) if session(running)]
    for running in left:
        leader = running.process()
        if leader is not None:
            with contextlib.suppress(psutil.Error):
                leader.send_signal(gentle.get(running.name, signal.SIGTERM))
    for running in left:
        end(running, stop_signal=gentle.get(running.name, signal.SIGTERM))
    finish(marked(state))
    for path in run.glob("*.json"):
        path.unlink(missing_ok=True)
    return [running.name for running in left]


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(text)
    draft.replace(path)
