"""Telling people of grants before it is too late: that one ends, 30, 7 and 1 days before; and that
one is to be looked at again, when it is due and when it is overdue.

Each is told once (its key says which grant, end and time before), so the sweep may run as often as
it likes, and what it missed it tells late.
"""

from datetime import datetime, timedelta

from django.urls import reverse

from apps.access.models import AccessRequest, Grant
from apps.access.recertification.models import to_look_at
from apps.access.recertification.words import due_words
from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import ASKS_FOR_MODELS, OWNS_MODELS
from apps.common.periods import day_of, day_words
from apps.notices.actions import tell
from apps.notices.models import Kind

DAYS_BEFORE = (1, 7, 30)
URGENT = 1  # days before the end


def announce_ends(*, now: datetime) -> int:
    """Tell of the grants that end within 30, 7 or 1 days: whoever may ask to renew them, and where
    somebody did, whoever decides about that. Returns how many notices are new.

    A grant that was given for less time than that is told of when the next fewer days are reached.
    """
    latest = now + timedelta(days=max(DAYS_BEFORE))
    ending = Grant.objects.active(now).filter(active_to__lte=latest)
    waiting = {
        request.renews_id: request
        for request in AccessRequest.objects.pending().filter(renews__in=ending)
    }
    related = ("registered_model__owner_team", "team")
    return sum(
        _tell_end(grant, waiting.get(grant.pk), now)
        for grant in ending.select_related(*related).order_by("active_to")
    )


def days_told(grant: Grant, now: datetime) -> int | None:
    """Return for how many days before its end a grant is told of now; None: for none yet."""
    for days in DAYS_BEFORE:
        before = timedelta(days=days)
        if grant.active_to <= now + before:
            return days if grant.active_to - grant.active_from > before else None
    return None


def _tell_end(grant: Grant, renewal: AccessRequest | None, now: datetime) -> int:
    days = days_told(grant, now)
    if days is None:
        return 0
    model, when = grant.registered_model, day_words(grant.last_day)
    if renewal is None:
        people = holders(*ASKS_FOR_MODELS, team=grant.team)
        title = f"Access of {grant.team} to {model} ends on {when}: renew it, or calls are refused"
        path = reverse("access:grant_detail", args=[grant.pk])
    else:
        people = _deciders(grant, renewal.requested_by)
        title = f"Access of {grant.team} to {model} ends on {when}, and its renewal waits for you"
        path = renewal.get_absolute_url()
    who = "renewal" if renewal else "end"
    return len(
        tell(
            people,
            kind=Kind.GRANT,
            title=title,
            path=path,
            key=f"grant:{grant.pk}:{who}:{grant.last_day}:{days}",
            urgent=days <= URGENT,
            now=now,
        )
    )


def announce_looks(*, period: timedelta, now: datetime) -> int:
    """Tell the owners of a model of its grants that are to be looked at again: when one is due, and
    when it is overdue. Returns how many notices are new.
    """
    related = ("registered_model__owner_team", "team", "request__requested_by")
    return sum(
        _tell_look(grant, grant.due_at, now)
        for grant in to_look_at(Grant.objects.all(), period, now).select_related(*related)
    )


def _tell_look(grant: Grant, due_at: datetime, now: datetime) -> int:
    is_overdue, who = due_at <= now, f"{grant.team} to {grant.registered_model}"
    told = tell(
        _deciders(grant, grant.request.requested_by),
        kind=Kind.REVIEW,
        title=f"Keep or end the access of {who}: {due_words(due_at, now)}",
        path=reverse("access:grant_detail", args=[grant.pk]),
        key=f"grant:{grant.pk}:look:{day_of(due_at)}:{'overdue' if is_overdue else 'due'}",
        urgent=is_overdue,
        now=now,
    )
    return len(told)


def _deciders(grant: Grant, asked: User) -> list[User]:
    """Return the owners of a grant's model, but whoever asked, with whichever account."""
    owners = holders(*OWNS_MODELS, team=grant.registered_model.owner_team)
    return [owner for owner in owners if owner.person != asked.person]
