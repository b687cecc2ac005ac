"""Reads what a month comes to, what of it was billed, and what stands in the way of its close."""

from datetime import date

from django.db.models import QuerySet, Sum

from apps.chargeback.closing.models import MonthClose, StatementLine
from apps.chargeback.closing.statements import COST, LIST, Amount, Draft, Key, corrections, drafts
from apps.chargeback.models import WHOSE, Allocation, Spend
from apps.common.periods import next_month


def last_closed() -> date | None:
    """Return the newest closed month; None before the first close."""
    newest = MonthClose.objects.closed().order_by("-month").first()
    return newest.month if newest else None


def known(month: date) -> dict[Key, Amount]:
    """Return what a month comes to by what is known today, exact: by the price list, and by the
    machines' cost. What has no price is not among it; the checklist says how much that is.
    """
    bounds = {"day__gte": month, "day__lt": next_month(month)}
    found: dict[Key, Amount] = {}
    spend = Spend.objects.filter(**bounds, rate__isnull=False).order_by()
    sums = spend.values_list(*WHOSE, "sku", "rate").annotate(Sum("quantity"), Sum("list_cost_usd"))
    for cost_center, team, model, version, sku, rate, quantity, usd in sums:
        key = Key(cost_center, LIST, month, team, model, version, sku, rate)
        found[key] = Amount(quantity, usd)
    shares = Allocation.objects.filter(**bounds, is_priced=True).order_by()
    costs = shares.values_list(*WHOSE, "kind").annotate(Sum("gpu_hours"), Sum("cost_usd"))
    for cost_center, team, model, version, kind, hours, usd in costs:
        key = Key(cost_center, COST, month, team, model, version, kind)
        found[key] = Amount(hours, usd)
    return {key: amount for key, amount in found.items() if amount.quantity or amount.usd}


def billed(usage_month: date) -> dict[Key, Amount]:
    """Return what all statements so far say of a month."""
    return added(StatementLine.objects.filter(usage_month=usage_month))


def added(lines: QuerySet[StatementLine]) -> dict[Key, Amount]:
    """Return what lines of statements come to, by what they are of."""
    columns = (
        "statement__cost_center",
        "basis",
        "usage_month",
        "team",
        "model",
        "version",
        "item",
        "rate",
    )
    sums = lines.order_by().values_list(*columns).annotate(Sum("quantity"), Sum("exact_usd"))
    return {Key(*names): Amount(quantity, usd) for *names, quantity, usd in sums}


def preview(month: date) -> list[Draft]:
    """Return the statements that a close of the month would issue now: its own lines, and what the
    closed months before come to beyond what was billed of them.
    """
    lines = known(month)
    for closed in closed_months(before=month):
        lines |= corrections(known(closed), billed(closed))
    return drafts(month, lines)


def closed_months(*, before: date) -> list[date]:
    """Return the closed months before one, oldest first."""
    rows = MonthClose.objects.closed().filter(month__lt=before).order_by("month")
    return list(rows.values_list("month", flat=True))
