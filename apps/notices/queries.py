"""Reads for the bell."""

from dataclasses import dataclass

from apps.accounts.models import User
from apps.notices.models import Kind, Notice
from apps.notices.tables import ICONS


@dataclass(frozen=True)
class BellLine:
    """One unread notice, as the bell shows it."""

    notice: Notice
    icon: str
    tone: str


@dataclass(frozen=True)
class Bell:
    """What a person has not read: the newest of them, and how many there are."""

    lines: list[BellLine]
    count: int


SHOWN = 8


def bell_of(user: User) -> Bell:
    """Return what the person has not read; two queries, one where that is nothing."""
    unread = Notice.objects.of(user).unread()
    newest = list(unread[:SHOWN])
    count = len(newest) if len(newest) < SHOWN else unread.count()
    return Bell([_line(notice) for notice in newest], count)


def _line(notice: Notice) -> BellLine:
    return BellLine(notice, ICONS[Kind(notice.kind)], "tone-warn" if notice.is_urgent else "")
