"""`make bench-chargeback`: how long a month of money takes, by the price list, at the size of a
large company: TEAMS teams that each use MODELS models on each of 30 days.

One day has all its 24 hours; each of the other days has one, which makes as many lines. Times in
the database are those that EXPLAIN ANALYZE tells of the statements that the pages send. Postgres
runs without fsync, as in the tests.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.benchmarks.report import Result, show

TEAMS = int(os.environ.get("TEAMS", "1500"))
MODELS = int(os.environ.get("MODELS", "3"))
DAYS = 30
MONTH = date(2026, 11, 1)
START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
WHOLE_DAY = MONTH + timedelta(days=14)
ROUNDS = 7
HOURS = """
INSERT INTO metering_hourlyusage (hour, cost_center, team, model, version, metered_calls,
    unmetered_calls, refused_calls, refused_401_calls, refused_403_calls, refused_404_calls,
    refused_429_calls, failed_calls, aborted_calls, ended_early_calls, cached_unknown_calls,
    estimated_calls, estimated_input_tokens, estimated_output_tokens, input_tokens,
    cached_input_tokens, output_tokens, rolled_up_at)
SELECT %s::timestamptz + h * interval '1 hour', 'CC-' || t %% 90, 'team-' || t, 'model-' || m,
    'model-' || m || '-v1', 90, 1, 2, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 40000 + t, 9000 + m,
    7000 + h, now()
FROM generate_series(1, %s) t, generate_series(1, %s) m, generate_series(0, %s) h
"""


def main() -> int:
    """Fill the database, measure, and print the figures."""
    prepare()
    from apps.chargeback import actions, queries
    from apps.chargeback.models import MonthlyLine

    fill()
    actions.price_due_days()
    assert MonthlyLine.objects.count() == TEAMS * MODELS
    actions.mark_days(first=WHOLE_DAY, last=WHOLE_DAY, now=END)
    begun = time.perf_counter()
    actions.price_day(day=WHOLE_DAY)
    priced = time.perf_counter() - begun
    analyze()
    all_teams, team = queries.Scope(None), queries.Scope("team-7")
    asked: dict[str, Callable[[], object]] = {
        "lines of all teams": lambda: queries.lines(start=START, end=END, scope=all_teams),
        "sum of all teams": lambda: queries.month_totals(month=MONTH, scope=all_teams),
        "sums of 30 days of all teams": lambda: queries.day_totals(
            start=START, end=END, scope=all_teams
        ),
        "lines of a team": lambda: queries.lines(start=START, end=END, scope=team),
        "lines of a team by day": lambda: queries.lines(
            start=START, end=END, scope=team, by_day=True
        ),
        "use of a model by SKU": lambda: queries.spend_by_sku(
            model="model-2", start=START, end=END
        ),
    }
    size = f"{TEAMS:,} teams × {MODELS} models"
    results = [
        Result(f"price a day of {TEAMS * MODELS * 24:,} hourly sums", round(priced, 2), "s", 2)
    ]
    for name, ask in asked.items():
        results.append(Result(f"{name}, {size}, in the database", in_database(ask), "ms", 100))
    whole = round(statistics.median(timed(asked["lines of all teams"]) for _ in range(ROUNDS)), 1)
    results.append(Result("lines of all teams, read into Python", whole, "ms", 300))
    show("chargeback", results)
    return 0


def prepare() -> None:
    """Migrate, and give each model prices that change once in the month."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)
    from apps.chargeback.rating import Prices
    from tests.chargeback.pricing import price
    from tests.factories import RegisteredModelFactory

    for number in range(1, MODELS + 1):
        model = RegisteredModelFactory(name=f"model-{number}")
        for days in (0, 14):
            usd = Decimal("0.10") + Decimal(days) / 100
            begins = START + timedelta(days=days, hours=11 * bool(days))
            price(model, Prices(usd, usd / 10, usd * 4), begins)


def fill() -> None:
    """Store the hours."""
    from django.db import connection

    with connection.cursor() as cursor:
        for day in range(DAYS):
            start = START + timedelta(days=day)
            last = 23 if start.date() == WHOLE_DAY else 0
            cursor.execute(HOURS, [start, TEAMS, MODELS, last])


def analyze() -> None:
    """Let Postgres know what the tables hold, as its autovacuum does elsewhere."""
    import psycopg

    with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ANALYZE")


def in_database(ask: Callable[[], object]) -> float:
    """Return the median of the milliseconds that a query's statement takes in the database."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        ask()
    (statement,) = [query["sql"] for query in captured.captured_queries]
    return round(statistics.median(explained(statement) for _ in range(ROUNDS)), 1)


def explained(statement: str) -> float:
    """Return the milliseconds that a statement takes, planning and running it."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        found: dict[str, Any] = cursor.fetchone()[0][0]
    return float(found["Planning Time"]) + float(found["Execution Time"])


def timed(ask: Callable[[], object]) -> float:
    """Return the milliseconds that something takes."""
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    raise SystemExit(main())
