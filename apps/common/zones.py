"""Months and days of a named zone: what a budget's month is. Pure.

apps/common/periods.py is for everything else, which has one zone. A month begins and ends at
midnight of its own zone; seen from UTC, the month in which clocks change is an hour longer or
shorter. Every zone here is whole hours away from UTC, so that its months and days are whole hours
of usage.
"""

from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from apps.common import periods

ZONES = {
    "UTC": "UTC",
    "America/New_York": "Eastern (New York)",
    "America/Chicago": "Central (Chicago)",
    "America/Denver": "Mountain (Denver)",
    "America/Los_Angeles": "Pacific (Los Angeles)",
}


def day_in(zone: str, moment: datetime) -> date:
    """Return the day that it is in a zone at a moment."""
    return moment.astimezone(ZoneInfo(zone)).date()


def start_of_day_in(zone: str, day: date) -> datetime:
    """Return the first moment of a day in a zone, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def month_in(zone: str, moment: datetime) -> date:
    """Return the first day of the month that it is in a zone at a moment."""
    return day_in(zone, moment).replace(day=1)


@lru_cache(maxsize=256)  # a gate asks for those of its budgets with every call
def month_bounds_in(zone: str, month: date) -> tuple[datetime, datetime]:
    """Return [first moment of a zone's month, first of its next), in UTC. month: any day of it."""
    first = month.replace(day=1)
    return start_of_day_in(zone, first), start_of_day_in(zone, periods.next_month(first))


def share_of_day_left(zone: str, moment: datetime) -> float:
    """Return how much of a zone's day is left at a moment: 1 at its start, towards 0 at its end."""
    day = day_in(zone, moment)
    start, end = start_of_day_in(zone, day), start_of_day_in(zone, day + periods.DAY)
    return (end - moment) / (end - start)
