"""The builder as the stack sees it: started beside everything else, asked how far it is, ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deploy.local.platform import programs as table
from deploy.local.platform.cache import cache_folder
from deploy.local.platform.programs import HERE, PROGRAMS, Program
from deploy.local.platform.progress_file import Progress, progress_file, read_progress

ROOT = HERE.parents[2]
# kept, or Python would complain about a process nobody waits for
_started: list[subprocess.Popen[bytes]] = []


def start_build(env: Mapping[str, str]) -> int | None:
    """Start the builder in the background and return its process id; None where nothing is missing.

    It writes to `<cache>/build.log`, survives its caller, and waits where another builder works.
    `env` is the environment that `make up` was called with. Raises BadReadyFolder.
    """
    table.binaries(env)
    if not table.missing(env):
        return None
    with open(cache_folder(env) / "build.log", "a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.platform", "build"],
            cwd=ROOT,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(process)
    return process.pid


def stop_build(env: Mapping[str, str]) -> None:
    """End the builder that works in this cache, whoever started it. What it compiled so far is
    kept.
    """
    pid = builder_pid(env)
    if pid:
        # its last compiler may outlive it for a moment
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def builder_pid(env: Mapping[str, str]) -> int | None:
    """Return the process id of the builder that works now; None where there is none."""
    path = cache_folder(env) / "build.lock"
    if not path.exists():
        return None
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read() or 0) or None
    return None


def progress(
    env: Mapping[str, str], programs: tuple[Program, ...] = PROGRAMS, here: Path = HERE
) -> list[Progress]:
    """Return one row per program, in the stack's order, and link what has become ready.

    What an ended builder left unfinished is "waiting"; what failed stays failed until it is built
    or changed. Cheap enough to be asked every second. Raises BadReadyFolder.
    """
    table.binaries(env, programs, here)
    written = {row.program: row for row in read_progress(progress_file(env))}
    works = builder_pid(env) is not None
    return [_row(program, written.get(program.name), works, env, here) for program in programs]


def _row(
    program: Program, written: Progress | None, works: bool, env: Mapping[str, str], here: Path
) -> Progress:
    key = table.key(program, here)
    if table.sources(program, env, here) is not None:
        return Progress(program.name, "ready", key=key)
    if written is None or written.key != key or written.state == "ready":
        return Progress(program.name, "waiting", seconds_left=program.first_guess(), key=key)
    if written.state in ("downloading", "building") and not works:
        return replace(written, state="waiting")
    return written
