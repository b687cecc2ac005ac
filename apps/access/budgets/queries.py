"""Reads over budgets for many things at once."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from apps.access.budgets.models import Budget, Unit
from apps.access.models import Grant


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
