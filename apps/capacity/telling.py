"""What there is to tell of capacity: changes that wait, what became of them, and what failed."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.accounts.models import Role, User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_CAPACITY
from apps.capacity.actions import question
from apps.capacity.models import CapacityRequest
from apps.common.decisions import deciders
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, outcomes, tell_asked, tell_news

PREFIX = "capacity"
Status = CapacityRequest.Status
TOLD = (Status.REJECTED, Status.APPLIED, Status.FAILED)


def asked_title(request: CapacityRequest) -> str:
    """Return a request in a line, as whoever decides reads it."""
    return f"Decide on a change of {request.pool}"


def own_title(request: CapacityRequest) -> str:
    """Return a request in a line, as whoever asked reads it."""
    return f"Your change of {request.pool}"


def failed_title(request: CapacityRequest) -> str:
    """Return that a change failed."""
    return f"Change of {request.pool} failed"


def path_of(request: CapacityRequest) -> str:
    """Return its page."""
    return reverse("capacity:request_detail", args=[request.pk])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = CapacityRequest.objects.select_related("requested_by")
    lately = rows.filter(decided_at__gte=now - LATELY, status__in=TOLD)
    finished = rows.filter(finished_at__gte=now - LATELY, status__in=TOLD)
    decided = outcomes(PREFIX, lately | finished, title=own_title, path=path_of)
    failed = _failed(finished.filter(status=Status.FAILED))
    return (
        tell_asked(
            PREFIX,
            rows.filter(status=Status.PENDING),
            title=asked_title,
            path=path_of,
            people=_deciders,
            now=now,
        )
        + tell_news(decided, now=now)
        + tell_news(failed, now=now)
    )


def _deciders(row: CapacityRequest) -> list[User]:
    return deciders(holders(*DECIDES_CAPACITY), partial(question, row))


def _failed(rows: Iterable[CapacityRequest]) -> Iterator[News]:
    """Yield what failed, for those who mend it beside whoever asked."""
    for row in rows:
        yield News(
            key=f"{PREFIX}-failed:{row.pk}:{row.attempts}",
            kind=Kind.DECIDED,
            title=failed_title(row),
            path=path_of(row),
            people=partial(_menders, row),
        )


def _menders(row: CapacityRequest) -> list[User]:
    people = holders(Role.PLATFORM_ENGINEER)
    return [one for one in people if one.person != row.requested_by.person]
