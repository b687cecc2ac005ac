"""Keeping what callers met: recomputed with the hours, in their transaction, and forgotten once no
burn rate looks back as far.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from apps.common.periods import DAY
from apps.common.periods import HOUR as AN_HOUR
from apps.metering.met.models import HOUR, STEP, MetCalls
from apps.metering.met.sums import STEP_LENGTH, step_sums

STEPS_KEPT = 2 * DAY  # the longest look at steps is six hours, and calls may come late
ROWS_AT_ONCE = 1000
_ADDED = (
    "completed", "failed", "undecided", "ttft_timed", "ttft_untimed", "duration_timed",
    "duration_untimed",
)  # fmt: skip
_LISTS = ("ttft_within", "duration_within")


def sum_up(hours: Sequence[datetime], *, now: datetime) -> int:
    """Recompute what callers met in some hours of one day; return how many rows that makes. In the
    transaction that adds these hours up, and locked their marks before.
    """
    steps = [hour + part * STEP_LENGTH for hour in hours for part in range(AN_HOUR // STEP_LENGTH)]
    MetCalls.objects.filter(grain=STEP, at__in=steps).delete()
    MetCalls.objects.filter(grain=HOUR, at__in=hours).delete()
    with closing(step_sums(hours)) as sums:
        rows = [MetCalls(grain=STEP, **_without_refused(row)) for row in sums]
    kept = [row for row in _met(rows) if row.at >= now - STEPS_KEPT]
    made = [*kept, *_by_hour(_met(rows))]
    MetCalls.objects.bulk_create(made, batch_size=ROWS_AT_ONCE)
    return len(made)


def forget_steps(*, now: datetime) -> int:
    """Delete the five minutes that no burn rate looks back to; return how many rows that were. The
    hours stay.
    """
    return MetCalls.objects.filter(grain=STEP, at__lt=now - STEPS_KEPT - AN_HOUR).delete()[0]


def _without_refused(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "refused"}


def _met(rows: Iterable[MetCalls]) -> list[MetCalls]:
    """Return those in which somebody met something: refused calls alone make no row."""
    return [row for row in rows if row.completed or row.failed or row.undecided]


def _by_hour(steps: Iterable[MetCalls]) -> list[MetCalls]:
    """Return the sums of the steps by hour and model."""
    found: dict[tuple[datetime, str], MetCalls] = {}
    for step in steps:
        key = (step.at.replace(minute=0), step.model)
        if key not in found:
            found[key] = _copy(step, key[0])
            continue
        hour = found[key]
        for name in _ADDED:
            setattr(hour, name, getattr(hour, name) + getattr(step, name))
        for name in _LISTS:
            pairs = zip(getattr(hour, name), getattr(step, name), strict=True)
            setattr(hour, name, [one + more for one, more in pairs])
    return list(found.values())


def _copy(step: MetCalls, at: datetime) -> MetCalls:
    counts = {name: getattr(step, name) for name in (*_ADDED, *_LISTS)}
    return MetCalls(grain=HOUR, at=at, model=step.model, **counts)
