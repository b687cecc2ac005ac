"""The figures of the chargeback page and of every export: one query layer, so that totals agree to
the token.

Lines are read from the days and months that actions.price_day computes, each hour priced with the
rate in force at its start. Tokens without a rate are listed as unpriced, never priced at zero;
calls whose usage is unknown are counted as unmetered. Days whose hours or prices changed since are
counted (`days_waiting`), so that every page can say so.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Sum

from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.roles import SEES_ALL_MONEY
from apps.catalog.models import RegisteredModel
from apps.chargeback.counts import COUNTED, UNPRICED, Counts
from apps.chargeback.models import WHOSE, DailyLine, DayTotal, DirtyDay, MonthlyLine, Rate, Spend
from apps.chargeback.rating import Prices
from apps.chargeback.spending import COST, HOURS, PRICED_HOURS, SKUS_OF_AN_HOUR
from apps.common import periods
from apps.common.errors import require
from apps.common.periods import month_bounds, month_of
from apps.metering.skus import Sku


@dataclass(frozen=True)
class Scope:
    """Whose usage a person may see: everything, or one team's."""

    team: str | None


EVERYTHING = Scope(team=None)


@dataclass(frozen=True, kw_only=True)
class Line(Counts):
    """One line of a month: its dimensions, calls, tokens and price-list cost in USD (exact; None:
    no rate).
    """

    cost_center: str
    team: str
    model: str
    version: str
    day: date | None
    list_cost_usd: Decimal | None
    estimated_cost_usd: Decimal

    @property
    def unpriced(self) -> int:
        """Return how many tokens and rerank requests have no price."""
        return self.unpriced_tokens + self.unpriced_requests


def scope_of(user: User) -> Scope:
    """Return what this person may see. Raises NotPermitted for a person without role or team."""
    if user.has_role(*SEES_ALL_MONEY):
        return EVERYTHING
    require(
        bool(user.roles and user.team),
        "Chargeback is shown to finance, and to teams for their own usage.",
    )
    return Scope(team=user.team.slug if user.team else "")


def lines(*, start: datetime, end: datetime, scope: Scope, by_day: bool = False) -> list[Line]:
    """Return the usage of [start, end) by cost center, team, model, version (and day); dearest
    first. A calendar month is read from its own lines.

    Raises ValueError where the bounds are not whole days in UTC.
    """
    first, last = _days(start, end)
    order = "1, 2, 3, 4, 5" if by_day else "list_cost_usd DESC NULLS LAST, 1, 2, 3, 4"
    if _is_month(first, last) and not by_day:
        where, bounds = f"{_MONTHLY} l WHERE l.month = %s", [first]
        columns, group = f"NULL::date, {_NAMES}", ""
    else:
        where, bounds = f"{_DAILY} l WHERE l.day >= %s AND l.day < %s", [first, last]
        columns = f"{'l.day' if by_day else 'NULL::date'}, {_SUMS}"
        group = "GROUP BY 1, 2, 3, 4, 5"
    # Only our own names and fixed texts are put into the statement; every value is a parameter.
    sql = f"""SELECT l.cost_center, l.team, l.model, l.version, {columns} FROM {where}
        AND (%s::text IS NULL OR l.team = %s) {group} ORDER BY {order}"""  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*bounds, scope.team, scope.team])
        return [_line(row) for row in cursor.fetchall()]


def uses_by_day_sql(
    *, start: datetime, end: datetime, zone: str, cost_centers: Iterable[str], teams: Iterable[str]
) -> tuple[str, list[Any]]:
    """Return a statement and its parameters: what was used in the hours of [start, end), by cost
    center, team, model and day of a zone: tokens, those without a price, rerank requests without
    one, and USD by the price list (NULL: nothing has a price). Of these cost centers, and of these
    teams. Read from the hours themselves, priced now: the days of a zone are not those of the
    lines.
    """
    # Only our own names and fixed texts are put into the statement; every value is a parameter.
    sql = f"""SELECT u.cost_center, u.team, u.model, (u.hour AT TIME ZONE %s)::date,
        SUM(u.input_tokens + u.output_tokens)::bigint,
        COALESCE(SUM(p.unpriced_tokens), 0)::bigint,
        COALESCE(SUM(p.unpriced_requests), 0)::bigint, SUM(p.list_cost_usd)
        {PRICED_HOURS} WHERE u.hour >= %s AND u.hour < %s
        AND (u.cost_center = ANY(%s) OR u.team = ANY(%s)) GROUP BY 1, 2, 3, 4"""  # noqa: S608
    return sql, [zone, start, end, list(cost_centers), list(teams)]


