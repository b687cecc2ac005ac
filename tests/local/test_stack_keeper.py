"""One part's life: waiting, starting, dying, coming back, being ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.stack import board as b
from deploy.local.stack.keeper import Keeper, Pace
from deploy.local.stack.part import Context, NotReady, Part
from deploy.local.stack.ports import PortBook
from tests.local.tiny_stack import listening

FAST = Pace(
    health_every=0.1,
    unhealthy_for=0.4,
    start_within=5,
    first_delay=0.05,
    longest_delay=0.2,
    settle=0.1,
)
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


@pytest.fixture
def context(tmp_path) -> Context:
    ports = PortBook(tmp_path / "ports.json", own_range=True)
    return Context(Path.cwd(), tmp_path, tmp_path / "bin", sys.executable, ports, {})


@pytest.fixture
def board(tmp_path) -> b.Board:
    return b.Board(tmp_path / "status.json", {})


@pytest.fixture
def keep(context, board) -> Iterator[Callable[[Part], Keeper]]:
    """Keeps parts until the test's end."""
    keepers: list[Keeper] = []

    def start(part: Part, building: str = "") -> Keeper:
        board.add(b.Line(part.name))
        keeper = Keeper(
            part, context, board, {"PATH": "/usr/bin:/bin"}, building=lambda: building, pace=FAST
        )
        keepers.append(keeper)
        keeper.start()
        return keeper

    yield start
    for keeper in keepers:
        keeper.stop()
    for keeper in keepers:
        keeper.join(10)


def wait_for(
    board: b.Board, name: str, wanted: Callable[[b.Line], bool], seconds: float = 15
) -> b.Line:
    """Return the part's line once it is as wanted."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if wanted(board.line(name)):
            return board.line(name)
        time.sleep(0.01)
    raise AssertionError(board.line(name))


def is_ready(line: b.Line) -> bool:
    return line.state == b.READY


class TestKeeper:
    def test_brings_a_part_up_and_ends_it(self, context, board, keep):
        keeper = keep(listening(context, "web", 8000))
        line = wait_for(board, "web", is_ready)
        keeper.stop()
        keeper.join(10)
        assert board.line("web").state == b.STOPPED
        with pytest.raises(ProcessLookupError):
            os.kill(line.pid, 0)

    def test_starts_a_killed_part_again_and_says_how_it_died(self, context, board, keep):
        keep(listening(context, "web", 8000))
        first = wait_for(board, "web", is_ready)
        os.kill(first.pid, signal.SIGKILL)
        again = wait_for(board, "web", lambda line: line.restarts == 1 and is_ready(line))
        assert again.pid != first.pid and again.exit_code == -9

    def test_shows_exit_code_and_last_words_of_a_part_that_cannot_start(self, board, keep):
        script = "import sys; print('no such option'); sys.exit(3)"
        keep(Part("odd", [sys.executable, "-S", "-c", script], "", lambda: None))
        line = wait_for(board, "odd", lambda line: line.state == b.FAILED)
        assert (
            line.detail == "exited with code 3"
            and line.exit_code == 3
            and "no such option" in line.last_log
        )

    def test_waits_longer_after_each_failure(self, board, keep):
        keep(Part("odd", [sys.executable, "-S", "-c", "raise SystemExit(1)"], "", lambda: None))
        wait_for(board, "odd", lambda line: line.restarts >= 3)
        began = time.monotonic()
        wait_for(board, "odd", lambda line: line.restarts >= 5)
        assert time.monotonic() - began > 2 * FAST.longest_delay

    def test_waits_for_what_a_part_needs(self, board, keep):
        board.add(b.Line("database"))
        keep(Part("web", SLEEP, "", lambda: None, needs=("database",)))
        assert wait_for(board, "web", lambda line: line.detail == "for database").pid == 0
        board.set("database", b.READY)
        wait_for(board, "web", is_ready)

    def test_waits_for_programs_that_are_still_built(self, context, board, keep):
        program = context.binaries / "server"
        keep(
            Part("web", [str(program), "600"], "", lambda: None, programs=("server",)),
            building="3 of 9 programs",
        )
        assert (
            wait_for(board, "web", lambda line: line.state == b.BUILDING).detail
            == "server is being built"
        )
        context.binaries.mkdir()
        program.symlink_to("/bin/sleep")
        wait_for(board, "web", is_ready)

    def test_starts_again_what_does_not_answer_for_long(self, board, keep):
        answers = [True]

        def ready() -> None:
            if not answers[0]:
                raise NotReady("no answer")

        keep(Part("web", SLEEP, "somewhere", ready))
        first = wait_for(board, "web", is_ready)
        answers[0] = False
        wait_for(board, "web", lambda line: line.state == b.UNHEALTHY)
        wait_for(board, "web", lambda line: "did not answer" in line.detail)
        answers[0] = True
        assert wait_for(board, "web", is_ready).pid != first.pid

    def test_forgives_a_short_silence(self, board, keep):
        answers = [True]

        def ready() -> None:
            if not answers[0]:
                raise TimeoutError

        keep(Part("web", SLEEP, "somewhere", ready))
        first = wait_for(board, "web", is_ready)
        answers[0] = False
        assert (
            "TimeoutError" in wait_for(board, "web", lambda line: line.state == b.UNHEALTHY).detail
        )
        answers[0] = True
        assert wait_for(board, "web", is_ready).pid == first.pid

    def test_prepares_before_each_start_and_is_not_ready_before_after(self, context, board, keep):
        calls: list[str] = []
        fields = {
            "prepare": lambda: calls.append("prepare"),
            "after": lambda: calls.append("after"),
        }
        keep(listening(context, "web", 8000, **fields))
        first = wait_for(board, "web", is_ready)
        os.kill(first.pid, signal.SIGKILL)
        wait_for(board, "web", lambda line: line.restarts == 1 and is_ready(line))
        assert calls == ["prepare", "after", "prepare", "after"]

    def test_tries_again_when_preparing_fails(self, board, keep):
        tries: list[int] = []

        def prepare() -> None:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("disk is full")

        keep(Part("web", SLEEP, "", lambda: None, prepare=prepare))
        assert wait_for(board, "web", is_ready).restarts == 2

    def test_a_job_is_done_when_it_exits_well(self, tmp_path, board, keep):
        count = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')"
        keep(Part("job", [sys.executable, "-S", "-c", count], "", lambda: None, once=True)).join(10)
        assert board.line("job").state == b.DONE and (tmp_path / "runs").read_text() == "x"

    def test_a_job_is_tried_again_until_it_exits_well(self, tmp_path, board, keep):
        tried = str(tmp_path / "tried")
        script = (
            f"import os, sys; n = os.path.exists({tried!r}); open({tried!r}, 'w'); sys.exit(not n)"
        )
        keep(Part("job", [sys.executable, "-S", "-c", script], "", lambda: None, once=True)).join(
            10
        )
        assert board.line("job").state == b.DONE and board.line("job").restarts == 1

    def test_gives_a_part_nothing_of_the_callers_environment(
        self, tmp_path, board, keep, monkeypatch
    ):
        monkeypatch.setenv("A_SECRET_OF_THE_CALLER", "x")
        script = f"import os; open({str(tmp_path / 'env')!r}, 'w').write(' '.join(os.environ))"
        part = Part(
            "job",
            [sys.executable, "-S", "-c", script],
            "",
            lambda: None,
            env={"ITS_OWN": "1"},
            once=True,
        )
        keep(part).join(10)
        names = (tmp_path / "env").read_text().split()
        assert "ITS_OWN" in names and "A_SECRET_OF_THE_CALLER" not in names
