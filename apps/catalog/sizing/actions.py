"""Keeping figures, asking for them, and keeping what engines reported.

What a library computes and what an engine says are no decisions of anybody: they make no audit
event. People read them beside their source and its date.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.catalog.models import ModelVersion
from apps.catalog.sizing.cards import CARDS
from apps.catalog.sizing.compute import Computed, library
from apps.catalog.sizing.models import CardFigures, EngineReport, SizingJob
from apps.catalog.sizing.shapes import Shape
from apps.common.tasks import enqueue_on_commit
from apps.integrations.engine.identity import is_stand_in

SPLITS = (1, 2, 4, 8)
LONGEST_PROBLEM = 300
MOST_WAITING = 20  # configurations at once: some ten minutes of a worker
BUSY = "Many configurations are being worked out already. Ask again in a few minutes."


def wanted_for(shape: Shape) -> list[tuple[str, int]]:
    """Return the tables and splits that figures of this shape are for; one table after the other,
    because reading it is what takes time. Nothing for a model without an architecture.
    """
    if not shape.architecture:
        return []
    ways = [way for way in SPLITS if not shape.split_problem(way)]
    return [(card.table, way) for card in CARDS.values() if card.table for way in ways]


@transaction.atomic
def ask_for_figures(*, shape: Shape, now: datetime) -> SizingJob | None:
    """Have the figures of a configuration worked out, once for each release of the library. None
    where there is nothing to work out, or so many wait that one more is refused.
    """
    wanted = wanted_for(shape)
    if not wanted:
        return None
    asked = SizingJob.objects.filter(shape=shape.digest, library=library())
    waiting = SizingJob.objects.filter(finished_at=None)
    if not asked.exists() and waiting.count() >= MOST_WAITING:
        return None
    values = {
        "config": dict(shape.config),
        "wanted": [list(each) for each in wanted],
        "asked_at": now,
        "next_check_at": now,
    }
    job, is_new = SizingJob.objects.get_or_create(
        shape=shape.digest, library=library(), defaults=values
    )
    if is_new:
        enqueue_on_commit("catalog.work_out_figures", job_id=job.pk)
    return job


def record_figures(*, job: SizingJob, found: Computed, now: datetime) -> None:
    """Keep figures that were worked out; the second time nothing changes."""
    CardFigures.objects.get_or_create(
        shape=job.shape,
        library=job.library,
        table=found.table,
        ways=found.ways,
        defaults={
            "figures": found.figures.as_json() if found.figures else None,
            "problem": found.problem[:LONGEST_PROBLEM],
            "made_at": now,
        },
    )


def finish(*, job: SizingJob, now: datetime) -> None:
    """Nothing is left to work out."""
    rows = SizingJob.objects.filter(pk=job.pk)
    rows.update(finished_at=now, next_check_at=None, message="", observed_at=now)


def record_waiting(*, job: SizingJob, message: str, at: datetime, now: datetime) -> None:
    """Some figures did not come: say so, and try again at a time."""
    SizingJob.objects.filter(pk=job.pk).update(message=message, next_check_at=at, observed_at=now)


@dataclass(frozen=True)
class Start:
    """What an engine said of a start: fields as EngineReport has them."""

    start: str
    engine: str
    gpu: str
    ways: int
    gpu_bytes: int
    fraction: float
    kv_tokens: int
    weight_bytes: int | None = None


def record_engine_reports(*, starts: Sequence[tuple[ModelVersion, Start]], now: datetime) -> int:
    """Keep what engines reported, each start once; return how many counted. A stand-in's figures,
    and those that cannot be, count for nothing.
    """
    rows = [
        EngineReport(version=version, reported_at=now, **vars(start))
        for version, start in starts
        if _counts(start)
    ]
    return len(EngineReport.objects.bulk_create(rows, ignore_conflicts=True))


def _counts(start: Start) -> bool:
    is_real = bool(start.engine) and not is_stand_in(start.engine)
    return is_real and start.kv_tokens > 0 and 0 < start.fraction <= 1 and start.ways > 0
