"""What callers met over some time, by model: a few queries, however many models there are."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import TruncDay

from apps.common.periods import ZONE, day_of
from apps.metering.met.models import BOUNDS, HOUR, STEP, MetCalls

GRAINS = (STEP, HOUR)
_COUNTS = (
    "completed", "failed", "undecided", "ttft_timed", "ttft_untimed", "duration_timed",
    "duration_untimed",
)  # fmt: skip


class NoSuchBound(ValueError):
    """Calls are not counted within that time."""


@dataclass(frozen=True)
class Bounds:
    """Within which times calls are to be counted: milliseconds, each one of BOUNDS."""

    ttft: frozenset[int] = frozenset()
    duration: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if odd := (self.ttft | self.duration) - set(BOUNDS):
            raise NoSuchBound(f"no bound of {sorted(odd)} ms")


@dataclass(frozen=True)
class Met:
    """What callers of a model met. ttft_within, duration_within: milliseconds → calls, for the
    bounds that were asked for. The rest as in MetCalls.
    """

    completed: int
    failed: int
    undecided: int
    ttft_timed: int
    ttft_untimed: int
    duration_timed: int
    duration_untimed: int
    ttft_within: Mapping[int, int] = field(default_factory=dict)
    duration_within: Mapping[int, int] = field(default_factory=dict)


def met(
    *,
    grain: int,
    start: datetime,
    end: datetime,
    bounds: Bounds,
    models: Iterable[str] | None = None,
) -> dict[str, Met]:
    """Return model → what its callers met in [start, end); a model without calls is not there. One
    query. grain: STEP or HOUR; models: None for all.
    """
    rows = _rows(grain, start, end, models).values("model").annotate(**_sums(bounds))
    return {row["model"]: _met(row, bounds) for row in rows}


def met_by_day(
    *, start: datetime, end: datetime, bounds: Bounds, models: Iterable[str]
) -> dict[str, dict[date, Met]]:
    """Return model → day (UTC) → what its callers met; a day without calls is not there. One
    query.
    """
    rows = _rows(HOUR, start, end, models).values("model", day=TruncDay("at", tzinfo=ZONE))
    found: dict[str, dict[date, Met]] = {}
    for row in rows.annotate(**_sums(bounds)):
        found.setdefault(row["model"], {})[day_of(row["day"])] = _met(row, bounds)
    return found


def _rows(
    grain: int, start: datetime, end: datetime, models: Iterable[str] | None
) -> QuerySet[MetCalls]:
    if grain not in GRAINS:
        raise ValueError(f"no grain of {grain} s")
    rows = MetCalls.objects.filter(grain=grain, at__gte=start, at__lt=end).order_by()
    return rows if models is None else rows.filter(model__in=list(models))


def _sums(bounds: Bounds) -> dict[str, Any]:
    sums: dict[str, Any] = {f"sum_{name}": Sum(name) for name in _COUNTS}
    for name, wanted in (("ttft", bounds.ttft), ("duration", bounds.duration)):
        for bound in wanted:
            place = BOUNDS.index(bound)
            sums[f"{name}_{bound}"] = Sum(F(f"{name}_within__{place}"))
    return sums


def _met(row: Mapping[str, Any], bounds: Bounds) -> Met:
    def within(name: str, wanted: Collection[int]) -> dict[int, int]:
        return {bound: row[f"{name}_{bound}"] for bound in wanted}

    counts = {name: row[f"sum_{name}"] for name in _COUNTS}
    return Met(
        **counts,
        ttft_within=within("ttft", bounds.ttft),
        duration_within=within("duration", bounds.duration),
    )
