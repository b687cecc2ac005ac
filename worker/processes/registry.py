"""The long-lived process of the registry: publishes versions, reads every byte of them, and reads
it again on schedule and on demand. Alone it signs manifests.

It takes leases on rows, so several copies share the work. While none runs, uploads wait unsigned
and nothing is verified; nothing is lost.
"""

import time
from collections.abc import Callable

from apps.catalog import registry
from apps.catalog.registry import Keeper
from worker.processes.leader import endure

LOOK_SECONDS = 0.5


def keep(keeper: Keeper, sleep: Callable[[float], None] = time.sleep) -> None:
    """Do what is due, one after the other, for one term: until the database is away."""
    while True:
        if not keeper.turn():
            sleep(LOOK_SECONDS)


def run_from_settings() -> None:
    """Keep this deployment's registry."""
    endure(lambda: keep(registry.keeper_from_settings()))
