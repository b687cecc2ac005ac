"""Reads the Parquet files of a CUR 2.0 export, batch by batch: what is in memory is one batch,
whatever the file's size.

AWS tells amounts as floating-point numbers with ten decimals; each is taken as the decimal that it
is written as, to twelve. A file that lacks a column, has one that CUR 2.0 does not, is of another
month or another currency is refused whole.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apps.chargeback.bills import kinds
from apps.chargeback.bills.kinds import Kind
from apps.chargeback.bills.manifest import BadBill
from apps.common.periods import DAY, day_of, month_of, next_month

BATCH = 8192  # lines in memory at once
PLACES = Decimal("0.000000000001")
MOST = Decimal(10) ** 15  # that a line can be of
LONGEST = timedelta(hours=25)  # of a line of usage that can be of one day
CURRENCY = "USD"
NOBODY = "000000000000"  # no account of AWS: the payer of bills that are made up
NEEDED = (
    "bill_billing_period_start_date",
    "bill_invoice_id",
    "bill_payer_account_id",
    "line_item_usage_account_id",
    "line_item_line_item_type",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_resource_id",
    "line_item_usage_amount",
    "line_item_unblended_cost",
    "line_item_currency_code",
)
ON_DEMAND = "pricing_public_on_demand_cost"
INSTANCE_TYPE = "product_instance_type"
PLAN, PLAN_COST = "savings_plan_savings_plan_a_r_n", "savings_plan_savings_plan_effective_cost"
RESERVATION, RESERVATION_COST = "reservation_reservation_a_r_n", "reservation_effective_cost"
PLAN_WHOLE = "savings_plan_total_commitment_to_date"
PLAN_USED = "savings_plan_used_commitment"
RESERVATION_UNUSED = (
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
)
# what lines cost after the account's own discounts; AWS tells it where there are any
NET = "line_item_net_unblended_cost"
PLAN_NET = "savings_plan_net_savings_plan_effective_cost"
RESERVATION_NET = "reservation_net_effective_cost"
# of a plan that was paid in advance: its part of the month, before and after discounts
PLAN_UPFRONT = "savings_plan_amortized_upfront_commitment_for_billing_period"
PLAN_UPFRONT_NET = "savings_plan_net_amortized_upfront_commitment_for_billing_period"
RESERVATION_UNUSED_NET = (
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_recurring_fee",
)
USED_WHERE_THERE = (
    ON_DEMAND, INSTANCE_TYPE, PLAN, PLAN_COST, RESERVATION, RESERVATION_COST, PLAN_WHOLE, PLAN_USED,
    *RESERVATION_UNUSED, NET, PLAN_NET, RESERVATION_NET, PLAN_UPFRONT, PLAN_UPFRONT_NET,
    *RESERVATION_UNUSED_NET,
)  # fmt: skip
# what a line of some type must tell
TELLS = {
    kinds.COVERED_BY_PLAN: (PLAN, PLAN_COST),
    kinds.COVERED_BY_RESERVATION: (RESERVATION, RESERVATION_COST),
    kinds.PLAN_FEE: (PLAN, PLAN_WHOLE, PLAN_USED),
    kinds.RESERVATION_FEE: (RESERVATION, *RESERVATION_UNUSED),
}
# how the names of CUR 2.0's columns begin, and those that are whole
FAMILIES = (
    "bill_", "line_item_", "identity_", "product_", "pricing_", "reservation_", "savings_plan_",
    "split_line_item_", "capacity_reservation_", "discount_", "resource_tags_", "cost_category_",
)  # fmt: skip
ALONE = frozenset({"product", "discount", "resource_tags", "cost_category", "tags"})
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One line of a bill. quantity: in the unit of the usage type; the rest as BillLine has it.

    payer: who pays. is_invoiced: the invoice is issued. told_until: the end of usage that it tells
    of; None for what is no usage, and for usage of more than a day, whose end says nothing of how
    far the bill has got. discount_usd: what the account's own discounts add to effective_usd, below
    zero; None where the bill tells no net costs.
    """

    day: date
    told_until: datetime | None
    payer: str
    account: str
    resource: str
    service: str
    usage_type: str
    line_type: str
    instance_type: str
    commitment: str
    kind: Kind
    quantity: Decimal
    billed_usd: Decimal
    effective_usd: Decimal
    on_demand_usd: Decimal | None
    discount_usd: Decimal | None
    is_invoiced: bool


