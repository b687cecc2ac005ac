"""What there is to tell of guard rules: changes that wait for a reviewer, and what became of
them.
"""

from datetime import datetime
from functools import partial

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_GUARDRAILS
from apps.common.decisions import deciders
from apps.gateway.guard.actions import question
from apps.gateway.guard.models import GuardrailChange
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "guardrail-change"
Status = GuardrailChange.Status


def asked_title(change: GuardrailChange) -> str:
    """Return a change in a line, as whoever decides reads it."""
    return f"Decide on the guard rules of {change.environment}"


def own_title(change: GuardrailChange) -> str:
    """Return a change in a line, as whoever proposed it reads it."""
    return f"Your guard rules for {change.environment}"


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = GuardrailChange.objects.select_related("requested_by")
    told = (Status.APPROVED, Status.REJECTED)
    decided = rows.filter(decided_at__gte=now - LATELY, status__in=told)
    path = GuardrailChange.get_absolute_url
    news = outcomes(PREFIX, decided, title=own_title, path=path)
    return tell_asked(
        PREFIX, rows.pending(), title=asked_title, path=path, people=_deciders, now=now
    ) + tell_news(news, now=now)


def _deciders(row: GuardrailChange) -> list[User]:
    return deciders(holders(*DECIDES_GUARDRAILS), partial(question, row))
