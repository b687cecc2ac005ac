"""A line that says what needs a person, and the two that most of them are: something that others
asked for, and something that one asked for oneself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from apps.accounts.models import Role, User
from apps.common.decisions import Question

SHOWN = 20
FAILED_SINCE = timedelta(days=7)  # what failed before is not told of any more
Rows = QuerySet[Any] | list[Any]


@dataclass(frozen=True)
class Need:
    """One line: what it is, why it is this person's, where to go."""

    title: str
    why: str
    url: str
    icon: str
    tone: str
    since: datetime  # or until, where it ends


def page_of(row: Any) -> str:
    """Return the address of a row's page."""
    return str(row.get_absolute_url())


def asked(
    rows: Rows,
    title: Callable[[Any], str],
    *,
    icon: str,
    by: str = "Asked by",
    path: Callable[[Any], str] = page_of,
) -> Iterator[Need]:
    """Yield what others ask for and this person decides, with the reason that was given. by: what
    stands before who asked.
    """
    for item in rows[:SHOWN]:
        who = item.requested_by.name if item.requested_by else ""
        why = f"{by} {who}: {item.justification[:80]}"
        yield Need(title(item), why, path(item), icon, "busy", item.requested_at)


def own(
    rows: Rows,
    title: Callable[[Any], str],
    question: Callable[[Any, User], Question],
    user: User,
    *,
    icon: str,
    path: Callable[[Any], str] = page_of,
) -> Iterator[Need]:
    """Yield what this person asked for and others have not decided, with who decides."""
    for item in rows[:SHOWN]:
        who = question(item, user).who
        why = f"{who[0].upper()}{who[1:]} decides"
        yield Need(title(item), why, path(item), icon, "", item.requested_at)


def of_own_models(user: User) -> Q:
    """Return which rows of versions are for this person to mend: those of their team's models; all
    of them, for a platform engineer.
    """
    if user.has_role(Role.PLATFORM_ENGINEER):
        return Q()
    return Q(model_version__registered_model__owner_team=user.team_id)
