"""up, down, status, reset and a supervisor that is killed: the real commands on a stack of tiny
parts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.stack import commands, processes, product, report
from deploy.local.stack.assembly import MARKER
from deploy.local.stack.part import Part
from deploy.local.stack.supervisor import hide_password, in_order, notice_of, supervisor_pid

OPTIONS = argparse.Namespace(owner=0, json=False, window=0.1)


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state folder whose stack has tiny parts and is gone after the test."""
    monkeypatch.setattr(
        commands, "SERVE", [sys.executable, "-m", "tests.local.tiny_stack", "serve"]
    )
    for name in product.PASSED:  # the tests' own: here they would replace parts
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QUARTERMASTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUARTERMASTER_PORTS", "own")
    state = tmp_path / "state"
    yield state
    commands.down(state, OPTIONS)


@pytest.fixture
def children(monkeypatch):
    """The supervisors that `up` starts: their parent must wait for them, or they stay as
    zombies.
    """
    started: list[subprocess.Popen] = []
    detach = commands._detach

    def note(*args):
        started.append(detach(*args))
        return started[-1]

    monkeypatch.setattr(commands, "_detach", note)
    yield started
    for child in started:
        child.wait(20)


def part_of(state: Path, name: str) -> dict:
    return next(part for part in report.read_status(state)["parts"] if part["name"] == name)


def processes_of(state: Path) -> list[psutil.Process]:
    return processes.marked(state)


@pytest.mark.usefixtures("children")
class TestUp:
    def test_prints_each_part_then_the_portal_then_the_personas(self, state, capsys):
        assert commands.up(state, OPTIONS) == 0
        text = capsys.readouterr().out
        words = ("base", "portal  ", "Portal: http://127.0.0.1:", "Maya Okafor", "make status")
        order = [text.index(word) for word in words]
        assert order == sorted(order)

    def test_starts_parts_in_the_order_of_their_needs(self, state):
        commands.up(state, OPTIONS)
        assert part_of(state, "portal")["started"] >= part_of(state, "base")["started"]
        assert part_of(state, "portal")["ready_after"] >= part_of(state, "forker")["ready_after"]

    def test_a_second_one_changes_nothing_and_prints_the_same(self, state, capsys):
        commands.up(state, OPTIONS)
        first, pids = capsys.readouterr().out, {process.pid for process in processes_of(state)}
        commands.up(state, OPTIONS)
        second = capsys.readouterr().out
        assert {process.pid for process in processes_of(state)} == pids
        assert first.partition("\n\n")[2] == second.partition("\n\n")[2]

    def test_says_which_port_it_had_to_leave(self, state, capsys):
        commands.up(state, OPTIONS)
        commands.down(state, OPTIONS)
        port = json.loads((state / "ports.json").read_text())["base"]
        with socket.create_server(("127.0.0.1", port)):
            commands.up(state, OPTIONS)
        assert (
            f"port {port} is taken by another program: base listens on" in capsys.readouterr().out
        )

    def test_takes_over_after_a_killed_supervisor(self, state, children):
        commands.up(state, OPTIONS)
        left = processes_of(state)
        os.kill(supervisor_pid(state), signal.SIGKILL)
        children[0].wait(10)
        assert supervisor_pid(state) is None and all(process.is_running() for process in left)
        assert commands.up(state, OPTIONS) == 0
        assert not any(process.is_running() for process in left)
        assert len(processes_of(state)) == 4

    def test_keeps_its_files_from_other_users(self, state):
        commands.up(state, OPTIONS)
        assert state.stat().st_mode & 0o077 == 0
        secret = state / "secrets" / "usage-ingest-token"
        assert secret.stat().st_mode & 0o077 == 0

    def test_fails_with_the_supervisors_last_words(self, state, monkeypatch, capsys):
        monkeypatch.setattr(
            commands, "SERVE", [sys.executable, "-c", "raise SystemExit('the disk is full')"]
        )
        assert commands.up(state, OPTIONS) == 1
        assert "the disk is full" in capsys.readouterr().err


@pytest.mark.usefixtures("children")
class TestDown:
    def test_leaves_nothing_behind(self, state):
        commands.up(state, OPTIONS)
        mine = processes_of(state)
        # three parts, and a process that one of them put into a session of its own
        assert len(mine) == 4
        commands.down(state, OPTIONS)
        assert not any(process.is_running() for process in mine) and supervisor_pid(state) is None
        assert list((state / "run").iterdir()) == []

    def test_ends_what_a_killed_supervisor_left(self, state, children, capsys):
        commands.up(state, OPTIONS)
        mine = processes_of(state)
        os.kill(supervisor_pid(state), signal.SIGKILL)
        children[0].wait(10)
        commands.down(state, OPTIONS)
        assert not any(process.is_running() for process in mine)
        assert "an earlier supervisor had left: base, forker, portal" in capsys.readouterr().out

    def test_never_touches_a_process_that_took_over_an_old_number(self, state):
        stranger = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
        try:
            run = state / "run"
            run.mkdir(parents=True)
            note = {
                "pid": stranger.pid,
                "started": psutil.Process(stranger.pid).create_time() - 1000,
            }
            (run / "portal.json").write_text(json.dumps(note))
            commands.down(state, OPTIONS)
            # The session's leader is older than the note says it can be: it is not ours.
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    def test_without_a_stack_says_so(self, state, capsys):
        state.mkdir()
        assert commands.down(state, OPTIONS) == 0
        assert "No stack runs" in capsys.readouterr().out


