"""A month as FOCUS rows, in the versions 1.2 and 1.4 of the specification, from one model. Pure.

Three bases, each a file of its own that sums to its own total, so that nobody counts a dollar
twice: LIST has a row for each day, team, version and SKU by the price list; COST has a row for each
share of the machines' cost, idle and unallocated ones too; COMMITMENT has what the cloud's bill
says of savings plans and reservations. What has no price has no amount, so it cannot
be a row: the metadata says how much of it there is. FOCUS's own names stand here and nowhere else.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from apps.chargeback.closing.statements import BILL, Basis
from apps.common.money import exact
from apps.common.periods import end_of_day, month_bounds, start_of_day
from apps.metering.skus import UNITS, Sku

Version = Literal["1.2", "1.4"]
VERSIONS: tuple[Version, ...] = ("1.2", "1.4")
Kind = Literal["text", "decimal", "time", "json"]
Value = str | Decimal | datetime | None
Row = dict[str, Value]

CURRENCY = "USD"
HOST = "Amazon Web Services"
SERVICE = "LLM inference"
# the unit of FOCUS for what a SKU is counted in
CONSUMED = {"token": "Tokens", "request": "Requests", "second": "Seconds", "image": "Images"}
FileBasis = Basis | Literal["COMMITMENT"]
COMMITMENT: FileBasis = "COMMITMENT"
COST_BASES: Mapping[FileBasis, str] = {
    "LIST": "PriceList",
    "COST": "MachineCost",
    "COMMITMENT": "Commitment",
}
EC2, COMPUTE, MACHINES = "Amazon Elastic Compute Cloud", "Compute", "Virtual Machines"
PLATFORM = "platform"  # the sub-account of what is nobody's


@dataclass(frozen=True)
class Column:
    """One column. versions: of FOCUS, that have it. required: never null, in whatever row."""

    name: str
    kind: Kind = "text"
    required: bool = False
    allowed: tuple[str, ...] = ()
    versions: tuple[Version, ...] = VERSIONS

    @property
    def is_custom(self) -> bool:
        """Tell whether the column is ours."""
        return self.name.startswith("x_")


_12: tuple[Version, ...] = ("1.2",)
_14: tuple[Version, ...] = ("1.4",)
COLUMNS: tuple[Column, ...] = (
    Column("AllocatedMethodDetails", "json", versions=_14),
    Column("AllocatedMethodId", versions=_14),
    Column("AllocatedResourceId", versions=_14),
    Column("BilledCost", "decimal", required=True),
    Column("BillingAccountId", required=True),
    Column("BillingAccountName"),
    Column("BillingAccountType"),
    Column("BillingCurrency", required=True, allowed=(CURRENCY,)),
    Column("BillingPeriodEnd", "time", required=True),
    Column("BillingPeriodStart", "time", required=True),
    Column(
        "ChargeCategory",
        required=True,
        allowed=("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    ),
    Column("ChargeClass", allowed=("Correction",)),
    Column("ChargeDescription"),
    Column("ChargeFrequency", allowed=("One-Time", "Recurring", "Usage-Based")),
    Column("ChargePeriodEnd", "time", required=True),
    Column("ChargePeriodStart", "time", required=True),
    Column("CommitmentDiscountCategory", allowed=("Spend", "Usage")),
    Column("CommitmentDiscountId"),
    Column("CommitmentDiscountName"),
    Column("CommitmentDiscountQuantity", "decimal"),
    Column("CommitmentDiscountStatus", allowed=("Used", "Unused")),
    Column("CommitmentDiscountType"),
    Column("CommitmentDiscountUnit"),
    Column("ConsumedQuantity", "decimal"),
    Column("ConsumedUnit"),
    Column("ContractedCost", "decimal", required=True),
    Column("ContractedUnitPrice", "decimal"),
    Column("EffectiveCost", "decimal", required=True),
    Column("HostProviderName", required=True, versions=_14),
    Column("InvoiceDetailId", versions=_14),
    Column("InvoiceId"),
    Column("InvoiceIssuerName", required=True),
    Column("ListCost", "decimal", required=True),
    Column("ListUnitPrice", "decimal"),
    Column("PricingCategory", allowed=("Standard", "Dynamic", "Committed", "Other")),
    Column("PricingQuantity", "decimal"),
    Column("PricingUnit"),
    Column("ProviderName", required=True, versions=_12),
    Column("PublisherName", required=True, versions=_12),
    Column("RegionId"),
    Column("RegionName"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    Column("ServiceCategory", required=True, allowed=("AI and Machine Learning", COMPUTE)),
    Column("ServiceName", required=True),
    Column("ServiceProviderName", required=True, versions=_14),
    Column("ServiceSubcategory", allowed=("Generative AI", MACHINES)),
    Column("SkuId"),
    Column("SkuMeter"),
    Column("SkuPriceDetails", "json"),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType"),
    Column("Tags", "json"),
    Column("x_AllocationKind"),
    Column("x_CorrectsBillingPeriodStart", "time"),
    Column("x_CostBasis", required=True, allowed=tuple(COST_BASES.values())),
    Column("x_ModelVersion"),
    Column("x_UsageBasis", allowed=("Metered", "Estimated")),
)  # fmt: skip


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


@dataclass(frozen=True)
class Unpriced:
    """What the month has and no row can say, because nobody knows its price."""

    tokens: int = 0
    rerank_requests: int = 0
    machine_seconds: Decimal = Decimal(0)
    calls_without_usage: int = 0


@dataclass(frozen=True)
class Metadata:
    """What accompanies the data, as FOCUS asks: which schema it has, and what it leaves out.
    is_sample: usage of the month was made up.
    """

    version: Version
    created_at: datetime
    basis: FileBasis
    month: date
    unpriced: Unpriced = field(default_factory=Unpriced)
    is_sample: bool = False

    def plain(self) -> dict[str, object]:
        """Return it as JSON takes it. It tells of the sample where it is one alone."""
        return ({"x_Sample": True} if self.is_sample else {}) | {
            "SchemaId": f"quartermaster-focus-{self.version}",
            "FocusVersion": self.version,
            "CreationDate": _time(self.created_at),
            "DataGenerator": "Quartermaster",
            "x_CostBasis": self.basis,
            "x_BillingPeriodStart": _time(month_bounds(self.month)[0]),
            "x_UnpricedTokens": self.unpriced.tokens,
            "x_UnpricedRerankRequests": self.unpriced.rerank_requests,
            "x_UnpricedMachineSeconds": str(self.unpriced.machine_seconds),
            "x_CallsWithoutUsage": self.unpriced.calls_without_usage,
            "ColumnDefinition": [
                {"ColumnName": column.name, "DataType": _DATA_TYPES[column.kind]}
                | ({"NumericPrecision": 38, "NumberScale": 18} if column.kind == "decimal" else {})
                for column in columns(self.version)
            ],
        }


_DATA_TYPES: Mapping[Kind, str] = {
    "text": "STRING",
    "decimal": "DECIMAL",
    "time": "DATETIME",
    "json": "JSON",
}


def columns(version: Version) -> tuple[Column, ...]:
    """Return the columns of a version in their order: FOCUS's own by name, then ours."""
    return tuple(column for column in COLUMNS if version in column.versions)


