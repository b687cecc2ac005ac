"""What a month will have cost when it is over, and how it goes on day by day. Pure.

Nobody knows it, so it is told as a range. Where whole weeks are known, each day to come is like its
weekday, in a week as quiet as the quietest of them or as busy as the busiest. Where they are not, a
month goes on at the pace of the whole month so far, or of its last seven whole days. Words give it
no more digits than it deserves (apps/common/money.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.common import money, periods

LATELY = 7  # whole days
LEAST = periods.DAY  # of a month, before anything is said of the rest
LEAST_WEEKS, MOST_WEEKS = 2, 4  # whole ones before today, for a pattern
LOOKED_BACK = MOST_WEEKS * 7 * periods.DAY
NEEDS_WEEKS = "A forecast needs two whole weeks of use."
ZERO = Decimal(0)


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
    """Return what the month of `now` comes to: by the pattern of the last weeks, or else by the
    pace of the month so far, which is None in its first 24 hours.

    spent_by_day: USD of each day (UTC), of this month and LOOKED_BACK before today; days that are
    missing cost nothing.
    """
    start, end = periods.month_bounds(periods.month_of(now))
    today = periods.day_of(now)
    left = (periods.end_of_day(today) - now) / periods.DAY
    found = outlook(spent_by_day, first=start.date(), today=today, left=left)
    if found is not None:
        return Forecast(found.low, found.high)
    if now - start < LEAST:
        return None
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


@dataclass(frozen=True)
class Outlook:
    """How a month goes on. days: from today to the month's last one, each with what will have been
    spent since the month began when it ends, at least and at most.
    """

    days: Sequence[tuple[date, Decimal, Decimal]]

    @property
    def low(self) -> Decimal:
        """Return the least that the whole month comes to."""
        return self.days[-1][1]

    @property
    def high(self) -> Decimal:
        """Return the most that the whole month comes to."""
        return self.days[-1][2]

    def runs_out(self, limit: Decimal) -> tuple[date | None, date | None]:
        """Return the first and the last day on which a limit may be reached; None: not in this
        month.
        """
        earliest = next((day for day, _, high in self.days if high >= limit), None)
        latest = next((day for day, low, _ in self.days if low >= limit), None)
        return earliest, latest


def outlook(
    spent_by_day: Mapping[date, Decimal], *, first: date, today: date, left: float
) -> Outlook | None:
    """Return how the month goes on by the weekdays of the last whole weeks; None unless two whole
    weeks have passed since the first day that cost something.

    spent_by_day: of the month so far, and of LOOKED_BACK before today; days that are missing cost
    nothing. first: the month's first day. left: how much of today is to come, 0 to 1.
    """
    levels = _weekdays(spent_by_day, today)
    if levels is None:
        return None
    low = high = sum((cost for day, cost in spent_by_day.items() if first <= day <= today), ZERO)
    share, day, days = Decimal(left), today, []
    while day < periods.next_month(first):
        low += share * levels[0][day.weekday()]
        high += share * levels[1][day.weekday()]
        days.append((day, low, high))
        share, day = Decimal(1), day + periods.DAY
    return Outlook(days)


def _weekdays(
    spent_by_day: Mapping[date, Decimal], today: date
) -> tuple[list[Decimal], list[Decimal]] | None:
    """Return what each weekday costs, Monday first, in a week like the quietest, and in one like
    the busiest, of the last whole weeks before today.
    """
    known = [day for day, cost in spent_by_day.items() if cost and day < today]
    weeks = min(MOST_WEEKS, (today - min(known, default=today)).days // 7)
    if weeks < LEAST_WEEKS:
        return None
    totals, weekdays = [ZERO] * weeks, [ZERO] * 7
    for back in range(1, 7 * weeks + 1):
        day = today - back * periods.DAY
        totals[(back - 1) // 7] += spent_by_day.get(day, ZERO)
        weekdays[day.weekday()] += spent_by_day.get(day, ZERO)
    whole = sum(totals) or Decimal(1)
    low, high = (
        [level * cost / whole for cost in weekdays] for level in (min(totals), max(totals))
    )
    return low, high


def ran_out_on(
    spent_by_day: Mapping[date, Decimal], limit: Decimal, *, first: date, today: date
) -> date | None:
    """Return the day of the month, up to today, on which a limit was reached; None: on none."""
    spent, day = ZERO, first
    while day <= today:
        spent += spent_by_day.get(day, ZERO)
        if spent >= limit:
            return day
        day += periods.DAY
    return None
