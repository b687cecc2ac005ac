"""What a machine costs at a moment, and by whose word: a contract, its own label, AWS's Spot
history or price list, or nobody's; then why.

The book holds the dated prices of a range of time; `steps` divides an interval where its price
changes. Nothing is guessed: a machine that no word covers has no price.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from django.db.models import Q

from apps.fleet.models import Machine, NodeInterval
from apps.fleet.pricing.models import NodePrice, PriceOverride
from apps.manifests.capacity import ON_DEMAND, SPOT

CONTRACT, AWS_LIST, AWS_SPOT = "contract", "aws-list", "aws-spot-history"
HUNDRED = Decimal(100)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


@dataclass(frozen=True)
class Price:
    """A price with whose word it is. usd_per_hour: None where there is none; then why says why."""

    usd_per_hour: Decimal | None
    basis: str
    why: str = ""


@dataclass(frozen=True)
class Step:
    """A price over [from_at, to_at)."""

    from_at: datetime
    to_at: datetime
    price: Price


Priced = NodeInterval | Machine
Row = TypeVar("Row", bound=Machine)
Dated = Sequence[tuple[datetime, Decimal]]  # in order, each until the next


@dataclass(frozen=True)
class PriceBook:
    """Dated prices. overrides: (type, capacity type, region) → contracts; listed: (type, region) →
    AWS's list prices; spot: (type, zone) → Spot prices.
    """

    overrides: Mapping[tuple[str, str, str], Sequence[PriceOverride]] = field(default_factory=dict)
    listed: Mapping[tuple[str, str], Dated] = field(default_factory=dict)
    spot: Mapping[tuple[str, str], Dated] = field(default_factory=dict)

    def steps(self, span: Priced, from_at: datetime, to_at: datetime) -> list[Step]:
        """Return an interval's prices over [from_at, to_at), in order; neighbors differ. A moment
        that is no time has one.
        """
        cuts = [from_at, *self._changes(span, from_at, to_at), to_at]
        found: list[Step] = []
        for begin, end in zip(cuts, cuts[1:], strict=False):
            price = self.price(span, begin)
            if found and found[-1].price == price:
                found[-1] = Step(found[-1].from_at, end, price)
            else:
                found.append(Step(begin, end, price))
        return found

    def price(self, span: Priced, at: datetime) -> Price:
        """Return what an interval's machine costs at a moment."""
        contract = self._contract(span, at)
        if contract is not None:
            return contract
        if span.price_usd_per_hour is not None:
            return Price(span.price_usd_per_hour, span.price_basis)
        return self._of_aws(span, at)

    def list_price(self, instance_type: str, zone: str, at: datetime) -> Decimal | None:
        """Return AWS's list price of a type in the region of a zone; None where it is not known."""
        return _at(self.listed.get((instance_type, region_of(zone)), ()), at)

    def _contract(self, span: Priced, at: datetime) -> Price | None:
        key = (span.instance_type, span.capacity_type, region_of(span.zone))
        for contract in self.overrides.get(key, ()):
            if contract.active_from <= at and (
                contract.active_to is None or at < contract.active_to
            ):
                return self._price_of(contract, span, at)
        return None

    def _price_of(self, contract: PriceOverride, span: Priced, at: datetime) -> Price | None:
        """Return a contract's price; None for a discount on a list price that nobody knows."""
        if contract.usd_per_hour is not None:
            return Price(contract.usd_per_hour, CONTRACT)
        listed = self.list_price(span.instance_type, span.zone, at)
        if listed is None or contract.discount_percent is None:
            return None
        return Price(listed * (HUNDRED - contract.discount_percent) / HUNDRED, CONTRACT)

    def _of_aws(self, span: Priced, at: datetime) -> Price:
        kind, zone = span.instance_type, span.zone
        if not kind or not zone:
            return Price(None, "", "nobody saw what kind of machine it was, or where")
        if span.capacity_type == SPOT:
            usd = _at(self.spot.get((kind, zone), ()), at)
            why = f"no Spot price of {kind} in {zone} is known for that time"
            return Price(usd, AWS_SPOT) if usd is not None else Price(None, "", why)
        if span.capacity_type == ON_DEMAND:
            usd = self.list_price(kind, zone, at)
            why = f"no list price of {kind} in {region_of(zone) or zone} is known for that time"
            return Price(usd, AWS_LIST) if usd is not None else Price(None, "", why)
        return Price(None, "", f"{span.capacity_type or 'unknown'} capacity needs a contract")

    def _changes(self, span: Priced, from_at: datetime, to_at: datetime) -> list[datetime]:
        """Return the moments inside a range at which some word on a machine begins or ends."""
        kind, region = span.instance_type, region_of(span.zone)
        found = {at for at, _ in self.listed.get((kind, region), ())}
        found |= {at for at, _ in self.spot.get((kind, span.zone), ())}
        for contract in self.overrides.get((kind, span.capacity_type, region), ()):
            found |= {contract.active_from, contract.active_to or contract.active_from}
        return sorted(at for at in found if from_at < at < to_at)


