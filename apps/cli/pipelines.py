"""Signing in as a pipeline: GitHub Actions' own OIDC token, exchanged once for one of the portal.

Nothing is stored. A job that may write id-tokens can ask GitHub for a new token whenever it needs
one, so a long publication goes on after the portal's token has ended.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from apps.cli import exits, waits

URL, TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - names
EXCHANGE = "/api/v1/pipelines/token"
EARLY_SECONDS = 60
ATTEMPTS = 4  # to sign in, while the portal or the keys of GitHub are away
BUSY = frozenset({429, 502, 503, 504})


def is_pipeline(env: Mapping[str, str]) -> bool:
    """Tell whether this is a job of GitHub Actions that may ask for an OIDC token."""
    return bool(env.get(URL) and env.get(TOKEN))


class PipelineTokens:
    """The portal's tokens for the run of a workflow."""

    def __init__(
        self,
        env: Mapping[str, str],
        portal: str,
        audience: str,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        sleep: waits.Sleep = time.sleep,
    ) -> None:
        self._env, self._portal, self._audience, self._clock = env, portal, audience, clock
        self._sleep = sleep
        self._http = httpx.Client(timeout=httpx.Timeout(20.0, connect=10.0), transport=transport)
        self._token, self._expires_at = "", 0.0

    def current(self) -> str:
        """Return a token of the portal, a new one where the last is about to end."""
        if self._clock() > self._expires_at - EARLY_SECONDS:
            self.renew()
        return self._token

    def renew(self) -> bool:
        """Ask GitHub for a token of this run and exchange it. Raises NotSignedIn with the portal's
        reason, Away.
        """
        answer = self._exchanged()
        found = _document(answer)
        if answer.status_code in (401, 403):
            why = str(found.get("detail", "The portal refused the token of this run."))
            raise exits.NotSignedIn(why, code=str(found.get("code", "")))
        if not answer.is_success or "access_token" not in found:
            raise exits.Away(f"{self._portal} answered {answer.status_code} to the run's token.")
        self._token = str(found["access_token"])
        self._expires_at = self._clock() + float(found["expires_in"])
        return True

    def _exchanged(self) -> httpx.Response:
        """Return the portal's answer to a token of this run; to another each time, since one is
        taken once and its answer may be lost.
        """
        for attempt in range(ATTEMPTS):
            answer = self._ask("POST", self._portal + EXCHANGE, json={"token": self._id_token()})
            if answer.status_code not in BUSY or attempt == ATTEMPTS - 1:
                return answer
            waits.pause(attempt, answer.headers.get("Retry-After"), sleep=self._sleep)
        raise AssertionError("the last attempt returns")

    def _id_token(self) -> str:
        """Return GitHub's token of this run for the portal's audience."""
        bearer = {"Authorization": f"Bearer {self._env[TOKEN]}"}
        url = httpx.URL(self._env[URL]).copy_merge_params({"audience": self._audience})
        answer = self._ask("GET", str(url), headers=bearer)
        found = _document(answer)
        if not answer.is_success or "value" not in found:
            raise exits.Away(f"GitHub Actions gave no token for this run ({answer.status_code}).")
        return str(found["value"])

    def _ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **more)
        except httpx.RequestError as error:
            host = httpx.URL(url).host
            raise exits.Away(f"{host} does not answer ({type(error).__name__}).") from error


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
