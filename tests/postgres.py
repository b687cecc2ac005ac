"""A PostgreSQL for one test run: over a Unix socket, tuned for speed, gone with the run even where
that is killed.

Run as a program, it starts the server, waits until its standard input closes (the test run has
ended, however), stops the server and removes its folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local.stack import postgres, unprivileged

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "fsync": "off",  # nothing in it need survive a crash
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "timezone": "UTC",
}
READY_WITHIN_SECONDS = 60
DATABASE, OWNER, PORTAL = "quartermaster", "quartermaster_owner", "quartermaster_portal"
# As in production: neither is a superuser, and the portal's role owns nothing. The owner makes the
# databases of the tests.
ROLES = (
    f"CREATE ROLE {OWNER} LOGIN CREATEDB",
    f"CREATE ROLE {PORTAL} LOGIN",
    f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
)


@dataclass(frozen=True)
class Server:
    """Where a server of the tests is: the database's address for each of its two roles."""

    portal: str
    owner: str


def start() -> Server:
    """Start a server that ends with this process; return where it is."""
    folder = Path(tempfile.mkdtemp(prefix="qm-postgres-"))
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres", str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True,
    )  # fmt: skip
    assert keeper.stdin and keeper.stdout  # the pipe stays open for as long as this process lives
    start.keeper = keeper  # type: ignore[attr-defined]
    if keeper.stdout.readline().strip() != "ready":
        raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
    return Server(*(f"postgresql://{role}@/{DATABASE}?host={folder}" for role in (PORTAL, OWNER)))


def _program(name: str, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-S",
        unprivileged.__file__,
        str(postgres.programs() / name),
        *arguments,
    ]


def keep(folder: Path) -> None:
    """Run the server in `folder` until standard input closes."""
    if os.geteuid() == 0 and not unprivileged.can_enter_namespace():
        unprivileged.give_to_nobody(folder, folder)
    with (folder / "log").open("wb") as log:
        flags = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "tests"]
        data = folder / "data"
        if subprocess.run(
            _program("initdb", "-D", str(data), *flags), stdout=log, stderr=log, cwd=folder
        ).returncode:
            return
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = _program("postgres", "-D", str(data), "-k", str(folder), *settings)
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not _answers(folder) and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        print("ready" if _make_roles(folder) else "ended", flush=True)
        sys.stdin.read()
    finally:
        server.send_signal(signal.SIGINT)  # "fast"
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(folder: Path) -> bool:
    asked = [str(postgres.programs() / "pg_isready"), "-q", "-h", str(folder)]
    return subprocess.run(asked, check=False).returncode == 0


def _make_roles(folder: Path) -> bool:
    psql = [str(postgres.programs() / "psql"), "-X", "-q", "-h", str(folder), "-U", "tests"]
    wanted = [word for statement in ROLES for word in ("-c", statement)]
    with (folder / "log").open("ab") as log:
        done = subprocess.run([*psql, "-d", "postgres", *wanted], stderr=log, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    # Ctrl-C is for the tests; their end is what ends us
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep(Path(sys.argv[1]))
