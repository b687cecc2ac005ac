"""The stand-in engine as a process of its own, for tests."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.local.stack.ports import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def stand_in(
    folder: Path, log: Path, *flags: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A real stand-in on a free port."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "deploy.local.engine",
        "--model",
        str(folder),
        f"--port={port}",
    ]
    environment = {**os.environ, "ENGINE": "stand-in", "STAND_IN_TOKENS_PER_SECOND": "0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--served-model-name", "m-v1", *flags],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20
        ) as client:
            until = time.monotonic() + 30
            while not _healthy(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
            yield client, process
    finally:
        process.kill()
        process.wait()


def _healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False
