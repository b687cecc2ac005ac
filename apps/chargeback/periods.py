"""Which months may still change."""

from datetime import datetime

from apps.common.periods import month_bounds, month_of


def first_open(now: datetime) -> datetime:
    """Return the first moment that a price or a count may still change: the start of the month of
    `now`. What came before it is what finance has reported.
    """
    return month_bounds(month_of(now))[0]
