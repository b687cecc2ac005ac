"""What trends are drawn from: the facts of days or months, idle money by its cause, teams and
models, each read for the whole time at once. With queries.py and costs.py, the query layer of
money.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet, Sum

from apps.chargeback.costs import MILLION, READY
from apps.chargeback.method import Basis, Fact, Kind
from apps.chargeback.models import AllocatedDay, Allocation, MonthlyAllocation
from apps.chargeback.queries import Scope
from apps.chargeback.trends.models import DayFact
from apps.common.periods import DAY, next_month

SHOWN = 7  # of teams, or of models on a card: each has a color of its own, and the others one
OTHERS = "Other teams"
NOT_NAMED = "not named"
NOTHING = Decimal(0)
Step = Callable[[date], date]  # a day → the day or the month that it counts for


@dataclass(frozen=True)
class Span:
    """A time that trends are told of: its days or months [first, last), by their first days."""

    first: date
    last: date
    is_monthly: bool

    @property
    def places(self) -> list[date]:
        """Return its days or months."""
        found, at = [], self.first
        while at < self.last:
            found.append(at)
            at = next_month(at) if self.is_monthly else at + DAY
        return found

    def place(self, day: date) -> date:
        """Return the day or month that a day counts for."""
        return day.replace(day=1) if self.is_monthly else day


@dataclass
class Point:
    """The facts of a day or a month. usd: None where nothing of it has a price; is_whole: False
    where something of it has none.
    """

    events: int = 0
    gpu_hours: Decimal = NOTHING
    unpriced_gpu_hours: Decimal = NOTHING
    usd: Decimal | None = None


@dataclass
class Told:
    """What a day or a month tells of all machines. kinds: Kind → USD; facts: Fact → its point; None
    where the day was shared out before there were facts.
    """

    kinds: dict[str, Decimal] = field(default_factory=dict)
    facts: dict[str, Point] = field(default_factory=dict)
    is_simulated: bool = False


def told(span: Span) -> dict[date, Told]:
    """Return day or month → what is told of it, of those that are shared out; two queries."""
    found: dict[date, Told] = {}
    days = AllocatedDay.objects.filter(day__gte=span.first, day__lt=span.last)
    for row in days.order_by("day"):
        at = found.setdefault(span.place(row.day), Told())
        at.is_simulated = at.is_simulated or row.has_simulated_prices
        for kind in Kind.values:
            amount = getattr(row, f"{kind.lower()}_usd")
            at.kinds[kind] = at.kinds.get(kind, NOTHING) + amount
    rows = DayFact.objects.filter(day__gte=span.first, day__lt=span.last)
    for fact in rows.order_by("day"):
        at = found[span.place(fact.day_id)]
        _add(at.facts.setdefault(fact.fact, Point()), fact)
    return found


def _add(point: Point, row: DayFact) -> None:
    point.events += row.events
    point.gpu_hours += row.gpu_hours
    point.unpriced_gpu_hours += row.unpriced_gpu_hours
    if row.usd is not None:
        point.usd = (point.usd or NOTHING) + row.usd


def hours_by_team(
    span: Span, scope: Scope, whole: Mapping[date, Told]
) -> dict[str, dict[date, Decimal]]:
    """Return team → day or month → GPU-hours that its work took: of the teams with most of them,
    and of the others together; two queries. whole: what is told of all machines.
    """
    by_team = _work(span, scope).values("team").annotate(hours=Sum("gpu_hours"))
    ranked = list(by_team.order_by("-hours", "team").values_list("team", flat=True)[:SHOWN])
    found: dict[str, dict[date, Decimal]] = {team: {} for team in ranked}
    rows = _rows(span).filter(_WORK, team__in=ranked)
    column = "month" if span.is_monthly else "day"
    for team, at, hours in rows.values_list("team", column).annotate(hours=Sum("gpu_hours")):
        found[team][at] = hours
    has_others = scope.team is None and len(found) == SHOWN
    others = _others(span, whole, found) if has_others else {}
    named = {team or NOT_NAMED: hours for team, hours in sorted(found.items())}
    return named | ({OTHERS: others} if any(others.values()) else {})


_WORK = Q(kind=Kind.WORK) & ~Q(basis=Basis.EVALUATION)


def _rows(span: Span) -> QuerySet[Any]:
    """Return the shares of a span: of its months, or of its days."""
    rows: QuerySet[Any]
    if span.is_monthly:
        rows = MonthlyAllocation.objects.filter(month__gte=span.first, month__lt=span.last)
    else:
        rows = Allocation.objects.filter(day__gte=span.first, day__lt=span.last)
    return rows.order_by()


def _work(span: Span, scope: Scope) -> QuerySet[Any]:
    """Return the work of a span's months, whole: enough to rank teams and models by."""
    first = span.first.replace(day=1)
    rows = MonthlyAllocation.objects.filter(_WORK, month__gte=first, month__lt=span.last)
    rows = rows if scope.team is None else rows.filter(team=scope.team)
    return rows.order_by()


def _others(
    span: Span, whole: Mapping[date, Told], found: Mapping[str, Mapping[date, Decimal]]
) -> dict[date, Decimal]:
    """Return the hours of the teams that are not among those found: all work less theirs, of the
    days or months whose facts are known.
    """
    others = {}
    for at in span.places:
        facts = whole[at].facts if at in whole else {}
        if Fact.USED in facts:
            work = facts[Fact.USED].gpu_hours + facts[Fact.UNSPLIT].gpu_hours
            others[at] = work - sum((mine.get(at, NOTHING) for mine in found.values()), NOTHING)
    return others


@dataclass(frozen=True)
class OnCard:
    """A model on one kind of card in a day or month. per_million_usd: what a million tokens cost;
    None without tokens, or where some of the time has no price.
    """

    ready_gpu_hours: Decimal
    tokens: int
    per_million_usd: Decimal | None


def by_card(span: Span, scope: Scope) -> dict[tuple[str, str], dict[date, OnCard]]:
    """Return (model, card) → day or month → what its tokens cost: of the models with most work; two
    queries.
    """
    by_model = _work(span, scope).values("model").annotate(hours=Sum("gpu_hours"))
    models = list(by_model.order_by("-hours", "model").values_list("model", flat=True)[:SHOWN])
    column = "month" if span.is_monthly else "day"
    rows = _rows(span).filter(model__in=models)
    if scope.team is not None:
        rows = rows.filter(team=scope.team)
    sums = {
        "ready": Sum("gpu_hours", filter=READY, default=NOTHING),
        "unpriced": Sum("gpu_hours", filter=Q(is_priced=False), default=NOTHING),
        "usd": Sum("cost_usd", filter=~Q(basis=Basis.EVALUATION)),
        "input": Sum("input_tokens"),
        "output": Sum("output_tokens"),
    }
    named = {f"sum_{name}": each for name, each in sums.items()}
    found: dict[tuple[str, str], dict[date, OnCard]] = {}
    for model, card, at, *values in rows.values_list("model", "gpu_name", column).annotate(**named):
        ready, unpriced, usd, *tokens = values
        total = sum(tokens)
        is_known = usd is not None and total and not unpriced
        cost = usd * MILLION / total if is_known else None
        found.setdefault((model, card), {})[at] = OnCard(ready, total, cost)
    return found


def line(span: Span, amounts: Mapping[date, Decimal | None]) -> list[Decimal | None]:
    """Return an amount for each day or month; None where there is none."""
    return [amounts.get(at) for at in span.places]


def together(values: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, NOTHING) if known else None
