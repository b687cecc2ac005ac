"""Starting background work. The enqueue is a hint that may be lost; the schedule is the
guarantee.
"""

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from apps.common.clocks import CLOCKS_APART

JSON = str | int | bool | None
# A hint that waited longer is dropped: by then the schedule has found its row, and a queue that
# stood for an hour must not begin with an hour's hints. A worker's clock may be ahead of whoever
# sent it.
HINT_SECONDS = CLOCKS_APART.total_seconds() + 30
# What no schedule finds as it was asked for.
WISH_SECONDS = 3600.0
WISHES = frozenset({"audit.verify_record"})
log = logging.getLogger(__name__)


def enqueue_on_commit(name: str, **kwargs: JSON) -> None:
    """Ask a worker to run task `name` after this transaction commits; a dead broker must not fail
    the write.
    """

    # A function with a name: Django's own log of a robust callback's error asks for one, and a
    # partial has none.
    def send() -> None:
        try:
            lasts = WISH_SECONDS if name in WISHES else HINT_SECONDS
            current_app.send_task(name, kwargs=kwargs, retry=False, expires=lasts)
        except OperationalError:
            log.warning(
                "The broker is away: %s was not enqueued; the schedule finds its row.", name
            )

    transaction.on_commit(send, robust=True)
