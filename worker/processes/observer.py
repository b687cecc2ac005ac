"""The long-lived process that follows the cluster. One leader at a time, by a Postgres advisory
lock.

The lock lives as long as the database connection that writes: who loses the one has lost the other.
"""

import logging
import time

from django.db import InterfaceError, OperationalError, connection

from apps.fleet.observer import Observer
from apps.integrations.kubernetes.connection import connection_from_settings
from worker.processes.leader import is_leader

LEADER_LOCK = 7_202_611_002  # any number that no other process of ours uses
log = logging.getLogger(__name__)


def run() -> None:
    """Follow the cluster for ever. While the database is away, wait, then begin anew with lists."""
    while True:
        try:
            _lead()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away (%s); trying again", type(error).__name__)
            connection.close()
        time.sleep(5)


def _lead() -> None:
    if not is_leader(LEADER_LOCK):
        return
    observer = Observer(connection_from_settings)
    try:
        observer.start()
        while True:
            observer.step()
    finally:
        observer.stop()


def run_from_settings() -> None:
    """Follow the cluster that KUBECONFIG names, or the one this pod runs in."""
    run()
