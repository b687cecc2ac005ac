"""What the machines cost, for pages, API and exports: sums of the days' shares, beside the price
list. With queries.py it is the one query layer of money.

Time on machines without a price is counted in GPU-hours and in no amount; an amount is None where
nothing of it has a price.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, Count, Max, Q, QuerySet, Sum
from django.db.models.aggregates import Aggregate

from apps.chargeback.method import Basis, Kind
from apps.chargeback.models import AllocatedDay, Allocation, ChangedDay, MonthlyAllocation
from apps.chargeback.queries import Line, Scope
from apps.common.periods import day_of
from apps.manifests.capacity import SPOT

MILLION = Decimal(1_000_000)
NOTHING = Decimal(0)
# What of GPU time was ready for calls, what of it they took by a measured speed, and the time with
# work whose speed nobody measured.
READY = Q(kind__in=(Kind.WORK, Kind.IDLE)) & ~Q(basis=Basis.EVALUATION)
USED = Q(kind=Kind.WORK, basis=Basis.MEASURED)
UNSPLIT = Q(kind=Kind.WORK, basis__in=(Basis.NOT_SPLIT, Basis.CALLS))
_LISTED_SPOT = Q(capacity_type=SPOT, is_priced=True, on_demand_usd__isnull=False)
_SUMS = {
    "gpu_hours": Sum("gpu_hours"),
    "unpriced_gpu_hours": Sum("gpu_hours", filter=Q(is_priced=False)),
    "priced_shares": Count("pk", filter=Q(is_priced=True)),
    "shares": Count("pk"),
    **{f"{kind.lower()}_usd": Sum("cost_usd", filter=Q(kind=kind)) for kind in Kind.values},
    "evaluation_usd": Sum("cost_usd", filter=Q(basis=Basis.EVALUATION)),
    "ready_gpu_hours": Sum("gpu_hours", filter=READY),
    "used_gpu_hours": Sum("gpu_hours", filter=USED),
    "unsplit_gpu_hours": Sum("gpu_hours", filter=UNSPLIT),
    "spot_gpu_hours": Sum("gpu_hours", filter=Q(capacity_type=SPOT)),
    "spot_usd": Sum("cost_usd", filter=_LISTED_SPOT),
    "spot_on_demand_usd": Sum("on_demand_usd", filter=_LISTED_SPOT),
    "unlisted_spot_gpu_hours": Sum("gpu_hours", filter=Q(capacity_type=SPOT) & ~_LISTED_SPOT),
    "input_tokens": Sum("input_tokens"),
    "output_tokens": Sum("output_tokens"),
}
# Sums have other names than the columns that they are of.
_COLUMNS = {f"sum_{name}": found for name, found in _SUMS.items()}
DIMENSIONS = (
    "day",
    "cost_center",
    "team",
    "model",
    "version",
    "gpu_name",
    "instance_type",
    "capacity_type",
    "kind",
    "basis",
)


@dataclass(frozen=True)
class Costs:
    """Sums of shares, exact. Amounts are of machines with a price; *_gpu_hours of all.

    ready_gpu_hours: of replicas that could take calls, evaluations left out. used_gpu_hours: what
    work took of them at a measured speed; unsplit_gpu_hours: hours with work whose speed nobody
    measured. spot_on_demand_usd: what the Spot machines behind spot_usd cost on demand.
    """

    gpu_hours: Decimal
    unpriced_gpu_hours: Decimal
    priced_shares: int
    shares: int
    work_usd: Decimal
    idle_usd: Decimal
    start_usd: Decimal
    unallocated_usd: Decimal
    platform_usd: Decimal
    residual_usd: Decimal
    evaluation_usd: Decimal
    ready_gpu_hours: Decimal
    used_gpu_hours: Decimal
    unsplit_gpu_hours: Decimal
    spot_gpu_hours: Decimal
    spot_usd: Decimal
    spot_on_demand_usd: Decimal
    unlisted_spot_gpu_hours: Decimal
    input_tokens: int
    output_tokens: int

    @property
    def is_priced(self) -> bool:
        """Tell whether an amount says anything: something of it has a price, or it is nothing."""
        return bool(self.priced_shares) or not self.shares

    def usd_of(self, kind: str) -> Decimal:
        """Return what became of its money in one way, by method.Kind."""
        amount: Decimal = getattr(self, f"{kind.lower()}_usd")
        return amount

    @property
    def total_usd(self) -> Decimal | None:
        """Return what all of it cost; None where nothing of it has a price."""
        return sum(map(self.usd_of, Kind.values), NOTHING) if self.is_priced else None

    @property
    def tokens(self) -> int:
        """Return the tokens it worked for, input and output."""
        return self.input_tokens + self.output_tokens

    @property
    def usd_per_million(self) -> Decimal | None:
        """Return what a million tokens cost, idling and starting paid with them, evaluations not;
        None without tokens, or where some of the time has no price.
        """
        total = self.total_usd
        if total is None or not self.tokens or self.unpriced_gpu_hours:
            return None
        return (total - self.evaluation_usd) * MILLION / self.tokens

    @property
    def least_use(self) -> Decimal | None:
        """Return which part of the ready time work took, 0 to 1, as far as it was measured; None
        where nothing was ready.
        """
        return self.used_gpu_hours / self.ready_gpu_hours if self.ready_gpu_hours else None

    @property
    def most_use(self) -> Decimal | None:
        """Return the part of the ready time that work took at most: hours with work whose speed
        nobody measured count whole.
        """
        most = self.used_gpu_hours + self.unsplit_gpu_hours
        return most / self.ready_gpu_hours if self.ready_gpu_hours else None

    @property
    def spot_saved_usd(self) -> Decimal:
        """Return what Spot machines saved against the same on demand, where that is listed."""
        return self.spot_on_demand_usd - self.spot_usd


@dataclass(frozen=True)
class CostLine:
    """Costs of one value of each dimension that was asked for; the others are "" and None."""

    costs: Costs
    day: date | None = None
    cost_center: str = ""
    team: str = ""
    model: str = ""
    version: str = ""
    gpu_name: str = ""
    instance_type: str = ""
    capacity_type: str = ""
    kind: str = ""
    basis: str = ""


@dataclass(frozen=True)
class Known:
    """How well the days of a period are known. until: how far the newest of them is shared out;
    None: none is. changing: days that something changed on since.
    """

    until: datetime | None
    changing: int
    unpriced_seconds: Decimal
    unobserved_seconds: Decimal
    unplaced_tokens: int
    has_simulated_machines: bool
    has_simulated_prices: bool


@dataclass(frozen=True)
class ModelCost:
    """A model's two bases. list_usd: by the price list, 0 where nobody used it; None where nothing
    of its use has a rate. unpriced: tokens and rerank requests that are in no part of it. real:
    None where nobody saw a machine of it. cards: that it ran on.
    """

    model: str
    list_usd: Decimal | None
    unpriced: int
    real: Costs | None
    cards: tuple[str, ...] = ()

    @property
    def real_usd(self) -> Decimal | None:
        """Return what its machines cost."""
        return None if self.real is None else self.real.total_usd

    @property
    def margin_usd(self) -> Decimal | None:
        """Return what the price list brings beyond the real cost; None where either is not known
        whole.
        """
        real = self.real
        if self.list_usd is None or self.unpriced or real is None:
            return None
        total = real.total_usd
        return None if total is None or real.unpriced_gpu_hours else self.list_usd - total


@dataclass(frozen=True)
class Machines:
    """A period's machines: all of them, by model with both bases, by model and card, and what is no
    model's, by kind. idle: basis → USD of replicas that idled, which tells why.
    """

    total: Costs
    idle: dict[str, Decimal]
    models: list[ModelCost]
    cards: list[CostLine]
    others: list[CostLine]


class _Any(Aggregate):
    function = "BOOL_OR"
    output_field = BooleanField()


def totals(*, start: datetime, end: datetime, scope: Scope) -> Costs:
    """Return what the machines of the days in [start, end) cost; one query."""
    return _costs(_of_row(_rows(start, end, scope).aggregate(**_COLUMNS)))


def lines(*, start: datetime, end: datetime, scope: Scope, by: Sequence[str]) -> list[CostLine]:
    """Return the costs of the days in [start, end) by some of DIMENSIONS, in their order; one
    query. Raises KeyError for another dimension.
    """
    if strange := [name for name in by if name not in DIMENSIONS]:
        raise KeyError(strange)
    rows = _rows(start, end, scope, by).values(*by).annotate(**_COLUMNS)
    return [
        CostLine(_costs(_of_row(row)), **{name: row[name] for name in by})
        for row in rows.order_by(*by)
    ]


def amounts(
    *, start: datetime, end: datetime, scope: Scope, by: Sequence[str]
) -> dict[tuple[str, ...], Decimal]:
    """Return what the machines with a price cost in the days of [start, end), by some of
    DIMENSIONS, without what cost nothing; one query. Of thousands of lines it is much faster than
    `lines`.
    """
    rows = _rows(start, end, scope, by).filter(cost_usd__gt=0)
    sums = rows.values_list(*by).annotate(sum_usd=Sum("cost_usd"))
    return {tuple(values): usd for *values, usd in sums}


def known(*, start: datetime, end: datetime) -> Known:
    """Return how well the days in [start, end) are known; two queries."""
    days = {"day__gte": day_of(start), "day__lt": day_of(end)}
    found = AllocatedDay.objects.filter(**days).aggregate(
        until=Max("until"),
        unpriced_seconds=Sum("unpriced_seconds", default=NOTHING),
        unobserved_seconds=Sum("unobserved_seconds", default=NOTHING),
        unplaced_tokens=Sum("unplaced_tokens", default=0),
        has_simulated_machines=_Any("has_simulated_machines", default=False),
        has_simulated_prices=_Any("has_simulated_prices", default=False),
    )
    return Known(changing=ChangedDay.objects.filter(**days).count(), **found)


def days(*, start: datetime, end: datetime) -> dict[date, dict[str, Decimal]]:
    """Return the days of [start, end) that are shared out, each with kind → USD; one query."""
    rows = AllocatedDay.objects.filter(day__gte=day_of(start), day__lt=day_of(end))
    return {
        row.day: {kind: getattr(row, f"{kind.lower()}_usd") for kind in Kind.values}
        for row in rows.order_by("day")
    }


def machines(*, start: datetime, end: datetime, scope: Scope, listed: Iterable[Line]) -> Machines:
    """Return the machines of the days in [start, end), dearest models first; one query.

    listed: the price-list lines of the same period and scope.
    """
    found = lines(start=start, end=end, scope=scope, by=["model", "gpu_name", "kind", "basis"])
    owned = [line for line in found if line.model]
    cards = _grouped(owned, lambda line: (line.model, line.gpu_name))
    return Machines(
        total=added(line.costs for line in found),
        idle={
            basis: costs.idle_usd
            for (basis,), costs in _grouped(
                (line for line in found if line.kind == Kind.IDLE), lambda line: (line.basis,)
            ).items()
        },
        models=_models(owned, listed),
        cards=[
            CostLine(costs, model=model, gpu_name=gpu_name)
            for (model, gpu_name), costs in cards.items()
        ],
        others=[
            CostLine(costs, kind=kind)
            for (kind,), costs in _grouped(
                (line for line in found if not line.model), lambda line: (line.kind,)
            ).items()
        ],
    )


def _models(owned: Iterable[CostLine], listed: Iterable[Line]) -> list[ModelCost]:
    owned = list(owned)
    real = _grouped(owned, lambda line: (line.model,))
    prices, unpriced = _list_usd(listed)
    cards: dict[str, dict[str, None]] = {}
    for line in owned:
        if line.gpu_name:
            cards.setdefault(line.model, {})[line.gpu_name] = None
    found = [
        ModelCost(
            model=name,
            list_usd=prices.get(name, NOTHING),
            unpriced=unpriced.get(name, 0),
            real=real.get((name,)),
            cards=tuple(cards.get(name, ())),
        )
        for name in sorted({model for (model,) in real} | set(prices))
    ]
    return sorted(found, key=lambda line: line.real_usd or NOTHING, reverse=True)


def _list_usd(listed: Iterable[Line]) -> tuple[dict[str, Decimal | None], dict[str, int]]:
    """Return model → its price-list cost, None where nothing of its use has a rate; and model →
    what it used without a rate. Calls that name no model, or used nothing, are left out.
    """
    found: dict[str, Decimal | None] = {}
    unpriced: dict[str, int] = {}
    for line in listed:
        if not line.model or not line.is_use:
            continue
        before = found.setdefault(line.model, None)
        unpriced[line.model] = unpriced.get(line.model, 0) + line.unpriced
        if line.list_cost_usd is not None:
            found[line.model] = (before or NOTHING) + line.list_cost_usd
    return found, unpriced


def added(costs: Iterable[Costs]) -> Costs:
    """Return the sum of costs."""
    found = list(costs)
    return _costs(
        {field.name: sum(getattr(each, field.name) for each in found) for field in fields(Costs)}
    )


def _grouped(
    found: Iterable[CostLine], key: Callable[[CostLine], tuple[str, ...]]
) -> dict[tuple[str, ...], Costs]:
    groups: dict[tuple[str, ...], list[Costs]] = {}
    for line in found:
        groups.setdefault(key(line), []).append(line.costs)
    return {name: added(costs) for name, costs in groups.items()}


def _rows(
    start: datetime, end: datetime, scope: Scope, by: Sequence[str] = ()
) -> QuerySet[Allocation] | QuerySet[MonthlyAllocation]:
    """Return the shares of a period: of its months where it is whole ones and nobody asks for days,
    else of its days.
    """
    first, last = day_of(start), day_of(end)
    rows: QuerySet[Allocation] | QuerySet[MonthlyAllocation]
    if first.day == last.day == 1 and "day" not in by:
        rows = MonthlyAllocation.objects.filter(month__gte=first, month__lt=last)
    else:
        rows = Allocation.objects.filter(day__gte=first, day__lt=last)
    return rows.order_by() if scope.team is None else rows.order_by().filter(team=scope.team)


def _of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[f"sum_{name}"] for name in _SUMS}


def _costs(found: Mapping[str, Any]) -> Costs:
    """Return costs; what no row is summed for is nothing."""
    counts = ("priced_shares", "shares", "input_tokens", "output_tokens")
    values: dict[str, Any] = {
        field.name: found[field.name] or (0 if field.name in counts else NOTHING)
        for field in fields(Costs)
    }
    return Costs(**values)
