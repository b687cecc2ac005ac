"""A month's money by whom it belongs to, both bases side by side: from cost centers down to days.
With queries.py and costs.py it is the one query layer of money.

Everything is summed, sorted and cut by the database: a page reads the lines that it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Self

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Case, CharField, DecimalField, F, Q, QuerySet, Sum, Value, When

from apps.chargeback.costs import READY, UNSPLIT, USED
from apps.chargeback.counts import COUNTED, Counts
from apps.chargeback.method import Kind
from apps.chargeback.month.models import DayFigure, MonthFigure
from apps.chargeback.queries import EVERYTHING, Scope
from apps.common.periods import next_month

EVALUATION = "EVALUATION"
KINDS = {**{kind.value: str(kind.label) for kind in Kind}, EVALUATION: "Evaluations"}
LEVELS = ("cost_center", "team", "model", "version", "day")
WHOLE_LINE = ("kind", "cost_center", "team", "model", "version")
# What is no team's has neither team nor cost center; of some of it, no model either.
OF_A_MODEL = (Kind.IDLE, Kind.START, EVALUATION)
AMOUNTS = ("list_usd", "real_usd", "margin_usd", "estimated_usd")
AMOUNT = DecimalField(max_digits=38, decimal_places=16)
_NOTHING = Value(Decimal(0), output_field=AMOUNT)
_SUMMED = (
    *COUNTED,
    "shares",
    "gpu_hours",
    "unpriced_gpu_hours",
    "list_cost_usd",
    "cost_usd",
    "estimated_cost_usd",
)
# Sums have other names than the columns that they are of.
_SUMS = {f"sum_{name}": Sum(name) for name in _SUMMED}
# those that the amounts below are made of
_OF_AMOUNTS = (
    "input_tokens",
    "output_tokens",
    "rerank_requests",
    "metered_calls",
    "unmetered_calls",
    "unpriced_tokens",
    "unpriced_requests",
    "shares",
    "gpu_hours",
    "unpriced_gpu_hours",
    "list_cost_usd",
    "cost_usd",
)
_AMOUNT_SUMS = {f"sum_{name}": Sum(name) for name in _OF_AMOUNTS}
_NO_USE = Q(sum_input_tokens=0, sum_output_tokens=0, sum_rerank_requests=0)
_NO_WORK = _NO_USE & Q(sum_metered_calls=0, sum_unmetered_calls=0, sum_shares=0)
_LIST = Case(
    When(_NO_USE & Q(sum_list_cost_usd__isnull=True), then=_NOTHING),
    default=F("sum_list_cost_usd"),
    output_field=AMOUNT,
)
_REAL = Case(
    When(_NO_WORK & Q(sum_cost_usd__isnull=True), then=_NOTHING),
    default=F("sum_cost_usd"),
    output_field=AMOUNT,
)
# What is estimated and not priced costs nobody knows what, and not nothing.
_ESTIMATED = Case(
    When(sum_estimated_input_tokens=0, sum_estimated_output_tokens=0, then=_NOTHING),
    When(sum_estimated_cost_usd=0, then=None),
    default=F("sum_estimated_cost_usd"),
    output_field=AMOUNT,
)
_IS_WHOLE = Q(sum_unpriced_tokens=0, sum_unpriced_requests=0, sum_unpriced_gpu_hours=0)
_MARGIN = Case(
    When(_IS_WHOLE, then=F("list_usd") - F("real_usd")), default=None, output_field=AMOUNT
)
_MACHINES = {
    "cards": ArrayAgg("gpu_name", filter=~Q(gpu_name=""), distinct=True),
    "work_usd": Sum("cost_usd", filter=Q(kind__in=(Kind.WORK, EVALUATION))),
    "idle_usd": Sum("cost_usd", filter=Q(kind=Kind.IDLE)),
    "start_usd": Sum("cost_usd", filter=Q(kind=Kind.START)),
    "ready_gpu_hours": Sum("gpu_hours", filter=READY),
    "used_gpu_hours": Sum("gpu_hours", filter=USED),
    "unsplit_gpu_hours": Sum("gpu_hours", filter=UNSPLIT),
}


@dataclass(frozen=True)
class Path:
    """What of a month is looked at. None: whatever it is; "": what names none, or is nobody's."""

    month: date
    scope: Scope = EVERYTHING
    kind: str | None = None
    cost_center: str | None = None
    team: str | None = None
    model: str | None = None
    version: str | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """Return what was chosen on the way, by its name, in the order of the levels."""
        found = {name: getattr(self, name) for name in WHOLE_LINE}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def level(self) -> str:
        """Return what the next step divides it by."""
        return next(name for name in LEVELS if name == "day" or name in self._open)

    @property
    def _open(self) -> list[str]:
        """Return the levels that still divide it."""
        return [name for name in LEVELS[:-1] if self._divides(name)]

    def _divides(self, level: str) -> bool:
        if getattr(self, level) is not None or level == "team" and self.scope.team is not None:
            return False
        if self.kind in (None, Kind.WORK):
            return True
        return level in ("model", "version") and self.kind in OF_A_MODEL

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Return what the lines of the next step are grouped by. At the level of cost centers, what
        is no team's stands beside them, by kind.
        """
        return ("kind", "cost_center") if self.level == "cost_center" else (self.level,)

    def into(self, row: "Row") -> Self:
        """Return the path into a line of the next step."""
        if self.level == "cost_center" and row.kind != Kind.WORK:
            return replace(self, kind=row.kind)
        return replace(self, **{self.level: getattr(row, self.level)})


@dataclass(frozen=True, kw_only=True)
class Row(Counts):
    """A line: what it is grouped by (None: not by that), and its sums. list_usd: of use with a
    price; real_usd: of machine time with a price; None where nothing of it has one. margin_usd:
    None where either is not known whole. estimated_usd: the part of list_usd that is of estimates;
    None where they are not priced.
    """

    kind: str | None
    cost_center: str | None
    team: str | None
    model: str | None
    version: str | None
    day: date | None
    list_usd: Decimal | None
    real_usd: Decimal | None
    margin_usd: Decimal | None
    estimated_usd: Decimal | None
    gpu_hours: Decimal
    unpriced_gpu_hours: Decimal

    @property
    def is_work(self) -> bool:
        """Tell whether calls stand behind it: it is not nobody's idle or unallocated time."""
        return self.kind in (None, Kind.WORK)


