"""What there is to tell of grants before it is too late: that one ends, 30, 7 and 1 days before;
and that an owner is to look at one again, when that is due and when it is overdue.

Each is told once, so the sweep may run as often as it likes, and what it missed it tells late. What
is settled, by a renewal or a decision, nobody has to read any more.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from django.urls import reverse

from apps.access.actions import question
from apps.access.models import AccessRequest, Grant
from apps.access.recertification import actions as recertification
from apps.access.recertification.models import to_look_at
from apps.access.recertification.words import due_words
from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import ASKS_FOR_MODELS, OWNS_MODELS
from apps.common.decisions import Question, deciders
from apps.common.periods import day_of, day_words
from apps.notices.models import Kind
from apps.notices.news import News, tell_waiting

DAYS_BEFORE = (1, 7, 30)
URGENT = 1  # days before the end
ENDS, LOOKS = "grant-end", "grant-look"
RELATED = ("registered_model__owner_team", "team", "request__requested_by")


def tell_ends(*, now: datetime) -> int:
    """Tell of the grants that end within 30, 7 or 1 days: whoever may ask to renew them, and where
    somebody did, whoever decides about that. Returns how many notices are new.

    A grant that was given for less time than that is told of when the next fewer days are reached.
    """
    return tell_waiting(ENDS, _ends(now), now=now)


def _ends(now: datetime) -> Iterator[News]:
    latest = now + timedelta(days=max(DAYS_BEFORE))
    ending = Grant.objects.active(now).filter(active_to__lte=latest)
    asked = AccessRequest.objects.pending().filter(renews__in=ending)
    asked = asked.select_related("registered_model__owner_team", "requested_by")
    waiting = {request.renews_id: request for request in asked}
    for grant in ending.select_related(*RELATED):
        days = days_told(grant, now)
        if days is not None:
            yield _end(grant, waiting.get(grant.pk), days)


def days_told(grant: Grant, now: datetime) -> int | None:
    """Return for how many days before its end a grant is told of now; None: for none yet."""
    for days in DAYS_BEFORE:
        before = timedelta(days=days)
        if grant.active_to <= now + before:
            return days if grant.active_to - grant.active_from > before else None
    return None


def _end(grant: Grant, renewal: AccessRequest | None, days: int) -> News:
    access = f"Access of {grant.team} to {grant.registered_model}"
    ends = f"{access} ends on {day_words(grant.last_day)}"
    if renewal is not None:
        return News(
            key=f"{ENDS}:{grant.pk}:{days}:renewal",
            kind=Kind.GRANT,
            title=f"{ends}, and its renewal waits for you",
            path=renewal.get_absolute_url(),
            people=partial(_owners, grant, partial(question, renewal)),
            urgent=days <= URGENT,
        )
    return News(
        key=f"{ENDS}:{grant.pk}:{days}",
        kind=Kind.GRANT,
        title=f"{ends}: renew it, or calls are refused",
        path=reverse("access:grant_detail", args=[grant.pk]),
        people=partial(holders, *ASKS_FOR_MODELS, team=grant.team),
        urgent=days <= URGENT,
    )


def tell_looks(*, period: timedelta, now: datetime) -> int:
    """Tell the owners of a model of its grants that are to be looked at again: when one is due, and
    when it is overdue. Returns how many notices are new.
    """
    due = to_look_at(Grant.objects.all(), period, now).select_related(*RELATED)
    return tell_waiting(LOOKS, (_look(grant, grant.due_at, now) for grant in due), now=now)


def _look(grant: Grant, due_at: datetime, now: datetime) -> News:
    is_overdue, who = due_at <= now, f"{grant.team} to {grant.registered_model}"
    return News(
        key=f"{LOOKS}:{grant.pk}:{day_of(due_at)}:{'overdue' if is_overdue else 'due'}",
        kind=Kind.REVIEW,
        title=f"Keep or end the access of {who}: {due_words(due_at, now)}",
        path=reverse("access:grant_detail", args=[grant.pk]),
        people=partial(_owners, grant, partial(recertification.question, grant)),
        urgent=is_overdue,
    )


def _owners(grant: Grant, asks: Callable[[User], Question]) -> list[User]:
    """Return the owners of a grant's model who may decide what is asked of them."""
    owners = holders(*OWNS_MODELS, team=grant.registered_model.owner_team)
    return deciders(owners, asks)
