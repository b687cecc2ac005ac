"""Telling that a budget's month has reached a threshold: once for each month, budget and
threshold, with the boost that would let the month last.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.access.budgets.models import Budget, BudgetAlert, Unit
from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.queries import Standing, balances, standings
from apps.common.money import exact
from apps.common.zones import month_in

USUAL_SHARE = Decimal("0.2")  # of a month's amount, where nobody knows what the month comes to
STEPS = {Unit.USD: Decimal(1), Unit.TOKENS: Decimal(1000)}  # a boost is a multiple of


def tell_budgets(*, now: datetime) -> int:
    """Tell each threshold that a month has reached and that was not told yet; return how many.

    What two workers find at once is told by one of them.
    """
    reached = [left for left in _in_force(now) if left.reached()]
    told = _told(reached, now)
    new = {
        left.budget.pk: [
            threshold
            for threshold in left.reached()
            if (left.budget.series, _month(left, now), threshold) not in told
        ]
        for left in reached
    }
    budgets = [left.budget for left in reached if new[left.budget.pk]]
    return sum(
        _tell(standing, threshold, now)
        for standing in standings(budgets, now)
        for threshold in new[standing.budget.pk]
    )


def _in_force(now: datetime) -> Iterable[Balance]:
    return balances(Budget.objects.active(now).named(), now).values()


def _month(left: Balance, now: datetime) -> date:
    return month_in(left.budget.zone, now)


def _told(reached: Iterable[Balance], now: datetime) -> set[tuple[UUID, date, int]]:
    """Return what was told already: the series, month and threshold of each."""
    rows = BudgetAlert.objects.filter(
        series__in={left.budget.series for left in reached},
        month__in={_month(left, now) for left in reached},
    )
    return set(rows.values_list("series", "month", "threshold"))


def _tell(standing: Standing, threshold: int, now: datetime) -> bool:
    """Tell one threshold; False where it was told meanwhile."""
    left, budget = standing.balance, standing.budget
    month = _month(left, now)
    try:
        with transaction.atomic():
            BudgetAlert.objects.create(
                budget=budget,
                series=budget.series,
                month=month,
                threshold=threshold,
                spent=left.used,
                limit=left.limit,
                boost=boost_for(standing),
                told_at=now,
            )
            record(
                action=Action.BUDGET_REACHED,
                actor=System("chargeback.tell_budgets"),
                target=budget,
                now=now,
                data={
                    "threshold": threshold,
                    "month": f"{month:%Y-%m}",
                    "spent": exact(left.used) if left.used else "0",
                    "limit": exact(left.limit),
                    "unit": budget.unit,
                },
            )
    except IntegrityError:
        return False
    return True


def boost_for(standing: Standing) -> Decimal:
    """Return what a boost has to add for the month to last, in whole dollars or thousands of
    tokens: up to the most that the month comes to, or to what is used already; where that lies
    below the limit, or is not known, a fifth of the budget.
    """
    left = standing.balance
    most = max(standing.outlook.high, left.used) if standing.outlook else left.used
    lacking = most - left.limit if most > left.limit else left.budget.amount * USUAL_SHARE
    step = STEPS[Unit(left.budget.unit)]
    return (lacking / step).to_integral_value(ROUND_CEILING) * step
