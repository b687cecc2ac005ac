"""What each type of machine costs by the hour now, before anybody buys one: on demand and on Spot,
as the price book tells it of a machine that runs.

Where AWS told no list price, that of the list counts which the portal ships. Of Spot prices the
cheapest zone's counts: that is where Karpenter buys.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from apps.catalog.sizing.cards import Machine
from apps.fleet import prices
from apps.fleet.models import NodeInterval
from apps.fleet.pricing.book import PriceBook, book, region_of
from apps.manifests.capacity import ON_DEMAND, SPOT


@dataclass(frozen=True)
class Offer:
    """A type of machine with its prices. usd: per hour, None where nobody knows; basis: by whose
    word, "" without a price.
    """

    kind: prices.InstanceType
    usd: Decimal | None
    basis: str
    spot_usd: Decimal | None
    spot_basis: str


def offers(region: str, now: datetime) -> list[Offer]:
    """Return every type that has a GPU, with its prices in a region; three queries."""
    kinds = [kind for kind in prices.instance_types() if kind.gpus]
    known = book({kind.name for kind in kinds}, now, now)
    return [_offer(kind, known, region, now) for kind in kinds]


def machines(now: datetime) -> list[Machine]:
    """Return the same types as sizing takes them, in the region whose prices count; three
    queries.
    """
    return [
        Machine(
            name=offer.kind.name,
            gpu=offer.kind.gpu_name,
            gpus=offer.kind.gpus,
            gpu_mib=offer.kind.gpu_mib,
            vcpus=offer.kind.vcpus,
            memory_gib=int(offer.kind.memory_gib),
            on_demand_usd=offer.usd,
            spot_usd=offer.spot_usd,
        )
        for offer in offers(region(), now)
    ]


def region() -> str:
    """Return the region whose prices count."""
    return settings.BILLING_REGION or prices.REGION


def _offer(kind: prices.InstanceType, known: PriceBook, region: str, now: datetime) -> Offer:
    asked = _price(kind, known, ON_DEMAND, region, now)
    usd, basis = asked if asked[0] is not None else (kind.usd_per_hour, prices.BASIS)
    zones = {zone for name, zone in known.spot if name == kind.name and region_of(zone) == region}
    told = [_price(kind, known, SPOT, zone, now) for zone in sorted(zones) or [region]]
    cheapest = min((each for each in told if each[0] is not None), default=(None, ""))
    return Offer(kind, usd, basis if usd is not None else "", *cheapest)


def _price(
    kind: prices.InstanceType, known: PriceBook, capacity_type: str, zone: str, now: datetime
) -> tuple[Decimal | None, str]:
    """Return what a machine of this type would cost in a zone, or anywhere in a region."""
    machine = NodeInterval(instance_type=kind.name, capacity_type=capacity_type, zone=zone)
    found = known.price(machine, now)
    return found.usd_per_hour, found.basis
