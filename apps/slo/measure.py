"""Working out how every objective stands: once a minute, from what callers met.

Five queries for the burn rates and one for each length of window, however many models there are;
the row of an objective is written whole each time, so that nothing is ever added up twice.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from apps.common.periods import HOUR, hour_of
from apps.metering.met import models as grains
from apps.metering.met.queries import Bounds, Met, met
from apps.slo.burn import (
    NONE,
    SIX_HOURS,
    WINDOWS,
    Counts,
    Kind,
    Window,
    budget_left,
    burn_rate,
    counts_of,
    health_of,
)
from apps.slo.models import Objective, Standing

STEP = timedelta(seconds=grains.STEP)
FIGURES = (
    "since", "until", "good", "bad", "unknown", "budget_left", "burn_1h", "burn_6h", "burn_3d",
    "windows", "health", "health_since",
)  # fmt: skip


def measure(*, now: datetime) -> int:
    """Work out how every objective in force stands; return how many. One that was ended stands no
    more.
    """
    Standing.objects.exclude(objective__ended_at=None).delete()
    objectives = list(Objective.objects.active().with_parts())
    if not objectives:
        return 0
    bounds = bounds_of(objectives)
    short = {window.key: _of_window(window, bounds, now) for window in WINDOWS}
    begins = {one.begins(now) for one in objectives}
    whole = {begin: met(grain=grains.HOUR, start=begin, end=now, bounds=bounds) for begin in begins}
    rows = [_standing(one, whole[one.begins(now)], short, now) for one in objectives]
    Standing.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["objective"], update_fields=list(FIGURES)
    )
    return len(rows)


def bounds_of(objectives: Iterable[Objective]) -> Bounds:
    """Return the times that some objectives name."""
    found = {Kind.TTFT.value: set[int](), Kind.DURATION.value: set[int]()}
    for one in objectives:
        if one.threshold_ms is not None:
            found[one.kind].add(one.threshold_ms)
    return Bounds(frozenset(found[Kind.TTFT]), frozenset(found[Kind.DURATION]))


def _of_window(window: Window, bounds: Bounds, now: datetime) -> dict[str, Met]:
    """Return what callers met in the window that ended last: of whole steps of five minutes, and of
    whole hours and the present one where it is longer than six hours.
    """
    if window.length <= SIX_HOURS.length:
        end = _step_of(now)
        return met(grain=grains.STEP, start=end - window.length, end=end, bounds=bounds)
    start = hour_of(now) - window.length + HOUR
    return met(grain=grains.HOUR, start=start, end=now, bounds=bounds)


def _step_of(moment: datetime) -> datetime:
    return moment - (moment - hour_of(moment)) % STEP


def _standing(
    one: Objective,
    whole: Mapping[str, Met],
    short: Mapping[str, Mapping[str, Met]],
    now: datetime,
) -> Standing:
    def counts(of: Mapping[str, Met]) -> Counts:
        return counts_of(of.get(one.registered_model.name), one.kind, one.threshold_ms)

    windows = {key: counts(of) for key, of in short.items()}
    calls = counts(whole)
    health = health_of(calls, windows, one.target)
    before = getattr(one, "standing", None)
    as_before = before is not None and before.health == health
    return Standing(
        objective=one,
        since=one.begins(now),
        until=now,
        good=calls.good,
        bad=calls.bad,
        unknown=calls.unknown,
        budget_left=budget_left(calls, one.target),
        burn_1h=burn_rate(windows.get("1h", NONE), one.target),
        burn_6h=burn_rate(windows.get("6h", NONE), one.target),
        burn_3d=burn_rate(windows.get("3d", NONE), one.target),
        windows={key: [each.good, each.bad, each.unknown] for key, each in windows.items()},
        health=health,
        health_since=before.health_since if before is not None and as_before else now,
    )
