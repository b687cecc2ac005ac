"""`make bench-compare BENCH=reconcile AGAINST=HEAD~1`: what a change did to a benchmark.

The bench runs at another commit and in this checkout, turn about, on the same machine in one run:
figures of different days, or of a machine that others use, tell nothing. Each figure is the median
of its turns; its value here is the ratio of after to before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.report import Result, show

ROOT = Path(__file__).resolve().parents[2]
MOST = 1.2  # times as much as before


def main(arguments: list[str] | None = None) -> int:
    """Run all turns and print the ratios."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("bench", help="reconcile or web")
    asked.add_argument("--against", default="HEAD~1", help="the commit to compare with")
    asked.add_argument("--turns", type=int, default=2)
    chosen = asked.parse_args(arguments)
    with checkout(chosen.against) as before:
        turns = [
            (figures(chosen.bench, before), figures(chosen.bench, ROOT))
            for _ in range(chosen.turns)
        ]
    show(f"compare-{chosen.bench}", ratios([old for old, _ in turns], [new for _, new in turns]))
    return 0


def ratios(before: list[list[dict[str, Any]]], after: list[list[dict[str, Any]]]) -> list[Result]:
    """Return the ratio of each figure that both have, from the rows of each turn."""
    olds, news = _medians(before), _medians(after)
    units = {row["name"]: (row["unit"], row["better"]) for row in after[0]}
    return [
        Result(
            f"{name}: {olds[name]:g} → {value:g} {units[name][0]}",
            round(_ratio(olds[name], value), 2),
            "×",
            MOST if units[name][1] == "lower" else round(1 / MOST, 2),
            better=units[name][1],
        )
        for name, value in news.items()
        if name in olds
    ]


def figures(bench: str, folder: Path) -> list[dict[str, Any]]:
    """Run the bench of a checkout; return its rows."""
    print(f"{bench} in {folder}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{bench}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout, flush=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])["results"]
    return rows


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Give a folder that holds another commit; what is installed is shared with this one."""
    with tempfile.TemporaryDirectory(prefix="qm-compare-") as folder:
        found = Path(folder) / "checkout"
        _git("worktree", "add", "--quiet", "--detach", str(found), commit)
        try:
            yield found
        finally:
            _git("worktree", "remove", "--force", str(found))


def _medians(turns: list[list[dict[str, Any]]]) -> dict[str, float]:
    named: dict[str, list[float]] = {}
    for rows in turns:
        for row in rows:
            named.setdefault(row["name"], []).append(row["value"])
    return {name: statistics.median(values) for name, values in named.items()}


def _ratio(before: float, after: float) -> float:
    """Return after ÷ before; 1 where both are nothing."""
    if not before:
        return 1.0 if not after else float("inf")
    return after / before


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
