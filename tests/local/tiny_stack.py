"""A stack of three tiny parts, run by the real commands: `python -m tests.local.tiny_stack serve
--state DIR`.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from deploy.local.stack import assembly, builds, commands
from deploy.local.stack.part import Context, NotReady, Part

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""
# Starts a process in a session of its own, as the kubelet starts engines, and lives on.
FORK = """
import subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep, start_new_session=True)
time.sleep(600)
"""


def listening(
    context: Context, name: str, preferred: int, needs: tuple[str, ...] = (), **fields: object
) -> Part:
    """Return a part that listens on its port."""
    port = context.ports(name, preferred)
    command = [sys.executable, "-S", "-c", LISTEN, str(port)]
    return Part(name, command, f"127.0.0.1:{port}", lambda: connects(port), needs=needs, **fields)  # type: ignore[arg-type]


def connects(port: int) -> None:
    """Raise NotReady unless something listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError as error:
        raise NotReady(str(error)) from None


def tiny_parts(context: Context) -> list[Part]:
    """Return the three parts; the commands expect one that is called portal."""
    return [
        listening(context, "portal", 8000, needs=("base", "forker")),
        listening(context, "base", 15432),
        Part("forker", [sys.executable, "-S", "-c", FORK], "somewhere", lambda: None),
    ]


class NothingToBuild:
    """The builds of a stack without Go programs."""

    def __init__(self, env: object) -> None:
        pass

    def __call__(self) -> str:
        return ""

    def stop(self) -> None:
        """Nothing runs."""


def main() -> int:
    """Run `serve` with the tiny parts."""
    assembly.all_parts = tiny_parts
    builds.Building = NothingToBuild  # type: ignore[assignment,misc]
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--owner", type=int, default=0)
    options = parser.parse_args()
    return commands.serve(options.state, options)


if __name__ == "__main__":
    sys.exit(main())