@pytest.mark.usefixtures("children")
class TestOwner:
    def test_the_stack_ends_with_the_process_it_belongs_to(self, state, children):
        owner = subprocess.Popen(["/bin/sleep", "60"])
        commands.up(state, argparse.Namespace(owner=owner.pid))
        mine = processes_of(state)
        owner.kill()
        owner.wait()
        children[0].wait(20)
        assert not any(process.is_running() for process in mine)


@pytest.mark.usefixtures("children")
class TestStatus:
    def test_shows_state_memory_and_restarts(self, state, capsys):
        commands.up(state, OPTIONS)
        os.kill(part_of(state, "base")["pid"], signal.SIGKILL)
        until = time.monotonic() + 15
        while not (
            part_of(state, "base")["restarts"] and part_of(state, "base")["state"] == "ready"
        ):
            assert time.monotonic() < until
            time.sleep(0.1)
        capsys.readouterr()
        assert commands.status(state, argparse.Namespace(json=True, window=0.1)) == 0
        shown = json.loads(capsys.readouterr().out)
        base = next(part for part in shown["parts"] if part["name"] == "base")
        assert base["pss"] > 0 and base["restarts"] == 1 and base["exit_code"] == -9
        assert shown["total"]["pss"] >= sum(
            part["pss"] for part in shown["parts"] if part["name"] == "portal"
        )
        commands.status(state, OPTIONS)
        assert "of one core" in capsys.readouterr().out

    def test_without_a_stack_fails(self, state):
        state.mkdir()
        assert commands.status(state, OPTIONS) == 1


@pytest.mark.usefixtures("children")
class TestReset:
    def test_says_what_it_removes_and_removes_it(self, state, capsys):
        commands.up(state, OPTIONS)
        assert commands.reset(state, OPTIONS) == 0
        assert not state.exists() and f"This removes {state}" in capsys.readouterr().out

    def test_never_removes_a_folder_that_is_not_a_stacks(self, state, tmp_path):
        (tmp_path / "photos").mkdir()
        assert commands.reset(tmp_path / "photos", OPTIONS) == 1
        assert (tmp_path / "photos").exists() and not (tmp_path / "photos" / MARKER).exists()


class TestInOrder:
    def part(self, name: str, *needs: str) -> Part:
        return Part(name, [], "", lambda: None, needs=needs)

    def test_puts_needs_first(self):
        parts = [self.part("c", "b"), self.part("b", "a"), self.part("a")]
        assert [part.name for part in in_order(parts)] == ["a", "b", "c"]

    def test_refuses_a_circle_and_an_unknown_need(self):
        with pytest.raises(ValueError, match="need each other: a, b"):
            in_order([self.part("a", "b"), self.part("b", "a")])
        with pytest.raises(ValueError, match="not part of the stack: nobody"):
            in_order([self.part("a", "nobody")])


class TestHidePassword:
    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            ("postgresql://me:secret@db:5432/x", "postgresql://me@db:5432/x"),
            ("redis://:secret@cache:6379/0", "redis://@cache:6379/0"),
            ("https://idp.example.com", "https://idp.example.com"),
            ("/home/me/.kube/config", "/home/me/.kube/config"),
        ],
    )
    def test_shows_addresses_without_passwords(self, address, shown):
        assert hide_password(address) == shown


class TestNoticeOf:
    def test_says_what_is_built_then_what_starts_then_nothing(self):
        assert "joins when it is ready: 3 of 9 programs" in notice_of("3 of 9 programs", ["etcd"])
        assert notice_of("", ["kubelet", "worker"]) == "Starting: kubelet, worker"
        assert notice_of("", []) == ""


class TestManage:
    def test_runs_a_command_as_the_portal_and_ends_as_it_ends(self, state, monkeypatch, capfd):
        state.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(commands, "supervisor_pid", lambda _: 7)
            patch.setenv("SECRET_KEY", "of somebody else")
            assert commands.manage(state, argparse.Namespace(words=["check"])) == 0
            assert "System check identified no issues" in capfd.readouterr().out
            assert commands.manage(state, argparse.Namespace(words=["no_such_command"])) == 1

    def test_says_that_no_stack_runs(self, state, capfd):
        assert commands.manage(state, argparse.Namespace(words=["check"])) == 1
        assert "Start it with: make up" in capfd.readouterr().err
