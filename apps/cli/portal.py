"""Speaks to the portal's API: one method per way of asking. What the portal refuses becomes one of
the errors of exits.py, in the portal's own words.

Reading, and writing that comes to the same when it is done twice, is tried again while the portal
is away; a token that was refused is renewed once.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from apps.cli import exits, waits

API = "/api/v1/"
ATTEMPTS = 6  # about 15 seconds
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
BUSY = frozenset({429, 502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PROBLEM = "application/problem+json"
BY_STATUS: dict[int, type[exits.Stop]] = {
    400: exits.Refused,
    401: exits.NotSignedIn,
    403: exits.NotPermitted,
    404: exits.NotFound,
    409: exits.Refused,
    413: exits.Refused,
}


class Tokens(Protocol):
    """Where a token for the API comes from."""

    def current(self) -> str:
        """Return a token that is good now, as far as that can be told from here."""

    def renew(self) -> bool:
        """Get another token after the portal refused this one. False where there is no way."""


def address(text: str) -> str:
    """Return a portal's address as it is kept. Raises BadUse unless it is one that a token may be
    sent to: https, or this machine.
    """
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        is_address = parts.scheme in ("http", "https") and bool(httpx.URL(parts.geturl()).host)
    except (ValueError, httpx.InvalidURL):  # of a port that is none, of brackets
        is_address = False
    if not is_address:
        raise exits.BadUse(f"{text!r} is not an address such as https://portal.example.com.")
    if "@" in parts.netloc:
        raise exits.BadUse("Leave the name and the password out of the address.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise exits.BadUse(f"{text} is not encrypted: a token would be sent for all to read.")
    return f"{parts.scheme}://{parts.netloc}"


class Portal:
    """One portal's API, as one caller."""

    def __init__(
        self,
        url: str,
        tokens: Tokens,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: waits.Sleep = time.sleep,
    ) -> None:
        self.url, self._tokens, self._sleep = url, tokens, sleep
        agent = {"User-Agent": "quartermaster-cli"}
        self._http = httpx.Client(timeout=TIMEOUT, transport=transport, headers=agent)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def read(self, path: str, **query: Any) -> Any:
        """Return what an address of the API answers."""
        return self._ask("GET", self.url + API + path, params=query)

    def listed(self, path: str, **query: Any) -> Iterator[Any]:
        """Yield the rows of a list, page by page."""
        page = self.read(path, **query)
        while True:
            yield from page["results"]
            if not page["next"]:
                return
            # the host that the portal thinks it has is not for us to call
            following = urlsplit(page["next"])
            page = self._ask("GET", f"{self.url}{following.path}?{following.query}")

    def send(self, path: str, body: Any = None, *, repeatable: bool) -> Any:
        """Post a body and return the answer. repeatable: whether doing it twice is doing it once,
        so that it may be tried again where no answer came.
        """
        return self._ask("POST", self.url + API + path, json=body, repeatable=repeatable)

    def _ask(self, method: str, url: str, *, repeatable: bool = True, **more: Any) -> Any:
        attempts = ATTEMPTS if repeatable else 1
        renewed = False
        for attempt in range(attempts):
            is_last = attempt == attempts - 1
            try:
                answer = self._once(method, url, more)
                if answer.status_code == 401 and not renewed and self._tokens.renew():
                    renewed = True
                    answer = self._once(method, url, more)
            except httpx.RequestError as error:
                if is_last:
                    raise exits.Away(self._no_answer(error, repeatable)) from error
                waits.pause(attempt, None, sleep=self._sleep)
                continue
            if answer.status_code not in BUSY or is_last:
                return _content(answer)
            waits.pause(attempt, answer.headers.get("Retry-After"), sleep=self._sleep)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, url: str, more: dict[str, Any]) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self._tokens.current()}"}
        return self._http.request(method, url, headers=bearer, **more)

    def _no_answer(self, error: httpx.RequestError, repeatable: bool) -> str:
        words = f"{self.url} does not answer ({type(error).__name__})."
        if repeatable or isinstance(error, httpx.ConnectError):
            return words
        return f"{words} It may have taken what was sent: look before you send it again."


def _content(answer: httpx.Response) -> Any:
    """Return a good answer's document. Raises what a bad one means."""
    try:
        body = answer.json() if answer.content else None
    except ValueError as error:
        raise exits.Away(_strange(answer)) from error
    if answer.is_success:
        return body
    if not isinstance(body, dict) or not answer.headers.get("Content-Type", "").startswith(PROBLEM):
        raise exits.Away(_strange(answer))
    kind = BY_STATUS.get(answer.status_code, exits.Away)
    raise kind(_words(body), code=str(body.get("code", "")))


def _words(problem: dict[str, Any]) -> str:
    """Return a problem in words, with each field's errors and the id to quote."""
    words = [str(problem.get("detail", "The portal refused this."))]
    if errors := problem.get("errors"):
        words += [*_leaves(errors)]
    if int(problem.get("status", 0)) >= 500:
        words.append(f"(request {problem.get('request_id', 'unknown')})")
    return " ".join(words)


def _leaves(errors: Any, name: str = "") -> Iterator[str]:
    """Yield each message of a tree of errors, with the field that it is about."""
    if isinstance(errors, dict):
        for field, below in errors.items():
            yield from _leaves(below, str(field))
    elif isinstance(errors, list):
        for below in errors:
            yield from _leaves(below, name)
    else:
        yield f"{name}: {errors}" if name and name != "non_field_errors" else str(errors)


def _strange(answer: httpx.Response) -> str:
    return (
        f"{answer.url.host} answered {answer.status_code} with something that is no answer of the "
        f"portal's API: {json.dumps(answer.text[:120])}"
    )
