"""Which months may still change, and which ones people choose from."""

from datetime import date, datetime

from django.db import connection

from apps.chargeback.closing.queries import last_closed
from apps.common.periods import month_bounds, month_of, months_before, next_month

_LOCK = 0x514D4D4F  # in Postgres's advisory locks


def first_open(now: datetime) -> datetime:
    """Return the first moment that a price may still change: the start of the month after the last
    closed one, and of the month of `now` where none was ever closed. One query.
    """
    last = last_closed()
    return month_bounds(next_month(last) if last else month_of(now))[0]


def hold_months() -> None:
    """Let no other transaction close a month or publish a price until this one ends: what is
    closed is priced as it was seen.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def months_to_choose(chosen: date, now: datetime) -> list[date]:
    """Return the last twelve months and the chosen one, newest first, as their first days."""
    found = [months_before(month_of(now), back) for back in range(12)]
    return found if chosen in found else [*found, chosen]
