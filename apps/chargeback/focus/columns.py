"""The columns of FOCUS rows, in the versions 1.2 and 1.4 of the specification. FOCUS's own names
stand here and in rows.py, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from apps.chargeback.closing.statements import Basis

Version = Literal["1.2", "1.4"]
VERSIONS: tuple[Version, ...] = ("1.2", "1.4")
Kind = Literal["text", "decimal", "time", "json"]
Value = str | Decimal | datetime | None
Row = dict[str, Value]

CURRENCY = "USD"
COMPUTE, MACHINES = "Compute", "Virtual Machines"
FileBasis = Basis | Literal["COMMITMENT"]
COMMITMENT: FileBasis = "COMMITMENT"
COST_BASES: Mapping[FileBasis, str] = {
    "LIST": "PriceList",
    "COST": "MachineCost",
    "COMMITMENT": "Commitment",
}


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


def columns(version: Version) -> tuple[Column, ...]:
    """Return the columns of a version in their order: FOCUS's own by name, then ours."""
    return tuple(column for column in COLUMNS if version in column.versions)
