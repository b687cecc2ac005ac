"""Starting background work. The enqueue is a hint that may be lost; the schedule is the guarantee."""

from functools import partial

from celery import current_app
from django.db import transaction

JSON = str | int | bool | None


def enqueue_on_commit(name: str, **kwargs: JSON) -> None:
    """Ask a worker to run task `name` after this transaction commits; a dead broker must not fail the write."""
    transaction.on_commit(partial(_send, name, kwargs), robust=True)


def _send(name: str, kwargs: dict[str, JSON]) -> None:
    current_app.send_task(name, kwargs=kwargs, retry=False)
