"""The Celery application. Tasks live in worker/tasks, one module per app; their times in
worker/schedule.py.

A message is a hint: what is to be done stands in the database. So every message expires, and of
many that ask what is due a process answers one.
"""

import os
import time
from typing import Any

from celery import Celery, Task
from celery.signals import worker_process_init

from apps.common.tasks import HINT_SECONDS
from worker.schedule import SCHEDULE

TASKS = (
    "audit",
    "traces",
    "accounts",
    "notices",
    "catalog",
    "evals",
    "access",
    "fleet",
    "capacity",
    "promotions",
    "metering",
    "chargeback",
    "prompts",
    "gateway",
    "slo",
    "incidents",
    "oversight",
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


class Hint(Task):  # type: ignore[misc]
    """Any task: a message for it that nobody took in time is dropped."""

    expires = HINT_SECONDS


class Sweep(Hint):
    """A task that starts another one for each row that is due, and that only the schedule starts.

    Where the queue stood, many of its messages come one after the other. This process has just
    told of all rows when it takes the next one, and does nothing more about it.
    """

    abstract = True
    pause = 1.0  # seconds after its end: less than between two that the schedule sends
    _ended_at = float("-inf")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it, unless this process did it a moment ago."""
        if not self.request.called_directly and time.monotonic() - self._ended_at < self.pause:
            return None
        try:
            return self.run(*args, **kwargs)
        finally:
            self._ended_at = time.monotonic()


app = Celery("quartermaster", task_cls=Hint)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.conf.imports = [f"worker.tasks.{name}" for name in TASKS]


def tell_of_tasks(**_: object) -> None:
    """Tell of the tasks of this process, where somebody wants to hear it."""
    # not before: the settings are not read when this module is
    from apps.integrations.otlp.sending import start

    start("worker")


worker_process_init.connect(tell_of_tasks)
