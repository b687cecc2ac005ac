"""What time it is, for processes that compare times with those that others wrote.

Clocks of machines differ. Among our own processes the database's counts: each asks it now and then
how far its own clock is off, so that a lease ends, and a row is due, at one moment for all. With
whoever has no database in common with us (the identity provider, the gateway, the broker's
messages), a time may be CLOCKS_APART off.
"""

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, connection
from django.db.utils import InterfaceError
from django.utils import timezone

CLOCKS_APART = timedelta(seconds=90)
ASK_EVERY_SECONDS = 60.0
# An answer takes its time: what is less off than this is not told from that.
NOT_TOLD = timedelta(seconds=1)
log = logging.getLogger(__name__)


@dataclass
class _Known:
    """How far the database's clock is ahead of this machine's, and when it was asked (monotonic
    seconds; None: never).
    """

    ahead: timedelta = timedelta()
    asked_at: float | None = None


_known = _Known()


def now() -> datetime:
    """Return the time by the database's clock, aware, in UTC. Costs a query a minute, and none
    outside a process's main thread, whose connection is the one that is known to end. While the
    database is away, what it said last holds.
    """
    asked = _known.asked_at
    is_due = asked is None or time.monotonic() - asked > ASK_EVERY_SECONDS
    if is_due and threading.current_thread() is threading.main_thread():
        _ask()
    return timezone.now() + _known.ahead


def _ask() -> None:
    _known.asked_at = time.monotonic()
    before = timezone.now()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            theirs: datetime = cursor.fetchone()[0]
    except (DatabaseError, InterfaceError):
        return
    ours = before + (timezone.now() - before) / 2
    ahead = theirs - ours if abs(theirs - ours) > NOT_TOLD else timedelta()
    if abs(ahead - _known.ahead) > NOT_TOLD:
        log.warning("this clock is %.0f s behind the database's", ahead.total_seconds())
    _known.ahead = ahead
