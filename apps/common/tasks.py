"""Starting background work. The enqueue is a hint that may be lost; the schedule is the
guarantee.
"""

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

JSON = str | int | bool | None
log = logging.getLogger(__name__)


def enqueue_on_commit(name: str, **kwargs: JSON) -> None:
    """Ask a worker to run task `name` after this transaction commits; a dead broker must not fail
    the write.
    """

    # A function with a name: Django's own log of a robust callback's error asks for one, and a
    # partial has none.
    def send() -> None:
        try:
            current_app.send_task(name, kwargs=kwargs, retry=False)
        except OperationalError:
            log.warning(
                "The broker is away: %s was not enqueued; the schedule finds its row.", name
            )

    transaction.on_commit(send, robust=True)