def tells_net(path: Path) -> bool:
    """Tell whether some line of a file tells what it costs after the account's own discounts.
    Raises BadBill.
    """
    with _opened(path) as file:
        if NET not in file.schema_arrow.names:
            return False
        return any(row[NET] not in (None, "") for row in _rows(file, [NET]))


def lines(path: Path, month: date, *, is_net: bool = False) -> Iterator[Line]:
    """Yield a file's lines. month: the one that they must be billed in. is_net: some file of the
    bill tells net costs. Raises BadBill.
    """
    with _opened(path) as file:
        names = list(file.schema_arrow.names)
        _check_columns(names)
        wanted = [*NEEDED, *(name for name in USED_WHERE_THERE if name in names)]
        for row in _rows(file, wanted):
            yield _line(row, month, is_net=is_net)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(error) from None


def _rows(file: pq.ParquetFile, wanted: list[str]) -> Iterator[Row]:
    batches = file.iter_batches(batch_size=BATCH, columns=wanted)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _unreadable(error) from None
        if batch is None:
            return
        columns = [column.to_pylist() for column in batch.columns]
        for values in zip(*columns, strict=True):
            yield dict(zip(batch.schema.names, values, strict=True))


def _unreadable(error: Exception) -> BadBill:
    return BadBill(
        "UNREADABLE",
        f"A file of the bill cannot be read as Parquet ({type(error).__name__}). Nothing of the "
        "delivery was taken. Have AWS deliver the month again, or wait for the next delivery.",
    )


