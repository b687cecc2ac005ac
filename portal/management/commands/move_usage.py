"""`manage.py move_usage`: make ClickHouse ready for calls, and move there what Postgres holds.

Runs as the owner of the tables, with USAGE_STORE_URL set, while nothing stores calls. Each day is
one transaction, which ends with the day's table being dropped in Postgres. Safe to run again: what
ClickHouse has of a day that was cut off is taken away first. Days in the archive stay there: they
are brought back into whichever store is used then.
"""

from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.metering.stores.base import store
from apps.metering.stores.clickhouse import ClickHouse
from apps.metering.stores.moving import days_to_move, move_day
from portal.database import as_owner


class Command(BaseCommand):
    """Make the table, and move every day."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Move the days, oldest first, and tell how many calls each had."""
        if not settings.USAGE_STORE_URL:
            raise CommandError("USAGE_STORE_URL names no ClickHouse, so calls stay in Postgres.")
        there = store()
        assert isinstance(there, ClickHouse)  # noqa: S101 - the address says so
        there.make_table()
        with as_owner():
            days: list[date] = days_to_move()
            for day in days:
                self.stdout.write(f"{day:%Y-%m-%d}: {move_day(day, there):,} calls")
        self.stdout.write(f"{len(days):,} days moved; calls are kept in ClickHouse now.")
