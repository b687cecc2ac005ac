"""What there is to tell of roles that are looked at again: those that wait for a look, and those
whose look is overdue; together for all of a day, for many fall due at once.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from functools import partial
from itertools import groupby

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.recertification.actions import question
from apps.accounts.recertification.models import RoleReview
from apps.accounts.roles import RECERTIFIES_ROLES
from apps.common.counts import counted
from apps.notices.models import Kind
from apps.notices.news import News, tell_waiting

WAITS, OVERDUE = "role-reviews", "role-reviews-overdue"


def tell(*, now: datetime) -> int:
    """Tell those who look at roles; return how many notices."""
    waiting = RoleReview.objects.pending().select_related("requested_by")
    overdue = waiting.filter(due_at__lte=now).order_by("due_at", "pk")
    told = tell_waiting(WAITS, _waiting(waiting.order_by("requested_at", "pk")), now=now)
    return told + tell_waiting(OVERDUE, _overdue(overdue), now=now)


def _waiting(rows: Iterable[RoleReview]) -> Iterator[News]:
    """Yield the looks that were asked for on one day. rows: the first asked for first."""
    for day, found in groupby(rows, key=lambda row: row.requested_at.date()):
        looks = list(found)
        due = min(row.due_at for row in looks)
        title = f"Look again at {counted(len(looks), 'role')} by {due:%-d %b %Y}"
        yield _news(WAITS, day, title, looks, urgent=False)


def _overdue(rows: Iterable[RoleReview]) -> Iterator[News]:
    """Yield the looks that were due on one day. rows: the first due first."""
    for day, found in groupby(rows, key=lambda row: row.due_at.date()):
        looks = list(found)
        title = f"Overdue since {day:%-d %b %Y}: a look at {counted(len(looks), 'role')}"
        yield _news(OVERDUE, day, title, looks, urgent=True)


def _news(prefix: str, day: date, title: str, looks: list[RoleReview], *, urgent: bool) -> News:
    return News(
        key=f"{prefix}:{day.isoformat()}",
        kind=Kind.REVIEW,
        title=title,
        path=f"{reverse('oversight:role_review_list')}?status={RoleReview.Status.PENDING}",
        people=partial(_lookers, looks),
        urgent=urgent,
    )


def _lookers(looks: list[RoleReview]) -> list[User]:
    """Return those who may look at one of them at least: nobody looks at their own role."""
    people = holders(*RECERTIFIES_ROLES)
    return [one for one in people if any(question(row, one).may_decide for row in looks)]
