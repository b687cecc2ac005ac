"""Prices from what a model's machines cost and a margin: what its tokens would have to cost so that
the price list brings in the real cost, idling and starting included, and the margin on top.

The cost is shared among the kinds of tokens by the stated weights of the card (speeds.py), which
also share a model's work among teams. Evaluations are left out: no team's calls need them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from apps.catalog.models import RegisteredModel
from apps.chargeback import costs
from apps.chargeback.costs import CostLine
from apps.chargeback.queries import EVERYTHING, spend_by_sku
from apps.chargeback.rating import Prices
from apps.chargeback.speeds import Weights, weights_of
from apps.common import periods
from apps.common.simulated import Simulated
from apps.metering.skus import UNITS, Sku

LOOKED_BACK = 30  # whole days
PLACES = Decimal("0.0001")  # of a price: what is measured is no more exact than that
HUNDRED = Decimal(100)


@dataclass(frozen=True)
class Suggestion:
    """Prices, and what they rest on: the cost in USD and the tokens of the days in [start, end).
    prices: None where `why_not` says what is missing.
    """

    start: datetime
    end: datetime
    cost_usd: Decimal
    tokens: Decimal
    margin_percent: Decimal
    prices: Prices | None
    why_not: str
    simulated: Simulated


def from_real_cost(model: RegisteredModel, *, margin_percent: Decimal, now: datetime) -> Suggestion:
    """Return what prices of a model would bring in its real cost of the last days and a margin;
    four queries.
    """
    end = periods.start_of_day(periods.day_of(now))
    start = end - LOOKED_BACK * periods.DAY
    found = costs.lines(start=start, end=end, scope=EVERYTHING, by=["model", "gpu_name"])
    mine = [line for line in found if line.model == model.name]
    used = {
        each.sku: each.quantity for each in spend_by_sku(model=model.name, start=start, end=end)
    }
    known = costs.known(start=start, end=end)
    cost = _cost_of(mine)
    why_not = _why_not(mine, used)
    weights = weights_of(
        model.name, _main_card(mine), Fraction(1), {model.name: model.parameter_count}
    )
    return Suggestion(
        start=start,
        end=end,
        cost_usd=cost,
        tokens=sum(used.values(), Decimal(0)),
        margin_percent=margin_percent,
        prices=None if why_not else priced(cost * (1 + margin_percent / HUNDRED), used, weights),
        why_not=why_not,
        simulated=Simulated(
            machines=known.has_simulated_machines, prices=known.has_simulated_prices
        ),
    )


def priced(usd: Decimal, used: Mapping[Sku, Decimal], weights: Weights) -> Prices:
    """Return the prices by which so many tokens of each kind bring in `usd`, but for rounding.

    Raises ValueError where nothing was used.
    """
    of_token = {
        Sku.INPUT: weights.fresh,
        Sku.CACHED_INPUT: weights.cached,
        Sku.OUTPUT: weights.output,
    }
    work = sum((used.get(sku, Decimal(0)) * weight for sku, weight in of_token.items()), Decimal(0))
    if not work:
        raise ValueError("nothing was used that a cost could be shared among")
    return Prices.of({
        sku: (usd * weight * UNITS[sku].per / work).quantize(PLACES, ROUND_HALF_EVEN)
        for sku, weight in of_token.items()
    })  # fmt: skip


def _cost_of(lines: Sequence[CostLine]) -> Decimal:
    """Return what a model's machines cost, evaluations left out."""
    amounts = [
        line.costs.work_usd + line.costs.idle_usd + line.costs.start_usd - line.costs.evaluation_usd
        for line in lines
    ]
    return sum(amounts, Decimal(0))


def _why_not(lines: Sequence[CostLine], used: Mapping[Sku, Decimal]) -> str:
    """Return what is missing for a suggestion, in words; "" where nothing is."""
    if not lines:
        return "No machine of the model was seen in these days."
    if any(line.costs.unpriced_gpu_hours for line in lines):
        return "Some of its machines have no price, so its cost is not known."
    return "" if used else "Nobody used the model in these days."


def _main_card(lines: Sequence[CostLine]) -> str:
    """Return the card that the model had for the longest; "" without one."""
    return max(lines, key=lambda line: line.costs.gpu_hours).gpu_name if lines else ""
