"""Long-lived processes lead in terms: one leader at a time among the copies of a process, by a
Postgres advisory lock, and a new term after the database was away.

The lock lives as long as the database connection that took it: who loses the one has lost the
other. So a term ends with its connection, and nothing that was learned in it is carried over.
"""

import logging
import time
from collections.abc import Callable
from enum import IntEnum, unique

from django.db import InterfaceError, OperationalError, connection

TRY_AGAIN_SECONDS = 5.0
log = logging.getLogger(__name__)


@unique
class Lock(IntEnum):
    """The advisory lock of each process: any number that nothing else of ours takes."""

    USAGE_FOLLOWER = 7_202_611_001
    OBSERVER = 7_202_611_002
    SCRAPER = 7_202_611_003
    SEALER = 7_202_611_004
    BEAT = 7_202_611_005


def lead(lock: Lock, term: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Hold one term after the other, for ever. term: what the leader does until something fails.

    While another copy leads, or the database is away, it tries again every five seconds. Every
    other error of the term is raised.
    """

    def led() -> None:
        if is_leader(lock):
            term()

    endure(led, sleep)


def endure(term: Callable[[], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Do a term again and again, for ever, also where the database was away: for processes whose
    copies share their work by leases. Every other error of the term is raised.
    """
    while True:
        try:
            term()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away (%s); trying again", type(error).__name__)
            connection.close()
        sleep(TRY_AGAIN_SECONDS)


def is_leader(lock: Lock) -> bool:
    """Take a process's lock where nobody holds it, and tell whether this connection has it. One
    query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock.value])
        row = cursor.fetchone()
    return bool(row and row[0])
