"""The long-lived process that follows the gateway's file log. Each term goes on from the stored
position.
"""

import time
from functools import partial

from django.conf import settings

from apps.common.clocks import now
from apps.metering.follow import Follower
from worker.processes.leader import Lock, lead

INTERVAL_SECONDS = 1.0


def follow(path: str) -> None:
    """Follow the log for one term: until the database is away."""
    follower = Follower(path)
    try:
        while True:
            follower.step(now=now())
            time.sleep(INTERVAL_SECONDS)
    finally:
        follower.close()


def run_from_settings() -> None:
    """Follow the file that USAGE_LOG_FILE names. Raises SystemExit where none is named."""
    if not settings.USAGE_LOG_FILE:
        raise SystemExit("USAGE_LOG_FILE is not set: there is no file log to follow.")
    lead(Lock.USAGE_FOLLOWER, partial(follow, settings.USAGE_LOG_FILE))
