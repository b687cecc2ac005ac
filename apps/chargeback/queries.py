"""The figures of the chargeback page and of every export: one query layer, so that totals agree to
the token.

Usage is read from the hourly sums, each hour priced with the rate in force at its start. Tokens
without a rate are listed as unpriced, never priced at zero; calls whose usage is unknown are
counted as unmetered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Q

from apps.accounts.models import User
from apps.accounts.roles import SEES_ALL_MONEY
from apps.catalog.models import RegisteredModel
from apps.chargeback.models import Rate
from apps.common.errors import require


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
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    unpriced_tokens: int
    list_cost_usd: Decimal | None


_SUMS = """
    SUM(u.metered_calls), SUM(u.unmetered_calls), SUM(u.refused_calls), SUM(u.failed_calls),
    SUM(u.input_tokens)::bigint, SUM(u.cached_input_tokens)::bigint, SUM(u.output_tokens)::bigint,
    COALESCE(SUM(u.input_tokens + u.output_tokens) FILTER (WHERE r.id IS NULL), 0)::bigint,
    SUM(((u.input_tokens - u.cached_input_tokens) * r.input_usd_per_million
         + u.cached_input_tokens * r.cached_input_usd_per_million
         + u.output_tokens * r.output_usd_per_million) / 1000000)
"""
_FROM = """
    FROM metering_hourlyusage u
    LEFT JOIN catalog_registeredmodel m ON m.name = u.model
    LEFT JOIN chargeback_rate r ON r.registered_model_id = m.id
         AND r.active_from <= u.hour AND (r.active_to IS NULL OR r.active_to > u.hour)
    WHERE u.hour >= %s AND u.hour < %s AND (%s::text IS NULL OR u.team = %s)
"""


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
    order = "1, 2, 3, 4, 5" if by_day else "14 DESC NULLS LAST, 1, 2, 3, 4"
    # Only the two fixed texts above are put into the statement; every value is a parameter.
    sql = f"SELECT {columns}, {_SUMS} {_FROM} GROUP BY 1, 2, 3, 4, 5 ORDER BY {order}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [start, end, scope.team, scope.team])
        return [_line(row) for row in cursor.fetchall()]


def _line(row: tuple[object, ...]) -> Line:
    *names, cost = row
    tokens_known = any(names[9:12])
    # A line without any tokens costs nothing even where no rate exists: nothing was generated.
    return Line(*names, list_cost_usd=cost if cost is not None or tokens_known else Decimal(0))  # type: ignore[arg-type, misc]


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """Return [first of the month, first of the next) in UTC."""
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    return start, (start + timedelta(days=32)).replace(day=1)


@dataclass(frozen=True)
class Totals:
    """The sum of lines. list_cost_usd: of what has a rate; unpriced_tokens: of what has none."""

    metered_calls: int
    unmetered_calls: int
    refused_calls: int
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


def rate_at(model: RegisteredModel, at: datetime) -> Rate | None:
    """Return the rate in force at a moment, or None."""
    return prices([model], at).get(model.pk)


def prices(models: Iterable[RegisteredModel], at: datetime) -> dict[int, Rate]:
    """Return model → the rate in force at a moment, of those that have one; one query."""
    begun = Rate.objects.filter(registered_model__in=models, active_from__lte=at)
    found = begun.filter(Q(active_to__isnull=True) | Q(active_to__gt=at))
    return {rate.registered_model_id: rate for rate in found}


def month_to_date_usd(*, team: str, model: str, now: datetime) -> Decimal:
    """Return what a team spent on a model since the month began, by the price list, exact."""
    start, end = month_bounds(now.astimezone(UTC).date())
    found = [line for line in lines(start=start, end=end, scope=Scope(team)) if line.model == model]
    return totals(found).list_cost_usd
