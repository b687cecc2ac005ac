"""Celery tasks of apps.audit: one call each."""

from apps.audit.sealing.verify import verify_from_settings
from apps.common.clocks import now
from worker.celery import app


# Acknowledged before it begins: one that takes longer than the broker's visibility timeout would be
# given to a second worker, and a third. One that is lost with its worker comes the next night.
@app.task(name="audit.verify_record", acks_late=False, time_limit=3600)
def verify_record(*, whole: bool = False, **_: object) -> None:
    """Read the record against its seals and its anchor, whole or as a night does, and keep what is
    wrong.
    """
    verify_from_settings(now=now(), whole=whole)
