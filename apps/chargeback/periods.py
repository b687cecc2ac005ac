"""Which months may still change, and which ones people choose from."""

from datetime import date, datetime

from apps.common.periods import month_bounds, month_of, months_before


def first_open(now: datetime) -> datetime:
    """Return the first moment that a price or a count may still change: the start of the month of
    `now`. What came before it is what finance has reported.
    """
    return month_bounds(month_of(now))[0]


def months_to_choose(chosen: date, now: datetime) -> list[date]:
    """Return the last twelve months and the chosen one, newest first, as their first days."""
    found = [months_before(month_of(now), back) for back in range(12)]
    return found if chosen in found else [*found, chosen]
