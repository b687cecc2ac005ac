"""Signs what is posted to webhooks, as Standard Webhooks has it (standardwebhooks.com, version 1).

The signed text is the id, the time and the body with dots between; the key is the secret's bytes.
Receivers find any library's verifier to agree.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings

from apps.notices.models import Webhook

PREFIX = "whsec_"
BOTH_FOR = timedelta(hours=24)  # after a new secret, for whoever has not taken it over yet


def key_from_settings() -> str:
    """Return the portal's own key of webhooks' secrets."""
    return settings.WEBHOOK_KEY or f"webhooks {settings.SECRET_KEY}"


def secret_of(webhook: Webhook, number: int, key: str) -> str:
    """Return a webhook's secret of that number: 32 bytes in base64 after "whsec_".

    key: the portal's own (WEBHOOK_KEY). Nothing keeps a secret: it follows from the key.
    """
    text = f"webhook {webhook.pk} {number}".encode()
    return PREFIX + b64encode(hmac.digest(key.encode(), text, sha256)).decode()


def secrets_of(webhook: Webhook, key: str, now: datetime) -> list[str]:
    """Return the secrets that sign now: the present one, and for a day the one before it."""
    secrets = [secret_of(webhook, webhook.secret_number, key)]
    changed = webhook.secret_changed_at
    if changed and now - changed < BOTH_FOR:
        secrets.append(secret_of(webhook, webhook.secret_number - 1, key))
    return secrets


def headers_of(
    *, message_id: str, sent_at: datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """Return the headers that let a receiver tell who sent a body, and when."""
    seconds = str(int(sent_at.timestamp()))
    text = b".".join((message_id.encode(), seconds.encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{_signature(secret, text)}" for secret in secrets),
    }


def _signature(secret: str, text: bytes) -> str:
    key = b64decode(secret.removeprefix(PREFIX))
    return b64encode(hmac.digest(key, text, sha256)).decode()
