"""The identity provider: its endpoints from discovery, its keys, its token endpoint.

Everything is asked for when it is first needed, so the portal starts without the provider.
Discovery and keys are kept for an hour in this process. A key id that nobody knows makes the keys
be read again, at most every ten seconds.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from apps.integrations.errors import TemporaryError

KEEP_SECONDS = 3600
REFETCH_SECONDS = 10
ATTEMPTS = 3


class ProviderUnavailable(Exception):
    """The identity provider did not answer, or answered what it must not. The text says which."""


class GrantRefused(Exception):
    """The token endpoint refused a code or refresh token."""


@dataclass(frozen=True)
class Provider:
    """What the discovery document says."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str


@dataclass
class _Kept:
    """What this process remembers, and since when (monotonic seconds)."""

    provider: Provider | None = None
    provider_at: float = 0.0
    keys: KeySet | None = None
    keys_at: float = 0.0


_kept = _Kept()
_lock = threading.Lock()


def forget() -> None:
    """Drop what is kept; tests start clean with it."""
    global _kept
    _kept = _Kept()


def provider() -> Provider:
    """Return the provider's endpoints. Raises ProviderUnavailable where they were never read and
    cannot be now.
    """
    now = time.monotonic()
    if _kept.provider and now - _kept.provider_at < KEEP_SECONDS:
        return _kept.provider
    try:
        _kept.provider, _kept.provider_at = _discover(), now
    except ProviderUnavailable:
        if _kept.provider is None:
            raise
    return _kept.provider


def gateway_jwks_uri() -> str:
    """Return where the gateway finds the keys of callers' tokens. Raises TemporaryError while the
    provider is away.
    """
    try:
        return settings.GATEWAY_JWKS_URI or provider().jwks_uri
    except ProviderUnavailable as error:
        raise TemporaryError(
            f"{error} Without its key address no gateway policy can be compiled."
        ) from error


def signing_keys(key_id: str | None) -> KeySet:
    """Return the provider's keys, read again where `key_id` is not among them or they are old."""
    with _lock:
        age = time.monotonic() - _kept.keys_at
        known = _kept.keys is not None and any(key.kid == key_id for key in _kept.keys.keys)
        if _kept.keys is not None and (age < REFETCH_SECONDS or (known and age < KEEP_SECONDS)):
            return _kept.keys
        try:
            _kept.keys = KeySet.import_key_set(_get_json(provider().jwks_uri))  # type: ignore[arg-type]
            _kept.keys_at = time.monotonic()
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderUnavailable("The identity provider's keys cannot be read.") from error
        except ProviderUnavailable:
            if _kept.keys is None:
                raise
        return _kept.keys


def request_tokens(**form: str) -> dict[str, Any]:
    """Ask the token endpoint, as this client. Raises GrantRefused (4xx) or ProviderUnavailable."""
    client = {
        "client_id": settings.OIDC_RP_CLIENT_ID,
        "client_secret": settings.OIDC_RP_CLIENT_SECRET,
    }
    try:
        answer = httpx.post(
            provider().token_endpoint, data=form | client, timeout=settings.OIDC_TIMEOUT
        )
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderUnavailable(
            "The identity provider's token endpoint did not answer."
        ) from error
    if answer.status_code >= 500:
        raise ProviderUnavailable(
            f"The identity provider's token endpoint answered {answer.status_code}."
        )
    if answer.status_code != 200 or not isinstance(body, dict):
        raise GrantRefused(str(body.get("error", "")) if isinstance(body, dict) else "")
    return body


def _discover() -> Provider:
    document = _get_json(f"{settings.OIDC_ISSUER}/.well-known/openid-configuration")
    try:
        found = Provider(
            issuer=str(document["issuer"]),
            authorization_endpoint=str(document["authorization_endpoint"]),
            token_endpoint=str(document["token_endpoint"]),
            jwks_uri=str(document["jwks_uri"]),
            end_session_endpoint=str(document.get("end_session_endpoint", "")),
        )
    except (KeyError, TypeError) as error:
        raise ProviderUnavailable(
            "The identity provider's discovery document is incomplete."
        ) from error
    if found.issuer.rstrip("/") != settings.OIDC_ISSUER:
        raise ProviderUnavailable(
            "The identity provider calls itself by another name than OIDC_ISSUER."
        )
    return found


def _get_json(url: str) -> dict[str, Any]:
    for attempt in range(ATTEMPTS):
        try:
            answer = httpx.get(url, timeout=settings.OIDC_TIMEOUT)
            answer.raise_for_status()
            body = answer.json()
            if isinstance(body, dict):
                return body
            break
        except (httpx.HTTPError, ValueError):
            if attempt < ATTEMPTS - 1:
                time.sleep(0.2 * 2**attempt)
    raise ProviderUnavailable("The identity provider did not answer.")
