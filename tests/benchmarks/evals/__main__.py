"""`make bench-evals`: what the harness adds to a packet, beside the engine's own time.

A run of a shipped suite, of candidate and baseline side by side, goes through
the product's own reconciler: packets read from Postgres, asked over HTTP from a stub that answers
in a known time (stub.py, a process of its own), scored, kept, and judged at the end. The overhead
is what the slots of the run were busy beyond the engine's own time. Postgres runs without fsync, as
in the tests; Git and the cluster are not asked, for the run serves already.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.benchmarks.evals import stub
from tests.benchmarks.report import Result, show

CPU = "cpu"
GOAL = 5  # percent of the engine's own time, a packet
RUNS = ((1, CPU), (4, ""), (8, ""))  # packets at once, and which of the suite's


def main() -> int:
    """Measure, and print the figures."""
    prepare()
    results = []
    with engine() as address:
        for at_once, subset in RUNS:
            results += measured(address, at_once, subset)
    show("evals", results, engine_seconds=stub.SECONDS)
    return 0


def prepare() -> None:
    """Migrate."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)


@contextmanager
def engine() -> Iterator[str]:
    """Run the stub; yield its address."""
    command = [sys.executable, "-m", "tests.benchmarks.evals.stub"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def measured(address: str, at_once: int, subset: str) -> list[Result]:
    """Return the overhead of a packet, and how long the end took: scoring and judging all."""
    from tests.benchmarks.evals.world import World

    world = World(address, at_once=at_once, subset=subset)
    asking, ending = world.carry_out()
    total = world.run.packets_total
    slot = asking / -(-total // at_once)  # the last round may have fewer packets
    own = statistics.mean(httpx.get(f"{address}/times", trust_env=False).json())
    overhead = 100 * (slot - own) / own
    name = f"{total} packets of two sides, {at_once} at once"
    return [
        Result(
            f"overhead a packet, {name} ({1000 * (slot - own):.1f} ms beside {1000 * own:.0f} ms)",
            round(overhead, 2),
            "% of the engine's own time",
            GOAL,
        ),
        Result(f"judging and reporting at the end, {name}", round(ending, 2), "s", 30),
    ]


if __name__ == "__main__":
    sys.exit(main())
