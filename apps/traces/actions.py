"""Keeps spans, and takes away those of hours that are over. Nothing of it is recorded: a span is no
change that somebody made.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction

from apps.traces.models import AHEAD, KEPT, Span, slot_of
from apps.traces.otlp import Read

ROWS_AT_ONCE = 2000


def keep_spans(*, spans: Iterable[Read], now: datetime) -> int:
    """Keep the spans that began in the last day; a span that comes again is kept once. Return how
    many began at another time, and are dropped.
    """
    since, until = now - KEPT, now + AHEAD
    wanted, dropped = [], 0
    for span in spans:
        if since <= span.started_at <= until:
            wanted.append(_row(span))
        else:
            dropped += 1
    # in one order, so that two batches with the same spans do not wait for each other
    wanted.sort(key=lambda row: row.id)
    with transaction.atomic():
        Span.objects.bulk_create(wanted, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)
    return dropped


def _row(span: Read) -> Span:
    return Span(
        id=span.trace_id + span.span_id,
        slot=slot_of(span.started_at),
        trace_id=span.trace_id,
        parent_id=span.parent_id,
        request_id=span.known.request_id,
        service=span.service,
        name=span.name,
        started_at=span.started_at,
        duration_us=span.duration_us,
        failed=span.failed,
        facts=span.known.facts,
    )


def drop_old_spans() -> int:
    """Take away the hours that are older than a day; return how many there were. The database goes
    by its own clock, so that a wrong one here takes nothing away.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT drop_old_spans()")
        row = cursor.fetchone()
    return int(row[0]) if row else 0
