"""What a month comes to in the ledger, exact: the reads of closes, statements and FOCUS exports.
With queries.py and costs.py it is the one query layer of money.

What has no price is in no amount here; queries.py and costs.py tell how much of it there is.
"""

from collections.abc import Generator, Sequence
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.closing.statements import COST, LIST, Amount, Key
from apps.chargeback.models import (
    WHOSE,
    AllocatedDay,
    Allocation,
    MonthlyAllocation,
    MonthlyLine,
    Spend,
)
from apps.common.periods import next_month
from apps.metering.skus import OF_A_LINE

CHUNK = 2000


def known(month: date) -> dict[Key, Amount]:
    """Return what a month comes to by what is known today, by the price list and by the machines'
    cost.
    """
    bounds = {"day__gte": month, "day__lt": next_month(month)}
    found: dict[Key, Amount] = {}
    spend = Spend.objects.filter(**bounds, rate__isnull=False).order_by()
    names = (*WHOSE, "sku", "rate", "is_estimated")
    sums = spend.values_list(*names).annotate(Sum("quantity"), Sum("list_cost_usd"))
    for cost_center, team, model, version, sku, rate, is_estimated, quantity, usd in sums:
        key = Key(cost_center, LIST, month, team, model, version, sku, rate, is_estimated)
        found[key] = Amount(quantity, usd)
    shares = Allocation.objects.filter(**bounds, is_priced=True).order_by()
    costs = shares.values_list(*WHOSE, "kind").annotate(Sum("gpu_hours"), Sum("cost_usd"))
    for cost_center, team, model, version, kind, hours, usd in costs:
        key = Key(cost_center, COST, month, team, model, version, kind)
        found[key] = Amount(hours, usd)
    return {key: amount for key, amount in found.items() if amount.quantity or amount.usd}


def billed(usage_month: date) -> dict[Key, Amount]:
    """Return what all statements so far say of a month."""
    return added(StatementLine.objects.filter(usage_month=usage_month))


def added(lines: QuerySet[StatementLine]) -> dict[Key, Amount]:
    """Return what lines of statements come to, by what they are of."""
    columns = ("statement__cost_center", *_NAMES)
    sums = lines.order_by().values_list(*columns).annotate(Sum("quantity"), Sum("exact_usd"))
    return {Key(*names): Amount(quantity, usd) for *names, quantity, usd in sums}


_NAMES = ("basis", "usage_month", "team", "model", "version", "item", "rate", "is_estimated")


def methods(month: date) -> list[str]:
    """Return the methods that a month's machines were shared out by, as "gpu-work-1, version 1"."""
    days = AllocatedDay.objects.filter(day__gte=month, day__lt=next_month(month)).order_by()
    found = days.values_list("method_id", "method_version").distinct()
    return sorted(f"{method}, version {version}" for method, version in found)


def closed_months(*, before: date) -> list[date]:
    """Return the closed months before one, oldest first."""
    rows = MonthClose.objects.closed().filter(month__lt=before).order_by("month")
    return list(rows.values_list("month", flat=True))


# A closed month's lines by what is known today, less those that were billed: what is left of a line
# was not billed, or was billed and is no longer so. Its SKUs and prices are not told apart.
_MOVED = f"""
SELECT DISTINCT month FROM (
    SELECT l.month, 'LIST' AS basis, l.cost_center, l.team, l.model, l.version, '' AS item,
        l.input_tokens + l.output_tokens - l.unpriced_tokens
        + l.rerank_requests - l.unpriced_requests AS quantity,
        COALESCE(l.list_cost_usd, 0) AS usd
    FROM {MonthlyLine._meta.db_table} l WHERE l.month = ANY(%(months)s)
    UNION ALL
    SELECT a.month, 'COST', a.cost_center, a.team, a.model, a.version, a.kind, a.gpu_hours,
        a.cost_usd
    FROM {MonthlyAllocation._meta.db_table} a WHERE a.month = ANY(%(months)s) AND a.is_priced
    UNION ALL
    SELECT b.usage_month, b.basis, s.cost_center, b.team, b.model, b.version,
        CASE b.basis WHEN 'COST' THEN b.item ELSE '' END,
        CASE WHEN b.basis = 'COST' OR (b.item = ANY(%(skus)s) AND NOT b.is_estimated)
            THEN -b.quantity ELSE 0 END,
        -b.exact_usd
    FROM {StatementLine._meta.db_table} b JOIN {Statement._meta.db_table} s ON s.id = b.statement_id
    WHERE b.usage_month = ANY(%(months)s)
) line
GROUP BY month, basis, cost_center, team, model, version, item
HAVING SUM(usd) <> 0 OR SUM(quantity) <> 0
ORDER BY month
"""  # noqa: S608 - only our own names are in it


def moved_months(months: Sequence[date]) -> list[date]:
    """Return those of some closed months that come to something else than was billed of them;
    oldest first. One query, over the lines of months.
    """
    values: dict[str, Any] = {"months": list(months), "skus": [str(sku) for sku in OF_A_LINE]}
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, values)
        return [row[0] for row in cursor.fetchall()]


def priced_days(month: date) -> Generator[Spend, None, None]:
    """Yield a month's use by day, SKU and rate, of what has a price, in order; with their rates.
    Close it: it holds a cursor.
    """
    rows = Spend.objects.filter(
        day__gte=month, day__lt=next_month(month), rate__isnull=False
    ).select_related("rate")
    order = ("day", *WHOSE, "sku", "rate", "is_estimated")
    yield from rows.order_by(*order).iterator(chunk_size=CHUNK)


def shared_days(month: date) -> Generator[Allocation, None, None]:
    """Yield a month's shares of the machines by day, of those that have a price, in order; with
    their days. Close it: it holds a cursor.
    """
    rows = Allocation.objects.filter(
        day__day__gte=month, day__day__lt=next_month(month), is_priced=True
    ).select_related("day")
    yield from rows.order_by("day", "pk").iterator(chunk_size=CHUNK)