def list_row(charge: ListCharge, month: date, account: Account) -> Row:
    """Return the row of one day's usage by the price list. month: the period that bills it."""
    unit = UNITS[charge.sku]
    consumed = CONSUMED[unit.one]
    quantity = charge.quantity / unit.per
    return _common(charge, month, account) | {
        "ContractedCost": charge.cost_usd,
        "ContractedUnitPrice": charge.unit_price_usd,
        "EffectiveCost": charge.cost_usd,
        "ListCost": charge.cost_usd,
        "ListUnitPrice": charge.unit_price_usd,
        "ChargeDescription": f"{charge.sku.label} of {charge.version or charge.model}"
        + (", estimated" if charge.is_estimated else ""),
        "ConsumedQuantity": charge.quantity,
        "ConsumedUnit": consumed,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": consumed if unit.per == 1 else f"{unit.per} {consumed}",
        "SkuId": f"{charge.model}/{charge.sku}",
        "SkuMeter": charge.sku.label,
        "SkuPriceId": charge.rate_id,
        "x_CostBasis": COST_BASES["LIST"],
        "x_UsageBasis": "Estimated" if charge.is_estimated else "Metered",
    }


def cost_row(share: MachineShare, month: date, account: Account) -> Row:
    """Return the row of one share of the machines' cost.

    A share is priced as one charge of its amount: GPU-hours times an average price would not be
    exactly the cost.
    """
    details = {"InstanceType": share.instance_type, "x_GpuName": share.gpu_name}
    element = {"UsageUnit": "GPU-Hours", "UsageQuantity": share.gpu_hours}
    if share.ratio is not None:
        element["AllocatedRatio"] = share.ratio
    elements = {"Elements": [element]}
    listed = share.cost_usd if share.on_demand_usd is None else share.on_demand_usd
    kind = "Restated bill" if share.kind == BILL else share.kind.capitalize()
    words = f"{kind} on {share.instance_type or 'machines'}"
    return _common(share, month, account) | {
        "AllocatedMethodDetails": json_text(elements),
        "AllocatedMethodId": share.method_id,
        "AllocatedResourceId": share.version or share.model or None,
        "ContractedCost": share.cost_usd,
        "ContractedUnitPrice": share.cost_usd,
        "EffectiveCost": share.cost_usd,
        "ListCost": listed,
        "ListUnitPrice": listed,
        "ChargeDescription": f"{words} for {share.version}" if share.version else words,
        "ConsumedQuantity": share.gpu_hours,
        "ConsumedUnit": "GPU-Hours",
        "PricingCategory": "Dynamic" if share.capacity_type == "spot" else "Standard",
        "PricingQuantity": Decimal(1),
        "PricingUnit": "Charges",
        "SkuId": f"machine/{share.instance_type or 'unknown'}/{share.capacity_type or 'unknown'}",
        "SkuMeter": "Machine time",
        "SkuPriceDetails": json_text(details),
        "SkuPriceId": f"{share.day:%Y-%m-%d}/{share.instance_type}/{share.capacity_type}",
        "x_AllocationKind": share.kind,
        "x_CostBasis": COST_BASES["COST"],
    }


