"""`make bench-chargeback`: how long money takes at the size of a large company.

EVENTS calls over MONTHS months, of TEAMS teams and MODELS models, are written straight into
Postgres (100 million take about 120 GB). From there on it is the product's own code: every hour is
added up, every day priced and shared out, every month that is over closed. While the close of the
last one waits, every page of money is asked for ROUNDS times by a signed-in client in this process,
and the plans of its statements are looked at: none may read a big table from end to end. The totals
of every month must be those that DuckDB finds in the Parquet files that the archive would hold.

A page's ratio is to one that reads no money at all, asked for in the same run. Postgres runs
without fsync and with 64 MB of shared buffers, as in the tests.
"""

import logging
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.benchmarks.chargeback import company, duck, hours
from tests.benchmarks.chargeback.closes import Closes
from tests.benchmarks.chargeback.company import Size
from tests.benchmarks.chargeback.months import Months
from tests.benchmarks.chargeback.pages import page_results
from tests.benchmarks.report import show

BYTES_PER_CALL = 1200  # that the disk must have room for, logs and sorting included
GB = 1024**3


def main() -> int:
    """Fill the database, measure, compare, and print the figures."""
    begun, now = time.perf_counter(), datetime.now(UTC)
    size = Size.asked(now.date())
    prepare(size)
    with tempfile.TemporaryDirectory(prefix="qm-chargeback-") as folder:
        company.found(size)
        say(begun, f"the company is there: {size.words}")
        done = Months(size, Path(folder), now).run()
        analyze()
        say(begun, f"calls, hours and days are there: {done.words}")
        results = [*hours.disk_results(done), *hours.hour_results(size, done, now)]
        results += duck.results(size, Path(folder))
        say(begun, "every month's totals are those of DuckDB")
    closes = Closes(size, now)
    results += closes.ask()
    analyze()
    say(begun, "the months before are closed, and the last one is asked for")
    found, plans = page_results(closes.subjects())
    say(begun, "every page was asked for")
    results += [*found, *closes.close()]
    show("chargeback", results, size=size.words, plans=plans)
    return 0


def say(begun: float, words: str) -> None:
    """Tell on standard error what is done."""
    print(f"{time.perf_counter() - begun:5.0f} s  {words}", file=sys.stderr, flush=True)


def prepare(size: Size) -> None:
    """Migrate. Raises RuntimeError where the disk is too small."""
    import django

    free, wanted = shutil.disk_usage(tempfile.gettempdir()).free, BYTES_PER_CALL * size.events
    if free < wanted:
        raise RuntimeError(
            f"{size.events:,} calls want {wanted / GB:.0f} GB; {free / GB:.0f} GB are free"
        )
    django.setup()
    logging.getLogger("apps.common.tasks").setLevel(logging.ERROR)  # no broker, as in the tests
    from django.core.management import call_command

    from apps.accounts.models import User
    from apps.common.sign_ins import JUST_NOW

    User.sign_in = JUST_NOW  # its people decide all day long, as those of the tests do
    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)


def analyze() -> None:
    """Let Postgres know what the tables hold, as its autovacuum does elsewhere."""
    import psycopg

    with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    raise SystemExit(main())
