"""What there is to tell of pipelines: rules that wait for a decision, and what became of them.

It is told here, since notices stand above accounts.
"""

from datetime import datetime
from functools import partial

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.pipelines.actions import question
from apps.accounts.pipelines.models import PipelineChange
from apps.accounts.roles import DECIDES_PIPELINES
from apps.common.decisions import deciders
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "pipeline-rule"
Status = PipelineChange.Status


def asked_title(change: PipelineChange) -> str:
    """Return a rule in a line, as whoever decides reads it."""
    return f"Rule of the pipeline {change.name}"


def own_title(change: PipelineChange) -> str:
    """Return a rule in a line, as whoever proposed it reads it."""
    return f"Your rule of the pipeline {change.name}"


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = PipelineChange.objects.select_related("requested_by", "team")
    told = (Status.APPROVED, Status.REJECTED)
    decided = rows.filter(decided_at__gte=now - LATELY, status__in=told)
    news = outcomes(PREFIX, decided, title=own_title, path=PipelineChange.get_absolute_url)
    return tell_asked(
        PREFIX,
        rows.pending(),
        title=asked_title,
        path=PipelineChange.get_absolute_url,
        people=_deciders,
        now=now,
    ) + tell_news(news, now=now)


def _deciders(row: PipelineChange) -> list[User]:
    return deciders(holders(*DECIDES_PIPELINES), partial(question, row))
