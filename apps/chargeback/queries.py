"""The figures of the chargeback page and of every export: one query layer, so that totals agree to
the token.

Usage is read from the hourly sums, each hour priced with the rate in force at its start. Tokens
without a rate are listed as unpriced, never priced at zero; calls whose usage is unknown are
counted as unmetered.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.roles import SEES_ALL_MONEY
from apps.catalog.models import RegisteredModel
from apps.chargeback.models import Rate
from apps.chargeback.rating import Prices
from apps.common.errors import require
from apps.common.periods import month_bounds, month_of
from apps.metering import skus


@dataclass(frozen=True)
class Scope:
    """Whose usage a person may see: everything, or one team's."""

    team: str | None


@dataclass(frozen=True)
class Line:
    """One line of a month: its dimensions, calls, tokens and price-list cost in USD (exact; None:
    no rate).
    """

    cost_center: str
    team: str
    model: str
    version: str
    day: date | None
    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    refused_401_calls: int
    refused_403_calls: int
    refused_404_calls: int
    refused_429_calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    unpriced_tokens: int
    list_cost_usd: Decimal | None


# tokens without a price, and what the others cost
_MONEY = "COALESCE(SUM(p.unpriced_tokens), 0)::bigint, SUM(p.list_cost_usd)"
_SUMS = f"""
    SUM(u.metered_calls), SUM(u.unmetered_calls), SUM(u.refused_calls),
    SUM(u.refused_401_calls), SUM(u.refused_403_calls), SUM(u.refused_404_calls),
    SUM(u.refused_429_calls), SUM(u.failed_calls),
    SUM(u.input_tokens)::bigint, SUM(u.cached_input_tokens)::bigint, SUM(u.output_tokens)::bigint,
    {_MONEY}
"""
# What an hour holds of each SKU, with the rate in force when it began. The product has 20 decimals
# before it is divided, so that nothing of a price per million is lost.
_SKUS = f"""
    (VALUES {skus.rows_sql("u")}) q (sku, quantity, per)
    LEFT JOIN chargeback_rate r ON r.registered_model_id = m.id AND r.sku = q.sku
         AND r.replaced_by_id IS NULL
         AND r.active_from <= u.hour AND (r.active_to IS NULL OR r.active_to > u.hour)
    WHERE q.quantity <> 0
"""
_COST = "q.quantity::numeric(40, 10) * r.unit_price_usd / q.per"
_HOURS = "FROM metering_hourlyusage u LEFT JOIN catalog_registeredmodel m ON m.name = u.model"
_FROM = f"""
    {_HOURS} CROSS JOIN LATERAL (
        SELECT SUM({_COST}) AS list_cost_usd,
               SUM(q.quantity) FILTER (WHERE r.id IS NULL) AS unpriced_tokens
        FROM {_SKUS}
    ) p
    WHERE u.hour >= %s AND u.hour < %s AND (%s::text IS NULL OR u.team = %s)
"""  # noqa: S608 - only our own names are in it


def scope_of(user: User) -> Scope:
    """Return what this person may see. Raises NotPermitted for a person without role or team."""
    if user.has_role(*SEES_ALL_MONEY):
        return Scope(team=None)
    require(
        bool(user.roles and user.team),
        "Chargeback is shown to finance, and to teams for their own usage.",
    )
    return Scope(team=user.team.slug if user.team else "")


def lines(*, start: datetime, end: datetime, scope: Scope, by_day: bool = False) -> list[Line]:
    """Return the usage of [start, end) by cost center, team, model, version (and UTC day); dearest
    first.
    """
    day = "(u.hour AT TIME ZONE 'UTC')::date" if by_day else "NULL::date"
    columns = f"u.cost_center, u.team, u.model, u.version, {day}"
    order = "1, 2, 3, 4, 5" if by_day else "18 DESC NULLS LAST, 1, 2, 3, 4"
    # Only the two fixed texts above are put into the statement; every value is a parameter.
    sql = f"SELECT {columns}, {_SUMS} {_FROM} GROUP BY 1, 2, 3, 4, 5 ORDER BY {order}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [start, end, scope.team, scope.team])
        return [_line(row) for row in cursor.fetchall()]


