"""Days, months and the periods that money is said for: how long they are, and where they begin.

A date without a time is one day for everybody, in the zone named here, wherever it is asked for,
stored or shown; it is never shifted by the reader's zone. A period is half-open, [from, to): the
end of a day is the first moment of the next one.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

HOURS_PER_DAY = Decimal(24)
# A year's hours over twelve, as AWS counts a month in its own prices.
HOURS_PER_MONTH = Decimal(730)
SECONDS_PER_HOUR = Decimal(3600)

ZONE = UTC
ZONE_NAME = "UTC"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def hour_of(moment: datetime) -> datetime:
    """Return the start of the hour that a moment lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def day_of(moment: datetime) -> date:
    """Return the day that a moment lies in."""
    return moment.astimezone(ZONE).date()


def start_of_day(day: date) -> datetime:
    """Return a day's first moment."""
    return datetime.combine(day, time(), ZONE)


def end_of_day(day: date) -> datetime:
    """Return the first moment after a day: what ends "on" it is still there in its last second.

    Raises OverflowError for the calendar's last day.
    """
    return start_of_day(day + DAY)


def last_day(end: datetime) -> date:
    """Return the day that something which ends before `end` ends on: end_of_day turned around."""
    return day_of(end - timedelta(microseconds=1))


def month_of(moment: datetime) -> date:
    """Return the first day of the month that a moment lies in."""
    return day_of(moment).replace(day=1)


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """Return [first moment of the month, first of the next)."""
    return start_of_day(month.replace(day=1)), start_of_day(next_month(month))


def next_month(month: date) -> date:
    """Return the first day of the next month."""
    return (month.replace(day=1) + 32 * DAY).replace(day=1)


def month_before(month: date) -> date:
    """Return the first day of the month before."""
    return months_before(month, 1)


def months_before(month: date, count: int) -> date:
    """Return the first day of the month that many months earlier. count: 0 or more."""
    years, index = divmod(month.year * 12 + month.month - 1 - count, 12)
    return date(years, index + 1, 1)


def day_words(day: date) -> str:
    """Return "23 Feb 2027"."""
    return f"{day.day} {day:%b %Y}"


def until_words(day: date) -> str:
    """Return how sentences say when something ends: "until the end of 23 Feb 2027, UTC"."""
    return f"until the end of {day_words(day)}, {ZONE_NAME}"
