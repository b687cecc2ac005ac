"""How a grant that is looked at again stands, in words. Pure."""

from datetime import datetime

from apps.access.recertification.models import AHEAD
from apps.common.badges import Badge
from apps.common.periods import day_of, day_words

OVERDUE, DUE, LATER = "OVERDUE", "DUE", "LATER"
BADGES = {
    OVERDUE: Badge("bad", "", "Overdue"),
    DUE: Badge("warn", "clock", "Due"),
    LATER: Badge("ok", "", "Not due yet"),
}


def state_of(due_at: datetime, now: datetime) -> str:
    """Return how a grant in force stands: overdue from its moment on, due within AHEAD of it."""
    if due_at <= now:
        return OVERDUE
    return DUE if due_at <= now + AHEAD else LATER


def due_words(due_at: datetime, now: datetime) -> str:
    """Return by when it is to be looked at: "overdue since 3 Feb 2027", "due by 3 Feb 2027"."""
    day = day_words(day_of(due_at))
    return f"overdue since {day}" if due_at <= now else f"due by {day}"
