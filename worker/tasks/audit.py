"""Celery tasks of apps.audit: one call each."""

from django.utils.timezone import now

from apps.audit.sealing.keeper import Keeper
from worker.celery import app


@app.task(name="audit.verify_record", acks_late=True, time_limit=3600)
def verify_record(**_: object) -> None:
    """Read the whole record against its seals and its anchor, and keep what is wrong."""
    Keeper.from_settings().verify(now=now())
