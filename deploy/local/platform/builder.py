"""Builds the missing programs, one after the other, and says honestly how far it is.

One builder works at a time; another waits for it and then finds its work done. A killed builder
loses at most the packages it was compiling: Go's build cache lies in the user's cache, and a
program appears there only when complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.local.platform import programs as table
from deploy.local.platform.cache import cache_folder
from deploy.local.platform.programs import HERE, PARALLEL, PROGRAMS, Program
from deploy.local.platform.progress_file import Progress, progress_file, write_progress
from deploy.local.platform.toolchain import NoToolchain, find_go, go_caches, go_env

Say = Callable[[str], None]
LAST_LINES = 12


class BuildFailed(Exception):
    """Go ended with an error; the message is the end of its output."""


@dataclass
class Build:
    """One run of the builder: what it works with, and the rows that it shows."""

    env: Mapping[str, str]
    say: Say
    here: Path
    # the lock's file descriptor: Go inherits it, so a killed builder's compiler still counts as a
    # builder
    lock: int
    rows: dict[str, Progress] = field(default_factory=dict)

    def show(self, row: Progress) -> None:
        """Take the program's new row and write the file; a few times a second while packages are
        compiled.
        """
        self.rows[row.program] = row
        write_progress(progress_file(self.env), self.rows.values())


def build(
    env: Mapping[str, str],
    only: Sequence[str] = (),
    say: Say = print,
    programs: tuple[Program, ...] = PROGRAMS,
    here: Path = HERE,
) -> bool:
    """Build every program that is neither ready nor given; True when all are there. Minutes, once.

    A program that fails is shown with its reason and the others are still built. `only` names
    programs or their links.
    """
    wanted = [program for program in programs if not only or set(only) & set(program.names)]
    with _lock(env, say) as lock:
        todo = table.missing(env, tuple(wanted), here)
        run = Build(env, say, here, lock)
        for program in programs:
            run.rows[program.name] = _first_row(program, program in todo, run)
        write_progress(progress_file(env), run.rows.values())
        shutil.rmtree(_unfinished(env), ignore_errors=True)
        _unfinished(env).mkdir()
        for program in todo:
            _build_and_show(program, run)
            table.binaries(env, programs, here)
    return not table.missing(env, tuple(wanted), here)


def clean(env: Mapping[str, str], say: Say = print) -> None:
    """Remove Go's caches, 12 GB after a whole build. The programs stay; a later change builds from
    nothing.
    """
    with _lock(env, say):
        shutil.rmtree(go_caches(env), ignore_errors=True)


@contextmanager
def _lock(env: Mapping[str, str], say: Say) -> Iterator[int]:
    with open(cache_folder(env) / "build.lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another build is running; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def _first_row(program: Program, todo: bool, run: Build) -> Progress:
    key = table.key(program, run.here)
    if not todo:
        done = table.sources(program, run.env, run.here) is not None
        return Progress(program.name, "ready" if done else "waiting", key=key)
    return Progress(program.name, "waiting", seconds_left=program.first_guess(), key=key)


def _build_and_show(program: Program, run: Build) -> None:
    started = time.monotonic()
    row = run.rows[program.name]
    try:
        _build(program, run)
    except (BuildFailed, NoToolchain, OSError) as failure:
        error = (
            f"{program.name} could not be built.\n{failure}\n"
            f"Try again with: python -m deploy.local.platform build --only {program.name}"
        )
        run.show(replace(row, state="failed", seconds_left=None, error=error))
        run.say(error)
        return
    last = run.rows[program.name]
    run.show(replace(last, state="ready", packages_done=last.packages_total, seconds_left=None))
    run.say(f"{program.name} is ready after {round(time.monotonic() - started)} s")


def _build(program: Program, run: Build) -> None:
    go = find_go(run.env, run.say)
    row = replace(run.rows[program.name], state="downloading")
    run.show(row)
    run.say(f"Building {program.name}")
    packages = _packages(go, program, run)
    row = replace(row, state="building", packages_total=len(packages))
    target = table.built(program, run.env, run.here)
    part = _unfinished(run.env) / target.parent.name
    part.mkdir()
    _compile(
        go,
        program,
        part / program.name,
        run,
        row,
        {path: size for path, size in packages.items() if size},
    )
    target.parent.parent.mkdir(exist_ok=True)
    os.rename(part, target.parent)


def _unfinished(env: Mapping[str, str]) -> Path:
    """Return where half-made things lie, Go's own among them; the next builder clears it."""
    return cache_folder(env) / "unfinished"


