"""Telling people of what the rows say now: looked at again and again, told once.

Each app says what there is to tell; a worker hands it here every few seconds. Nothing hangs on an
action that forgot to tell, or on a hint that was lost, and what was settled long ago is not told.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from apps.accounts.models import User
from apps.notices.actions import tell
from apps.notices.models import Kind, Notice

LATELY = timedelta(days=3)  # what happened before that is no news


@dataclass(frozen=True)
class News:
    """Something to tell. key, title, path, urgent: as actions.tell takes them. people: finds who is
    told; asked only where nobody knows it yet.
    """

    key: str
    kind: Kind
    title: str
    path: str
    people: Callable[[], Iterable[User]]
    urgent: bool = False


def tell_news(news: Iterable[News], *, now: datetime) -> int:
    """Tell what nobody knows yet; return how many notices that were. One query where all is
    known.
    """
    found = list(news)
    if not found:
        return 0
    keys = Notice.objects.filter(key__in={one.key for one in found})
    known = set(keys.values_list("key", flat=True))
    return sum(_tell(one, now) for one in found if one.key not in known)


def _tell(one: News, now: datetime) -> int:
    told = tell(
        one.people(),
        kind=one.kind,
        title=one.title,
        path=one.path,
        key=one.key,
        urgent=one.urgent,
        now=now,
    )
    return len(told)


def tell_waiting(prefix: str, news: Iterable[News], *, now: datetime) -> int:
    """Tell of everything of a sort that waits, as tell_news does, and take away what waits no
    longer from those who have not read it.

    prefix: what the keys of this sort begin with, and no others. news: all of it that waits.
    """
    found = list(news)
    waits = {one.key for one in found}
    stale = Notice.objects.unread().filter(key__startswith=f"{prefix}:").exclude(key__in=waits)
    stale.update(read_at=now)
    return tell_news(found, now=now)


def tell_asked(
    prefix: str,
    rows: Iterable[Any],
    *,
    title: Callable[[Any], str],
    path: Callable[[Any], str],
    people: Callable[[Any], Iterable[User]],
    now: datetime,
) -> int:
    """Tell those who decide of every row of a sort that waits for a decision, as tell_waiting does.

    title: of a row, as whoever decides reads it. people: who decides about a row.
    """
    news = (
        News(
            key=f"{prefix}:{row.pk}",
            kind=Kind.WAITS,
            title=title(row),
            path=path(row),
            people=partial(people, row),
        )
        for row in rows
    )
    return tell_waiting(prefix, news, now=now)


def outcomes(
    prefix: str,
    rows: Iterable[Any],
    *,
    title: Callable[[Any], str],
    path: Callable[[Any], str],
) -> Iterator[News]:
    """Yield what became of what people asked for, to be told to them.

    rows: decided rows with requested_by fetched. title: of a row, as its author reads it; the row's
    status follows it in words.
    """
    for row in rows:
        if row.requested_by is not None:
            yield News(
                key=f"{prefix}-outcome:{row.pk}:{row.status}",
                kind=Kind.DECIDED,
                title=f"{title(row)}: {row.get_status_display().lower()}",
                path=path(row),
                people=partial(list, [row.requested_by]),
            )
