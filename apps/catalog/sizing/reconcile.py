"""Works out the figures that were asked for, a table after the other; what is there is not made
again, so a worker may die at any line.
"""

from datetime import datetime

from apps.catalog.sizing import actions, compute
from apps.catalog.sizing.models import CardFigures, SizingJob
from apps.catalog.sizing.shapes import of_config
from apps.common.leases import retry_at, take_lease

MOST_ATTEMPTS = 5


def work_out(*, job: SizingJob, now: datetime) -> None:
    """Make the figures of a job that are missing; nothing when it is not due."""
    if not take_lease(job, now=now):
        return
    if job.attempts <= MOST_ATTEMPTS:  # beyond, every worker died of it before it could say so
        for found in compute.computed(of_config(job.config), missing(job)):
            actions.record_figures(job=job, found=found, now=now)
    left = missing(job)
    if not left:
        actions.finish(job=job, now=now)
        return
    if job.attempts >= MOST_ATTEMPTS:
        _give_up(job, left, now)
        return
    actions.record_waiting(
        job=job,
        message=f"{len(left)} figures did not come. Trying again by itself.",
        at=retry_at(job, now=now),
        now=now,
    )


def missing(job: SizingJob) -> list[tuple[str, int]]:
    """Return the tables and splits that have no figures yet."""
    made = set(
        CardFigures.objects.filter(shape=job.shape, library=job.library).values_list(
            "table", "ways"
        )
    )
    return [(table, ways) for table, ways in job.wanted if (table, ways) not in made]


def _give_up(job: SizingJob, left: list[tuple[str, int]], now: datetime) -> None:
    """The library dies of this configuration: say so for what is left."""
    for table, ways in left:
        died = compute.Computed(table, ways, None, "the library cannot model it there (it ended)")
        actions.record_figures(job=job, found=died, now=now)
    actions.finish(job=job, now=now)
