"""The long-lived process that sends each periodic task when its time has come: Celery's own
scheduler, and of its copies one at a time.

When each task was sent last is kept nowhere. So a term begins as if everything had been sent some
minutes ago: what fell due while nobody led is sent, and a little may be sent twice, which every
task of the schedule bears.
"""

import time
from collections.abc import Callable
from datetime import timedelta

from celery import Celery
from celery.beat import Scheduler
from django.db import connection

from worker.processes.leader import Lock, lead

LOOK_SECONDS = 2.0  # so often it asks whether it still leads
NOBODY_LED = timedelta(minutes=5)  # the longest time without a leader after which nothing is missed


def send(app: Celery, sleep: Callable[[float], None] = time.sleep) -> None:
    """Send what is due for one term: until the database is away, and the lead with it."""
    scheduler = Scheduler(app)
    try:
        for entry in scheduler.schedule.values():
            entry.last_run_at = entry.default_now() - NOBODY_LED
        while True:
            _ask_the_database()
            # below 0 where the next one is due already
            sleep(min(max(scheduler.tick(), 0.0), LOOK_SECONDS))
    finally:
        scheduler.close()


def _ask_the_database() -> None:
    """Raise OperationalError where the connection that holds the lead is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def run_from_settings() -> None:
    """Send this deployment's periodic tasks."""
    from worker.celery import app

    lead(Lock.BEAT, lambda: send(app))