def region_of(zone: str) -> str:
    """Return the region of a zone: "us-east-1" of "us-east-1a", and of a local zone in Boston; ""
    for what is no zone.
    """
    found = _REGION.match(zone)
    return found.group() if found else ""


def book(kinds: Collection[str], from_at: datetime, to_at: datetime) -> PriceBook:
    """Return the prices that may hold for these instance types in [from_at, to_at); three queries,
    none without a type.
    """
    kinds = set(kinds) - {""}
    if not kinds:
        return PriceBook()
    contracts = PriceOverride.objects.filter(instance_type__in=kinds, active_from__lt=to_at)
    overrides: dict[tuple[str, str, str], list[PriceOverride]] = {}
    for row in contracts.filter(Q(active_to__isnull=True) | Q(active_to__gt=from_at)):
        overrides.setdefault((row.instance_type, row.capacity_type, row.region), []).append(row)
    listed: dict[tuple[str, str], list[tuple[datetime, Decimal]]] = {}
    spot: dict[tuple[str, str], list[tuple[datetime, Decimal]]] = {}
    for price in _prices(kinds, from_at, to_at):
        told = (price.active_from, price.usd_per_hour)
        if price.source == NodePrice.Source.LIST:
            listed.setdefault((price.instance_type, price.region), []).append(told)
        else:
            spot.setdefault((price.instance_type, price.zone), []).append(told)
    return PriceBook(overrides, listed, spot)


def with_prices(machines: Sequence[Row], now: datetime) -> Sequence[Row]:
    """Return machines with the price that each has now, and by whose word; three queries."""
    known = book({machine.instance_type for machine in machines}, now, now)
    for machine in machines:
        price = known.price(machine, now)
        machine.price_usd_per_hour, machine.price_basis = price.usd_per_hour, price.basis
    return machines


def with_last_prices(machines: Sequence[Row], now: datetime) -> Sequence[Row]:
    """Return machines with the price that each has now, or had when it ended, and by whose word;
    three queries.
    """
    ends = {machine.pk: min(machine.ended_at or now, now) for machine in machines}
    kinds = {machine.instance_type for machine in machines}
    known = book(kinds, min(ends.values(), default=now), now)
    for machine in machines:
        price = known.price(machine, ends[machine.pk])
        machine.price_usd_per_hour, machine.price_basis = price.usd_per_hour, price.basis
    return machines


def _prices(kinds: Iterable[str], from_at: datetime, to_at: datetime) -> list[NodePrice]:
    """Return what AWS told of the range, and the last word before it; in order of time."""
    rows = NodePrice.objects.filter(instance_type__in=list(kinds))
    machine = ("source", "instance_type", "region", "zone")
    before = rows.filter(active_from__lte=from_at).order_by(*machine, "-active_from")
    later = rows.filter(active_from__gt=from_at, active_from__lt=to_at)
    found = [*before.distinct(*machine), *later.order_by()]
    return sorted(found, key=lambda price: price.active_from)


def _at(dated: Dated, at: datetime) -> Decimal | None:
    """Return the price in force at a moment; None before the first one."""
    place = bisect_right(dated, at, key=lambda told: told[0])
    return dated[place - 1][1] if place else None
