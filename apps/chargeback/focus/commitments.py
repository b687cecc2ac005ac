"""A month's savings plans and reservations as FOCUS rows, from the bill of the cloud: what was paid
for them, what they covered, and what nobody used.

They are a basis of their own: the machines' shares say what machines cost at their prices, and this
says what was committed to and how far it was used, so that no file counts a dollar twice. The
billed costs come to the fees; the effective ones to what was used and what was not.
"""

from collections.abc import Generator
from contextlib import closing
from datetime import date
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from apps.chargeback.bills.kinds import (
    COVERED,
    COVERED_BY_PLAN,
    FEE,
    FEES,
    PLAN_FEE,
    PLAN_UPFRONT,
    RESERVATION_FEE,
)
from apps.chargeback.bills.models import Bill, BillLine
from apps.chargeback.focus import rows as focus
from apps.chargeback.focus.charges import Account, Commitment
from apps.chargeback.focus.columns import Row

CHUNK = 2000
NAMES = ("day", "commitment", "line_type", "resource", "instance_type")
SAVINGS_PLANS = frozenset({COVERED_BY_PLAN, PLAN_FEE, PLAN_UPFRONT})
NOTHING = Decimal(0)


def rows(month: date, billed_to: Account) -> Generator[Row, None, None]:
    """Yield the rows of a month's bill; none where no bill of it was read. Close it: it holds a
    cursor.
    """
    bill = Bill.objects.current().filter(month=month).first()
    if bill is None:
        return
    with closing(_lines(bill)) as lines:
        for line in lines:
            if line["line_type"] in COVERED:
                yield focus.commitment_row(_used(line), month, billed_to)
            else:
                yield focus.commitment_row(_bought(line), month, billed_to)
                if line["effective"]:
                    yield focus.commitment_row(_unused(line), month, billed_to)


def _lines(bill: Bill) -> Generator[dict[str, Any], None, None]:
    """Yield what a bill says of commitments, by day, commitment and machine, in order."""
    own = BillLine.objects.filter(bill=bill, line_type__in=(*COVERED, *FEES, FEE))
    sums = (
        own.exclude(commitment="")
        .values(*NAMES)
        .annotate(
            hours=Sum("quantity"),
            billed=Sum("billed_usd"),
            effective=Sum("effective_usd"),
            listed=Sum("on_demand_usd"),
        )
    )
    yield from sums.order_by(*NAMES).iterator(chunk_size=CHUNK)


def _used(line: dict[str, Any]) -> Commitment:
    listed = line["listed"]
    return Commitment(
        day=line["day"],
        id=line["commitment"],
        is_plan=line["line_type"] in SAVINGS_PLANS,
        status="Used",
        quantity=line["effective"] if line["line_type"] in SAVINGS_PLANS else line["hours"],
        hours=line["hours"],
        effective_usd=line["effective"],
        list_usd=line["effective"] if listed is None else listed,
        resource=line["resource"],
        instance_type=line["instance_type"],
    )


def _bought(line: dict[str, Any]) -> Commitment:
    kind = line["line_type"]
    is_plan = kind in SAVINGS_PLANS
    return Commitment(
        day=line["day"],
        id=line["commitment"],
        is_plan=is_plan,
        status="",
        quantity=line["billed"] if is_plan else line["hours"],
        billed_usd=line["billed"],
        list_usd=line["billed"],
        is_recurring=kind in (PLAN_FEE, RESERVATION_FEE),
    )


def _unused(line: dict[str, Any]) -> Commitment:
    """Return the part of a fee that covered nothing.

    The bill tells in dollars what of a reservation nobody used, and in no hours: one charge.
    """
    is_plan = line["line_type"] in SAVINGS_PLANS
    return Commitment(
        day=line["day"],
        id=line["commitment"],
        is_plan=is_plan,
        status="Unused",
        quantity=line["effective"] if is_plan else Decimal(1),
        effective_usd=line["effective"],
        unit="" if is_plan else "Charges",
    )
