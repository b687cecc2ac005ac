"""What a month will have cost when it is over. Pure.

Nobody knows it, so it is told as a range: at the pace of the whole month so far, and at the pace
of its last seven whole days. Words give it no more digits than it deserves (apps/common/money.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.common import money, periods

LATELY = 7  # whole days
LEAST = periods.DAY  # of a month, before anything is said of the rest


@dataclass(frozen=True)
class Forecast:
    """The bounds of what a whole month comes to, in USD, exact. low_usd is not above high_usd."""

    low_usd: Decimal
    high_usd: Decimal

    @property
    def words(self) -> str:
        """Return "about $1,240 to $1,410"."""
        return money.about_range_usd(self.low_usd, self.high_usd)


def forecast(spent_by_day: Mapping[date, Decimal], now: datetime) -> Forecast | None:
    """Return what the month of `now` comes to; None in its first 24 hours.

    spent_by_day: USD of each day; days of other months are left out, days that are missing cost
    nothing.
    """
    start, end = periods.month_bounds(periods.month_of(now))
    if now - start < LEAST:
        return None
    today = periods.day_of(now)
    days = {day: cost for day, cost in spent_by_day.items() if start.date() <= day <= today}
    spent = sum(days.values(), Decimal(0))
    paces = [spent / _seconds(now - start)]
    whole = [today - back * periods.DAY for back in range(1, LATELY + 1)]
    if whole[-1] >= start.date():
        lately = sum((days.get(day, Decimal(0)) for day in whole), Decimal(0))
        paces.append(lately / _seconds(LATELY * periods.DAY))
    ends = [spent + pace * _seconds(end - now) for pace in paces]
    return Forecast(min(ends), max(ends))


def _seconds(length: timedelta) -> Decimal:
    return Decimal(length.total_seconds())
