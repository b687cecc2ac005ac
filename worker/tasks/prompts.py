"""Celery tasks of apps.prompts: one call each."""

from apps.common.clocks import now
from apps.integrations.s3.client import prompts_from_settings
from apps.prompts.storage import actions, reconcile
from worker.celery import app


@app.task(name="prompts.move_to_s3", acks_late=True, time_limit=120)
def move_to_s3(**_: object) -> None:
    """Move ciphertext to S3, and remove objects whose time is over."""
    reconcile.move_and_remove(bucket=prompts_from_settings(), now=now())


@app.task(name="prompts.remove_expired", acks_late=True, time_limit=120)
def remove_expired(**_: object) -> None:
    """Remove records from the database whose time is over, and keys under which none is left."""
    actions.remove_from_database(now=now())
    actions.destroy_idle_keys(now=now())
