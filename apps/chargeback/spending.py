"""What a day's usage costs by the price list, computed whole from its hours and the rates in force
when each of them began; and the month's lines, summed from its days.

Only SQL stands here, in the caller's transaction: actions.py says when. Nothing is ever added to
what is there: a day's rows are taken away and made anew.
"""

from datetime import date

from django.db import connection

from apps.chargeback.counts import COUNTED
from apps.chargeback.models import (
    COUNTS,
    WHOSE,
    DailyLine,
    DayTotal,
    EstimateRule,
    MonthlyLine,
    Spend,
)
from apps.common import periods
from apps.metering import skus

# What an hour holds of each SKU, with the rate in force when it began.
# What is estimated is among it in the months for which finance said so.
PRICES_ESTIMATES = f"""(
    SELECT e.prices_estimates FROM {EstimateRule._meta.db_table} e
    WHERE e.month <= (u.hour AT TIME ZONE 'UTC')::date ORDER BY e.month DESC, e.id DESC LIMIT 1
)"""  # noqa: S608 - only our own names are in it
SKUS_OF_AN_HOUR = f"""
    (VALUES {skus.rows_sql("u")}) q (sku, quantity, per, is_estimated)
    LEFT JOIN chargeback_rate r ON r.registered_model_id = m.id AND r.sku = q.sku
         AND r.replaced_by_id IS NULL
         AND r.active_from <= u.hour AND (r.active_to IS NULL OR r.active_to > u.hour)
    WHERE q.quantity <> 0 AND CASE WHEN q.is_estimated THEN {PRICES_ESTIMATES} ELSE true END
"""
# The product has 20 decimals before it is divided, so that nothing of a price per million is lost.
COST = "q.quantity::numeric(40, 10) * r.unit_price_usd / q.per"
HOURS = "FROM metering_hourlyusage u LEFT JOIN catalog_registeredmodel m ON m.name = u.model"
_TOKENS = ", ".join(f"'{sku}'" for sku in skus.TOKEN_SKUS)
PRICED_HOURS = f"""
    {HOURS} CROSS JOIN LATERAL (
        SELECT SUM({COST}) AS list_cost_usd,
               SUM({COST}) FILTER (WHERE q.is_estimated) AS estimated_cost_usd,
               SUM(q.quantity) FILTER (WHERE r.id IS NULL AND q.sku IN ({_TOKENS}))
                   AS unpriced_tokens,
               SUM(q.quantity) FILTER (WHERE r.id IS NULL AND q.sku = '{skus.Sku.RERANK_REQUEST}')
                   AS unpriced_requests
        FROM {SKUS_OF_AN_HOUR}
    ) p
"""  # noqa: S608 - only our own names are in it

_WHOSE = ", ".join(WHOSE)
_COUNTS = ", ".join(COUNTS)
_SUMS = ", ".join(f"SUM({name}) AS {name}" for name in COUNTS)
# Only our own names are put into the statements; every value is a parameter.
_SPEND = f"""
    INSERT INTO {Spend._meta.db_table}
        (day, {_WHOSE}, sku, rate_id, is_estimated, quantity, list_cost_usd)
    SELECT %s, {_WHOSE}, sku, rate_id, is_estimated, SUM(quantity), SUM(usd)
    FROM (
        SELECT u.cost_center, u.team, u.model, u.version, p.*
        {HOURS} CROSS JOIN LATERAL (
            SELECT q.sku, r.id AS rate_id, q.is_estimated, q.quantity, {COST} AS usd
            FROM {SKUS_OF_AN_HOUR}
        ) p
        WHERE u.hour >= %s AND u.hour < %s
    ) priced
    GROUP BY {_WHOSE}, sku, rate_id, is_estimated
"""  # noqa: S608
_DAILY = f"""
    INSERT INTO {DailyLine._meta.db_table}
        (day, {_WHOSE}, {_COUNTS}, unpriced_tokens, unpriced_requests, list_cost_usd,
         estimated_cost_usd)
    SELECT %s, {_WHOSE}, {_COUNTS}, COALESCE(unpriced_tokens, 0), COALESCE(unpriced_requests, 0),
           list_cost_usd, COALESCE(estimated_cost_usd, 0)
    FROM (
        SELECT {_WHOSE}, {_SUMS} FROM metering_hourlyusage
        WHERE hour >= %s AND hour < %s GROUP BY {_WHOSE}
    ) used
    LEFT JOIN (
        SELECT {_WHOSE}, SUM(list_cost_usd) AS list_cost_usd,
               SUM(list_cost_usd) FILTER (WHERE is_estimated) AS estimated_cost_usd,
               SUM(quantity) FILTER (WHERE rate_id IS NULL AND sku IN ({_TOKENS}))
                   AS unpriced_tokens,
               SUM(quantity) FILTER (WHERE rate_id IS NULL AND sku = '{skus.Sku.RERANK_REQUEST}')
                   AS unpriced_requests
        FROM {Spend._meta.db_table} WHERE day = %s GROUP BY {_WHOSE}
    ) spent USING ({_WHOSE})
"""  # noqa: S608
_MONTHLY = f"""
    INSERT INTO {MonthlyLine._meta.db_table}
        (month, {_WHOSE}, {_COUNTS}, unpriced_tokens, unpriced_requests, list_cost_usd,
         estimated_cost_usd)
    SELECT %s, {_WHOSE}, {_SUMS}, SUM(unpriced_tokens), SUM(unpriced_requests), SUM(list_cost_usd),
           SUM(estimated_cost_usd)
    FROM {DailyLine._meta.db_table} WHERE day >= %s AND day < %s GROUP BY {_WHOSE}
"""  # noqa: S608
_TOTALED = (*COUNTED, "list_cost_usd", "estimated_cost_usd")
_TOTAL = f"""
    INSERT INTO {DayTotal._meta.db_table} (day, {", ".join(_TOTALED)})
    SELECT day, {", ".join(f"SUM({name})" for name in _TOTALED)}
    FROM {DailyLine._meta.db_table} WHERE day = %s GROUP BY day
"""  # noqa: S608


def compute_day(day: date) -> None:
    """Make a day's spend and lines anew, and their sum."""
    start, end = periods.start_of_day(day), periods.end_of_day(day)
    DayTotal.objects.filter(day=day).delete()
    DailyLine.objects.filter(day=day).delete()
    Spend.objects.filter(day=day).delete()
    with connection.cursor() as cursor:
        cursor.execute(_SPEND, [day, start, end])
        cursor.execute(_DAILY, [day, start, end, day])
        cursor.execute(_TOTAL, [day])


def sum_month(month: date) -> None:
    """Make a month's lines anew from those of its days. month: its first day."""
    MonthlyLine.objects.filter(month=month).delete()
    with connection.cursor() as cursor:
        cursor.execute(_MONTHLY, [month, month, periods.next_month(month)])