def commitment_row(item: Commitment, month: date, account: Account) -> Row:
    """Return the row of what was paid for a commitment, of what it covered, or of what nobody
    used. What was paid has no effective cost: that is in the rows of what was used and what was
    not.
    """
    begins, ends = month_bounds(month)
    name = "Savings plan" if item.is_plan else "Reservation"
    words = {"": "bought", "Used": "used", "Unused": "not used"}[item.status]
    frequency = "Recurring" if item.is_recurring else "One-Time"
    return {
        **_parties(account),
        "BilledCost": item.billed_usd,
        "BillingPeriodEnd": ends,
        "BillingPeriodStart": begins,
        "ChargeCategory": "Usage" if item.status else "Purchase",
        "ChargeDescription": f"{name} {words}",
        "ChargeFrequency": "Usage-Based" if item.status else frequency,
        "ChargePeriodEnd": end_of_day(item.day),
        "ChargePeriodStart": start_of_day(item.day),
        "CommitmentDiscountCategory": "Spend" if item.is_plan else "Usage",
        "CommitmentDiscountId": item.id,
        "CommitmentDiscountName": item.id.rpartition("/")[2],
        "CommitmentDiscountQuantity": item.quantity,
        "CommitmentDiscountStatus": item.status or None,
        "CommitmentDiscountType": "Savings Plan" if item.is_plan else "Reserved Instance",
        "CommitmentDiscountUnit": item.unit or (CURRENCY if item.is_plan else "Hours"),
        "ConsumedQuantity": item.hours,
        "ConsumedUnit": None if item.hours is None else "Hours",
        "ContractedCost": item.list_usd,
        "ContractedUnitPrice": item.list_usd,
        "EffectiveCost": item.effective_usd,
        "ListCost": item.list_usd,
        "ListUnitPrice": item.list_usd,
        "PricingCategory": "Committed" if item.status else "Standard",
        "PricingQuantity": Decimal(1),
        "PricingUnit": "Charges",
        "ProviderName": HOST,
        "PublisherName": HOST,
        "RegionId": account.region or None,
        "RegionName": account.region or None,
        "ResourceId": item.resource or item.id,
        "ResourceType": "Virtual machine" if item.resource else name,
        "ServiceCategory": COMPUTE,
        "ServiceName": EC2,
        "ServiceProviderName": HOST,
        "ServiceSubcategory": MACHINES,
        "SkuId": f"commitment/{item.instance_type or 'fee'}",
        "SkuMeter": "Machine time" if item.resource else "Commitment",
        "SkuPriceId": f"{item.day:%Y-%m-%d}/{item.id}/{item.instance_type or 'fee'}",
        "SubAccountId": PLATFORM,
        "SubAccountName": PLATFORM,
        "SubAccountType": "Team",
        "Tags": _tags("", account),
        "x_CostBasis": COST_BASES["COMMITMENT"],
    }


