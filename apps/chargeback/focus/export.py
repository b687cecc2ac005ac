"""A month's FOCUS rows, from the ledger: the priced days, the machines' shares, and what corrects
closed months.

The rows of a closed month come to what its statements billed, to the cent: what a day says is
exact, one row for each statement says what rounding did, and a line whose days changed since is one
row as it was billed. What came later is a correction in the rows of a later month.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.conf import settings

from apps.chargeback import costs, ledger
from apps.chargeback import queries as money
from apps.chargeback.closing import queries as closes
from apps.chargeback.closing.models import MonthClose, Statement, StatementLine
from apps.chargeback.closing.statements import COST, LIST, Amount, Basis, Key
from apps.chargeback.focus import commitments
from apps.chargeback.focus import rows as focus
from apps.chargeback.focus.charges import Account, ListCharge, MachineShare
from apps.chargeback.focus.columns import FileBasis, Row
from apps.chargeback.focus.metadata import Unpriced
from apps.chargeback.focus.sample import marked
from apps.chargeback.models import Allocation, Rate, Spend
from apps.common.periods import month_bounds
from apps.metering.backfill.queries import sample_months
from apps.metering.skus import Sku

Charge = ListCharge | MachineShare


def account() -> Account:
    """Return who is billed and who bills, as the settings say."""
    return Account(
        id=settings.BILLING_ACCOUNT_ID,
        name=settings.BILLING_ACCOUNT_NAME,
        issuer=settings.BILLING_ISSUER_NAME,
        environment=settings.ENVIRONMENT_NAME,
        region=settings.BILLING_REGION,
    )


def rows(month: date, basis: FileBasis) -> Generator[Row, None, None]:
    """Yield a month's rows on one basis: its days, then what corrects closed months, then what
    rounding did; or what the cloud's bill says of commitments.
    """
    made_up = sample_months()
    with closing(_rows(month, basis)) as found:
        for row in found:
            yield marked(row, made_up)


def _rows(month: date, basis: FileBasis) -> Generator[Row, None, None]:
    if basis == "COMMITMENT":
        return commitments.rows(month, account())
    close = MonthClose.objects.closed().filter(month=month).first()
    return _closed(close, basis) if close else _open(month, basis)


def statement_rows(statement: Statement, basis: Basis) -> Generator[Row, None, None]:
    """Yield the rows of one statement on one basis, a row for each of its lines, as it billed them:
    the same whenever it is asked. statement: with its close.
    """
    billed_to, month, made_up = account(), statement.close.month, sample_months()
    lines = statement.lines.filter(basis=basis).select_related("rate").order_by("position")
    for line in lines:
        yield marked(_row(_of_line(line, statement), month, billed_to), made_up)


def unpriced(month: date) -> Unpriced:
    """Return what no row of the month can say."""
    start, end = month_bounds(month)
    seconds = costs.known(start=start, end=end).unpriced_seconds
    totals = money.month_totals(month=month, scope=money.EVERYTHING)
    return Unpriced(
        tokens=totals.unpriced_tokens,
        rerank_requests=totals.unpriced_requests,
        machine_seconds=seconds,
        calls_without_usage=totals.unmetered_calls,
    )


def _row(charge: Charge, month: date, billed_to: Account) -> Row:
    if isinstance(charge, ListCharge):
        return focus.list_row(charge, month, billed_to)
    return focus.cost_row(charge, month, billed_to)


def _open(month: date, basis: Basis) -> Generator[Row, None, None]:
    """Yield an open month's rows: its days, and what its close would correct."""
    billed_to = account()
    with closing(_days(month, basis)) as found:
        for _, charge in found:
            yield _row(charge, month, billed_to)
    for charge in _corrections(month, basis):
        yield _row(charge, month, billed_to)


def _closed(close: MonthClose, basis: Basis) -> Generator[Row, None, None]:
    """Yield a closed month's rows, which come to what its statements say."""
    month, billed_to = close.month, account()
    bill = _Bill.of(close, basis)
    left = dict(bill.totals)
    with closing(_days(month, basis, bill)) as found:
        for key, charge in found:
            if key not in bill.moved:
                left[key.cost_center] -= charge.cost_usd
                yield _row(charge, month, billed_to)
    for key, line in bill.lines.items():
        if key in bill.moved or key.usage_month != month:
            left[key.cost_center] -= line.amount_usd
            yield _row(_of_line(line, line.statement), month, billed_to)
    for cost_center, usd in left.items():
        if usd:
            number = bill.numbers[cost_center]
            yield focus.rounding_row(usd, basis, cost_center, number, month, billed_to)