def figures(path: Path, *, by_day: bool = False) -> QuerySet[Any]:
    """Return what a path leads to: rows of usage and of machine time, by month or by day."""
    rows: QuerySet[Any]
    if by_day:
        rows = DayFigure.objects.filter(day__gte=path.month, day__lt=next_month(path.month))
    else:
        rows = MonthFigure.objects.filter(month=path.month)
    if path.scope.team is not None:
        rows = rows.filter(team=path.scope.team)
    return rows.filter(**path.chosen).order_by()


def lines(path: Path, dimensions: Sequence[str]) -> QuerySet[Any]:
    """Return what a path leads to, summed by some of `kind` and LEVELS: mappings for `row_of`, with
    sum_<name> of each column, list_usd, real_usd, margin_usd and estimated_usd.
    """
    rows = figures(path, by_day="day" in dimensions).values(*dimensions)
    return _with_amounts(rows.annotate(**_SUMS).annotate(estimated_usd=_ESTIMATED))


def _with_amounts(rows: QuerySet[Any]) -> QuerySet[Any]:
    rows = rows.annotate(list_usd=_LIST, real_usd=_REAL)
    found: QuerySet[Any] = rows.annotate(margin_usd=_MARGIN)
    return found


def row_of(found: dict[str, Any]) -> Row:
    """Return a line of `lines`."""
    values: dict[str, Any] = {name: found.get(name) for name in ("kind", *LEVELS)}
    values |= {name: found[name] for name in AMOUNTS}
    values |= {name: found[f"sum_{name}"] for name in ("gpu_hours", "unpriced_gpu_hours")}
    values |= {name: int(found[f"sum_{name}"]) for name in COUNTED}
    return Row(**values)


def whole(path: Path) -> Row | None:
    """Return the sum of what a path leads to; None where it leads to nothing. One query."""
    found = lines(path, ("month",)).first()
    return None if found is None else row_of(found)


def by_team(path: Path) -> QuerySet[Any]:
    """Return a path's amounts and GPU-hours by team: mappings for `TeamRow`."""
    rows = figures(path).values("team")
    return _with_amounts(rows.annotate(**_AMOUNT_SUMS))


def by_model(path: Path) -> QuerySet[Any]:
    """Return a path's lines by model, with what became of its machines' time; what is no model's
    by kind (`whose`). Mappings with the amounts and GPU-hours of `lines`, cards, work_usd, idle_usd
    and start_usd, and the GPU-hours that tell how much work took of the ready time.
    """
    whose = Case(When(model="", then=F("kind")), default=Value(""), output_field=CharField())
    rows = figures(path).annotate(whose=whose).exclude(whose=Kind.WORK)
    return _with_amounts(rows.values("model", "whose").annotate(**_AMOUNT_SUMS, **_MACHINES))
