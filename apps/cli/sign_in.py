"""Signing in from a terminal: the device grant of the portal's identity provider (RFC 8628).

The portal says which provider that is (RFC 9728), and the provider where its endpoints are. The
person signs in at a browser, with whatever the company asks for there; here only tokens arrive.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from apps.cli import exits
from apps.cli.portal import address
from apps.cli.store import SignedIn, Store

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPE = "openid profile email groups offline_access"
EARLY_SECONDS = 60  # before its end a token is renewed
METADATA = "/.well-known/oauth-protected-resource/api/v1"


@dataclass(frozen=True)
class Facts:
    """What a portal says of itself. issuer: its identity provider; pipeline_audience: what a
    pipeline's own token must be meant for.
    """

    issuer: str
    client_id: str
    audience: str
    pipeline_audience: str
    scope: str = SCOPE
    # whether the provider is told by RFC 8707's parameter whom the token is for; else by the scope
    takes_resource: bool = True


@dataclass(frozen=True)
class Question:
    """What the person has to do: open an address and enter a code."""

    url: str
    code: str


class Provider:
    """The identity provider of a portal, as the command line's own client."""

    def __init__(
        self,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = httpx.Client(timeout=httpx.Timeout(20.0, connect=10.0), transport=transport)
        self._sleep, self._clock = sleep, clock

    def facts(self, portal: str) -> Facts:
        """Return what a portal says of itself. Raises Away."""
        found = self._document("GET", portal + METADATA)
        try:
            return Facts(
                issuer=str(found["authorization_servers"][0]).rstrip("/"),
                client_id=str(found["client_id"]),
                audience=str(found["audience"]),
                pipeline_audience=str(found.get("pipeline_audience", "")),
                scope=" ".join(map(str, found.get("scopes_supported") or [SCOPE])),
                takes_resource=found.get("resource_indicators") is not False,
            )
        except (KeyError, IndexError, TypeError) as error:
            raise exits.Away(f"{portal} does not say how to sign in: is it a portal?") from error

    def sign_in(self, portal: str, ask: Callable[[Question], None]) -> SignedIn:
        """Ask the person to sign in, and wait until they did. ask: shows them the question.

        Raises NotSignedIn where they say no or take too long, Away.
        """
        facts = self.facts(portal)
        address(facts.issuer)
        known = self._document("GET", f"{facts.issuer}/.well-known/openid-configuration")
        if not known.get("device_authorization_endpoint"):
            raise exits.NotSignedIn(
                f"{facts.issuer} has no sign-in for programs (device grant). "
                "Put a token into QUARTERMASTER_TOKEN."
            )
        form = {"client_id": facts.client_id, "scope": facts.scope}
        if facts.takes_resource:
            form["resource"] = facts.audience
        endpoint = _endpoint(known, "token_endpoint")
        device = self._document("POST", _endpoint(known, "device_authorization_endpoint"), form)
        ask(_question(device))
        return self._signed_in(self._wait(endpoint, device, facts), endpoint, facts.client_id)

    def renewed(self, signed_in: SignedIn) -> SignedIn:
        """Return the sign-in with a new token. Raises NotSignedIn where it is over, Away."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": signed_in.refresh_token,
            "client_id": signed_in.client_id,
        }
        answer = self._post(signed_in.token_endpoint, form)
        if answer.status_code == 429 or answer.status_code >= 500:
            raise exits.Away(f"{answer.url.host} answered {answer.status_code}.")
        if not answer.is_success:
            raise exits.NotSignedIn("Your sign-in is over. Run: quartermaster login")
        kept = {"refresh_token": signed_in.refresh_token} | _object(answer)
        return self._signed_in(kept, signed_in.token_endpoint, signed_in.client_id)

    def _wait(self, endpoint: str, device: dict[str, Any], facts: Facts) -> dict[str, Any]:
        """Ask the token endpoint until the person has answered."""
        every = float(device.get("interval", 5))
        end = self._clock() + float(device.get("expires_in", 600))
        form = {
            "grant_type": GRANT,
            "device_code": device["device_code"],
            "client_id": facts.client_id,
        }
        while self._clock() < end:
            answer = self._post(endpoint, form)
            found = _object(answer)
            if answer.is_success:
                return found
            why = found.get("error")
            if why == "access_denied":
                raise exits.NotSignedIn("The sign-in was refused at the browser.")
            if why not in ("authorization_pending", "slow_down"):
                break
            every += 5 if why == "slow_down" else 0
            self._sleep(every)
        raise exits.NotSignedIn("Nobody signed in with that code in time. Run it again.")

    def _signed_in(self, answer: dict[str, Any], endpoint: str, client_id: str) -> SignedIn:
        try:
            return SignedIn(
                token_endpoint=endpoint,
                client_id=client_id,
                access_token=str(answer["access_token"]),
                expires_at=self._clock() + float(answer.get("expires_in", 300)),
                refresh_token=str(answer.get("refresh_token", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise exits.Away("The identity provider answered without a token.") from error

    def _document(
        self, method: str, url: str, form: dict[str, str] | None = None
    ) -> dict[str, Any]:
        answer = self._post(url, form) if method == "POST" else self._request("GET", url)
        if not answer.is_success:
            raise exits.Away(f"{url} answered {answer.status_code}.")
        return _object(answer)

    def _post(self, url: str, form: dict[str, str] | None) -> httpx.Response:
        return self._request("POST", url, data=form)

    def _request(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **more)
        except httpx.RequestError as error:
            raise exits.Away(f"{url} does not answer ({type(error).__name__}).") from error


class StoredTokens:
    """The tokens of a sign-in that is kept on this machine; renewed by one command at a time."""

    def __init__(
        self, store: Store, portal: str, provider: Provider, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._portal, self._provider, self._clock = store, portal, provider, clock
        found = store.signed_in(portal)
        if found is None:
            raise exits.NotSignedIn(
                f"You are not signed in to {portal}. Run: quartermaster login --portal {portal}"
            )
        self._now = found

    def current(self) -> str:
        """Return the token, a new one where it is about to end."""
        if self._clock() > self._now.expires_at - EARLY_SECONDS:
            self.renew()
        return self._now.access_token

    def renew(self) -> bool:
        """Get another token, unless another command just did. False where the sign-in gave nothing
        to renew it with.
        """
        with self._store.locked():
            kept = self._store.signed_in(self._portal)
            if kept and kept.access_token != self._now.access_token:
                self._now = kept
                return True
            if not self._now.refresh_token:
                return False
            self._now = self._provider.renewed(self._now)
            self._store.keep(self._portal, self._now)
        return True


class GivenToken:
    """A token of the environment: used as it is, kept nowhere."""

    def __init__(self, token: str) -> None:
        self._token = token

    def current(self) -> str:
        """Return it."""
        return self._token

    def renew(self) -> bool:
        """Say that there is no other."""
        return False


def _endpoint(known: dict[str, Any], name: str) -> str:
    """Return one of the provider's endpoints: codes and tokens are sent to it. Raises Away where it
    names none, BadUse where it is not encrypted.
    """
    url = str(known.get(name) or "")
    if not url:
        raise exits.Away(f"The identity provider names no {name}.")
    address(url)
    return url


def _question(device: dict[str, Any]) -> Question:
    """Return what the person has to do. Raises Away where the provider gave no code."""
    url = device.get("verification_uri_complete") or device.get("verification_uri")
    if not (url and device.get("user_code") and device.get("device_code")):
        raise exits.Away("The identity provider answered without a code.")
    return Question(str(url), str(device["user_code"]))


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise exits.Away(f"{answer.url.host} answered with something that is no JSON.") from error
    if not isinstance(found, dict):
        raise exits.Away(f"{answer.url.host} answered with something that is no JSON object.")
    return found
