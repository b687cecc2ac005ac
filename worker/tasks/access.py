"""Celery tasks of apps.access: one call each."""

from django.utils.timezone import now

from apps.access import announcements
from apps.access.recertification.queries import period
from worker.celery import app


@app.task(name="access.announce_ends", acks_late=True, time_limit=300)
def announce_ends(**_: object) -> None:
    """Tell people of grants that end."""
    announcements.announce_ends(now=now())


@app.task(name="access.announce_looks", acks_late=True, time_limit=300)
def announce_looks(**_: object) -> None:
    """Tell owners of grants that are to be looked at again."""
    announcements.announce_looks(period=period(), now=now())
