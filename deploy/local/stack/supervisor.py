"""Runs a stack: one keeper per part, the board they write to, and a gentle end in the reverse order
of needs.

One supervisor per state folder, held by a lock on `state/supervisor.lock` that the kernel gives
back however the supervisor ends. One that takes over after a killed one first ends what that one
left running.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

import psutil

from . import board as b
from . import processes
from .keeper import Keeper, Pace
from .part import Context, Part


class AlreadyRunning(Exception):
    """Another supervisor holds this state folder."""


def take_lock(state: Path) -> TextIO:
    """Return the held lock file, with this process's number in it. Raises AlreadyRunning."""
    lock = (state / "supervisor.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise AlreadyRunning(str(state)) from None
    lock.seek(0)
    lock.truncate()
    lock.write(json.dumps({"pid": os.getpid()}))
    lock.flush()
    return lock


def supervisor_pid(state: Path) -> int | None:
    """Return the number of the supervisor that holds this state folder, None where nobody does."""
    path = state / "supervisor.lock"
    if not path.exists():
        return None
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            try:
                return int(json.loads(lock.read())["pid"])
            except (ValueError, KeyError):
                return None  # it has just begun
    return None


def environment(context: Context) -> dict[str, str]:
    """Return what every part gets: nothing of the caller's but where programs are."""
    programs = [
        str(context.binaries),
        str(Path(context.python).parent),
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    ]
    return {
        "PATH": ":".join([*programs, "/usr/sbin", "/sbin"]),
        "HOME": str(context.folder("home")),
        "TMPDIR": str(context.folder("tmp")),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # threads of Python programs keep far less memory
        processes.MARK: str(context.state),
    }


class Supervisor:
    """All keepers of one stack.

    building: says how far the Go programs are, "" once they are all there.
    owner: the process this stack belongs to; when it is gone the stack ends (0: nobody's).
    """

    def __init__(
        self, parts: Iterable[Part], context: Context, *, facts: dict[str, Any],
        building: Callable[[], str] = lambda: "", pace: Pace | None = None, owner: int = 0,
    ) -> None:  # fmt: skip
        self.parts, self.context, self.building, self.owner = (
            in_order(parts),
            context,
            building,
            owner,
        )
        self.board = b.Board(context.state / "status.json", facts | {"pid": os.getpid()})
        env = environment(context)
        self.keepers: dict[str, Keeper] = {}
        for part in self.parts:
            theirs = context.env.get(part.replaced_by, "") if part.replaced_by else ""
            self.board.add(b.Line(part.name, address=theirs or part.address))
            if theirs:
                self.board.set(
                    part.name,
                    b.REPLACED,
                    detail=f"{part.replaced_by} is set",
                    address=hide_password(theirs),
                )
            else:
                self.keepers[part.name] = Keeper(
                    part, context, self.board, env, building=building, pace=pace
                )

    def run(self) -> None:
        """Start everything, keep it until SIGTERM or SIGINT, end everything."""
        told = _signals()
        gentle = {part.name: part.stop_signal for part in self.parts}
        left = processes.end_leftovers(self.context.state, gentle)
        if left:
            self.board.note(leftovers=left)
        for keeper in self.keepers.values():
            keeper.start()
        owner = psutil.Process(self.owner) if self.owner else None
        while not select.select([told], [], [], 2 if self.board.settled() else 0.3)[0]:
            self.board.note(building=self.building())
            self.board.save()
            self.tell()
            if owner is not None and not owner.is_running():
                break
        self.end()

    def tell(self) -> None:
        """Write what is still coming to `state/notice.txt`, which the portal shows on every page;
        "" at the end.
        """
        words = notice_of(
            self.board.facts.get("building", ""), self.board.missing(tuple(self.keepers))
        )
        file = self.context.state / "notice.txt"
        if not file.exists() or file.read_text() != words:
            draft = file.with_suffix(".part")
            draft.write_text(words)
            draft.replace(file)

    def end(self) -> None:
        """End the parts, those first that nobody needs any more."""
        for group in reversed(layers(self.parts)):
            keepers = [self.keepers[part.name] for part in group if part.name in self.keepers]
            for keeper in keepers:
                keeper.stop()
            for keeper in keepers:
                if keeper.ident is not None:
                    keeper.join(processes.GRACE + 10)
            self.board.save()
        processes.finish(processes.marked(self.context.state))
        self.board.note(ended=time.time())
        self.board.save()


def notice_of(building: str, missing: list[str]) -> str:
    """Return what people of the portal should know while parts are missing; "" once everything is
    there.
    """
    if building:
        return (
            f"The local platform is being built, and the cluster joins when it is ready: {building}"
        )
    return f"Starting: {', '.join(missing)}" if missing else ""


def _signals() -> socket.socket:
    """Return a socket that becomes readable when this process is told to end.

    A handler that sets an Event can deadlock against the loop that waits for it; this cannot.
    """
    told, telling = socket.socketpair()
    telling.setblocking(False)
    signal.set_wakeup_fd(telling.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return told


def in_order(parts: Iterable[Part]) -> list[Part]:
    """Return the parts so that each comes after those it needs. Raises ValueError on a circle or an
    unknown need.
    """
    return [part for group in layers(parts) for part in group]


def layers(parts: Iterable[Part]) -> list[list[Part]]:
    """Return the parts in groups: each group needs only parts of earlier groups."""
    left = {part.name: part for part in parts}
    unknown = {need for part in left.values() for need in part.needs} - left.keys()
    if unknown:
        raise ValueError(f"needed but not part of the stack: {', '.join(sorted(unknown))}")
    groups: list[list[Part]] = []
    while left:
        group = [part for part in left.values() if not left.keys() & set(part.needs)]
        if not group:
            raise ValueError(f"these parts need each other: {', '.join(sorted(left))}")
        groups.append(group)
        left = {name: part for name, part in left.items() if part not in group}
    return groups


def hide_password(address: str) -> str:
    """Return an address without the password that it may carry."""
    scheme, separator, rest = address.partition("://")
    if not separator or "@" not in rest:
        return address
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}@{host}"
