"""An OpenID Connect provider over HTTP: its discovery document, its keys, its token endpoint.

Each call is tried once, with short limits: whoever asks decides when to ask again. Where the
provider is on the far side of a company's proxy, the usual variables name it.
"""

import json
from typing import Any

import httpx
from django.conf import settings
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, import_key

from apps.integrations.errors import PermanentError
from apps.integrations.http import HttpClient
from apps.integrations.oidc.types import Provider, Published

MOST_BYTES = 1024 * 1024  # of one document; a provider with many keys sends some 20 kB
NAME = "The identity provider"


class GrantRefused(PermanentError):
    """The token endpoint refused a code or a refresh token."""


class OidcClient:
    """Speaks to one provider, as one of its clients; without a client's id it is one that signs
    tokens and signs nobody in. timeout: seconds a document may take. name, variable: what people
    call it, and the setting that holds its issuer.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        timeout: float,
        name: str = NAME,
        variable: str = "OIDC_ISSUER",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._issuer, self._name, self._variable = issuer, name, variable
        self._client = {"client_id": client_id, "client_secret": client_secret}
        self._seconds = timeout
        self._http = HttpClient(
            name=name,
            base_url="",
            timeout=httpx.Timeout(timeout, connect=min(timeout, 2.0)),
            transport=transport,
            trust_env=True,
        )

    def published(self) -> Published:
        """Return what the provider says of itself and its keys. Raises TemporaryError where it
        does not answer; PermanentError where it answers what it must not.
        """
        provider = self._discover()
        return Published(provider, _key_set(self._document(provider.jwks_uri), self._name))

    def tokens(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        """Return the token endpoint's answer to a grant. Raises GrantRefused (4xx), TemporaryError,
        or PermanentError where the answer is not a JSON object.
        """
        try:
            answer = self._http.request("POST", endpoint, data=form | self._client)
        except PermanentError as error:
            raise GrantRefused(str(error)) from error
        return _object(answer.content, self._name)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _discover(self) -> Provider:
        document = self._document(f"{self._issuer}/.well-known/openid-configuration")
        needed = ("authorization_endpoint", "token_endpoint") if self._client["client_id"] else ()
        try:
            endpoints = {name: str(document[name]) for name in needed}
            found = Provider(
                issuer=str(document["issuer"]),
                authorization_endpoint=endpoints.get("authorization_endpoint", ""),
                token_endpoint=endpoints.get("token_endpoint", ""),
                jwks_uri=str(document["jwks_uri"]),
                end_session_endpoint=str(document.get("end_session_endpoint", "")),
            )
        except KeyError as error:
            raise PermanentError(f"{self._name}'s discovery document is incomplete.") from error
        if found.issuer.rstrip("/") != self._issuer:
            raise PermanentError(
                f"{self._name} calls itself by another name than {self._variable}."
            )
        return found

    def _document(self, url: str) -> dict[str, Any]:
        raw = self._http.read(url, seconds=self._seconds, most_bytes=MOST_BYTES)
        return _object(raw, self._name)


def _object(raw: bytes, name: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise PermanentError(f"{name} answered with something that is not JSON.") from error
    if not isinstance(body, dict):
        raise PermanentError(f"{name} answered with something that is not a JSON object.")
    return body


def _key_set(document: dict[str, Any], name: str) -> KeySet:
    """Return the keys that can be read; one of a kind nobody here knows does not spoil the rest
    (RFC 7517, 5).
    """
    listed = document.get("keys")
    found = [key for key in map(_key, listed if isinstance(listed, list) else ()) if key]
    if not found:
        raise PermanentError(f"{name}'s keys cannot be read.")
    return KeySet(found)


def _key(value: object) -> Key | None:
    try:
        return import_key(value) if isinstance(value, dict) else None
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def client_from_settings() -> OidcClient:
    """Return the client of the portal's own identity provider."""
    return OidcClient(
        issuer=settings.OIDC_ISSUER,
        client_id=settings.OIDC_RP_CLIENT_ID,
        client_secret=settings.OIDC_RP_CLIENT_SECRET,
        timeout=settings.OIDC_TIMEOUT,
    )


def pipelines_from_settings() -> OidcClient:
    """Return the client of whoever signs the tokens of pipelines."""
    return OidcClient(
        issuer=settings.PIPELINE_ISSUER,
        client_id="",
        client_secret="",  # noqa: S106 - it needs none
        timeout=settings.OIDC_TIMEOUT,
        name="The issuer of pipelines' tokens",
        variable="PIPELINE_ISSUER",
    )
