"""The month as finance reads it: the chargeback page's own lines, as CSV, and what changed since an
earlier look.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from tests.story.calls import Ledger
from tests.story.people import Person

COUNTS = (
    "metered_calls", "unmetered_calls", "refused_calls", "failed_calls", "input_tokens",
    "cached_input_tokens",
    "output_tokens",
)  # fmt: skip
# every line of the month, with every kind of call
LINES = "/chargeback/?by=line&columns=" + ",".join(COUNTS[:4])
Line = dict[str, str]
T = TypeVar("T")


def csv_lines(someone: Person, path: str) -> list[Line]:
    """Return the rows of a CSV that a page offers, as this person's browser gets them."""
    answer = someone.context.request.get(someone.stack.portal + path)
    assert answer.status == 200, f"{path}: {answer.status}"
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text())))


def month(someone: Person) -> list[Line]:
    """Return this month's lines."""
    return csv_lines(someone, f"{LINES}&format=csv")


def sums(lines: list[Line]) -> dict[str, int]:
    """Return each count's sum."""
    return {name: sum(int(line[name] or 0) for line in lines) for name in COUNTS}


def cost(lines: list[Line]) -> Decimal:
    """Return the sum of what has a price, exact."""
    return sum((Decimal(line["list_usd"]) for line in lines if line["list_usd"]), Decimal(0))


def expected(before: dict[str, int], ledger: Ledger) -> dict[str, int]:
    """Return what the month's counts must be now: what was there, and what the answers themselves
    said.
    """
    total = ledger.total()
    added = (
        len(ledger.usages),
        ledger.unmetered,
        ledger.refused,
        0,
        total.input,
        total.cached,
        total.output,
    )
    return {name: before[name] + more for name, more in zip(COUNTS, added, strict=True)}


def wait_until(look: Callable[[], T], wanted: T, *, seconds: float) -> T:
    """Look again until it is what is wanted, or the time is up; return the last look."""
    until = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < until:
        time.sleep(0.5)
    return found