def uses_sql(
    *, start: datetime, end: datetime, cost_centers: Iterable[str], teams: Iterable[str]
) -> tuple[str, list[Any]]:
    """Return the same as uses_by_day_sql, by UTC day and much faster: days that are whole and
    priced are read from their lines, the hours at the ends and those of marked days one by one. So
    nothing of it is older than the hourly sums.
    """
    first, last = periods.start_of_day(periods.day_of(start)), periods.day_of(end)
    if first < start:
        first += periods.DAY
    first, ends = min(first, end), max(first, periods.start_of_day(last))
    whose = "(l.cost_center = ANY(%s) OR l.team = ANY(%s))"
    sql = f"""SELECT l.cost_center, l.team, l.model, l.day,
            SUM(l.input_tokens + l.output_tokens)::bigint, SUM(l.unpriced_tokens)::bigint,
            SUM(l.unpriced_requests)::bigint, SUM(l.list_cost_usd)
        FROM {_DAILY} l WHERE l.day >= %s AND l.day < %s AND {whose}
        AND NOT EXISTS (SELECT 1 FROM {_MARKS} d WHERE d.day = l.day) GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT u.cost_center, u.team, u.model, (u.hour AT TIME ZONE 'UTC')::date,
            SUM(u.input_tokens + u.output_tokens)::bigint,
            COALESCE(SUM(u.unpriced_tokens), 0)::bigint,
            COALESCE(SUM(u.unpriced_requests), 0)::bigint, SUM(u.list_cost_usd)
        FROM (
            VALUES (%s::timestamptz, %s::timestamptz), (%s, %s) UNION ALL
            SELECT d.day::timestamp AT TIME ZONE 'UTC', (d.day + 1)::timestamp AT TIME ZONE 'UTC'
            FROM {_MARKS} d WHERE d.day >= %s AND d.day < %s
        ) span (from_at, to_at) CROSS JOIN LATERAL (
            SELECT u.*, p.* {PRICED_HOURS}
            WHERE u.hour >= span.from_at AND u.hour < span.to_at AND {whose.replace("l.", "u.")}
            OFFSET 0  -- by the index on hours: no hour outside of the spans is priced
        ) u GROUP BY 1, 2, 3, 4"""  # noqa: S608
    names: list[Any] = [list(cost_centers), list(teams)]
    days = [periods.day_of(first), last]
    return sql, [*days, *names, start, first, ends, end, *days, *names]


def _days(start: datetime, end: datetime) -> tuple[date, date]:
    """Return the days [first, last) of a time. Raises ValueError where these are not whole."""
    first, last = periods.day_of(start), periods.day_of(end)
    if (periods.start_of_day(first), periods.start_of_day(last)) != (start, end):
        raise ValueError("lines are of whole days, in UTC")
    return first, last


def _is_month(first: date, last: date) -> bool:
    return first.day == 1 and last == periods.next_month(first)


def _line(row: tuple[Any, ...]) -> Line:
    line = Line(**dict(zip(_OF_A_LINE, row, strict=True)))
    # A line that used nothing costs nothing even where no rate exists: nothing was generated.
    is_known = line.list_cost_usd is not None or line.is_use
    return line if is_known else replace(line, list_cost_usd=Decimal(0))


@dataclass(frozen=True, kw_only=True)
class Totals(Counts):
    """The sum of lines. list_cost_usd: of what has a rate; estimated_cost_usd: the part of it that
    is of estimates.
    """

    list_cost_usd: Decimal
    estimated_cost_usd: Decimal


