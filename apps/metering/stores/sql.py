"""What both stores ask of Postgres: the functions that make, hold against the archive, drop and
bring back the days of a table.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection, transaction

LONGEST = "10min"  # a statement that reads a whole day
STORED_DAYS = """
SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = %s::regclass ORDER BY 1
"""


@contextmanager
def patience() -> Iterator[None]:
    """Let statements that read a whole day take the time of a large one, in a transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        (usual,) = cursor.fetchone()
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [LONGEST])
        yield
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [usual])


# In all of these `function` and `table` are our own names; every value is a parameter.
def row(function: str, *values: Any) -> tuple[Any, ...]:
    """Return the one row of a function of the database."""
    places = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {function}({places})", values)  # noqa: S608
        found: tuple[Any, ...] = cursor.fetchone()
        return found


def call(function: str, *values: Any) -> Any:
    """Return what a function of the database returns."""
    return row(function, *values)[0]


def ids(function: str, *values: Any) -> list[UUID]:
    """Return the ids that a function of the database returns, in order."""
    places = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {function}({places}) AS id ORDER BY id", values)  # noqa: S608
        return [found for (found,) in cursor.fetchall()]


def days_not_made(function: str, days: Collection[date]) -> frozenset[date]:
    """Have a function make room for days; return those that it made none for."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT day FROM unnest(%s::date[]) AS day WHERE NOT {function}(day)",  # noqa: S608
            [sorted(days)],
        )
        return frozenset(found for (found,) in cursor.fetchall())


def days_of(table: str) -> list[date]:
    """Return the days that a table has partitions for, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(STORED_DAYS, [table])
        return [found for (found,) in cursor.fetchall()]


def copy(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Store rows in one statement."""
    with connection.cursor() as cursor:
        copying = cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN")
        with connection.wrap_database_errors, copying as sink:
            for one in rows:
                sink.write_row(one)
