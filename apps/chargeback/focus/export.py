"""A month's FOCUS rows, read from the ledger: the priced days, the machines' shares, and what
corrects closed months. Every export is held against the rules before its first byte is sent.
"""

import io
from collections.abc import Generator, Iterable
from contextlib import closing
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from apps.chargeback import costs
from apps.chargeback import queries as money
from apps.chargeback.closing import queries as closes
from apps.chargeback.closing.models import MonthClose, StatementLine
from apps.chargeback.closing.statements import COST, LIST, Amount, Key
from apps.chargeback.focus import rows as focus
from apps.chargeback.focus.rows import (
    Account,
    Basis,
    ListCharge,
    MachineShare,
    Row,
    Unpriced,
    Version,
)
from apps.chargeback.focus.rules import checked
from apps.chargeback.models import Allocation, Rate, Spend
from apps.common.periods import month_bounds, next_month
from apps.metering.skus import Sku

CHUNK = 2000
_PARQUET = {
    "text": pa.string(),
    "json": pa.string(),
    "decimal": pa.decimal128(38, 18),
    "time": pa.timestamp("us", tz="UTC"),
}


def account() -> Account:
    """Return who is billed and who bills, as the settings say."""
    return Account(
        id=settings.BILLING_ACCOUNT_ID,
        name=settings.BILLING_ACCOUNT_NAME,
        issuer=settings.BILLING_ISSUER_NAME,
        environment=settings.ENVIRONMENT_NAME,
        region=settings.BILLING_REGION,
    )


def rows(month: date, basis: Basis) -> Generator[Row, None, None]:
    """Yield a month's rows on one basis: its days, then what corrects closed months."""
    numbers = _numbers(month)
    billed_to = account()
    found = _list_days(month, numbers) if basis == LIST else _cost_days(month, numbers)
    with closing(found):
        for charge in found:
            yield _row(charge, month, billed_to)
    for key, amount in _corrections(month, basis).items():
        yield _row(_correction(key, amount, numbers), month, billed_to)


def rules_hold(month: date, basis: Basis, version: Version) -> int:
    """Return how many rows a month has, each held against FOCUS's rules. Raises NotFocus."""
    # closed at once where a row breaks a rule: its cursor must not outlive the transaction
    with closing(rows(month, basis)) as found:
        return sum(1 for _ in checked(found, version))


def unpriced(month: date) -> Unpriced:
    """Return what no row of the month can say."""
    start, end = month_bounds(month)
    seconds = costs.known(start=start, end=end).unpriced_seconds
    totals = money.month_totals(month=month, scope=money.EVERYTHING)
    return Unpriced(totals.unpriced_tokens, seconds, totals.unmetered_calls)


def parquet(found: Iterable[Row], version: Version) -> bytes:
    """Return rows as a Parquet file: exact decimals, moments in UTC."""
    columns = focus.columns(version)
    schema = pa.schema([(column.name, _PARQUET[column.kind]) for column in columns])
    made = [{column.name: row.get(column.name) for column in columns} for row in found]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(made, schema=schema), sink)
    return sink.getvalue()


def _row(charge: ListCharge | MachineShare, month: date, billed_to: Account) -> Row:
    if isinstance(charge, ListCharge):
        return focus.list_row(charge, month, billed_to)
    return focus.cost_row(charge, month, billed_to)


def _numbers(month: date) -> dict[str, str]:
    """Return cost center → the number of its statement; empty while the month is open."""
    close = MonthClose.objects.closed().filter(month=month).first()
    return dict(close.statements.values_list("cost_center", "number")) if close else {}


def _list_days(month: date, numbers: dict[str, str]) -> Generator[ListCharge, None, None]:
    priced = Spend.objects.filter(
        day__gte=month, day__lt=next_month(month), rate__isnull=False
    ).select_related("rate")
    order = ("day", "cost_center", "team", "model", "version", "sku", "rate")
    for row in priced.order_by(*order).iterator(chunk_size=CHUNK):
        assert row.rate is not None and row.list_cost_usd is not None  # noqa: S101 - filtered
        yield ListCharge(
            day=row.day,
            cost_center=row.cost_center,
            team=row.team,
            model=row.model,
            version=row.version,
            sku=Sku(row.sku),
            quantity=row.quantity,
            rate_id=str(row.rate.pk),
            unit_price_usd=row.rate.unit_price_usd,
            cost_usd=row.list_cost_usd,
            invoice=numbers.get(row.cost_center, ""),
        )


def _cost_days(month: date, numbers: dict[str, str]) -> Generator[MachineShare, None, None]:
    shares = Allocation.objects.filter(
        day__day__gte=month, day__day__lt=next_month(month), is_priced=True
    ).select_related("day")
    for row in shares.order_by("day", "pk").iterator(chunk_size=CHUNK):
        assert row.cost_usd is not None  # noqa: S101 - filtered
        yield MachineShare(
            day=row.day.day,
            kind=row.kind,
            cost_center=row.cost_center,
            team=row.team,
            model=row.model,
            version=row.version,
            instance_type=row.instance_type,
            capacity_type=row.capacity_type,
            gpu_name=row.gpu_name,
            gpu_hours=row.gpu_hours,
            ratio=row.ratio,
            method_id=row.day.method_id,
            cost_usd=row.cost_usd,
            on_demand_usd=row.on_demand_usd,
            invoice=numbers.get(row.cost_center, ""),
        )


def _corrections(month: date, basis: Basis) -> dict[Key, Amount]:
    """Return what corrects closed months: as it was billed with this month, else as it would be."""
    if MonthClose.objects.closed().filter(month=month).exists():
        lines = StatementLine.objects.filter(statement__close__month=month).exclude(
            usage_month=month
        )
        return closes.added(lines.filter(basis=basis))
    return {
        line.key: line.amount
        for draft in closes.preview(month)
        for line in draft.lines
        if line.key.basis == basis and line.key.usage_month != month
    }


def _correction(key: Key, amount: Amount, numbers: dict[str, str]) -> ListCharge | MachineShare:
    invoice = numbers.get(key.cost_center, "")
    if key.basis == COST:
        return MachineShare(
            day=key.usage_month, kind=key.item, cost_center=key.cost_center, team=key.team,
            model=key.model, version=key.version, instance_type="", capacity_type="",
            gpu_name="", gpu_hours=amount.quantity, ratio=Decimal(1), method_id="correction",
            cost_usd=amount.usd, invoice=invoice, corrects=key.usage_month,
        )  # fmt: skip
    assert key.rate is not None  # noqa: S101 - by the price list every line has its rate
    rate = Rate.objects.get(pk=key.rate)
    return ListCharge(
        day=key.usage_month, cost_center=key.cost_center, team=key.team, model=key.model,
        version=key.version, sku=Sku(key.item), quantity=amount.quantity, rate_id=str(rate.pk),
        unit_price_usd=rate.unit_price_usd, cost_usd=amount.usd, invoice=invoice,
        corrects=key.usage_month,
    )  # fmt: skip
