"""`python -m deploy.local.stack COMMAND`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys

from . import assembly, commands, sign_in, surge


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.stack", description="Runs the local stack."
    )
    choices = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--state", help="where everything is kept (default: QUARTERMASTER_STATE, else .state)"
    )
    options.add_argument(
        "--owner", type=int, default=0, help="end the stack when this process is gone"
    )
    for name in ("up", "down", "serve", "reset"):
        choices.add_parser(
            name, parents=[options], help=(getattr(commands, name).__doc__ or "").splitlines()[0]
        )
    status = choices.add_parser("status", parents=[options], help="show every part")
    status.add_argument("--json", action="store_true")
    status.add_argument(
        "--window", type=float, default=1.0, help="seconds over which the CPU share is taken"
    )
    logs = choices.add_parser("logs", parents=[options], help="show a part's log")
    logs.add_argument("part", nargs="?")
    logs.add_argument("--follow", "-f", action="store_true")
    logs.add_argument("--lines", "-n", type=int, default=100)
    manage = choices.add_parser(
        "manage", parents=[options], help="run a management command as the portal of this stack"
    )
    manage.add_argument("words", nargs="+", help="the command and what it takes")
    sign_in.add_arguments(
        choices.add_parser("token", parents=[options], help="print an access token for a persona")
    )
    surge.add_arguments(
        choices.add_parser("surge", parents=[options], help="a Monday morning of real calls")
    )
    arguments = parser.parse_args()
    state = assembly.state_folder(os.environ, arguments.state)
    elsewhere = {"token": sign_in.token, "surge": surge.surge}
    run = elsewhere.get(arguments.command) or getattr(commands, arguments.command)
    return int(run(state, arguments))


if __name__ == "__main__":
    sys.exit(main())
