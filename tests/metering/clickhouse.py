"""A ClickHouse for tests: the local double, with the real engine in an environment of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-clickhouse" / "bin" / "python"


def is_here() -> bool:
    """Tell whether the engine is installed."""
    return (ROOT / ".venv-clickhouse" / ".ready").exists()


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server over a folder; give its address. It ends with this process."""
    server = subprocess.Popen(
        [str(PYTHON), "-m", "deploy.local.doubles.clickhouse.server", str(folder), "0"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    with server.stdin, server.stdout:
        yield f"clickhouse://127.0.0.1:{int(server.stdout.readline())}/default"
        server.stdin.close()
        server.wait(30)
