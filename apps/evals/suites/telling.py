"""What there is to tell of suites: revisions that wait for a reviewer, and what became of them."""

from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_SUITES
from apps.common.decisions import deciders
from apps.evals.models import EvalSuite
from apps.evals.suites.actions import question
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "suite"
Status = EvalSuite.Status


def asked_title(suite: EvalSuite) -> str:
    """Return a revision in a line, as whoever decides reads it."""
    return f"Decide on the suite {suite}"


def own_title(suite: EvalSuite) -> str:
    """Return a revision in a line, as whoever asked reads it."""
    return f"Your suite {suite}"


def path_of(suite: EvalSuite) -> str:
    """Return its page."""
    return reverse("evals:suite_detail", args=[suite.pk])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = EvalSuite.objects.select_related("requested_by")
    told = (Status.APPROVED, Status.REJECTED)
    decided = rows.filter(decided_at__gte=now - LATELY, status__in=told)
    news = outcomes(PREFIX, decided, title=own_title, path=path_of)
    return tell_asked(
        PREFIX, rows.pending(), title=asked_title, path=path_of, people=_deciders, now=now
    ) + tell_news(news, now=now)


def _deciders(row: EvalSuite) -> list[User]:
    return deciders(holders(*DECIDES_SUITES), partial(question, row))
