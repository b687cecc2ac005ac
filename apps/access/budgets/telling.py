"""What there is to tell of budgets: changes and boosts that wait, what became of them, and budgets
that have reached a threshold.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from apps.access.budgets.actions import question
from apps.access.budgets.models import Boost, Budget, BudgetAlert, BudgetChange
from apps.accounts.asked import Asked
from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import (
    ASKS_FOR_MODELS,
    OWNS_MODELS,
    SETS_COST_CENTER_BUDGETS,
    SETS_TEAM_BUDGETS,
)
from apps.common.decisions import deciders
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, outcomes, tell_asked, tell_news

# whoever may decide about some budget, or be told of one: the rules choose among them
SETTERS = (*SETS_COST_CENTER_BUDGETS, *SETS_TEAM_BUDGETS, *OWNS_MODELS)
PREFIXES: dict[type[BudgetChange] | type[Boost], str] = {
    BudgetChange: "budget-change",
    Boost: "boost",
}
Status = Asked.Status


def asked_title(item: BudgetChange | Boost) -> str:
    """Return a change or a boost in a line, as whoever decides reads it."""
    return f"{item.requested_by.name} asks for the {item}"


def own_title(item: BudgetChange | Boost) -> str:
    """Return a change or a boost in a line, as whoever asked reads it."""
    return f"Your {item}"


def reached_title(budget: Budget, threshold: int, is_spent: bool) -> str:
    """Return that a budget reached a threshold. is_spent: whether nothing of it is left."""
    return f"The {budget} is spent" if is_spent else f"The {budget} is {threshold} % used"


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    told = tell_news(_reached(now), now=now)
    for kind, prefix in PREFIXES.items():
        rows = kind.objects.named().select_related("requested_by")
        told += tell_asked(
            prefix,
            rows.pending(),
            title=asked_title,
            path=kind.get_absolute_url,
            people=_deciders,
            now=now,
        )
        lately = rows.filter(
            decided_at__gte=now - LATELY, status__in=(Status.APPROVED, Status.REJECTED)
        )
        path = kind.get_absolute_url
        told += tell_news(outcomes(prefix, lately, title=own_title, path=path), now=now)
    return told


def _deciders(row: BudgetChange | Boost) -> list[User]:
    return deciders(holders(*SETTERS), partial(question, row))


def _reached(now: datetime) -> Iterator[News]:
    """Yield the thresholds that budgets reached lately: each was told to the record already."""
    rows = BudgetAlert.objects.filter(told_at__gte=now - LATELY)
    for alert in rows.select_related("budget__team", "budget__registered_model__owner_team"):
        is_spent = alert.spent >= alert.limit
        yield News(
            key=f"budget-reached:{alert.pk}",
            kind=Kind.BUDGET,
            title=reached_title(alert.budget, alert.threshold, is_spent),
            path=alert.budget.get_absolute_url(),
            people=partial(_concerned, alert),
            urgent=is_spent,
        )


def _concerned(alert: BudgetAlert) -> list[User]:
    """Return whose the alert is to act on: one query for each who might be."""
    people = holders(*SETTERS, *ASKS_FOR_MODELS)
    mine = BudgetAlert.objects.filter(pk=alert.pk)
    return [one for one in people if mine.told_to(one).exists()]
