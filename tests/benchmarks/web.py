"""`make bench-web`: the portal's web server beside gunicorn, each with one process and eight
threads.

Both serve the same portal on the same Postgres to eight clients that keep their connections: first
a page that asks the database, then a file. The servers take turns, three rounds each, and the best
round of each counts.
"""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles

import psutil

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from deploy.local.stack.ports import free_port
from deploy.local.stack.product import web_command
from portal.settings import ASSETS_DIR
from tests.benchmarks.report import Result, show

CLIENTS, REQUESTS, ROUNDS = 8, 250, 3
START_SECONDS = 30.0


@dataclass(frozen=True)
class Measured:
    """One round: requests per second, the 95th percentile of their times in ms, the processes' PSS
    in MB.
    """

    rate: float
    p95_ms: float
    memory_mb: float


def main() -> int:
    """Measure both servers and print the figures."""
    paths = {"page": "/healthz", "file": f"/static/app/{next(ASSETS_DIR.glob('app-*.css')).name}"}
    servers = {"granian": web_command, "gunicorn": gunicorn_command}
    best: dict[tuple[str, str], Measured] = {}
    for _ in range(ROUNDS):
        for name, command in servers.items():
            with serving(command) as (port, process):
                for what, path in paths.items():
                    found = measure(port, path, process)
                    key = (name, what)
                    best[key] = max(best.get(key, found), found, key=lambda item: item.rate)
    show("web", [result for what in paths for result in results(what, best)])
    return 0


def gunicorn_command(python: str, port: int) -> list[str]:
    """Return the reference's command line."""
    size = ["--worker-class", "gthread", "--workers", "1", "--threads", "8", "--backlog", "256"]
    return [
        python,
        "-m",
        "gunicorn",
        "--bind",
        f"127.0.0.1:{port}",
        *size,
        "portal.wsgi:application",
    ]


@contextmanager
def serving(command) -> Iterator[tuple[int, psutil.Process]]:
    """Run a server on a free port for as long as the block lasts."""
    port = free_port()
    words = command(sys.executable, port)
    child = subprocess.Popen(
        words, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + START_SECONDS
        while ask(port, "/healthz", 1) == [] and time.monotonic() < until:
            time.sleep(0.1)
        yield port, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


def ask(port: int, path: str, times: int) -> list[float]:
    """Return how many seconds each of `times` requests took over one connection; [] where nobody
    answers.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    took: list[float] = []
    try:
        for _ in range(times):
            began = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
            took.append(time.perf_counter() - began)
    except OSError:
        return []
    finally:
        connection.close()
    return took


def measure(port: int, path: str, process: psutil.Process) -> Measured:
    """Return one round of one path, after a short one that counts nothing."""
    ask(port, path, 20)
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        took = [
            one
            for many in clients.map(lambda _: ask(port, path, REQUESTS), range(CLIENTS))
            for one in many
        ]
    seconds = time.perf_counter() - began
    if len(took) != CLIENTS * REQUESTS:
        raise RuntimeError("a connection broke off")
    family = (process, *process.children(recursive=True))
    memory = sum(each.memory_full_info().pss for each in family) / 1e6
    return Measured(len(took) / seconds, 1000 * quantiles(took, n=20)[-1], memory)


def results(what: str, best: dict[tuple[str, str], Measured]) -> list[Result]:
    """Return the portal's server against the reference; the goal is to be no worse than it."""
    ours, theirs = best["granian", what], best["gunicorn", what]
    figures = (("requests per "
    "second", "1/s", "rate", "higher"), ("time, p95", "ms", "p95_ms", "lower"),
               ("memory", "MB", "memory_mb", "lower"))  # fmt: skip
    return [
        Result(
            name=f"{what}: {label}",
            value=round(getattr(ours, field), 2),
            unit=unit,
            goal=round(getattr(theirs, field), 2),
            ratio=round(getattr(ours, field) / getattr(theirs, field), 2),
            better=better,  # type: ignore[arg-type]
        )
        for label, unit, field, better in figures
    ]


if __name__ == "__main__":
    sys.exit(main())