def rounding_row(
    usd: Decimal, basis: Basis, cost_center: str, number: str, month: date, account: Account
) -> Row:
    """Return the row of what rounding a statement's lines to cents did. It is billed, and costs
    nothing beside what the other rows cost.
    """
    begins, ends = month_bounds(month)
    return {
        **_parties(account),
        "BilledCost": usd,
        "BillingPeriodEnd": ends,
        "BillingPeriodStart": begins,
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"Rounding of statement {number} to cents",
        "ChargeFrequency": "One-Time",
        "ChargePeriodEnd": ends,
        "ChargePeriodStart": begins,
        "ContractedCost": Decimal(0),
        "EffectiveCost": Decimal(0),
        "InvoiceId": number,
        "ListCost": Decimal(0),
        "SubAccountId": PLATFORM,
        "SubAccountName": PLATFORM,
        "SubAccountType": "Team",
        "Tags": _tags(cost_center, account),
        "x_CostBasis": COST_BASES[basis],
    }


def _common(charge: ListCharge | MachineShare, month: date, account: Account) -> Row:
    """Return what both kinds of row say alike."""
    begins, ends = month_bounds(month)
    corrects = None if charge.corrects is None else month_bounds(charge.corrects)[0]
    charged = start_of_day(charge.day), end_of_day(charge.day)
    if charge.is_of_month:
        charged = month_bounds(charge.day)
    resource = charge.version or charge.model
    return {
        **_parties(account),
        "BilledCost": charge.cost_usd if charge.billed_usd is None else charge.billed_usd,
        "BillingPeriodEnd": ends,
        "BillingPeriodStart": begins,
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if corrects else None,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": charged[1],
        "ChargePeriodStart": charged[0],
        "InvoiceDetailId": charge.line or None,
        "InvoiceId": charge.invoice or None,
        "RegionId": account.region or None,
        "RegionName": account.region or None,
        "ResourceId": resource or None,
        "ResourceName": resource or None,
        "ResourceType": "Model deployment" if resource else None,
        "SubAccountId": charge.team or PLATFORM,
        "SubAccountName": charge.team or PLATFORM,
        "SubAccountType": "Team",
        "Tags": _tags(charge.cost_center, account),
        "x_CorrectsBillingPeriodStart": corrects,
        "x_ModelVersion": charge.version or None,
    }


def _parties(account: Account) -> Row:
    """Return who bills whom for what: the same in every row."""
    return {
        "BillingAccountId": account.id,
        "BillingAccountName": account.name,
        "BillingAccountType": "Company",
        "BillingCurrency": CURRENCY,
        "HostProviderName": HOST,
        "InvoiceIssuerName": account.issuer,
        "ProviderName": account.issuer,
        "PublisherName": account.issuer,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": SERVICE,
        "ServiceProviderName": account.issuer,
        "ServiceSubcategory": "Generative AI",
    }


def _tags(cost_center: str, account: Account) -> str:
    return json_text({"cost_center": cost_center, "environment": account.environment})


def text_of(row: Row, version: Version) -> list[str]:
    """Return a row as CSV holds it: no thousands separators, no exponent, UTC with a Z, "" where
    there is nothing.
    """
    return [_text(row.get(column.name)) for column in columns(version)]


def csv_rows(rows: Iterable[Row], version: Version) -> Iterable[Sequence[str]]:
    """Return the head and the rows of a CSV file."""
    yield [column.name for column in columns(version)]
    for row in rows:
        yield text_of(row, version)


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return exact(value)
    return _time(value) if isinstance(value, datetime) else value


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def json_text(value: Mapping[str, object]) -> str:
    """Return an object as a column of JSON holds it."""
    return json.dumps(value, sort_keys=True, default=lambda one: float(one))
