"""What was posted to webhooks here, and whether its signature holds: a receiver as Standard
Webhooks describes one, written without the portal's own code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT = 200
TOLERANCE = 300.0  # seconds that sender's and receiver's clocks may be apart


@dataclass(frozen=True)
class Post:
    """One message. verdict: whether it is genuine, in words; "" where no secret is known."""

    name: str
    at: float
    message_id: str
    body: str
    verdict: str
    is_genuine: bool | None


class Hooks:
    """Receivers by name, each with the secret that a person entered. status: what they answer."""

    def __init__(self) -> None:
        self._posts: deque[Post] = deque(maxlen=KEPT)
        self._secrets: dict[str, str] = {}
        self._lock = threading.Lock()
        self.status = 204

    def know(self, name: str, secret: str) -> None:
        """Take a receiver's secret."""
        with self._lock:
            self._secrets[name] = secret.strip()

    def take(self, name: str, headers: Mapping[str, str], body: bytes) -> int:
        """Keep a post, and return the status to answer with: 401 where its signature does not
        hold.
        """
        headers = {key.lower(): value for key, value in headers.items()}
        with self._lock:
            secret = self._secrets.get(name, "")
            problem = problem_of(headers, body, secret, time.time()) if secret else None
            said = "" if problem is None else problem or "The signature holds."
            genuine = None if problem is None else not problem
            message_id = headers.get("webhook-id", "")
            text = body.decode("utf-8", "replace")
            self._posts.appendleft(Post(name, time.time(), message_id, text, said, genuine))
        return 401 if problem else self.status

    def all(self) -> list[Post]:
        """Return the posts, newest first."""
        with self._lock:
            return list(self._posts)

    def names(self) -> list[str]:
        """Return the receivers that have a secret."""
        with self._lock:
            return sorted(self._secrets)


def problem_of(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """Return why a message is not genuine, or too old; "" where it is."""
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not sent.isdecimal():
        return "It has no id, or no time."
    if abs(now - int(sent)) > TOLERANCE:
        return "Its time is more than five minutes away."
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return "The secret that was entered is none."
    text = f"{message_id}.{sent}.".encode() + body
    meant = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
    for one in headers.get("webhook-signature", "").split():
        version, _, signature = one.partition(",")
        if version == "v1" and hmac.compare_digest(signature, meant):
            return ""
    return "No signature holds."
