"""The long-lived process that keeps the record: gives events their places, signs checkpoints and
anchors them.

While it does not run, events wait and pages say since when; nothing of them is lost.
"""

import time

from apps.audit.sealing.keeper import Keeper
from apps.common.clocks import now
from worker.processes.leader import Lock, lead

LOOK_SECONDS = 2.0


def keep(keeper: Keeper) -> None:
    """Keep the record for one term: until the database is away."""
    while True:
        keeper.turn(now=now())
        time.sleep(LOOK_SECONDS)


def run_from_settings() -> None:
    """Keep this deployment's record."""
    keeper = Keeper.from_settings()
    lead(Lock.SEALER, lambda: keep(keeper))
