"""What became of letters and calls: the worker's changes; actions.py and webhooks.py have people's.

Of these only a webhook that stops is an event of the record: the rest is how often a server was
asked.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.common.leases import change_from
from apps.notices.actions import tell
from apps.notices.models import Call, Kind, Letter, Webhook

WAITING, SENT, FAILED, DROPPED = (
    Letter.Status.WAITING,
    Letter.Status.SENT,
    Letter.Status.FAILED,
    Letter.Status.DROPPED,
)
FAILURES = 5  # calls in a row that failed for good, after which a webhook is stopped
ACTOR = System("notices.send_call")
SETTLED = {"next_check_at": None, "reason": "", "message": ""}


def note_letter_sent(*, letter: Letter, to: str, now: datetime) -> bool:
    """Say where and when a letter went. False where it waits no longer."""
    return change_from(letter, [WAITING], now=now, status=SENT, sent_at=now, sent_to=to, **SETTLED)


def drop_letter(*, letter: Letter, now: datetime) -> bool:
    """Say that a letter is not needed: all of it was read before it went out."""
    return change_from(letter, [WAITING], now=now, status=DROPPED, **SETTLED)


def fail_letter(*, letter: Letter, reason: str, message: str, now: datetime) -> bool:
    """Say why a letter is not sent any more."""
    why = {"next_check_at": None, "reason": reason, "message": message}
    return change_from(letter, [WAITING], now=now, status=FAILED, **why)


def hold_letter(*, letter: Letter, message: str, at: datetime, now: datetime) -> bool:
    """Say what stands in the way, and try again at `at`."""
    why = {"next_check_at": at, "reason": "WAITING", "message": message}
    return change_from(letter, [WAITING], now=now, **why)


def note_call_sent(*, call: Call, status_code: int, now: datetime) -> bool:
    """Say that a receiver took a notice: its webhook works. False where it waits no longer."""
    sent = {"sent_at": now, "status_code": status_code, **SETTLED}
    done = change_from(call, [Call.Status.WAITING], now=now, status=Call.Status.SENT, **sent)
    if done:
        Webhook.objects.filter(pk=call.webhook_id, failures__gt=0).update(failures=0)
    return done


def hold_call(*, call: Call, message: str, at: datetime, now: datetime) -> bool:
    """Say what stands in the way, and try again at `at`."""
    why = {"next_check_at": at, "reason": "WAITING", "message": message}
    return change_from(call, [Call.Status.WAITING], now=now, **why)


@transaction.atomic
def fail_call(
    *, call: Call, reason: str, message: str, now: datetime, is_gone: bool = False
) -> bool:
    """Say why a notice is not posted any more. The webhook stops after several in a row, or at once
    where the receiver wants no more; its owner is told.
    """
    why = {"next_check_at": None, "reason": reason, "message": message}
    if not change_from(call, [Call.Status.WAITING], now=now, status=Call.Status.FAILED, **why):
        return False
    hooks = Webhook.objects.kept().filter(pk=call.webhook_id)
    hooks.update(failures=F("failures") + 1)
    hooks = hooks.filter(stopped_at=None)
    if (hooks if is_gone else hooks.filter(failures__gte=FAILURES)).update(stopped_at=now):
        _tell_stopped(call, message, now)
    return True


def _tell_stopped(call: Call, message: str, now: datetime) -> None:
    webhook = call.webhook
    webhook.refresh_from_db()
    data = {"host": webhook.host, "failures": webhook.failures, "message": message}
    record(action=Action.WEBHOOK_STOPPED, actor=ACTOR, target=webhook, now=now, data=data)
    tell(
        [webhook.user],
        kind=Kind.DELIVERY,
        title=f"Your webhook at {webhook.host} was stopped: it does not take what is sent",
        path=webhook.get_absolute_url(),
        key=f"webhook:{webhook.pk}:stopped:{now.isoformat()}",
        urgent=True,
        now=now,
    )
