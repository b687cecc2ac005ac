"""Telling people: once for each person and thing, in the transaction of what they are told about.

Who is told is each app's own rule; how, is the person's choice. Nothing here speaks to anybody
outside: letters and calls are rows that a worker sends.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common.tasks import enqueue_on_commit
from apps.notices.choices import choices_of
from apps.notices.models import (
    ByEmail,
    Call,
    Choice,
    Kind,
    Letter,
    Notice,
    NoticeQuerySet,
    Webhook,
)

LONGEST_TITLE = 200
# Nobody tells the portal who left: whoever has not signed in for so long is told in the bell alone.
AWAY = timedelta(days=90)


@transaction.atomic
def tell(
    people: Iterable[User],
    *,
    kind: Kind,
    title: str,
    path: str,
    key: str,
    urgent: bool = False,
    now: datetime,
) -> list[Notice]:
    """Tell each of `people` something once, and return what is new; the accounts of one person get
    one notice.

    title: one line of names and figures, never of what people typed. path: within the portal. key:
    of the thing and what is told about it, the same whenever it is told again. urgent: by e-mail at
    once to whoever wants this kind by e-mail at all. Somebody without an address, or who has not
    signed in for long, is told in the bell alone; for a pipeline's account whoever pushed is. Seven
    queries at most, whoever of people is told.
    """
    accounts = _one_each([one.acts_for or one for one in people], key)
    if not accounts:
        return []
    chosen = choices_of(accounts)
    rows = [
        Notice(
            user=user,
            person=user.person,
            kind=kind,
            title=" ".join(title.split())[:LONGEST_TITLE],
            path=path,
            key=key,
            is_urgent=urgent,
            told_at=now,
            by_email=_by_email(user, chosen[user.person][kind], urgent, now),
        )
        for user in accounts
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    told = list(Notice.objects.filter(pk__in=[row.pk for row in rows]).select_related("user"))
    _write_letters([row for row in told if row.by_email == ByEmail.NOW], now)
    _call_webhooks(told, now)
    return told


def no_longer(*, key: str, now: datetime) -> int:
    """Take away what nobody has to know any more, as a decision that waits no longer: whoever has
    not read it yet need not, and no digest names it. Return how many that were; one query.
    """
    return Notice.objects.unread().filter(key=key).update(read_at=now)


def mark_read(notices: NoticeQuerySet, *, reader: User, now: datetime) -> int:
    """Mark those of `notices` read that are the reader's and are not yet; return how many."""
    return notices.of(reader).unread().update(read_at=now)


@transaction.atomic
def choose(*, user: User, choices: Mapping[str, str], now: datetime) -> bool:
    """Set how the person is told, kind by kind; those that are left out stay. False where nothing
    changes. choices: kind → how it comes by e-mail.
    """
    before = choices_of([user])[user.person]
    changed = {kind: how for kind, how in choices.items() if before[Kind(kind)] != ByEmail(how)}
    for kind, how in changed.items():
        values = {"by_email": how, "changed_at": now}
        Choice.objects.update_or_create(user=user, kind=kind, defaults=values)
    if changed:
        data = {"before": {kind: before[kind] for kind in changed}, "after": changed}
        record(action=Action.NOTICES_CHOSEN, actor=user, target=user, now=now, data=data)
    return bool(changed)


def _one_each(people: Iterable[User], key: str) -> list[User]:
    """Return one account of each person who does not know it yet: one with an address if any."""
    found: dict[Any, User] = {}
    for user in people:
        if user.is_active and (user.person not in found or not found[user.person].email):
            found[user.person] = user
    if not found:
        return []
    known = Notice.objects.filter(Q(person__in=found) | Q(user__person__in=found), key=key)
    for persons in known.values_list("person", "user__person"):
        for person in persons:
            found.pop(person, None)
    return list(found.values())


def is_away(user: User, now: datetime) -> bool:
    """Tell whether this account has not signed in for long."""
    return now - max(user.last_login or user.created_at, user.created_at) > AWAY


def _by_email(user: User, chosen: str, urgent: bool, now: datetime) -> str:
    """Return how this notice comes by e-mail."""
    if not user.email or chosen == ByEmail.NEVER or is_away(user, now):
        return ByEmail.NEVER
    return ByEmail.NOW if urgent else chosen


def _write_letters(notices: list[Notice], now: datetime) -> None:
    """Have each sent by itself, at once."""
    for notice in notices:
        notice.letter = Letter(user=notice.user, created_at=now, next_check_at=now)
    letters = [notice.letter for notice in notices if notice.letter]
    Letter.objects.bulk_create(letters)
    Notice.objects.bulk_update(notices, ["letter"])
    for letter in letters:
        enqueue_on_commit("notices.send_letter", letter_id=str(letter.pk))


def _call_webhooks(notices: list[Notice], now: datetime) -> None:
    """Have each posted to the webhooks for this kind of the account that was told."""
    if not notices:
        return
    there = [notice for notice in notices if not is_away(notice.user, now)]
    told = {notice.user_id: notice for notice in there}
    hooks = Webhook.objects.kept().filter(
        stopped_at=None, user__in=told, kinds__contains=[notices[0].kind]
    )
    calls = [
        Call(webhook=hook, notice=told[hook.user_id], created_at=now, next_check_at=now)
        for hook in hooks
    ]
    Call.objects.bulk_create(calls)
    for call in calls:
        enqueue_on_commit("notices.send_call", call_id=str(call.pk))
