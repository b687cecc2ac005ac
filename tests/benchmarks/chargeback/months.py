"""What a month of the bench goes through: its calls are stored; then, by the product's code, its
hours added up, its days priced, shared out, and written as the archive writes them.

Each month is one job of a pool of two processes; months do not touch each other's rows.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from tests.benchmarks.chargeback.company import Size, store_calls

PROCESSES = int(os.environ.get("PROCESSES") or 2)


@dataclass(frozen=True)
class Done:
    """What a month took: seconds by step, as one process spent them; how many hours, days and bytes
    of Parquet.
    """

    seconds: Counter[str]
    hours: int
    days: int
    parquet_bytes: int

    @property
    def words(self) -> str:
        """Return the seconds in words."""
        return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())


class Months:
    """Runs the months of a company in a few processes at once."""

    def __init__(self, size: Size, folder: Path, now: datetime) -> None:
        self.size, self.folder, self.now = size, folder, now

    def run(self) -> Done:
        """Let every month go through all its steps; return what they took together."""
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(PROCESSES, mp_context=spawn, initializer=_begin) as pool:
            jobs = [
                pool.submit(_month, self.size, month, self.folder, self.now)
                for month in reversed(self.size.all_months)  # the newest take longest
            ]
            done = [job.result() for job in jobs]
        return Done(
            seconds=sum((each.seconds for each in done), Counter()),
            hours=sum(each.hours for each in done),
            days=sum(each.days for each in done),
            parquet_bytes=sum(each.parquet_bytes for each in done),
        )


def _begin() -> None:
    import django

    django.setup()


def _month(size: Size, month: date, folder: Path, now: datetime) -> Done:
    from apps.chargeback import actions as money
    from apps.metering import actions as metering

    taken: Counter[str] = Counter()
    days = size.days_of(month)
    hours = [hour for day in days for hour in _hours(day) if hour < now]
    with _timed(taken, "store"):
        for day in days:
            store_calls(size, day, now)
    metering.mark_hours(set(hours), now)
    with _timed(taken, "add up"):
        for day in days:
            metering.roll_up_hours(hours=_hours(day), now=now)
    with _timed(taken, "price"):
        for day in days:
            money.price_day(day=day)
    with _timed(taken, "share out"):
        for day in days:
            money.allocate_day(day=day, now=now)
    with _timed(taken, "write"):
        written = _write(month, folder)
    return Done(taken, len(hours), len(days), written)


def _hours(day: date) -> list[datetime]:
    from apps.common.periods import HOUR, start_of_day

    return [start_of_day(day) + place * HOUR for place in range(24)]


def _write(month: date, folder: Path) -> int:
    """Write a month's calls as Parquet, with the columns of the archive; return how many bytes they
    are. As text to DuckDB: the archive's own way reads each call into Python.
    """
    import duckdb
    from django.db import connection

    from apps.common.periods import next_month
    from apps.metering.archive.parquet import COLUMNS

    text, file = folder / f"{month:%Y-%m}.csv", folder / f"{month:%Y-%m}.parquet"
    sql = f"""COPY (
        SELECT {", ".join(COLUMNS)} FROM metering_usageevent
        WHERE occurred_at >= '{month}' AND occurred_at < '{next_month(month)}'
    ) TO STDOUT (FORMAT csv, HEADER)"""  # noqa: S608 - our own names and dates
    with connection.cursor() as cursor, cursor.copy(sql) as copy, text.open("wb") as sink:
        for part in copy:
            sink.write(part)
    duck = duckdb.connect(config={"threads": 1})
    duck.execute(f"COPY (FROM read_csv('{text}')) TO '{file}' (COMPRESSION zstd)")  # noqa: S608
    text.unlink()
    return file.stat().st_size


@contextmanager
def _timed(taken: Counter[str], step: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    taken[step] += time.perf_counter() - begun  # type: ignore[assignment]
