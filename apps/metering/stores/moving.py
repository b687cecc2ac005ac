"""Moves days of calls from Postgres into ClickHouse, as the owner of the tables."""

from datetime import date

from django.db import connection, transaction

from apps.metering.stores import sql
from apps.metering.stores.clickhouse import ClickHouse
from apps.metering.stores.columns import STORED
from apps.metering.stores.postgres import TABLE, Postgres
from apps.metering.stores.sql import patience


def days_to_move() -> list[date]:
    """Return the days that Postgres has tables for, oldest first."""
    return sql.days_of(TABLE)


@transaction.atomic
def move_day(day: date, there: ClickHouse) -> int:
    """Move a day; return how many calls it had. Raises RuntimeError where the calls there are not
    as many.
    """
    with patience(), connection.cursor() as cursor:
        # whoever reads it or writes into it is waited for, and nobody else begins
        cursor.execute(f"LOCK TABLE {TABLE}_{day:%Y%m%d} IN ACCESS EXCLUSIVE MODE")
        moved = there.take_over(day, STORED, Postgres().rows_of(day, STORED, 10_000))
        held = Postgres().held_by(day)
        if moved != held.calls:
            raise RuntimeError(f"{moved:,} calls of {day} were moved, not {held.calls:,}")
        cursor.execute(f"DROP TABLE {TABLE}_{day:%Y%m%d}")
    return moved
