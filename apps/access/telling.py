"""What there is to tell of access: requests that wait for an owner, and what became of them."""

from datetime import datetime
from functools import partial

from apps.access.actions import question
from apps.access.models import AccessRequest
from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import OWNS_MODELS
from apps.common.decisions import deciders
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "access-request"
Status = AccessRequest.Status


def asked_title(request: AccessRequest) -> str:
    """Return a request in a line, as whoever decides reads it."""
    return f"{request.team.name} asks for {request.registered_model.name}"


def own_title(request: AccessRequest) -> str:
    """Return a request in a line, as whoever asked reads it."""
    return f"Your request for {request.registered_model.name}"


def tell(*, now: datetime) -> int:
    """Tell of requests that wait, and of those decided lately; return how many notices."""
    rows = AccessRequest.objects.select_related(
        "team", "registered_model__owner_team", "requested_by"
    )
    told = (Status.APPROVED, Status.REJECTED)
    lately = rows.filter(decided_at__gte=now - LATELY, status__in=told)
    decided = outcomes(PREFIX, lately, title=own_title, path=AccessRequest.get_absolute_url)
    return tell_asked(
        PREFIX,
        rows.pending(),
        title=asked_title,
        path=AccessRequest.get_absolute_url,
        people=_deciders,
        now=now,
    ) + tell_news(decided, now=now)


def _deciders(row: AccessRequest) -> list[User]:
    owners = holders(*OWNS_MODELS, team=row.registered_model.owner_team)
    return deciders(owners, partial(question, row))
