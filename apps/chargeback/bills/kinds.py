"""What a line of AWS's bill is for, and what it costs. Pure.

A bill says more than machines: tax, credits, storage. Each kind is named apart, so that the
machines alone are held against the ledger.
"""

import re
from decimal import Decimal

from django.db.models import TextChoices

from apps.manifests.capacity import ON_DEMAND, SPOT

# "USE1-BoxUsage:p5.48xlarge", "SpotUsage:g6.xlarge", "UnusedBox:…": time of EC2 instances
_MACHINE = re.compile(
    r"(?:^|-)(?P<bought>BoxUsage|SpotUsage|DedicatedUsage|HostBoxUsage|SchedUsage|UnusedBox|"
    r"UnusedDed)(?::(?P<type>[a-z0-9-]+\.[a-z0-9-]+))?$"
)
EC2 = "AmazonEC2"
NOTHING = Decimal(0)

USAGE = "Usage"
COVERED_BY_PLAN = "SavingsPlanCoveredUsage"
COVERED_BY_RESERVATION = "DiscountedUsage"
NEGATION = "SavingsPlanNegation"
PLAN_FEE, PLAN_UPFRONT = "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee"
RESERVATION_FEE, FEE = "RIFee", "Fee"
OF_USAGE = frozenset({USAGE, COVERED_BY_PLAN, COVERED_BY_RESERVATION})
COVERED = frozenset({COVERED_BY_PLAN, COVERED_BY_RESERVATION})
FEES = frozenset({PLAN_FEE, PLAN_UPFRONT, RESERVATION_FEE})
DISCOUNTS = frozenset(
    {
        "EdpDiscount",
        "PrivateRateDiscount",
        "BundledDiscount",
        "RiVolumeDiscount",
        "SppDiscount",
        "Discount",
    }
)


class Kind(TextChoices):
    """What a line is for."""

    MACHINE = "MACHINE", "Machine time"
    COMMITMENT = "COMMITMENT", "Fees of savings plans and reservations"
    DISCOUNT = "DISCOUNT", "Discounts"
    CREDIT = "CREDIT", "Credits"
    REFUND = "REFUND", "Refunds"
    TAX = "TAX", "Tax"
    SUPPORT = "SUPPORT", "Support"
    STORAGE = "STORAGE", "Storage (EBS)"
    TRANSFER = "TRANSFER", "Data transfer"
    SERVICE = "SERVICE", "Other services"
    UNKNOWN = "UNKNOWN", "Lines of a type that is not known"


def kind_of(*, line_type: str, service: str, usage_type: str, commitment: str = "") -> Kind:
    """Return what a line is for, by AWS's own words for it."""
    plain = {"Tax": Kind.TAX, "Credit": Kind.CREDIT, "Refund": Kind.REFUND}
    if line_type in plain:
        return plain[line_type]
    if line_type in DISCOUNTS:
        return Kind.DISCOUNT
    if line_type in FEES or (line_type == FEE and commitment):
        return Kind.COMMITMENT
    if line_type not in OF_USAGE | {NEGATION, FEE}:
        return Kind.UNKNOWN
    return _service(service, usage_type)


def _service(service: str, usage_type: str) -> Kind:
    if service == EC2 and _MACHINE.search(usage_type):
        return Kind.MACHINE
    if service.startswith("AWSSupport") or service == "AWSPremiumSupport":
        return Kind.SUPPORT
    if "EBS:" in usage_type:
        return Kind.STORAGE
    if "DataTransfer" in usage_type or usage_type.endswith("-Bytes"):
        return Kind.TRANSFER
    return Kind.SERVICE


def machine_of(usage_type: str) -> tuple[str, str]:
    """Return instance type and capacity type of machine time; "" for a type that it does not
    name, and for what is no machine time.
    """
    found = _MACHINE.search(usage_type)
    if found is None:
        return "", ""
    return found["type"] or "", SPOT if found["bought"] == "SpotUsage" else ON_DEMAND


def effective(
    *,
    line_type: str,
    billed: Decimal,
    commitment: str,
    covered: Decimal | None,
    unused: Decimal,
) -> Decimal:
    """Return what a line costs once fees of savings plans and reservations are laid on the usage
    that they cover: the sum over a bill tells who used what was paid for, and `unused` what nobody
    did.

    covered: the bill's own effective cost of covered usage. Raises ValueError where a covered line
    does not tell it.
    """
    if line_type in COVERED:
        if covered is None:
            raise ValueError(line_type)
        return covered
    if line_type in (NEGATION, PLAN_UPFRONT):
        return NOTHING
    if line_type in (PLAN_FEE, RESERVATION_FEE):
        return unused
    return NOTHING if line_type == FEE and commitment else billed


def after_discount(
    *, line_type: str, gross: Decimal, commitment: str, told: Decimal | None
) -> Decimal:
    """Return what a line costs after the account's own discounts (EDP, private pricing), on a bill
    that tells net costs: these lie in the lines that they are of, so a discount's own line costs
    nothing more.

    gross: by `effective`. told: the bill's own net cost of it; None where it tells none.
    """
    if line_type in DISCOUNTS:
        return NOTHING
    if line_type in (NEGATION, PLAN_UPFRONT) or (line_type == FEE and commitment):
        return gross
    return gross if told is None else told
