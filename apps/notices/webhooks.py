"""People's own webhooks: added, changed, given a new secret, stopped and removed by their owner
alone.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.accounts.models import User
from apps.accounts.roles import KEEPS_WEBHOOKS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common.errors import DomainError, require
from apps.common.tasks import enqueue_on_commit
from apps.integrations.webhooks.addresses import Allowed, NotAllowed, checked
from apps.notices.actions import tell
from apps.notices.models import Call, Kind, Webhook

MOST = 3  # of one account


class CannotAdd(DomainError):
    """The webhook cannot be kept as it stands."""

    code = "cannot_add_webhook"


class WrongState(DomainError):
    """The webhook or the call is not in a state that allows this."""

    code = "wrong_state"


@transaction.atomic
def add_webhook(
    *, user: User, url: str, kinds: Collection[str], allowed: Allowed, now: datetime
) -> Webhook:
    """Have the person's own notices of some kinds posted to an address.

    allowed: where webhooks may be. Raises NotPermitted without a role; CannotAdd where the address
    is not allowed or known already, no kind is chosen, or the person has three.
    """
    require(user.has_role(*KEEPS_WEBHOOKS), "Only people with a role can add a webhook.")
    try:
        checked(url, allowed)
    except NotAllowed as error:
        raise CannotAdd(str(error)) from None
    _locked(user)
    theirs = list(Webhook.objects.of(user))
    if len(theirs) >= MOST:
        raise CannotAdd(f"You have {MOST} webhooks, which is the most. Remove one first.")
    if any(one.url == url for one in theirs):
        raise CannotAdd("You have a webhook at this address already.")
    webhook = Webhook.objects.create(user=user, url=url, kinds=_kinds(kinds), created_at=now)
    data = {"host": webhook.host, "kinds": webhook.kinds}
    record(action=Action.WEBHOOK_ADDED, actor=user, target=webhook, now=now, data=data)
    return webhook


def _locked(user: User) -> None:
    """Let an account add one webhook at a time."""
    User.objects.select_for_update().get(pk=user.pk)


def _kinds(kinds: Collection[str]) -> list[str]:
    """Return the kinds in the order that pages have. Raises CannotAdd for none, or unknown ones."""
    found = [kind.value for kind in Kind if kind in kinds]
    if not found or len(found) != len(set(kinds)):
        raise CannotAdd("Choose at least one kind of notice.")
    return found


@transaction.atomic
def change_kinds(
    *, webhook: Webhook, kinds: Collection[str], actor: User, now: datetime
) -> Webhook:
    """Have other kinds of notices posted from now on. Raises CannotAdd for none."""
    before = list(webhook.kinds)
    _change(webhook, actor, kinds=_kinds(kinds))
    if webhook.kinds != before:
        data = {"host": webhook.host, "before": before, "after": webhook.kinds}
        record(action=Action.WEBHOOK_CHANGED, actor=actor, target=webhook, now=now, data=data)
    return webhook


@transaction.atomic
def renew_secret(*, webhook: Webhook, actor: User, now: datetime) -> Webhook:
    """Give it a new secret. The one before it still signs beside it for a day."""
    _change(webhook, actor, secret_number=F("secret_number") + 1, secret_changed_at=now)
    data = {"host": webhook.host, "number": webhook.secret_number}
    record(action=Action.WEBHOOK_RENEWED, actor=actor, target=webhook, now=now, data=data)
    return webhook


@transaction.atomic
def start_again(*, webhook: Webhook, actor: User, now: datetime) -> Webhook:
    """Post to it again from now on. Raises WrongState unless it was stopped."""
    if webhook.stopped_at is None:
        raise WrongState("The webhook was not stopped.")
    _change(webhook, actor, stopped_at=None, failures=0)
    data = {"host": webhook.host}
    record(action=Action.WEBHOOK_STARTED, actor=actor, target=webhook, now=now, data=data)
    return webhook


@transaction.atomic
def remove_webhook(*, webhook: Webhook, actor: User, now: datetime) -> Webhook:
    """Post nothing to it any more, for good."""
    _change(webhook, actor, removed_at=now)
    data = {"host": webhook.host}
    record(action=Action.WEBHOOK_REMOVED, actor=actor, target=webhook, now=now, data=data)
    return webhook


@transaction.atomic
def try_out(*, webhook: Webhook, actor: User, now: datetime) -> None:
    """Tell its owner that it was tried, and post that to it, whatever its kinds are. Raises
    WrongState where it is stopped.
    """
    _own(webhook, actor)
    if webhook.stopped_at or webhook.removed_at:
        raise WrongState("The webhook is stopped. Start it again first.")
    told = tell(
        [actor],
        kind=Kind.DELIVERY,
        title=f"You tried your webhook at {webhook.host}",
        path=webhook.get_absolute_url(),
        key=f"webhook:{webhook.pk}:tried:{now.isoformat()}",
        now=now,
    )
    for notice in told:
        due = {"created_at": now, "next_check_at": now}
        call, is_new = Call.objects.get_or_create(webhook=webhook, notice=notice, defaults=due)
        if is_new:
            enqueue_on_commit("notices.send_call", call_id=str(call.pk))


@transaction.atomic
def send_again(*, call: Call, actor: User, now: datetime) -> None:
    """Post a notice that failed once more, with all its tries. Raises WrongState unless it failed
    and its webhook works.
    """
    _own(call.webhook, actor)
    if call.webhook.stopped_at:
        raise WrongState("The webhook is stopped. Start it again first.")
    rows = Call.objects.filter(pk=call.pk, status=Call.Status.FAILED)
    again = {"attempts": 0, "next_check_at": now, "reason": "", "message": ""}
    if not rows.update(status=Call.Status.WAITING, **again):
        raise WrongState("Only a notice that failed is sent again.")
    data = {"host": call.webhook.host, "call": str(call.pk)}
    record(action=Action.WEBHOOK_CALL_RETRIED, actor=actor, target=call.webhook, now=now, data=data)
    enqueue_on_commit("notices.send_call", call_id=str(call.pk))


def _change(webhook: Webhook, actor: User, **values: object) -> None:
    """Change a webhook of the actor's, and read it again. Raises WrongState where it is gone."""
    _own(webhook, actor)
    if not Webhook.objects.kept().filter(pk=webhook.pk).update(**values):
        raise WrongState("The webhook was removed.")
    webhook.refresh_from_db()


def _own(webhook: Webhook, actor: User) -> None:
    require(webhook.user_id == actor.pk, "Only its owner changes a webhook, and sends to it.")
