"""What proposed prices would change: which price lists end, and what a month costs by them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from apps.catalog.models import RegisteredModel
from apps.chargeback.models import PriceChange
from apps.chargeback.queries import SkuUse, spend_by_sku, use_by_sku
from apps.chargeback.rating import Prices, cost_usd
from apps.common.periods import month_before, month_bounds, month_of
from apps.metering.skus import Sku


@dataclass(frozen=True)
class Effect:
    """What publishing prices does to the price lists of their model.

    ends: the one in force at their hour, None without one. replaces: those that begin then or
    later. dropped: the SKUs that have a price before, and none afterwards.
    """

    ends: PriceChange | None
    replaces: list[PriceChange]
    dropped: list[Sku]


def effect_of(model: RegisteredModel, prices: Prices, active_from: datetime) -> Effect:
    """Return what prices of a model from an hour on would do; one query."""
    lists = PriceChange.objects.filter(registered_model=model).with_ends().that_count()
    reaching = Q(active_to__isnull=True) | Q(active_to__gt=active_from)
    found = list(lists.filter(reaching).order_by("active_from"))
    ends = next((item for item in found if item.active_from < active_from), None)
    replaces = [item for item in found if item.active_from >= active_from]
    in_force = next((item for item in replaces if item.active_from == active_from), ends)
    before = in_force.proposed.by_sku if in_force else {}
    return Effect(ends, replaces, [sku for sku in before if sku not in prices.by_sku])


@dataclass(frozen=True)
class SkuCost:
    """What one SKU of a model costs by two price lists. quantity: in the SKU's unit. None: no
    price.
    """

    sku: Sku
    quantity: Decimal
    before_usd: Decimal | None
    proposed_usd: Decimal | None


@dataclass(frozen=True)
class Comparison:
    """What the usage of [start, end) costs by two price lists."""

    start: datetime
    end: datetime
    rows: Sequence[SkuCost]

    @property
    def is_whole(self) -> bool:
        """Tell whether everything that was used has a price in both lists."""
        return all(None not in (row.before_usd, row.proposed_usd) for row in self.rows)

    @property
    def before_usd(self) -> Decimal | None:
        """Return the sum of what has a price in the first list; None where nothing has."""
        return _sum(row.before_usd for row in self.rows)

    @property
    def proposed_usd(self) -> Decimal | None:
        """Return the sum of what has a price in the second list; None where nothing has."""
        return _sum(row.proposed_usd for row in self.rows)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [usd for usd in amounts if usd is not None]
    return sum(known, Decimal(0)) if known else None


def last_month(
    model: RegisteredModel, before: Prices, proposed: Prices, now: datetime
) -> Comparison:
    """Return what last month's usage of a model costs by two price lists; one query."""
    start, end = month_bounds(month_before(month_of(now)))
    rows = [
        SkuCost(used.sku, used.quantity, _cost(used, before), _cost(used, proposed))
        for used in spend_by_sku(model=model.name, start=start, end=end)
    ]
    return Comparison(start, end, rows)


def priced_again(change: PriceChange, now: datetime) -> Comparison | None:
    """Return what was used since a change's hour, as it is priced now and by the change; None for
    one that begins later. One query.
    """
    if change.active_from >= now:
        return None
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    model = change.registered_model.name
    rows = [
        SkuCost(used.sku, used.quantity, used.list_cost_usd, _cost(used, change.proposed))
        for used in use_by_sku(model=model, start=change.active_from, end=end)
    ]
    return Comparison(change.active_from, end, rows)


def _cost(used: SkuUse, prices: Prices) -> Decimal | None:
    price = prices.by_sku.get(used.sku)
    return None if price is None else cost_usd(used.sku, used.quantity, price)
