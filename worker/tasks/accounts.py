"""Celery tasks of apps.accounts: one call each."""

from datetime import timedelta

from django.conf import settings

from apps.accounts import sessions
from apps.accounts.recertification import actions as recertification
from apps.common.clocks import now
from worker.celery import app


@app.task(name="accounts.clear_sessions", acks_late=True, time_limit=120)
def clear_sessions(**_: object) -> None:
    """Remove the sessions that have ended."""
    sessions.clear_ended(now=now())


@app.task(name="accounts.open_role_reviews", acks_late=True, time_limit=120)
def open_role_reviews(**_: object) -> None:
    """Ask for a look at each role that is due to be looked at again."""
    period = timedelta(days=settings.ROLE_RECERTIFICATION_DAYS)
    recertification.open_reviews(period=period, now=now())
