"""A month as FOCUS rows, in the versions 1.2 and 1.4 of the specification, from one model. Pure.

Three bases, each a file of its own that sums to its own total, so that nobody counts a dollar
twice: LIST has a row for each day, team, version and SKU by the price list; COST has a row for each
share of the machines' cost, idle and unallocated ones too; COMMITMENT has what the cloud's bill
says of savings plans and reservations. What has no price has no amount, so it cannot
be a row: the metadata says how much of it there is."""

from datetime import date
from decimal import Decimal

from apps.chargeback.closing.statements import BILL, Basis
from apps.chargeback.focus.charges import Account, Commitment, ListCharge, MachineShare
from apps.chargeback.focus.columns import COMPUTE, COST_BASES, CURRENCY, MACHINES, Row
from apps.chargeback.focus.text import json_text
from apps.common.periods import end_of_day, month_bounds, start_of_day
from apps.metering.skus import UNITS

HOST = "Amazon Web Services"
SERVICE = "LLM inference"
# the unit of FOCUS for what a SKU is counted in
CONSUMED = {"token": "Tokens", "request": "Requests", "second": "Seconds", "image": "Images"}
EC2 = "Amazon Elastic Compute Cloud"
PLATFORM = "platform"  # the sub-account of what is nobody's


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
