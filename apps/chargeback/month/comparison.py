"""A month against the same days of the month before: only days that are over in both, and known."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from apps.chargeback.models import AllocatedDay, Allocation, DailyLine, DayTotal
from apps.chargeback.queries import Scope
from apps.common.periods import DAY, day_of, end_of_day, month_before, next_month

OF_PRICED = ", of what has a price"


@dataclass(frozen=True)
class SameDays:
    """The first days of a month that are over, as many of them as the month before has. month: its
    first day; count: 0 where the first one is not over.
    """

    month: date
    count: int

    @property
    def before(self) -> date:
        """Return the first day of the month before."""
        return month_before(self.month)

    @property
    def words(self) -> str:
        """Return the days of the month before, as a change names them: "1–26 Oct"."""
        last = f"–{self.count}" if self.count > 1 else ""
        return f"1{last} {self.before:%b}"

    def of(self, month: date) -> list[date]:
        """Return these days of a month."""
        return [month + place * DAY for place in range(self.count)]

    def within(self, column: str, month: date) -> Q:
        """Return the condition that a column holds one of these days of a month."""
        return Q(**{f"{column}__gte": month, f"{column}__lt": month + self.count * DAY})

    def either(self, column: str) -> Q:
        """Return the same for both months."""
        return self.within(column, self.month) | self.within(column, self.before)


@dataclass(frozen=True)
class Compared:
    """What the same days of two months come to. None: nothing of it is known. is_whole: False where
    some of it has no price, and is in neither.
    """

    days: SameDays
    now_usd: Decimal | None
    before_usd: Decimal | None
    is_whole: bool = True

    @property
    def words(self) -> str:
        """Return the change and the days that it is told against: "+4.1% vs 1–26 Oct"; "" where
        nothing can be said.
        """
        if self.now_usd is None or not self.before_usd:
            return ""
        change = f"{(self.now_usd - self.before_usd) / self.before_usd:+.1%}".replace("-", "−")
        of = "" if self.is_whole else OF_PRICED
        if change in ("+0.0%", "−0.0%"):
            return f"same as {self.days.words}{of}"
        return f"{change} vs {self.days.words}{of}"


def same_days(month: date, now: datetime) -> SameDays:
    """Return the days of a month that can be held against the month before. month: its first."""
    over = (min(day_of(now), next_month(month)) - month).days
    return SameDays(month, max(0, min(over, (month - month_before(month)).days)))


def of_prices(days: SameDays, scope: Scope) -> Compared:
    """Return what these days come to by the price list; one query."""
    rows: QuerySet[Any] = DayTotal.objects.all()
    if scope.team is not None:
        rows = DailyLine.objects.filter(team=scope.team)
    found = rows.filter(days.either("day")).aggregate(
        now_usd=Sum("list_cost_usd", filter=days.within("day", days.month)),
        before_usd=Sum("list_cost_usd", filter=days.within("day", days.before)),
        unpriced=Sum(F("unpriced_tokens") + F("unpriced_requests"), default=0),
    )
    return Compared(days, found["now_usd"], found["before_usd"], not found["unpriced"])


def of_machines(days: SameDays, scope: Scope) -> Compared:
    """Return what the machines of these days cost: for a team, what its work took of them. A month
    counts where each of the days is shared out to its end; one query, for a team two.
    """
    rows = list(AllocatedDay.objects.filter(days.either("day")))
    over = {row.day: row for row in rows if row.until >= end_of_day(row.day)}
    known = {month: all(day in over for day in days.of(month)) for month in _months(days)}
    if scope.team is None:
        amounts = {
            month: sum((over[day].total_usd for day in days.of(month)), Decimal(0))
            for month in _months(days)
            if known[month]
        }
        is_whole = not any(row.unpriced_seconds for row in rows)
        return Compared(days, amounts.get(days.month), amounts.get(days.before), is_whole)
    mine = Allocation.objects.filter(days.either("day"), team=scope.team)
    found = mine.aggregate(
        unpriced=Sum("gpu_hours", filter=Q(is_priced=False)),
        now_usd=Sum("cost_usd", filter=days.within("day", days.month)),
        before_usd=Sum("cost_usd", filter=days.within("day", days.before)),
    )
    now_usd = found["now_usd"] if known[days.month] else None
    before_usd = found["before_usd"] if known[days.before] else None
    return Compared(days, now_usd, before_usd, is_whole=not found["unpriced"])


def _months(days: SameDays) -> tuple[date, date]:
    return days.month, days.before
