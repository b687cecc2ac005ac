"""What a day's allocation rests on, read from the apps that own it: machines with their prices,
what pods held, the work that was measured, and which days have to be shared out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from apps.catalog.models import RegisteredModel
from apps.chargeback.allocation import Stretch
from apps.chargeback.models import AllocatedDay, ChangedDay
from apps.chargeback.speeds import Weights, weights_of
from apps.common import periods
from apps.fleet import holdings, intervals, prices
from apps.fleet.holdings import Holding
from apps.metering import queries as metering
from apps.metering.queries import HourOfWork


@dataclass(frozen=True)
class Inputs:
    """Everything about a day. sizes: model → its parameters."""

    stretches: list[Stretch]
    holdings: list[Holding]
    work: list[HourOfWork]
    sizes: dict[str, int]
    has_simulated_machines: bool
    has_simulated_prices: bool

    def weigh(self, model: str, gpu_name: str, gpus: Fraction) -> Weights:
        """Return the weights of a model's tokens on so many GPUs of a card."""
        return weights_of(model, gpu_name, gpus, self.sizes)


def inputs(from_at: datetime, to_at: datetime) -> Inputs:
    """Return what happened in [from_at, to_at), within a day; nine queries."""
    parts = intervals.parts_within(from_at, to_at)
    claims = {part.span.node_claim_id: part.span.node_claim for part in parts}
    return Inputs(
        stretches=[_stretch(part) for part in parts],
        holdings=holdings.held(claims.values(), from_at, to_at),
        work=metering.hours_of_work(from_at, to_at),
        sizes=dict(RegisteredModel.objects.values_list("name", "parameter_count")),
        has_simulated_machines=any(claim.is_simulated for claim in claims.values()),
        has_simulated_prices=any(prices.is_simulated(part.price.basis) for part in parts),
    )


def _stretch(part: intervals.Part) -> Stretch:
    span = part.span
    listed = prices.instance_type(span.instance_type)
    return Stretch(
        claim=span.node_claim_id,
        instance_type=span.instance_type,
        capacity_type=span.capacity_type,
        gpu_name=listed.gpu_name if listed is not None else "",
        gpus=span.node_claim.gpu_count or (listed.gpus if listed is not None else 0),
        from_at=part.from_at,
        to_at=part.to_at,
        usd_per_hour=part.price.usd_per_hour,
        on_demand_usd_per_hour=part.listed_usd_per_hour,
        is_observed=span.observed,
    )


def due_days(now: datetime) -> list[date]:
    """Return the days that have to be shared out, newest first: today, those that were not over
    when they were, those that never were, and those that changed since; four queries.
    """
    today = periods.day_of(now)
    begun = [at for at in (intervals.first_start(), metering.first_hour()) if at is not None]
    if not begun:
        return []
    known = dict(AllocatedDay.objects.values_list("day", "until"))
    due = set(ChangedDay.objects.filter(day__lte=today).values_list("day", flat=True))
    due |= {day for day in _days(periods.day_of(min(begun)), today) if not _is_over(day, known)}
    return sorted(due, reverse=True)


def _is_over(day: date, known: dict[date, datetime]) -> bool:
    return day in known and known[day] >= periods.end_of_day(day)


def _days(first: date, last: date) -> Iterable[date]:
    return (first + place * periods.DAY for place in range((last - first).days + 1))