def totals(found: list[Line]) -> Totals:
    """Return the sum of `found`; the page, its CSV and its footer all use it."""
    counts = {name: sum(getattr(line, name) for line in found) for name in COUNTED}
    return Totals(
        **counts,
        list_cost_usd=sum((line.list_cost_usd or Decimal(0) for line in found), Decimal(0)),
        estimated_cost_usd=sum((line.estimated_cost_usd for line in found), Decimal(0)),
    )


COSTS = ("list_cost_usd", "estimated_cost_usd")
_DAILY, _MONTHLY = DailyLine._meta.db_table, MonthlyLine._meta.db_table
_MARKS, _DAY_TOTALS = DirtyDay._meta.db_table, DayTotal._meta.db_table
# the columns of a line after its names
_NAMES = ", ".join(f"l.{name}" for name in (*COUNTED, *COSTS))
_SUMS = ", ".join(f"SUM(l.{name})::bigint AS {name}" for name in COUNTED)
_SUMS += "".join(f", SUM(l.{name}) AS {name}" for name in COSTS)
_OF_A_LINE = (*WHOSE, "day", *COUNTED, *COSTS)


def month_totals(*, month: date, scope: Scope) -> Totals:
    """Return the sum of a month's lines, without the lines. month: its first day."""
    sql = f"""SELECT {_SUMS} FROM {_MONTHLY} l
        WHERE l.month = %s AND (%s::text IS NULL OR l.team = %s)"""  # noqa: S608 - our own names
    with connection.cursor() as cursor:
        cursor.execute(sql, [month, scope.team, scope.team])
        return _totals(cursor.fetchone())


def day_totals(*, start: datetime, end: datetime, scope: Scope) -> dict[date, Totals]:
    """Return day → the sum of its lines, of the days of [start, end) that have any, in their
    order; of all teams, as it was summed with the day.
    """
    table = _DAY_TOTALS if scope.team is None else _DAILY
    team = "" if scope.team is None else "AND l.team = %s"
    sql = f"""SELECT l.day, {_SUMS} FROM {table} l WHERE l.day >= %s AND l.day < %s {team}
        GROUP BY 1 ORDER BY 1"""  # noqa: S608 - our own names
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_days(start, end), *([scope.team] if team else [])])
        return {day: _totals(sums) for day, *sums in cursor.fetchall()}


def _totals(sums: Sequence[Any]) -> Totals:
    """Return the totals of a row of sums, in which NULL is nothing."""
    counts = {name: count or 0 for name, count in zip(COUNTED, sums, strict=False)}
    listed, estimated = (usd or Decimal(0) for usd in sums[-len(COSTS) :])
    return Totals(**counts, list_cost_usd=listed, estimated_cost_usd=estimated)


def days_waiting(start: datetime, end: datetime) -> int:
    """Return how many days of [start, end) have hours or prices that are not in the lines yet."""
    days = {"day__gte": periods.day_of(start), "day__lt": periods.day_of(end)}
    return DirtyDay.objects.filter(**days).count()


@dataclass(frozen=True)
class SkuUse:
    """How much of a SKU was used, in its unit, and what it costs by the rates of its hours.
    list_cost_usd: of what has a price; None where nothing of it has.
    """

    sku: Sku
    quantity: Decimal
    list_cost_usd: Decimal | None


def spend_by_sku(*, model: str, start: datetime, end: datetime) -> list[SkuUse]:
    """Return what all teams used of a model in the days of [start, end), by SKU."""
    first, last = _days(start, end)
    spent = Spend.objects.filter(model=model, day__gte=first, day__lt=last)
    sums = spent.order_by().values("sku").annotate(used=Sum("quantity"), usd=Sum("list_cost_usd"))
    return _in_order(sums.values_list("sku", "used", "usd"))


def use_by_sku(*, model: str, start: datetime, end: datetime) -> list[SkuUse]:
    """Return what all teams used of a model in the hours of [start, end), by SKU, priced now."""
    sql = f"""SELECT p.sku, SUM(p.quantity), SUM(p.usd)
        {HOURS} CROSS JOIN LATERAL (
            SELECT q.sku, q.quantity, {COST} AS usd FROM {SKUS_OF_AN_HOUR}
        ) p
        WHERE u.model = %s AND u.hour >= %s AND u.hour < %s GROUP BY 1"""  # noqa: S608 - our names
    with connection.cursor() as cursor:
        cursor.execute(sql, [model, start, end])
        return _in_order(cursor.fetchall())


