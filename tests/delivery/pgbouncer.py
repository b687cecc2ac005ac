"""A real PgBouncer in transaction mode, over TLS, before the tests' own PostgreSQL."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.cluster.pki import Pair
from deploy.local.stack import unprivileged
from deploy.local.stack.ports import free_port

AT_ONCE = 2  # connections to the server, for however many clients
SETTINGS = """
[databases]
* = host={server} port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {at_once}
max_client_conn = 100
auth_type = scram-sha-256
auth_file = {folder}/users
client_tls_sslmode = require
client_tls_cert_file = {folder}/tls.crt
client_tls_key_file = {folder}/tls.key
logfile = {folder}/log
"""


@dataclass
class Pooler:
    """A pooler that runs. port: on 127.0.0.1, where its certificate's name leads."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def take(self, user: str, password: str) -> None:
        """Let a user in with this password and no other from now on."""
        (self.folder / "users").write_text(f'"{user}" "{password}"\n')
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)


def missing() -> str:
    """Return why it cannot run here; "" where it can."""
    return "" if shutil.which("pgbouncer", path=_PATH) else "apt-get install pgbouncer"


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@contextmanager
def running(
    folder: Path, pair: Pair, *, server: str, server_port: int, user: str, password: str
) -> Iterator[Pooler]:
    """Run one before a server; user: who gets in, with which password."""
    port = free_port()
    (folder / "pgbouncer.ini").write_text(
        SETTINGS.format(
            folder=folder, server=server, server_port=server_port, port=port, at_once=AT_ONCE
        )
    )
    (folder / "users").write_text(f'"{user}" "{password}"\n')
    (folder / "tls.crt").write_bytes(pair.certificate.read_bytes())
    (folder / "tls.key").write_bytes(pair.key.read_bytes())
    if os.geteuid() == 0 and not unprivileged.can_enter_namespace():
        unprivileged.give_to_nobody(folder, folder)
    program = shutil.which("pgbouncer", path=_PATH)
    command = [sys.executable, "-S", unprivileged.__file__, str(program)]
    process = subprocess.Popen([*command, str(folder / "pgbouncer.ini")], cwd=folder)
    try:
        _await(port, process, folder)
        yield Pooler(folder, port, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def _await(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    log = folder / "log"
    raise RuntimeError(f"PgBouncer did not start: {log.read_text() if log.exists() else ''}")