def uses_by_day_sql(
    *, start: datetime, end: datetime, zone: str, cost_centers: Iterable[str], teams: Iterable[str]
) -> tuple[str, list[object]]:
    """Return a statement and its parameters: what was used in the hours of [start, end), by cost
    center, team, model and day of a zone: tokens, those without a price, and USD by the price list
    (NULL: nothing has a price). Of these cost centers, and of these teams.
    """
    sql = f"""SELECT u.cost_center, u.team, u.model, (u.hour AT TIME ZONE %s)::date,
        SUM(u.input_tokens + u.output_tokens)::bigint, {_MONEY} {_FROM}
        AND (u.cost_center = ANY(%s) OR u.team = ANY(%s)) GROUP BY 1, 2, 3, 4"""  # noqa: S608
    return sql, [zone, start, end, None, None, list(cost_centers), list(teams)]


def _line(row: tuple[object, ...]) -> Line:
    *names, cost = row
    tokens_known = any(names[13:16])
    # A line without any tokens costs nothing even where no rate exists: nothing was generated.
    return Line(*names, list_cost_usd=cost if cost is not None or tokens_known else Decimal(0))  # type: ignore[arg-type, misc]


@dataclass(frozen=True)
class Totals:
    """The sum of lines. list_cost_usd: of what has a rate; unpriced_tokens: of what has none."""

    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    refused_401_calls: int
    refused_403_calls: int
    refused_404_calls: int
    refused_429_calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    unpriced_tokens: int
    list_cost_usd: Decimal


def totals(found: list[Line]) -> Totals:
    """Return the sum of `found`; the page, its CSV and its footer all use it."""
    counts = {
        f.name: sum(getattr(line, f.name) for line in found)
        for f in fields(Totals)
        if f.name != "list_cost_usd"
    }
    return Totals(
        **counts,
        list_cost_usd=sum((line.list_cost_usd or Decimal(0) for line in found), Decimal(0)),
    )


@dataclass(frozen=True)
class SkuUse:
    """How much of a SKU was used, in its unit, and what it costs by the rates of its hours.
    list_cost_usd: of what has a price; None where nothing of it has.
    """

    sku: skus.Sku
    quantity: Decimal
    list_cost_usd: Decimal | None


def use_by_sku(*, model: str, start: datetime, end: datetime) -> list[SkuUse]:
    """Return what all teams used of a model in the hours of [start, end), by SKU."""
    sql = f"""SELECT p.sku, SUM(p.quantity), SUM(p.usd)
        {_HOURS} CROSS JOIN LATERAL (SELECT q.sku, q.quantity, {_COST} AS usd FROM {_SKUS}) p
        WHERE u.model = %s AND u.hour >= %s AND u.hour < %s GROUP BY 1"""  # noqa: S608 - our names
    with connection.cursor() as cursor:
        cursor.execute(sql, [model, start, end])
        found = {skus.Sku(sku): SkuUse(skus.Sku(sku), *sums) for sku, *sums in cursor.fetchall()}
    return [found[sku] for sku in skus.Sku if sku in found]


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
    """Return what a grant was used for, until it ended or now; two queries."""
    start, end = month_bounds(month_of(now))
    since = grant.active_from.replace(minute=0, second=0, microsecond=0)
    until = min(grant.ended_at, now)
    return GrantUse(month=_used(grant, start, end), all=_used(grant, since, until))


def _used(grant: Grant, start: datetime, end: datetime) -> Totals:
    found = lines(start=start, end=end, scope=Scope(grant.team.slug))
    return totals([line for line in found if line.model == grant.registered_model.name])
