"""The long-lived process that follows the gateway's file log. One leader at a time, by a Postgres
advisory lock.
"""

import logging
import time

from django.conf import settings
from django.db import OperationalError, connection
from django.utils.timezone import now

from apps.metering.follow import Follower
from worker.processes.leader import is_leader

LEADER_LOCK = 7_202_611_001  # any number that no other process of ours uses
INTERVAL_SECONDS = 1.0
log = logging.getLogger(__name__)


def run(path: str) -> None:
    """Follow `path` for ever. While the database is away, wait and go on from the stored
    position.
    """
    follower = Follower(path)
    while True:
        try:
            _lead(follower)
        except OperationalError as error:
            log.warning("the database is away (%s); trying again", type(error).__name__)
            follower.close()
            connection.close()
            time.sleep(5)


def _lead(follower: Follower) -> None:
    if not is_leader(LEADER_LOCK):
        time.sleep(5)
        return
    while True:
        follower.step(now=now())
        time.sleep(INTERVAL_SECONDS)


def run_from_settings() -> None:
    """Follow the file that USAGE_LOG_FILE names. Raises SystemExit where none is named."""
    if not settings.USAGE_LOG_FILE:
        raise SystemExit("USAGE_LOG_FILE is not set: there is no file log to follow.")
    run(settings.USAGE_LOG_FILE)
