"""What a browser's session keeps: when it began, its team, and the provider's tokens, encrypted.

The tokens never leave the server but for one use: `gateway_token` is sent to the gateway, as the
person.
"""

import base64
import hashlib
import json
import time
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.http import HttpRequest

from apps.accounts.claims import Identity
from apps.accounts.models import User
from apps.accounts.provider import request_tokens
from apps.common.clocks import CLOCKS_APART
from apps.integrations.oidc.client import GrantRefused
from apps.integrations.postgres.direct import held_alone

TOKENS, STARTED_AT, SEEN_AT, AUTH_TIME, ACR, TEAM, FACTS = (
    "tokens",
    "started_at",
    "seen_at",
    "auth_time",
    "acr",
    "team_id",
    "facts",
)
# another pod may have kept the token, by a clock that is behind
REFRESH_BEFORE_SECONDS = 60 + CLOCKS_APART.total_seconds()
NOTE_EVERY_SECONDS = 60
LOCKED_SECONDS = 10  # longer than the provider may take for one renewal


def begin(
    session: SessionBase,
    *,
    user: User,
    identity: Identity,
    auth_time: object,
    acr: object,
    now: float,
) -> None:
    """Start the clocks of a session that was just signed in.

    auth_time, acr: the claims, seconds since 1970 and a name. What the provider does not say stays
    unknown: that somebody comes from the provider now does not mean that it asked them now.
    """
    session[STARTED_AT] = session[SEEN_AT] = int(now)
    session[AUTH_TIME] = auth_time if isinstance(auth_time, int) else None
    session[ACR] = acr if isinstance(acr, str) else ""
    session[TEAM] = user.team_id
    session[FACTS] = {
        "groups": list(identity.groups)[:100],
        "problems": [{"code": p.code, "what": p.what, "todo": p.todo} for p in identity.problems],
    }


def clear_ended(*, now: datetime) -> int:
    """Remove the sessions that have ended, with the tokens in them. Returns how many."""
    return Session.objects.filter(expire_date__lte=now).delete()[0]


def expiry(session: SessionBase, user: User, *, now: float) -> str:
    """Return why the session must end: "too_long", "idle", "other_team", or nothing."""
    # made by something else than a sign-in: the session's own age holds
    if STARTED_AT not in session:
        return ""
    if now - session.get(STARTED_AT, 0) > settings.SESSION_COOKIE_AGE:
        return "too_long"
    if now - session.get(SEEN_AT, 0) > settings.SESSION_IDLE_SECONDS:
        return "idle"
    return "other_team" if session.get(TEAM) != user.team_id else ""


def note_activity(session: SessionBase, *, now: float) -> None:
    """Remember that the person is there; written once a minute at most."""
    if STARTED_AT in session and now - session.get(SEEN_AT, 0) >= min(
        NOTE_EVERY_SECONDS, settings.SESSION_IDLE_SECONDS / 4
    ):
        session[SEEN_AT] = int(now)


def keep_tokens(session: SessionBase, answer: dict[str, Any], *, now: float) -> None:
    """Keep the token endpoint's answer, encrypted; a refresh without a new id_token keeps the old
    one.
    """
    before = stored_tokens(session)
    tokens = {
        name: answer.get(name) or before.get(name, "")
        for name in ("access_token", "refresh_token", "id_token")
    }
    tokens["expires_at"] = now + float(answer.get("expires_in") or 300)
    session[TOKENS] = _cipher().encrypt(json.dumps(tokens).encode()).decode()


def stored_tokens(session: SessionBase) -> dict[str, Any]:
    """Return the kept tokens; empty where there are none or the SECRET_KEY was changed."""
    try:
        tokens: dict[str, Any] = json.loads(_cipher().decrypt(session.get(TOKENS, "")))
    except (InvalidToken, ValueError):
        return {}
    return tokens


def gateway_token(request: HttpRequest) -> str | None:
    """Return the person's own access token for the gateway, renewed where it is about to end.

    None: they must sign in again. Raises ProviderUnavailable where a renewal finds no provider.
    """
    tokens = stored_tokens(request.session)
    if not tokens.get("access_token") or _is_fresh(tokens):
        return tokens.get("access_token")
    if not tokens.get("refresh_token"):
        return None
    with _one_at_a_time(request.session.session_key or ""):
        return _renew(request.session)


def _renew(session: SessionBase) -> str | None:
    """Use the refresh token once: whoever held the lock before may have done it."""
    latest = type(session)(session.session_key)
    tokens = stored_tokens(latest)
    if tokens and not _is_fresh(tokens):
        try:
            answer = request_tokens(
                grant_type="refresh_token",
                refresh_token=tokens["refresh_token"],
                **settings.OIDC_GATEWAY_ASKED,
            )
        except GrantRefused:
            return None
        keep_tokens(latest, answer, now=time.time())
        latest.save()
        tokens = stored_tokens(latest)
    session[TOKENS] = latest.get(TOKENS, "")
    return tokens.get("access_token")


def _is_fresh(tokens: dict[str, Any]) -> bool:
    return bool(tokens["expires_at"] - time.time() > REFRESH_BEFORE_SECONDS)


def _one_at_a_time(name: str) -> AbstractContextManager[None]:
    """Hold a lock of the session for as long as the provider takes: a refresh token that is used
    twice ends the person's sign-in.
    """
    digest = hashlib.sha256(f"session {name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    return held_alone(key, seconds=LOCKED_SECONDS)


def _cipher() -> Fernet:
    digest = hashlib.sha256(f"session tokens {settings.SECRET_KEY}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
