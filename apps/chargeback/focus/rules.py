"""Whether FOCUS rows hold what FOCUS asks of each of them. Pure; run on every export.

The public validator judges lists of allowed values over a whole file: one bad row among good ones
passes. These rules look at each row, and at what must agree within it.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from apps.chargeback.focus.columns import Column, Kind, Row, Value, Version, columns
from apps.common.errors import DomainError

MOST_PROBLEMS = 20
_TYPES: dict[Kind, type] = {"decimal": Decimal, "time": datetime, "text": str, "json": str}
# each cost with the unit price that it is the product of
_PRODUCTS = (("ListCost", "ListUnitPrice"), ("ContractedCost", "ContractedUnitPrice"))
_PERIODS = (("BillingPeriodStart", "BillingPeriodEnd"), ("ChargePeriodStart", "ChargePeriodEnd"))
# what comes together or not at all
_PAIRS = (
    ("ConsumedQuantity", "ConsumedUnit"),
    ("PricingQuantity", "PricingUnit"),
    ("RegionId", "RegionName"),
    ("ResourceId", "ResourceType"),
    ("SubAccountId", "SubAccountType"),
    ("CommitmentDiscountId", "CommitmentDiscountCategory"),
    ("CommitmentDiscountId", "CommitmentDiscountType"),
    ("CommitmentDiscountId", "CommitmentDiscountQuantity"),
    ("CommitmentDiscountQuantity", "CommitmentDiscountUnit"),
)


class NotFocus(DomainError):
    """Rows that are not FOCUS. The text says which, where and why."""

    code = "not_focus"


def checked(rows: Iterable[Row], version: Version) -> Iterator[Row]:
    """Yield the rows one by one. Raises NotFocus at the first that breaks a rule."""
    known = {column.name: column for column in columns(version)}
    for number, row in enumerate(rows, start=1):
        problems = list(_problems(row, known))
        if problems:
            raise NotFocus(
                f"These rows are not FOCUS {version}, so none of them is sent. In row {number}: "
                f"{'; '.join(problems[:MOST_PROBLEMS])}."
            )
        yield row


def _problems(row: Row, known: dict[str, Column]) -> Iterator[str]:
    for column in known.values():
        yield from _problems_of(column, row.get(column.name))
    yield from _problems_between(row)


def _problems_of(column: Column, value: Value) -> Iterator[str]:
    if value is None:
        if column.required:
            yield f"{column.name} is empty"
        return
    if not isinstance(value, _TYPES[column.kind]):
        yield f"{column.name} is no {column.kind}"
        return
    if column.allowed and value not in column.allowed:
        yield f"{column.name} may not be {value}"
    if value == "" or (isinstance(value, Decimal) and not value.is_finite()):
        yield f"{column.name} holds nothing"
    if isinstance(value, datetime) and value.tzinfo is None:
        yield f"{column.name} has no zone"
    if column.kind == "json" and not isinstance(_parsed(str(value)), dict):
        yield f"{column.name} is no object in JSON"


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _problems_between(row: Row) -> Iterator[str]:
    """Yield what does not agree within a row."""
    is_correction = row.get("ChargeClass") == "Correction"
    for one, other in _PAIRS:
        if (row.get(one) is None) != (row.get(other) is None):
            yield f"{one} and {other} do not come together"
    for first, last in _PERIODS:
        begins, ends = _moment(row, first), _moment(row, last)
        if begins and ends and begins >= ends:
            yield f"{last} is not after {first}"
    quantity = row.get("PricingQuantity")
    if row.get("ChargeCategory") == "Usage" and quantity is None and not is_correction:
        yield "PricingQuantity is empty in a row of usage"
    for cost, price in _PRODUCTS:
        unit_price = row.get(price)
        both = isinstance(quantity, Decimal) and isinstance(unit_price, Decimal)
        if both and quantity * unit_price != row.get(cost):  # type: ignore[operator]
            yield f"PricingQuantity times {price} is not {cost}"
    yield from _problems_of_commitment(row)
    if not is_correction and _is_outside(row):
        yield "the charge lies outside its billing period and is no correction"


def _problems_of_commitment(row: Row) -> Iterator[str]:
    """Yield what does not agree with a row's being of a commitment or not: what was paid has no
    effective cost and no state; what is used, or is not, has a state and is not billed.
    """
    is_usage = row.get("ChargeCategory") == "Usage"
    status = row.get("CommitmentDiscountStatus")
    if row.get("CommitmentDiscountId") is None:
        if status is not None:
            yield "CommitmentDiscountStatus is of no commitment"
        if row.get("PricingCategory") == "Committed":
            yield "PricingCategory is Committed without a commitment"
        return
    if is_usage and status is None:
        yield "CommitmentDiscountStatus is empty in a row of usage"
    if is_usage and row.get("PricingCategory") != "Committed":
        yield "PricingCategory of usage under a commitment is not Committed"
    if not is_usage and status is not None:
        yield "CommitmentDiscountStatus is told of a purchase"
    if not is_usage and row.get("EffectiveCost") != 0:
        yield "EffectiveCost of a purchase is not 0"
    if is_usage and row.get("BilledCost") != 0:
        yield "BilledCost of usage under a commitment is not 0"


def _is_outside(row: Row) -> bool:
    """Tell whether a charge lies outside the period that bills it."""
    (billed_from, billed_to), (begins, ends) = (
        (_moment(row, first), _moment(row, last)) for first, last in _PERIODS
    )
    if billed_from is None or billed_to is None or begins is None or ends is None:
        return False
    return begins < billed_from or ends > billed_to


def _moment(row: Row, name: str) -> datetime | None:
    """Return a moment that can be compared; None for anything else."""
    value = row.get(name)
    return value if isinstance(value, datetime) and value.tzinfo is not None else None
