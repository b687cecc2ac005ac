"""What a model's use comes to, on both bases, for its tab Usage: whole, by day, and by team and
version. A part of the query layer of money. Days are UTC days.

Real cost is, for those who see all money, all of the model's machine time, idling and starting
included; for a team what its own work took.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum

from apps.chargeback.models import AllocatedDay, Allocation, DailyLine, Spend
from apps.chargeback.queries import Scope
from apps.metering.skus import TOKEN_SKUS

SHOWN = 7  # teams with a color of their own
OTHERS = "Other teams"
NOT_NAMED = "no team"
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Amounts:
    """What some use comes to. list_usd: of what has a price, real_usd: of machines with one; None
    where nothing of it has. is_whole: False where some of it has no price.
    """

    list_usd: Decimal | None = NOTHING
    real_usd: Decimal | None = None
    gpu_hours: Decimal = NOTHING
    is_whole: bool = True

    @property
    def margin_usd(self) -> Decimal | None:
        """Return what the price list brings beyond the real cost; None where either is not known
        whole.
        """
        if self.list_usd is None or self.real_usd is None or not self.is_whole:
            return None
        return self.list_usd - self.real_usd


@dataclass(frozen=True)
class ModelUse:
    """A model's money over some days. lines: (team, version) → their own; days: of those that are
    shared out or were called on.
    """

    total: Amounts
    lines: dict[tuple[str, str], Amounts]
    days: dict[date, Amounts]


def money_of(model: str, first: date, last: date, scope: Scope) -> ModelUse:
    """Return what a model's use in the days [first, last) comes to, for a person; six queries."""
    spend, shares = _spend(model, first, last), _shares(model, first, last)
    if scope.team is not None:
        spend, shares = spend.filter(team=scope.team), shares.filter(team=scope.team)
    known = AllocatedDay.objects.filter(day__gte=first, day__lt=last)
    shared_out = set(known.values_list("day", flat=True))
    work = shares.exclude(team="")
    lines = _joined(_listed(spend, "team", "version"), _real(work, "team", "version"))
    days = _joined(_listed(spend, "day"), _real(shares, "day"), {(day,) for day in shared_out})
    return ModelUse(
        total=_total(_listed(spend).get((), Amounts()), _real(shares).get(()), shared_out),
        lines={(team, version): amounts for (team, version), amounts in lines.items()},
        days={day: amounts for (day,), amounts in days.items()},
    )


def tokens_by_team(
    model: str, first: date, last: date, tokens: Mapping[str, int]
) -> dict[str, dict[date, int]]:
    """Return team → day → metered tokens of a model: of the teams with most, and of the others
    together; two queries at most. tokens: team → all of its tokens, of the teams that are wanted.
    """
    ranked = sorted(tokens, key=lambda team: (-tokens[team], team))
    teams = sorted(team for team in ranked[:SHOWN] if tokens[team])
    rows = DailyLine.objects.filter(team__in=teams, day__gte=first, day__lt=last, model=model)
    found: dict[str, dict[date, int]] = {team: {} for team in teams}
    by_day = rows.order_by().values_list("team", "day")
    for team, day, total in by_day.annotate(total=Sum(F("input_tokens") + F("output_tokens"))):
        found[team][day] = total
    named = {team or NOT_NAMED: days for team, days in found.items()}
    if not any(tokens[team] for team in ranked[SHOWN:]):
        return named
    whole = _spend(model, first, last).filter(sku__in=TOKEN_SKUS, is_estimated=False)
    others = {
        day: int(total) - sum(days.get(day, 0) for days in found.values())
        for day, total in whole.values_list("day").annotate(total=Sum("quantity"))
    }
    return named | {OTHERS: others}


def _spend(model: str, first: date, last: date) -> QuerySet[Spend]:
    return Spend.objects.filter(model=model, day__gte=first, day__lt=last).order_by()


def _shares(model: str, first: date, last: date) -> QuerySet[Allocation]:
    return Allocation.objects.filter(model=model, day__gte=first, day__lt=last).order_by()


def _listed(rows: QuerySet[Spend], *by: str) -> dict[tuple[Any, ...], Amounts]:
    sums = {"usd": Sum("list_cost_usd"), "unpriced": Count("pk", filter=Q(rate__isnull=True))}
    return {
        tuple(row[name] for name in by): Amounts(row["usd"], is_whole=not row["unpriced"])
        for row in _summed(rows, by, sums)
    }


def _real(rows: QuerySet[Allocation], *by: str) -> dict[tuple[Any, ...], Amounts]:
    sums = {
        "usd": Sum("cost_usd"),
        "hours": Sum("gpu_hours"),
        "unpriced": Count("pk", filter=Q(is_priced=False)),
    }
    return {
        tuple(row[name] for name in by): Amounts(
            None, row["usd"], row["hours"], is_whole=not row["unpriced"]
        )
        for row in _summed(rows, by, sums)
    }


def _summed(
    rows: QuerySet[Any], by: tuple[str, ...], sums: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the sums by some columns; without any, one of all rows, where there are rows."""
    if by:
        return list(rows.values(*by).annotate(**sums))
    found = rows.aggregate(rows=Count("pk"), **sums)
    return [found] if found["rows"] else []


def _joined(
    listed: Mapping[tuple[Any, ...], Amounts],
    real: Mapping[tuple[Any, ...], Amounts],
    known: set[tuple[Any, ...]] | None = None,
) -> dict[tuple[Any, ...], Amounts]:
    """Return both bases of each key. known: keys whose real cost is 0 where no share is there."""
    keys = set(listed) | set(real) | (known or set())
    return {key: _both(listed.get(key), real.get(key), key in (known or ())) for key in keys}


def _both(listed: Amounts | None, real: Amounts | None, is_known: bool) -> Amounts:
    listed = listed or Amounts()
    if real is None:
        return Amounts(listed.list_usd, NOTHING if is_known else None, NOTHING, listed.is_whole)
    whole = listed.is_whole and real.is_whole
    return Amounts(listed.list_usd, real.real_usd, real.gpu_hours, whole)


def _total(listed: Amounts, real: Amounts | None, shared_out: set[date]) -> Amounts:
    return _both(listed, real, bool(shared_out))