def _check_columns(names: list[str]) -> None:
    """Raise BadBill where a column is missing, or is none of CUR 2.0's."""
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise BadBill(
            "COLUMNS",
            f"The export lacks {_some(missing)}. Add them to its query in AWS Data Exports, with "
            "the ids of resources included; the next delivery has them.",
        )
    strange = [
        name for name in names if not name.startswith(FAMILIES) and name.lower() not in ALONE
    ]
    if strange:
        raise BadBill(
            "COLUMNS",
            f"The export has {_some(strange)}, which CUR 2.0 does not: what a line costs by them "
            "is not known. Export COST_AND_USAGE_REPORT with columns of its own alone.",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more columns" if len(names) > 3 else shown


def _line(row: Row, month: date, *, is_net: bool) -> Line:
    begins, ends = (
        _moment(row, "line_item_usage_start_date"),
        _moment(row, "line_item_usage_end_date"),
    )
    _check_bill(row, month)
    line_type = _text(row, "line_item_line_item_type")
    service, usage_type = _text(row, "line_item_product_code"), _text(row, "line_item_usage_type")
    _check_told(row, line_type)
    commitment = _text(row, PLAN) or _text(row, RESERVATION)
    kind = kinds.kind_of(
        line_type=line_type, service=service, usage_type=usage_type, commitment=commitment
    )
    is_usage = line_type in kinds.OF_USAGE
    if kind == Kind.MACHINE and is_usage and ends - begins > LONGEST:
        raise BadBill(
            "GRANULARITY",
            "The export tells usage by the month, so that no day can be compared. Choose hourly or "
            "daily as its time granularity.",
        )
    billed = _usd(row, "line_item_unblended_cost")
    gross = _effective(row, line_type, billed, commitment)
    net = _net(row, line_type, gross, commitment) if is_net else gross
    is_discount = line_type in kinds.DISCOUNTS
    return Line(
        day=min(max(day_of(begins), month), next_month(month) - DAY),
        told_until=ends if is_usage and ends - begins <= LONGEST else None,
        payer=_text(row, "bill_payer_account_id"),
        account=_text(row, "line_item_usage_account_id")[:32],
        resource=_text(row, "line_item_resource_id")[:255],
        service=service[:128],
        usage_type=usage_type[:255],
        line_type=line_type[:64],
        instance_type=(kinds.machine_of(usage_type)[0] or _text(row, INSTANCE_TYPE))[:63],
        commitment=commitment[:255],
        kind=kind,
        quantity=_usd(row, "line_item_usage_amount"),
        billed_usd=billed,
        effective_usd=net,
        on_demand_usd=_known(row, ON_DEMAND),
        discount_usd=(Decimal(0) if is_discount else net - gross) if is_net else None,
        is_invoiced=bool(_text(row, "bill_invoice_id")),
    )


def _check_bill(row: Row, month: date) -> None:
    """Raise BadBill where a line is of another month's bill, or in another currency."""
    of = month_of(_moment(row, "bill_billing_period_start_date"))
    if of != month:
        raise BadBill(
            "OTHER_MONTH",
            f"A file of the bill of {month:%B %Y} holds lines of {of:%B %Y}. Nothing of it was "
            "read. Have AWS deliver the month again.",
        )
    currency = _text(row, "line_item_currency_code")
    if currency != CURRENCY:
        raise BadBill(
            "CURRENCY",
            f"The bill is in {currency or 'no currency'}. The ledger counts in {CURRENCY} alone, "
            "and converts nothing: export the bill of a payer account that is billed in it.",
        )


def _check_told(row: Row, line_type: str) -> None:
    """Raise BadBill where a line does not tell what its type makes necessary."""
    missing = [name for name in TELLS.get(line_type, ()) if name not in row]
    if missing:
        raise BadBill(
            "COLUMNS",
            f"The bill has lines of the type {line_type}, but the export lacks {_some(missing)}. "
            "Add them to its query in AWS Data Exports; the next delivery has them.",
        )


def _effective(row: Row, line_type: str, billed: Decimal, commitment: str) -> Decimal:
    costs = {kinds.COVERED_BY_PLAN: PLAN_COST, kinds.COVERED_BY_RESERVATION: RESERVATION_COST}
    covered = _known(row, costs[line_type]) if line_type in costs else None
    try:
        return kinds.effective(
            line_type=line_type,
            billed=billed,
            commitment=commitment,
            covered=covered,
            unused=_unused(row, line_type),
        )
    except ValueError:
        raise BadBill(
            "AMOUNTS",
            f"A line of the type {line_type} does not tell its effective cost. Have AWS deliver "
            "the month again.",
        ) from None


def _net(row: Row, line_type: str, gross: Decimal, commitment: str) -> Decimal:
    """Return what a line costs after the account's own discounts."""
    columns = {kinds.COVERED_BY_PLAN: PLAN_NET, kinds.COVERED_BY_RESERVATION: RESERVATION_NET}
    if line_type == kinds.PLAN_FEE:
        told: Decimal | None = _net_of_plan(row, gross)
    elif line_type == kinds.RESERVATION_FEE:
        parts = [_known(row, name) for name in RESERVATION_UNUSED_NET]
        known = [part for part in parts if part is not None]
        told = sum(known, Decimal(0)) if known else None
    else:
        told = _known(row, columns.get(line_type, NET))
    return kinds.after_discount(line_type=line_type, gross=gross, commitment=commitment, told=told)


def _net_of_plan(row: Row, unused: Decimal) -> Decimal | None:
    """Return what nobody used of a plan's fee, less the discount on the fee; None where the bill
    does not tell what that is.
    """
    for before, after in (("line_item_unblended_cost", NET), (PLAN_UPFRONT, PLAN_UPFRONT_NET)):
        gross, net = _known(row, before), _known(row, after)
        if gross and net is not None:
            return (unused * net / gross).quantize(PLACES, ROUND_HALF_EVEN)
    return None


def _unused(row: Row, line_type: str) -> Decimal:
    """Return what of a commitment's fee nobody used."""
    if line_type == kinds.PLAN_FEE:
        return _usd(row, PLAN_WHOLE) - _usd(row, PLAN_USED)
    if line_type == kinds.RESERVATION_FEE:
        return sum((_usd(row, name) for name in RESERVATION_UNUSED), Decimal(0))
    return Decimal(0)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


def _usd(row: Row, name: str) -> Decimal:
    """Return an amount; nothing told is nothing, as AWS leaves it out where it does not apply."""
    return _known(row, name) or Decimal(0)


def _known(row: Row, name: str) -> Decimal | None:
    """Return an amount as it is written, to twelve decimals; None where none is told. Raises
    BadBill for what is no amount, or beyond any.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        raise _no_amount(name, value) from None
    if not amount.is_finite() or abs(amount) >= MOST:
        raise _no_amount(name, value)
    return amount.quantize(PLACES, ROUND_HALF_EVEN)


def _no_amount(name: str, value: object) -> BadBill:
    return BadBill(
        "AMOUNTS",
        f"The bill says {str(value)[:40]!r} in {name}, which is no amount. Nothing of it was read. "
        "Have AWS deliver the month again.",
    )


def _moment(row: Row, name: str) -> datetime:
    """Return a moment in UTC, which AWS tells with and without saying so."""
    value = row.get(name)
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise BadBill(
            "TIMES",
            f"The bill says {str(value)[:40]!r} in {name}, which is no time. Nothing of it was "
            "read. Have AWS deliver the month again.",
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
