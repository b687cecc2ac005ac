"""Celery tasks of apps.metering: one call each."""

from django.utils.timezone import now

from apps.metering import actions
from worker.celery import app


@app.task(name="metering.roll_up_dirty_hours", acks_late=True, time_limit=120)
def roll_up_dirty_hours(**_: object) -> None:
    """Recompute the hours whose events changed."""
    actions.roll_up_dirty_hours(now=now())
