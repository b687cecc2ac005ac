"""Reads both sides of a month's reconciliation."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import connection

from apps.catalog.models import RegisteredModel
from apps.chargeback.reconciliation.compare import Day, Side, named

# A version's hour is compared where its engine was counted without a gap; both tables are read by
# their hours, which are indexed.
_SQL = """
    WITH used AS (
        SELECT hour, version, MAX(model) AS model, SUM(input_tokens) AS input,
               SUM(output_tokens) AS output, SUM(estimated_input_tokens) AS estimated_input,
               SUM(estimated_output_tokens) AS estimated_output,
               SUM(rerank_requests) AS reranks
        FROM metering_hourlyusage
        WHERE hour >= %s AND hour < %s AND version <> ''
        GROUP BY hour, version
    ), counted AS (
        SELECT hour, version, prompt_tokens, generation_tokens, is_whole, further_answers
        FROM metering_enginehour WHERE hour >= %s AND hour < %s
    )
    SELECT (hour AT TIME ZONE 'UTC')::date, version,
           COUNT(*) FILTER (WHERE is_whole), COUNT(*) FILTER (WHERE is_whole IS NOT TRUE),
           COALESCE(SUM(input + output) FILTER (WHERE is_whole IS NOT TRUE), 0)::bigint,
           COALESCE(SUM(further_answers) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(reranks) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(prompt_tokens) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(input) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(estimated_input) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(generation_tokens) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(output) FILTER (WHERE is_whole), 0)::bigint,
           COALESCE(SUM(estimated_output) FILTER (WHERE is_whole), 0)::bigint
    FROM counted FULL OUTER JOIN used USING (hour, version)
    GROUP BY 1, 2 ORDER BY 1 DESC, 2
"""


def days(start: datetime, end: datetime) -> list[Day]:
    """Return each UTC day of each version in [start, end), newest first; two queries. A version
    that nobody called, and whose engine counted nothing, has no day.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [start, end, start, end])
        rows = cursor.fetchall()
    names = {version.rpartition("-v")[0] for _, version, *_ in rows}
    contexts = dict(
        RegisteredModel.objects.filter(name__in=names).values_list("name", "context_length")
    )
    return [_day(row, contexts) for row in rows]


def _day(row: tuple[Any, ...], contexts: dict[str, int]) -> Day:
    day, version, watched, unwatched, tokens, further, reranks, *sides = row
    model = version.rpartition("-v")[0]
    context, read = contexts.get(model, 0), Side(*sides[:3])
    why = named(read.rest, further_answers=further, reranks=reranks, context=context)
    return Day(
        day=day,
        model=model,
        version=version,
        watched_hours=watched,
        unwatched_hours=unwatched,
        unwatched_tokens=tokens,
        context=context,
        input=replace(read, named=why),
        output=Side(*sides[3:]),
        further_answers=further,
        reranks=reranks,
    )
