"""Reads over budgets for many things at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.access.budgets.models import Boost, Budget, BudgetAlert, Unit
from apps.access.budgets.terms import limit_at
from apps.access.models import Grant
from apps.accounts.models import User
from apps.common.zones import month_in


def of_grants(grants: Iterable[Grant], at: datetime) -> dict[Any, Budget]:
    """Return grant → the monthly budget in USD of its team for its model: now, or as it was at last
    where the grant has ended. Grants without one are left out; one query.
    """
    asked = list(grants)
    rows = Budget.objects.named().filter(
        unit=Unit.USD,
        team__in={grant.team_id for grant in asked},
        registered_model__in={grant.registered_model_id for grant in asked},
    )
    by_scope: dict[tuple[int, int], list[Budget]] = {}
    for row in rows:
        by_scope.setdefault((row.team_id or 0, row.registered_model_id or 0), []).append(row)
    found = {}
    for grant in asked:
        moment = min(at, grant.ended_at - timedelta(microseconds=1))
        for row in by_scope.get((grant.team_id, grant.registered_model_id), ()):
            if row.is_active(moment):
                found[grant.pk] = row
    return found


LONGEST_MONTH = timedelta(days=32)


@dataclass(frozen=True)
class OpenAlert:
    """The highest threshold that a budget's month has reached, while its limit has not been raised
    since it was told. budget: as it is now; limit: of now.
    """

    alert: BudgetAlert
    budget: Budget
    limit: Decimal


def open_alerts(user: User, now: datetime) -> list[OpenAlert]:
    """Return what this person is told of budgets in this month, the newest first; one query, and
    two more where there is something.
    """
    told = BudgetAlert.objects.told_to(user).filter(told_at__gte=now - LONGEST_MONTH)
    highest: dict[Any, BudgetAlert] = {}
    for alert in told.select_related("budget"):
        known = highest.get(alert.series)
        is_now = alert.month == month_in(alert.budget.zone, now)
        if is_now and (known is None or alert.threshold > known.threshold):
            highest[alert.series] = alert
    if not highest:
        return []
    boosts = list(Boost.objects.active(now).select_related("budget"))
    found = []
    for budget in Budget.objects.active(now).filter(series__in=highest).named():
        alert, limit = highest[budget.series], limit_at(budget, boosts, now)
        if limit <= alert.limit:
            found.append(OpenAlert(alert, budget, limit))
    return sorted(found, key=lambda each: each.alert.told_at, reverse=True)
