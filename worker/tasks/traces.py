"""Tasks of traces."""

from apps.traces import actions
from worker.celery import app


@app.task(name="traces.drop_old_spans", acks_late=True, time_limit=60)
def drop_old_spans(**_: object) -> None:
    """Take away the spans of the hours that are older than a day."""
    actions.drop_old_spans()
