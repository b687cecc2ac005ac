"""Reads the priced days, and the hours that they are made of, priced now."""

from datetime import date, datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Q, Sum

from apps.chargeback.models import DirtyDay, Spend
from apps.chargeback.reconciliation.spend.compare import NOTHING, Day, Side
from apps.chargeback.spending import PRICED_HOURS
from apps.common.periods import day_of

Key = tuple[date, str]
NO_SIDE = Side(None, NOTHING)
_HOURS = f"""
    SELECT (u.hour AT TIME ZONE 'UTC')::date, u.model, SUM(p.list_cost_usd),
           COALESCE(SUM(p.unpriced_tokens), 0)
    {PRICED_HOURS} WHERE u.hour >= %s AND u.hour < %s
    GROUP BY 1, 2 HAVING SUM(p.list_cost_usd) IS NOT NULL OR SUM(p.unpriced_tokens) > 0
"""  # noqa: S608 - only our own names are in it


def days(start: datetime, end: datetime) -> list[Day]:
    """Return each UTC day of each model in [start, end), newest first; three queries. A model that
    nobody used has no day.
    """
    first, last = day_of(start), day_of(end)
    ledger, hours = _ledger(first, last), _hours(start, end)
    marked = set(
        DirtyDay.objects.filter(day__gte=first, day__lt=last).values_list("day", flat=True)
    )
    keys = sorted(ledger.keys() | hours.keys(), key=lambda key: key[1])
    return [
        Day(
            day=key[0],
            model=key[1],
            ledger=ledger.get(key, NO_SIDE),
            hours=hours.get(key, NO_SIDE),
            is_marked=key[0] in marked,
        )
        for key in sorted(keys, key=lambda key: key[0], reverse=True)
    ]


def _ledger(first: date, last: date) -> dict[Key, Side]:
    spent = Spend.objects.filter(day__gte=first, day__lt=last).order_by()
    sums = spent.values_list("day", "model").annotate(
        usd=Sum("list_cost_usd"),
        unpriced=Sum("quantity", filter=Q(rate__isnull=True), default=Decimal(0)),
    )
    return {(day, model): Side(usd, unpriced) for day, model, usd, unpriced in sums}


def _hours(start: datetime, end: datetime) -> dict[Key, Side]:
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, [start, end])
        return {(day, model): Side(usd, unpriced) for day, model, usd, unpriced in cursor}
