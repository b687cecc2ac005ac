"""The commands of the local stack: up, down, status, logs, reset, serve. Each returns an exit
code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deploy.local import platform
from deploy.local.doubles.idp import personas

from . import assembly, builds, processes, product, report, supervisor
from .keeper import tail
from .supervisor import AlreadyRunning, Supervisor, supervisor_pid, take_lock

UP_WITHIN = 300.0
SERVE = [sys.executable, "-m", "deploy.local.stack", "serve"]
GENTLE = {"postgres": signal.SIGINT}  # what SIGTERM does not end soon


def serve(state: Path, options: argparse.Namespace) -> int:
    """Run the stack in the foreground until SIGTERM or Ctrl-C."""
    env = assembly.caller_environment()
    assembly.prepare_state(state)
    try:
        lock = take_lock(state)
    except AlreadyRunning:
        print(f"a stack already runs in {state}", file=sys.stderr)
        return 1
    with lock:
        (state / "status.json").unlink(missing_ok=True)
        processes.end_leftovers(state, GENTLE)  # before ports are looked at: these hold theirs
        context, ports = assembly.make_context(state, env, platform.binaries(env))
        assembly.start_secrets(context)
        parts = assembly.all_parts(context)
        facts = assembly.facts(context, ports)
        building = builds.Building(env)
        Supervisor(parts, context, facts=facts, building=building, owner=options.owner).run()
        building.stop()
    return 0


def manage(state: Path, options: argparse.Namespace) -> int:
    """Run a management command as the portal of this stack, and return how it ended."""
    if supervisor_pid(state) is None:
        print(f"No stack runs in {state}. Start it with: make up", file=sys.stderr)
        return 1
    env = assembly.caller_environment()
    context, _ = assembly.make_context(state, env, platform.binaries(env), running=True)
    ours = supervisor.environment(context) | product.environment(context)
    command = [sys.executable, "manage.py", *options.words]
    return subprocess.run(command, cwd=assembly.ROOT, env=ours, check=False).returncode


def up(state: Path, options: argparse.Namespace) -> int:
    """Start a stack in the background unless it runs; return when the portal works."""
    assembly.prepare_state(state)
    child = None
    if supervisor_pid(state) is None:
        (state / "status.json").unlink(missing_ok=True)
        print(f"Starting the local stack (state in {state})", flush=True)
        child = _detach(state, options)
    else:
        print(f"The stack already runs (state in {state})", flush=True)
    status = _follow_until_portal(state, child)
    if status is None:
        print("The stack did not start. Its last words:", file=sys.stderr)
        print("\n".join(tail(state / "logs" / "supervisor.log", 30)), file=sys.stderr)
        return 1
    print(summary(status))
    return 0 if _portal(status)["state"] == "ready" else 1


def _detach(state: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    log = state / "logs" / "supervisor.log"
    log.parent.mkdir(exist_ok=True, mode=0o700)
    flags = ["--state", str(state), "--owner", str(options.owner)]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*SERVE, *flags],
            cwd=assembly.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _follow_until_portal(
    state: Path, child: subprocess.Popen[bytes] | None
) -> dict[str, Any] | None:
    """Print each part as it comes up; return the status once the portal works or time is up."""
    shown: dict[str, str] = {}
    until = time.monotonic() + UP_WITHIN
    status = None
    while time.monotonic() < until:
        status = report.read_status(state)
        if child is not None and child.poll() is not None and supervisor_pid(state) is None:
            return None
        if status:
            _print_changes(status, shown)
            if _portal(status)["state"] == "ready":
                return status
        time.sleep(0.2)
    return status


def _print_changes(status: dict[str, Any], shown: dict[str, str]) -> None:
    for note in status["notes"]:
        if note not in shown:
            shown[note] = note
            print(f"  ! {note}", flush=True)
    for part in status["parts"]:
        worth = part["state"] in ("ready", "done", "failed", "replaced", "unhealthy")
        if worth and shown.get(part["name"]) != part["state"]:
            shown[part["name"]] = part["state"]
            print(report.line_of(part), flush=True)


def _portal(status: dict[str, Any]) -> dict[str, Any]:
    return next(part for part in status["parts"] if part["name"] == "portal")


def summary(status: dict[str, Any]) -> str:
    """Return what people need once the portal works: its address, who they can be, what is still
    coming.
    """
    lines = ["", f"Portal: {status['portal']}"]
    if status.get("inbox"):
        lines.append(f"Inbox of all its e-mails: {status['inbox']}")
    lines.append("")
    if "OIDC_ISSUER" not in status["replaced"]:
        lines += ["Sign in as one of these (no password; they exist on this machine only):"]
        lines += [
            f"  {person.username:<7} {person.name:<16} {person.summary}"
            for person in personas.all_personas()
        ]
        lines.append("")
    if status.get("change_manager"):
        lines += [f"Change manager: {status['change_manager']} (approve a promotion's change)", ""]
    waiting = report.not_up(status)
    if status.get("building"):
        lines.append(f"Building: {status['building']}")
    if waiting:
        lines.append(
            f"Still coming, in the background: {', '.join(part['name'] for part in waiting)}"
        )
    lines.append("make status shows every part · make logs PART=portal · make down ends everything")
    return "\n".join(lines)


def down(state: Path, options: argparse.Namespace) -> int:
    """End the stack and everything that it started."""
    pid = supervisor_pid(state)
    if pid is not None:
        print("Ending the stack", flush=True)
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 90
        while supervisor_pid(state) is not None and time.monotonic() < until:
            time.sleep(0.1)
        if supervisor_pid(state) is not None:
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
    left = processes.end_leftovers(state, GENTLE)
    if left:
        print(f"Ended what an earlier supervisor had left: {', '.join(left)}")
    if pid is None and not left:
        print(f"No stack runs in {state}")
    (state / "status.json").unlink(missing_ok=True)
    return 0


def status(state: Path, options: argparse.Namespace) -> int:
    """Show every part with its state and its share of memory and CPU."""
    found = report.read_status(state)
    if found is None or supervisor_pid(state) is None:
        print(
            json.dumps({"running": False})
            if options.json
            else f"No stack runs in {state}. Start it with: make up"
        )
        left = [running.name for running in processes.noted(state / "run") if running.process()]
        if left and not options.json:
            print(
                f"Left running by a supervisor that was killed (make up or make down ends them): "
                f"{', '.join(left)}"
            )
        return 1
    found = report.measured(found, options.window)
    if options.json:
        print(json.dumps({"running": True} | found, indent=1))
        return 0
    print(f"Portal: {found['portal']}    state in {found['state']}")
    for text in found["notes"]:
        print(f"! {text}")
    if found.get("building"):
        print(f"Building: {found['building']}")
    print(report.table(found))
    return 0


def logs(state: Path, options: argparse.Namespace) -> int:
    """Show the last lines of one part's log, or name the logs there are."""
    folder = state / "logs"
    if not options.part:
        for path in sorted(folder.glob("*.log")):
            print(f"  {path.stem:<30} {path.stat().st_size / 1000:8.0f} kB  {path}")
        print("make logs PART=<name> shows one; FOLLOW=1 keeps showing it")
        return 0
    log = folder / f"{options.part}.log"
    if not log.exists():
        print(f"no log {log}", file=sys.stderr)
        return 1
    command = ["tail", "-n", str(options.lines), *(["-F"] if options.follow else []), str(log)]
    os.execvp("tail", command)  # noqa: S606, S607 (shows a file)


def reset(state: Path, options: argparse.Namespace) -> int:
    """End the stack and remove everything it wrote."""
    if not (state / assembly.MARKER).exists():
        print(f"{state} is not a stack's state folder: nothing removed", file=sys.stderr)
        return 1
    print(
        f"This removes {state}: database, published models, Git repository, cluster, keys, "
        f"ports, logs."
    )
    if sys.stdin.isatty() and input("Remove all of it? [y/N] ").strip().lower() not in ("y", "yes"):
        print("Nothing removed.")
        return 1
    down(state, options)
    shutil.rmtree(state)
    print("Removed. Built programs stay in the user's cache.")
    return 0
