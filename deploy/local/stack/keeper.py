"""Keeps one part alive: waits for what it needs, starts it, watches it, starts it again when it
dies.

One thread per part, one plain loop, no shared state but the board. A part that dies comes back
after 0.5 s, then 1 s, 2 s … at most 30 s; one that does not answer for a minute is ended and
started again.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import board as b
from . import processes
from .part import Context, NotReady, Part

HEALTH_EVERY = 10.0
UNHEALTHY_FOR = 60.0  # then it is started again
START_WITHIN = 240.0  # a busy machine needs 80 s for the API server alone
STABLE_AFTER = 60.0  # a run this long forgets earlier failures
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
LOG_LIMIT = 20 * 1024 * 1024


@dataclass(frozen=True)
class Pace:
    """How patient a keeper is; tests are in a hurry."""

    health_every: float = HEALTH_EVERY
    unhealthy_for: float = UNHEALTHY_FOR
    start_within: float = START_WITHIN
    first_delay: float = FIRST_DELAY
    longest_delay: float = LONGEST_DELAY
    settle: float = 1.5  # a part that listens to nobody counts as ready after running this long


class Ended(Exception):
    """The process is gone or was given up; the message says why, for people."""

    def __init__(self, message: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Keeper(threading.Thread):
    """The thread that keeps one part."""

    def __init__(
        self, part: Part, context: Context, board: b.Board, env: dict[str, str], *,
        building: Callable[[], str], pace: Pace | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=f"keep {part.name}", daemon=True)
        self.part, self.context, self.board, self.env = part, context, board, env
        self.building = building  # says how far the Go programs are
        self.pace = pace or Pace()
        self.log = context.folder("logs") / f"{part.name}.log"
        self.stopping = threading.Event()
        self.gone = threading.Event()  # set when the present process ended
        self.child: subprocess.Popen[bytes] | None = None
        self.running: processes.Running | None = None

    def run(self) -> None:
        """Keep the part until told to stop."""
        failures = 0
        while not self.stopping.is_set():
            began = time.monotonic()
            try:
                self._wait_until_possible()
                if self.stopping.is_set():
                    break
                self._start()
                self._become_ready()
                if self.part.once:
                    return
                self._watch()
            # whatever a part's own functions raise must not end its keeper
            except Exception as error:  # noqa: BLE001
                self._end_process()
                if self.stopping.is_set():
                    break
                failures = 1 if time.monotonic() - began > STABLE_AFTER else failures + 1
                self._say_failed(error)
                delay = min(self.pace.longest_delay, self.pace.first_delay * 2 ** (failures - 1))
                self.stopping.wait(delay)
        self._end_process()
        self.board.set(self.part.name, b.STOPPED, pid=0)

    def stop(self) -> None:
        """Tell the keeper to end its part; join the thread to wait for it."""
        self.stopping.set()
        self.gone.set()
        self.board.wake()

    def _wait_until_possible(self) -> None:
        while not self.stopping.is_set():
            missing = [
                name for name in self.part.programs if not (self.context.binaries / name).exists()
            ]
            needs = self.board.missing(self.part.needs)
            if missing:
                why = (
                    f"{', '.join(missing)} is being built"
                    if self.building()
                    else f"there is no {', '.join(missing)}"
                )
                self.board.set(self.part.name, b.BUILDING, detail=why)
                self.stopping.wait(1)
            elif needs:
                self.board.set(self.part.name, b.WAITING, detail=f"for {', '.join(needs)}")
                self.board.wait_for_change(5)
            else:
                return

    def _start(self) -> None:
        self.board.set(self.part.name, b.PREPARING)
        self.part.prepare()
        if self.stopping.is_set():
            raise Ended("stopping", None)
        self.gone.clear()
        self.child, self.running = processes.start(
            self.part.name, self.part.command, env=self.env | dict(self.part.env),
            cwd=self.part.cwd or self.context.root, log=self.log, run=self.context.folder("run"),
        )  # fmt: skip
        threading.Thread(target=self._reap, args=(self.child,), daemon=True).start()
        self.board.set(
            self.part.name, b.STARTING, pid=self.running.pid, started=self.running.started
        )

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        if child is self.child:
            self.gone.set()
            self.board.wake()

    def _become_ready(self) -> None:
        if self.part.once:
            self._finish_job()
            return
        until = time.monotonic() + self.pace.start_within
        pause = 0.1
        while True:
            self._raise_if_gone()
            try:
                self.part.ready()
                break
            # a check may fail in any way while its part comes up
            except Exception as reason:  # noqa: BLE001
                if time.monotonic() > until:
                    raise Ended(
                        f"not ready after {self.pace.start_within:.0f} s: {words(reason)}", None
                    ) from None
                self.board.set(self.part.name, b.STARTING, detail=words(reason))
                self.gone.wait(pause)
                pause = min(1.0, pause * 1.3)
        # nobody can ask it: it works while it runs
        if not self.part.address and self.gone.wait(self.pace.settle):
            self._raise_if_gone()
        self.part.after()
        self.board.set(self.part.name, b.READY)

    def _finish_job(self) -> None:
        self.gone.wait()
        if self._exit_code() != 0:
            self._raise_if_gone()
        self.part.after()
        self.board.set(self.part.name, b.DONE, pid=0)

    def _watch(self) -> None:
        healthy_at = time.monotonic()
        while not self.gone.wait(self.pace.health_every):
            self._limit_log()
            try:
                self.part.ready()
            except Exception as reason:  # noqa: BLE001 (as above)
                quiet = time.monotonic() - healthy_at
                if quiet > self.pace.unhealthy_for:
                    raise Ended(
                        f"did not answer for {quiet:.0f} s: {words(reason)}", None
                    ) from None
                self.board.set(self.part.name, b.UNHEALTHY, detail=words(reason))
            else:
                healthy_at = time.monotonic()
                self.board.set(self.part.name, b.READY)
        self._raise_if_gone()

    def _exit_code(self) -> int | None:
        return self.child.poll() if self.child else None

    def _raise_if_gone(self) -> None:
        if self.stopping.is_set():
            raise Ended("stopping", None)
        code = self._exit_code()
        if code is not None:
            how = f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
            raise Ended(how, code)

    def _say_failed(self, error: Exception) -> None:
        code = error.exit_code if isinstance(error, Ended) else None
        line = self.board.line(self.part.name)
        self.board.set(
            self.part.name, b.FAILED, detail=words(error), pid=0, restarts=line.restarts + 1,
            exit_code=code,
            last_log=tail(self.log, 8),
        )  # fmt: skip

    def _end_process(self) -> None:
        if self.running is not None:
            processes.end(self.running, stop_signal=self.part.stop_signal)
            (self.context.folder("run") / f"{self.part.name}.json").unlink(missing_ok=True)
        self.running = self.child = None

    def _limit_log(self) -> None:
        """Keep the last full log beside the present one; the part goes on appending to the emptied
        file.
        """
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
            self.log.open("w").close()


def words(error: Exception) -> str:
    """Return what went wrong for people: expected errors speak for themselves, others say what they
    are.
    """
    return (
        str(error) if isinstance(error, (Ended, NotReady)) else f"{type(error).__name__}: {error}"
    )


def tail(log: Path, lines: int) -> tuple[str, ...]:
    """Return the last lines of a log file, each cut to a screen's width."""
    if not log.exists():
        return ()
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        text = file.read().decode(errors="replace")
    return tuple(line[:300] for line in text.splitlines()[-lines:])
