"""Celery tasks of apps.accounts: one call each."""

from django.utils.timezone import now

from apps.accounts import sessions
from worker.celery import app


@app.task(name="accounts.clear_sessions", acks_late=True, time_limit=120)
def clear_sessions(**_: object) -> None:
    """Remove the sessions that have ended."""
    sessions.clear_ended(now=now())