@dataclass(frozen=True)
class _Bill:
    """What a close billed on one basis. numbers, totals: cost center → its statement's. moved:
    lines of the month itself that its days do not come to any more.
    """

    numbers: dict[str, str]
    totals: dict[str, Decimal]
    lines: dict[Key, StatementLine]
    moved: frozenset[Key]

    @classmethod
    def of(cls, close: MonthClose, basis: Basis) -> "_Bill":
        """Read what a close billed."""
        statements = list(close.statements.all())
        found = StatementLine.objects.filter(statement__close=close, basis=basis)
        related = found.select_related("rate", "statement__close").order_by("statement", "position")
        lines = {key_of(line): line for line in related}
        days = {key: amount for key, amount in ledger.known(close.month).items()
                if key.basis == basis}  # fmt: skip
        own = {
            key: Amount(line.quantity, line.exact_usd)
            for key, line in lines.items()
            if key.usage_month == close.month
        }
        return cls(
            numbers={one.cost_center: one.number for one in statements},
            totals={
                one.cost_center: one.list_usd if basis == LIST else one.cost_usd
                for one in statements
            },
            lines=lines,
            moved=frozenset(
                key for key in days.keys() | own.keys() if days.get(key) != own.get(key)
            ),
        )

    def place_of(self, key: Key) -> tuple[str, str]:
        """Return the number of the statement and the position of the line that bill something."""
        line = self.lines.get(key)
        return self.numbers.get(key.cost_center, ""), str(line.position) if line else ""


def key_of(line: StatementLine) -> Key:
    """Return what a line is of. line: with its statement."""
    return Key(
        line.statement.cost_center, line.basis, line.usage_month, line.team, line.model,
        line.version, line.item, line.rate_id, line.is_estimated,
    )  # fmt: skip


_NOT_BILLED = _Bill({}, {}, {}, frozenset())


def _days(
    month: date, basis: Basis, bill: _Bill = _NOT_BILLED
) -> Generator[tuple[Key, Charge], None, None]:
    """Yield a month's charges by day, each with the line that it belongs to."""
    if basis == LIST:
        with closing(ledger.priced_days(month)) as spent:
            for spend in spent:
                yield _list_charge(spend, month, bill)
    else:
        with closing(ledger.shared_days(month)) as shares:
            for share in shares:
                yield _machine_share(share, month, bill)


def _list_charge(row: Spend, month: date, bill: _Bill) -> tuple[Key, ListCharge]:
    assert row.rate is not None and row.list_cost_usd is not None  # noqa: S101 - filtered
    whose = (row.team, row.model, row.version)
    key = Key(row.cost_center, LIST, month, *whose, row.sku, row.rate_id, row.is_estimated)
    invoice, line = bill.place_of(key)
    return key, ListCharge(
        day=row.day,
        cost_center=row.cost_center,
        team=row.team,
        model=row.model,
        version=row.version,
        sku=Sku(row.sku),
        is_estimated=row.is_estimated,
        quantity=row.quantity,
        rate_id=str(row.rate.pk),
        unit_price_usd=row.rate.unit_price_usd,
        cost_usd=row.list_cost_usd,
        invoice=invoice,
        line=line,
    )


def _machine_share(row: Allocation, month: date, bill: _Bill) -> tuple[Key, MachineShare]:
    assert row.cost_usd is not None  # noqa: S101 - filtered
    key = Key(row.cost_center, COST, month, row.team, row.model, row.version, row.kind)
    invoice, line = bill.place_of(key)
    return key, MachineShare(
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
        invoice=invoice,
        line=line,
    )


def _corrections(month: date, basis: Basis) -> list[Charge]:
    """Return what a close of an open month would correct of closed ones."""
    found = {
        line.key: line.amount
        for draft in closes.preview(month)
        for line in draft.lines
        if line.key.basis == basis and line.key.usage_month != month
    }
    rates = Rate.objects.in_bulk({key.rate for key in found if key.rate is not None})
    return [
        _of_month(key, amount, rates.get(key.rate or 0), corrects=key.usage_month)
        for key, amount in found.items()
    ]


def _of_line(line: StatementLine, statement: Statement) -> Charge:
    """Return a line of a statement as one charge, as it was billed."""
    return _of_month(
        key_of(line),
        Amount(line.quantity, line.exact_usd),
        line.rate,
        invoice=statement.number,
        line=str(line.position),
        billed_usd=line.amount_usd,
        corrects=None if line.usage_month == statement.close.month else line.usage_month,
    )


def _of_month(
    key: Key,
    amount: Amount,
    rate: Rate | None,
    *,
    invoice: str = "",
    line: str = "",
    billed_usd: Decimal | None = None,
    corrects: date | None = None,
) -> Charge:
    """Return what a month comes to of one thing, as one charge."""
    if rate is None:  # by the price list every line has its rate
        return MachineShare(
            day=key.usage_month, kind=key.item, cost_center=key.cost_center, team=key.team,
            model=key.model, version=key.version, instance_type="", capacity_type="",
            gpu_name="", gpu_hours=amount.quantity, ratio=None, method_id=METHOD_OF_LINES,
            cost_usd=amount.usd, invoice=invoice, line=line, billed_usd=billed_usd,
            is_of_month=True, corrects=corrects,
        )  # fmt: skip
    return ListCharge(
        day=key.usage_month, cost_center=key.cost_center, team=key.team, model=key.model,
        version=key.version, sku=Sku(key.item), is_estimated=key.is_estimated,
        quantity=amount.quantity, rate_id=str(rate.pk),
        unit_price_usd=rate.unit_price_usd, cost_usd=amount.usd, invoice=invoice, line=line,
        billed_usd=billed_usd, is_of_month=True, corrects=corrects,
    )  # fmt: skip


METHOD_OF_LINES = "sum-of-days"  # a line adds up what each day's method shared out
