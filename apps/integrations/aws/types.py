"""What AWS answers about prices: plain facts, never an SDK's dictionaries."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class ListPrice:
    """What an instance type costs on demand in a region, from `effective_at` on."""

    instance_type: str
    region: str
    usd_per_hour: Decimal
    effective_at: datetime


@dataclass(frozen=True)
class SpotPrice:
    """What a Spot machine of a type costs in a zone, from a moment until the next one's."""

    instance_type: str
    zone: str
    usd_per_hour: Decimal
    at: datetime
