"""A stack of its own for tests: `with running_stack(folder) as stack: …`. It ends with the test,
even a killed one.

The stack has its own state, its own ports (never the preferred ones, which a person's stack may
use) and none of the caller's product variables; the built programs are shared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import board as b
from . import product, report, sign_in
from .assembly import ROOT
from .keeper import tail

REPLACING = {
    *product.PASSED,
    product.OWNERS_ADDRESS,
    "AWS_ENDPOINT_URL_S3",
    "DJANGO_SETTINGS_MODULE",
    "SECRET_KEY",
    "PORTAL_URL",
}


class NotUp(Exception):
    """The stack did not come so far in time; the message shows every part that is missing, with its
    last words.
    """


@dataclass(frozen=True)
class Stack:
    """A running stack: where its parts are."""

    state: Path

    def status(self) -> dict[str, Any]:
        """Return what the supervisor last wrote."""
        status = report.read_status(self.state)
        if status is None:
            raise NotUp("\n".join(tail(self.state / "logs" / "supervisor.log", 40)))
        return status

    def part(self, name: str) -> dict[str, Any]:
        """Return one part: state, address, pid, restarts."""
        return next(part for part in self.status()["parts"] if part["name"] == name)

    @property
    def portal(self) -> str:
        """The portal's address."""
        return str(self.status()["portal"])

    @property
    def issuer(self) -> str:
        """The identity provider's address."""
        return str(self.status()["issuer"])

    @property
    def gateway(self) -> str:
        """The address that model calls go to."""
        return str(self.part("envoy")["address"])

    def token(self, persona: str, *audiences: str, team: str = "") -> str:
        """Return a persona's access token; without audiences for the API and the gateway."""
        return sign_in.access_token(self.issuer, persona, audiences or sign_in.AUDIENCES, team)

    def wait_for(self, *names: str, seconds: float = 300) -> None:
        """Wait until these parts are up, all of them where none is named. Raises NotUp."""
        until = time.monotonic() + seconds
        while missing := self._missing(names):
            if time.monotonic() > until:
                raise NotUp("\n".join(_words(part, self.state) for part in missing))
            time.sleep(0.2)

    def _missing(self, names: tuple[str, ...]) -> list[dict[str, Any]]:
        parts = [part for part in self.status()["parts"] if not names or part["name"] in names]
        return [part for part in parts if part["state"] not in b.UP]


def _words(part: dict[str, Any], state: Path) -> str:
    last = "\n    ".join(tail(state / "logs" / f"{part['name']}.log", 15))
    return f"{part['name']}: {part['state']} {part['detail']}\n    {last}"


@contextmanager
def running_stack(
    state: Path, *, env: Mapping[str, str] | None = None, keep: bool = False
) -> Iterator[Stack]:
    """Start a stack of its own, return once its portal works, end it afterwards.

    env: added to the environment, as the caller of `make up` would set it (QUARTERMASTER_BINARIES,
    a replaced part).
    keep: leave the state folder for reading. Raises NotUp with the last words of what did not
    start.
    """
    caller = {name: value for name, value in os.environ.items() if name not in REPLACING}
    caller |= {"QUARTERMASTER_PORTS": "own", "SAMPLE": "none", "SERVICENOW": "none"}
    caller |= dict(env or {})
    stack = Stack(state)
    try:
        _run("up", state, caller)
        yield stack
    finally:
        _run("down", state, caller, check=False)
        if not keep:
            shutil.rmtree(state, ignore_errors=True)


def _run(command: str, state: Path, env: dict[str, str], *, check: bool = True) -> None:
    """Run one of the stack's commands; the stack belongs to this process and ends with it."""
    line = [
        sys.executable,
        "-m",
        "deploy.local.stack",
        command,
        "--state",
        str(state),
        "--owner",
        str(os.getpid()),
    ]
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise NotUp(done.stdout[-4000:] + done.stderr[-4000:])
