"""Sends letters and posts to webhooks. Each may be tried again; a letter that goes out twice has
the same message id, and so has a call.

No transaction is open while something is sent.
"""

from datetime import datetime, timedelta

from apps.common.leases import retry_at, take_lease
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.mail.client import MailClient
from apps.integrations.webhooks.client import Gone, WebhookClient
from apps.notices import records
from apps.notices.letters import Portal, written
from apps.notices.messages import body_of
from apps.notices.models import Call, Letter
from apps.notices.signing import headers_of, secrets_of

# Between the tries of one call: some seconds, for a receiver that starts again, up to hours, for
# one that somebody has to mend. After the last it failed, and its owner may send it again.
GAPS = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600))
LETTER_PATIENCE = timedelta(hours=24)  # for a mail server that is away


def send_letter(*, letter: Letter, mail: MailClient, portal: Portal, now: datetime) -> bool:
    """Send one letter; False when it is not due. What was read meanwhile is not sent, and a letter
    that is left with nothing is dropped.
    """
    if not take_lease(letter, now=now):
        return False
    notices = list(letter.notices.unread().order_by("told_at", "pk"))
    if not notices:
        records.drop_letter(letter=letter, now=now)
        return True
    to, made = letter.user.email, written(letter, notices, portal)
    try:
        if not to:
            raise PermanentError("The sign-in tells no e-mail address any more.")
        mail.send(to=to, subject=made.subject, text=made.text, headers=made.headers)
    except TemporaryError as error:
        if now - letter.created_at > LETTER_PATIENCE:
            said = f"{error} It was tried for a day."
            records.fail_letter(letter=letter, reason="AWAY", message=said, now=now)
            return True
        at = retry_at(letter, now=now, retry_after=error.retry_after)
        records.hold_letter(
            letter=letter, message=f"{error} Trying again by itself.", at=at, now=now
        )
    except PermanentError as error:
        records.fail_letter(letter=letter, reason="REFUSED", message=str(error), now=now)
    else:
        records.note_letter_sent(letter=letter, to=to, now=now)
    return True


def send_call(
    *, call: Call, client: WebhookClient, portal: Portal, key: str, now: datetime
) -> bool:
    """Post one notice to one webhook; False when it is not due. key: of webhooks' secrets."""
    if not take_lease(call, now=now):
        return False
    webhook = call.webhook
    if webhook.removed_at or webhook.stopped_at:
        said = f"The webhook was {'removed' if webhook.removed_at else 'stopped'} meanwhile."
        records.fail_call(call=call, reason="STOPPED", message=said, now=now)
        return True
    body = body_of(call.notice, portal)
    signed = headers_of(
        message_id=str(call.pk),
        sent_at=now,
        body=body,
        secrets=secrets_of(webhook, key, now),
    )
    try:
        status = client.post(webhook.url, body=body, headers=signed)
    except TemporaryError as error:
        _again_later(call, error, now)
    except PermanentError as error:
        gone = isinstance(error, Gone)
        said = str(error)
        records.fail_call(call=call, reason="REFUSED", message=said, now=now, is_gone=gone)
    else:
        records.note_call_sent(call=call, status_code=status, now=now)
    return True


def _again_later(call: Call, error: TemporaryError, now: datetime) -> None:
    """Try again after this attempt's gap; after the last one the call failed."""
    if call.attempts > len(GAPS):
        said = f"{error} It was tried {call.attempts} times."
        records.fail_call(call=call, reason="AWAY", message=said, now=now)
        return
    said = f"{error} Trying again by itself."
    records.hold_call(call=call, message=said, at=now + GAPS[call.attempts - 1], now=now)
