"""What there is to tell of new models: requests that wait, and what became of them."""

from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_NEW_MODELS
from apps.catalog.intake.actions import question
from apps.catalog.intake.models import ModelIntake
from apps.common.decisions import deciders
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "new-model"
Status = ModelIntake.Status
TOLD = (Status.APPROVED, Status.REJECTED)


def asked_title(request: ModelIntake) -> str:
    """Return a request in a line, as whoever decides reads it."""
    return f"Decide on the new model {request.name}"


def own_title(request: ModelIntake) -> str:
    """Return a request in a line, as whoever asked reads it."""
    return f"Your request for {request.name}"


def path_of(request: ModelIntake) -> str:
    """Return its page."""
    return reverse("catalog:intake_detail", args=[request.pk])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = ModelIntake.objects.select_related("requested_by", "owner_team")
    lately = rows.filter(decided_at__gte=now - LATELY, status__in=TOLD)
    decided = outcomes(PREFIX, lately, title=own_title, path=path_of)
    waiting = rows.filter(status=Status.PENDING)
    return tell_asked(
        PREFIX, waiting, title=asked_title, path=path_of, people=_deciders, now=now
    ) + tell_news(decided, now=now)


def _deciders(row: ModelIntake) -> list[User]:
    return deciders(holders(*DECIDES_NEW_MODELS), partial(question, row))
