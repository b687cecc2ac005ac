"""Reads which months are closed, and what a close would issue now."""

from datetime import date

from apps.chargeback import ledger
from apps.chargeback.closing.models import MonthClose
from apps.chargeback.closing.statements import Draft, corrections, drafts


def last_closed() -> date | None:
    """Return the newest closed month; None before the first close."""
    newest = MonthClose.objects.closed().order_by("-month").first()
    return newest.month if newest else None


def preview(month: date) -> list[Draft]:
    """Return the statements that a close of the month would issue now: its own lines, and what the
    closed months before come to beyond what was billed of them.
    """
    lines = ledger.known(month)
    for moved in ledger.moved_months(ledger.closed_months(before=month)):
        lines |= corrections(ledger.known(moved), ledger.billed(moved))
    return drafts(month, lines, ledger.methods(month))
