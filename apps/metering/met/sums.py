"""What some calls come to for those who called: one pass over them, however many bounds there are.

A call that reached nobody because the guard, a budget or a limit refused it met nothing, and is
only counted to tell that no call is missing.
"""

from collections.abc import Collection, Generator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from apps.common.periods import HOUR
from apps.metering.met.models import BOUNDS, STEP
from apps.metering.models import Completeness, Operation, Outcome, Unmetered, UsageEvent
from apps.metering.store import ROWS_AT_ONCE, StepOf, exact_sums

STEP_LENGTH = timedelta(seconds=STEP)
# an answer that came whole; that it told no usage is no fault that its caller met
_COMPLETED = Q(outcome=Outcome.METERED, unmetered_because="") | Q(
    outcome=Outcome.UNMETERED, unmetered_because=Unmetered.NO_USAGE_TOLD
)
_REFUSED = Q(outcome=Outcome.REFUSED)
_FAILED = Q(completeness=Completeness.FAILED)
_TALKS = ~Q(operation__in=(Operation.EMBEDDING, Operation.RERANK))
_BEGAN = ~_REFUSED & ~_FAILED & _TALKS
_ENDED = ~_REFUSED & ~_FAILED
_BY = ("model",)
_DECISIONS = ("completed", "failed", "undecided", "refused")


def step_sums(hours: Collection[datetime]) -> Generator[dict[str, Any]]:
    """Yield one mapping per five minutes and model of some hours of one day, in this order: the
    counts of MetCalls. One query, in a transaction; close what is not read to its end.
    """
    wanted = frozenset(hours)
    whole = exact_sums(min(hours), max(hours) + HOUR, _sums_of, _DECISIONS)
    with closing(whole) as sums:
        for row in sums:
            if row["at"].replace(minute=0) in wanted and row["model"]:
                yield row


def _sums_of(events: QuerySet[UsageEvent]) -> Generator[dict[str, Any]]:
    undecided = ~_REFUSED & ~_FAILED & ~_COMPLETED
    counts = {
        "completed": Count("event_id", filter=_COMPLETED),
        "failed": Count("event_id", filter=_FAILED),
        "undecided": Count("event_id", filter=undecided),
        "refused": Count("event_id", filter=_REFUSED),
        "ttft_timed": Count("ttft_ms", filter=_BEGAN),
        "ttft_untimed": Count("event_id", filter=_BEGAN & Q(ttft_ms=None)),
        "duration_timed": Count("duration_ms", filter=_COMPLETED),
        "duration_untimed": Count(
            "event_id", filter=_ENDED & (~_COMPLETED | Q(duration_ms=None))
        ),
    }  # fmt: skip
    for bound in BOUNDS:
        counts[f"ttft_{bound}"] = Count("event_id", filter=_BEGAN & Q(ttft_ms__lte=bound))
        counts[f"duration_{bound}"] = Count(
            "event_id", filter=_COMPLETED & Q(duration_ms__lte=bound)
        )
    rows = events.values(*_BY, at=StepOf(STEP_LENGTH)).annotate(**counts)
    with closing(rows.order_by("at", *_BY).iterator(chunk_size=ROWS_AT_ONCE)) as found:
        for row in found:
            for name in ("ttft", "duration"):
                row[f"{name}_within"] = [row.pop(f"{name}_{bound}") for bound in BOUNDS]
            yield row
