"""Command line: `python -m deploy.local.platform build [--only NAME… | --delivery] | status | stop
| clean | manifests`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from deploy.local.platform.background import progress, stop_build
from deploy.local.platform.builder import build, clean
from deploy.local.platform.programs import DELIVERY, PROGRAMS, BadReadyFolder, binaries
from deploy.local.platform.toolchain import NoToolchain
from deploy.local.platform.upstream import DownloadFailed, folder


def main(arguments: list[str]) -> int:
    """Run one command; 0 when it did what was asked."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.platform", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build the programs that are missing")
    names = [name for program in PROGRAMS + DELIVERY for name in program.names]
    which = builder.add_mutually_exclusive_group()
    which.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", choices=names, help=", ".join(names)
    )
    which.add_argument(
        "--delivery",
        action="store_const",
        dest="only",
        const=[program.name for program in DELIVERY],
        help="build what make check-delivery needs besides",
    )
    commands.add_parser("status", help="say how far the build is")
    commands.add_parser("stop", help="end a build that runs; what it compiled is kept")
    commands.add_parser("clean", help="remove Go's caches (gigabytes); what is built stays")
    commands.add_parser(
        "manifests", help="fetch the CRDs and manifests of the pinned releases; print their folder"
    )
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (BadReadyFolder, DownloadFailed, NoToolchain) as refused:
        print(refused, file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Do what one parsed command line says."""
    if options.command == "build":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        os.nice(10)  # a build shall not slow down what already runs
        programs = PROGRAMS + DELIVERY if options.only else PROGRAMS
        done = build(os.environ, options.only, lambda line: print(line, flush=True), programs)
        print(f"Programs: {binaries(os.environ, programs)}", flush=True)
        return 0 if done else 1
    if options.command == "status":
        print("\n".join(row.sentence() for row in progress(os.environ)))
    elif options.command == "stop":
        stop_build(os.environ)
    elif options.command == "clean":
        clean(os.environ)
    else:
        print(folder(os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