def _packages(go: Path, program: Program, run: Build) -> dict[str, int]:
    """Return every package of the program with the bytes still to compile: 0 where Go's cache has
    it already.

    Downloads the modules that are needed; Go's `Stale` is exactly "the build cache does not have
    it".
    """
    form = '{{.ImportPath}}\t{{.Stale}}\t{{.Dir}}\t{{join .GoFiles "/"}}'
    lines, tail = deque[str](), deque[str](maxlen=LAST_LINES)
    arguments = ["list", "-deps", *_flags(program), "-f", form, program.package]
    code = _go(go, arguments, program, run, out=lines.append, err=tail.append)
    if code:
        raise BuildFailed(_reason(tail))
    return dict(_package(line) for line in lines)


def _package(line: str) -> tuple[str, int]:
    path, stale, folder, files = line.split("\t")
    if stale != "true" or not files:
        return path, 0
    names = [Path(folder) / name for name in files.split("/")]
    return path, 1 + sum(name.stat().st_size for name in names if name.exists())


def _compile(
    go: Path, program: Program, part: Path, run: Build, row: Progress, todo: dict[str, int]
) -> None:
    """Compile and link. Go names each package as it begins to compile it, which moves the row
    on.
    """
    started, total = time.monotonic(), sum(todo.values())
    left = dict(todo)
    tail: deque[str] = deque(maxlen=LAST_LINES)

    def shown() -> Progress:
        done = row.packages_total - len(left)
        guess = seconds_left(
            program.first_guess(), time.monotonic() - started, sum(left.values()), total
        )
        return replace(row, packages_done=done, seconds_left=guess)

    def take(line: str) -> None:
        if left.pop(line, None) is None and line not in todo:
            tail.append(line)
        run.show(shown())

    run.show(shown())
    arguments = [
        "build",
        "-v",
        "-p",
        str(PARALLEL),
        *_flags(program),
        "-o",
        str(part),
        program.package,
    ]
    if _go(go, arguments, program, run, out=take, err=take):
        raise BuildFailed(_reason(tail))
    run.rows[program.name] = row


def seconds_left(first_guess: int, elapsed: float, left: int, total: int) -> int:
    """Return about how long it still takes, from the bytes compiled so far; the first guess until 5
    % are done.
    """
    done = total - left
    if not left:
        return 0
    if done < total * 0.05 or elapsed < 5:
        return round(first_guess * left / total)
    return round(elapsed * left / done)


def _flags(program: Program) -> list[str]:
    return ["-trimpath", "-ldflags", program.ldflags]


def _reason(tail: Sequence[str]) -> str:
    lines = "\n".join(tail) or "Go said nothing."
    network = ("dial tcp", "no such host", "connection refused", "i/o timeout", "TLS handshake")
    if any(word in lines for word in network):
        lines += (
            "\nIts modules could not be downloaded: "
            "check the network (and GOPROXY, where one is set)."
        )
    return lines


def _go(
    go: Path,
    arguments: list[str],
    program: Program,
    run: Build,
    out: Callable[[str], None],
    err: Callable[[str], None],
) -> int:
    """Run Go in the program's folder, handing on its lines as they come; return its exit code."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(go), *arguments],
            cwd=run.here / program.folder,
            env=go_env(run.env) | {"GOTMPDIR": str(_unfinished(run.env))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if out is err else errors,
            text=True,
            pass_fds=(run.lock,),
        )
        with process:
            try:
                for line in process.stdout or ():
                    out(line.rstrip("\n"))
            except BaseException:  # also the end that a signal asks for: Go shall not go on alone
                process.kill()
                raise
        errors.seek(0)
        for line in errors:
            err(line.rstrip("\n"))
    return process.returncode
