"""The same totals by another engine: DuckDB over the Parquet files that the archive would hold."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.benchmarks.chargeback.company import Size
from tests.benchmarks.chargeback.months import PROCESSES
from tests.benchmarks.report import Result
from tests.benchmarks.stopwatch import median

MILLION = Decimal(1_000_000)
TOTALS = """
SELECT e.team, e.model, count(*) FILTER (WHERE outcome = 'METERED')::BIGINT,
    coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(cached_input_tokens), 0)::BIGINT,
    coalesce(sum(output_tokens), 0)::BIGINT,
    sum(CASE WHEN outcome = 'METERED' THEN
        (input_tokens - coalesce(cached_input_tokens, 0))::DECIMAL(18, 0) * p.input
        + coalesce(cached_input_tokens, 0)::DECIMAL(18, 0) * p.cached
        + output_tokens::DECIMAL(18, 0) * p.output END)
FROM read_parquet(?) e LEFT JOIN prices p ON p.model = e.model
    AND p.from_at <= e.occurred_at AND (p.to_at IS NULL OR p.to_at > e.occurred_at)
GROUP BY 1, 2
"""
PRICES = """
CREATE TABLE prices (model TEXT, from_at TIMESTAMPTZ, to_at TIMESTAMPTZ,
    input DECIMAL(20, 10), cached DECIMAL(20, 10), output DECIMAL(20, 10))
"""
Total = tuple[int, int, int, int, Decimal]


class Duck:
    """DuckDB with the price lists, over a folder of Parquet files, one a month."""

    def __init__(self, folder: Path, threads: int) -> None:
        import duckdb

        self.folder = folder
        self.duck = duckdb.connect(config={"threads": threads})
        self.duck.execute("SET TimeZone = 'UTC'")
        self.duck.execute(PRICES)
        self.duck.executemany("INSERT INTO prices VALUES (?, ?, ?, ?, ?, ?)", _prices())

    def totals(self, month: date) -> dict[tuple[str, str], Total]:
        """Return (team, model) → metered calls, tokens in, cached, out, and USD, of a month."""
        files = str(self.folder / f"{month:%Y-%m}.parquet")
        rows = self.duck.execute(TOTALS, [files]).fetchall()
        return {
            (team, model): (*counts, (usd or Decimal(0)) / MILLION)
            for team, model, *counts, usd in rows
        }


def _prices() -> list[tuple[Any, ...]]:
    from apps.chargeback.models import Rate

    lists: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    rates = Rate.objects.current().select_related("registered_model")
    for rate in rates:
        key = (rate.registered_model.name, rate.active_from, rate.active_to)
        lists.setdefault(key, {})[rate.sku] = rate.unit_price_usd
    return [
        (*key, prices["INPUT"], prices["CACHED_INPUT"], prices["OUTPUT"])
        for key, prices in lists.items()
    ]


def ledger(month: date) -> dict[tuple[str, str], Total]:
    """Return the same of the ledger's lines."""
    from apps.chargeback import queries
    from apps.common.periods import month_bounds

    start, end = month_bounds(month)
    found: dict[tuple[str, str], Total] = {}
    for line in queries.lines(start=start, end=end, scope=queries.EVERYTHING):
        key = (line.team, line.model)
        one = (line.metered_calls, line.input_tokens, line.cached_input_tokens,
               line.output_tokens, line.list_cost_usd or Decimal(0))  # fmt: skip
        before = found.get(key, (0, 0, 0, 0, Decimal(0)))
        found[key] = tuple(map(sum, zip(before, one, strict=True)))  # type: ignore[assignment]
    return found


def results(size: Size, folder: Path) -> list[Result]:
    """Return the times of a month's totals, ours beside DuckDB's. Raises RuntimeError where the
    totals of any month are not the same.
    """
    from apps.chargeback import queries
    from apps.common.periods import month_bounds

    other = Duck(folder, threads=PROCESSES)
    for month in size.all_months:
        theirs, ours = other.totals(month), ledger(month)
        if theirs != ours:
            keys = theirs.keys() | ours.keys()
            strange = sorted(key for key in keys if theirs.get(key) != ours.get(key))
            raise RuntimeError(f"{month:%Y-%m}: {len(strange)} totals differ, as {strange[:3]}")
    start, end = month_bounds(size.last_whole)
    asked = median(lambda: queries.lines(start=start, end=end, scope=queries.EVERYTHING), 7) * 1000
    theirs_ms = median(lambda: other.totals(size.last_whole), 7) * 1000
    return [
        Result("a month's totals by DuckDB over Parquet", round(theirs_ms, 1), "ms", 60_000),
        Result("a month's totals by the ledger", round(asked, 1), "ms", 300,
               round(asked / theirs_ms, 2)),
    ]  # fmt: skip
