"""What FOCUS rows are made of: who bills whom, and what is charged."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from apps.metering.skus import Sku


@dataclass(frozen=True)
class Account:
    """Who is billed, and who bills. id and name: the company's account; issuer: the platform's
    name; environment: as tags say it.
    """

    id: str
    name: str
    issuer: str
    environment: str
    region: str = ""


@dataclass(frozen=True)
class ListCharge:
    """One day's usage of one SKU by the price list. unit_price_usd: for one billing unit of the
    SKU. invoice, line: the statement that bills it, and its line; billed_usd: what that line says
    in whole cents, where the charge is the whole line, of a month. corrects: the month, closed
    before, that the charge is a correction of: then cost_usd may be negative.
    """

    day: date
    cost_center: str
    team: str
    model: str
    version: str
    sku: Sku
    quantity: Decimal
    rate_id: str
    unit_price_usd: Decimal
    cost_usd: Decimal
    invoice: str = ""
    line: str = ""
    billed_usd: Decimal | None = None
    is_of_month: bool = False
    corrects: date | None = None
    is_estimated: bool = False


@dataclass(frozen=True)
class MachineShare:
    """One share of a day's machine cost: work of a team, or idle, starting, unallocated time.

    ratio: of the day's cost of its kind of machine; None where it is not one day's. on_demand_usd:
    what the same time costs by the provider's list; None where that is not known. The rest as in
    ListCharge.
    """

    day: date
    kind: str
    cost_center: str
    team: str
    model: str
    version: str
    instance_type: str
    capacity_type: str
    gpu_name: str
    gpu_hours: Decimal
    ratio: Decimal | None
    method_id: str
    cost_usd: Decimal
    on_demand_usd: Decimal | None = None
    invoice: str = ""
    line: str = ""
    billed_usd: Decimal | None = None
    is_of_month: bool = False
    corrects: date | None = None


@dataclass(frozen=True)
class Commitment:
    """What a day's bill says of a savings plan or a reservation. id: its ARN.

    status: "Used" for a machine that it covered, "Unused" for what covered nothing, "" for what was
    paid. quantity: of the commitment, in USD of a plan, in `unit` or hours of a reservation.
    list_usd: the same on demand by the public price.
    """

    day: date
    id: str
    is_plan: bool
    status: Literal["", "Used", "Unused"]
    quantity: Decimal
    hours: Decimal | None = None
    billed_usd: Decimal = Decimal(0)
    effective_usd: Decimal = Decimal(0)
    list_usd: Decimal = Decimal(0)
    resource: str = ""
    instance_type: str = ""
    unit: str = ""
    is_recurring: bool = True