def _in_order(rows: Iterable[Sequence[Any]]) -> list[SkuUse]:
    found = {Sku(sku): SkuUse(Sku(sku), *sums) for sku, *sums in rows}
    return [found[sku] for sku in Sku if sku in found]


def prices_at(model: RegisteredModel, at: datetime) -> Prices | None:
    """Return a model's prices in force at a moment, or None."""
    return prices([model], at).get(model.pk)


def prices(models: Iterable[RegisteredModel], at: datetime) -> dict[int, Prices]:
    """Return model → its prices in force at a moment, of those that have any; one query."""
    found: defaultdict[int, dict[str, Decimal]] = defaultdict(dict)
    for rate in Rate.objects.at(at).filter(registered_model__in=models):
        found[rate.registered_model_id][rate.sku] = rate.unit_price_usd
    return {model: Prices.of(by_sku) for model, by_sku in found.items()}


def spent_this_month(*, scope: Scope, now: datetime) -> dict[tuple[str, str], Decimal | None]:
    """Return what each team spent on each model since the month began, by the price list, exact;
    one query. None: they used it, and nothing of it has a price.
    """
    start, end = month_bounds(month_of(now))
    spent: dict[tuple[str, str], Decimal | None] = {}
    for line in lines(start=start, end=end, scope=scope):
        key = (line.team, line.model)
        known = spent.setdefault(key, None)
        if line.list_cost_usd is not None:
            spent[key] = (known or Decimal(0)) + line.list_cost_usd
    return spent


@dataclass(frozen=True)
class GrantUse:
    """What a grant's team used of its model: this month, and since it was granted (whole hours)."""

    month: Totals
    all: Totals


def use_of(grant: Grant, now: datetime) -> GrantUse:
    """Return what a grant was used for, until it ended or the day of now; two queries."""
    start, end = month_bounds(month_of(now))
    since = grant.active_from.replace(minute=0, second=0, microsecond=0)
    until = min(grant.ended_at, periods.end_of_day(periods.day_of(now)))
    return GrantUse(month=_used(grant, start, end), all=_used(grant, since, until))


# the counts of an hour in the order of COUNTED: a UNION knows its columns by their places alone
_OF_AN_HOUR = [f"COALESCE(p.{name}, 0)" if name in UNPRICED else f"u.{name}" for name in COUNTED]
# What a team used of a model: whole days by their lines, what is left at both ends by its hours.
_USED = f"""
    SELECT {_SUMS} FROM (
        SELECT {", ".join((*COUNTED, *COSTS))} FROM {_DAILY}
        WHERE team = %(team)s AND model = %(model)s AND day >= %(first)s AND day < %(last)s
        UNION ALL
        SELECT {", ".join(_OF_AN_HOUR)}, p.list_cost_usd, p.estimated_cost_usd
        {PRICED_HOURS}
        WHERE u.team = %(team)s AND u.model = %(model)s
          AND (u.hour >= %(start)s AND u.hour < %(days_from)s
               OR u.hour >= %(days_to)s AND u.hour < %(end)s)
    ) l
"""  # noqa: S608 - only our own names are in it


def _used(grant: Grant, start: datetime, end: datetime) -> Totals:
    first = periods.day_of(start + periods.DAY - timedelta(microseconds=1))
    last = max(first, periods.day_of(end))
    days_from = min(periods.start_of_day(first), end)
    values: dict[str, str | date] = {
        "team": grant.team.slug,
        "model": grant.registered_model.name,
        "first": first,
        "last": last,
        "start": start,
        "days_from": days_from,
        "days_to": max(periods.start_of_day(last), days_from),
        "end": end,
    }
    with connection.cursor() as cursor:
        cursor.execute(_USED, values)
        return _totals(cursor.fetchone())
