"""Reads which months are closed, what a close would issue now, and what was issued of a sample."""

from datetime import date

from apps.chargeback import ledger
from apps.chargeback.closing.models import MonthClose, Statement
from apps.chargeback.closing.statements import BILL, COST, Amount, Draft, Key, corrections, drafts
from apps.chargeback.reconciliation.bill.restated import Restated, restated
from apps.metering.backfill.queries import sample_months


def is_sample(statement: Statement) -> bool:
    """Tell whether something of what a statement bills is of the sample: its own month, or one that
    it corrects. statement: with its close. Two queries.
    """
    made_up = sample_months()
    return statement.close.month in made_up or (
        bool(made_up) and statement.lines.filter(usage_month__in=made_up).exists()
    )


def last_closed() -> date | None:
    """Return the newest closed month; None before the first close."""
    newest = MonthClose.objects.closed().order_by("-month").first()
    return newest.month if newest else None


def preview(month: date) -> list[Draft]:
    """Return the statements that a close of the month would issue now: its own lines, and what the
    closed months before come to beyond what was billed of them.
    """
    lines = ledger.known(month)
    closed = ledger.closed_months(before=month)
    changes = restated(closed)
    for moved in sorted({*ledger.moved_months(closed), *changes}):
        known = ledger.known(moved) | _of_bill(moved, changes.get(moved))
        lines |= corrections(known, ledger.billed(moved))
    return drafts(month, lines, ledger.methods(month))


def _of_bill(month: date, change: Restated | None) -> dict[Key, Amount]:
    """Return the line of a closed month's bill: what it says of machines beyond what it said when
    the month was closed, and beyond what the ledger says of them by itself since. Nobody's, for no
    share of the machines tells whose it is.
    """
    if change is None or not (change.owed.hours or change.owed.usd):
        return {}
    return {Key("", COST, month, "", "", "", BILL): Amount(change.owed.hours, change.owed.usd)}
