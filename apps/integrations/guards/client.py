"""Asks a guard that the platform or the customer serves: a classifier or a chat guard on vLLM, or
presidio's analyzer.

Texts go there and nowhere else: no log line and no error carries them, nor what the guard says,
since servers repeat in an error what they could not read. Every call has one time limit as a whole
and is made once; the caller decides what a failure means.
"""

from collections.abc import Callable, Sequence
from typing import Any

import httpx

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.guards.dialects import Dialect, request_of, verdict_of
from apps.integrations.guards.types import Entity, Label

CONNECT_SECONDS = 2.0
MOST_CONNECTIONS = 32


class GuardClient:
    """Speaks to one server. timeout: seconds of a call. token: shown with each call; key: the same,
    looked up at each, since a client lives as long as its process. Belongs to one event loop.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float,
        token: str | None = None,
        key: Callable[[], str] | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=_shown(key) if key else None,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=MOST_CONNECTIONS),
            proxy=(proxy or None) if transport is None else None,
            transport=transport,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def classify(self, *, model: str, texts: Sequence[str]) -> list[Label]:
        """Return a label for each text, in their order, by vLLM's /classify."""
        said = await self._post("/classify", {"model": model, "input": list(texts)})
        data = said.get("data") if isinstance(said, dict) else None
        if not isinstance(data, list) or len(data) != len(texts):
            raise PermanentError("The guard model did not answer for each text.")
        try:
            labels = {int(one["index"]): _label(one) for one in data}
            return [labels[position] for position in range(len(texts))]
        except (KeyError, TypeError, ValueError):
            raise PermanentError("The guard model's answer cannot be read.") from None

    async def judge(
        self, *, model: str, dialect: Dialect, criterion: str, text: str, is_answer: bool
    ) -> float:
        """Return how likely a text meets a criterion, 0 to 1, by a chat guard's verdict."""
        body = request_of(dialect, model=model, criterion=criterion, text=text, is_answer=is_answer)
        said = await self._post("/v1/chat/completions", body)
        try:
            likely = verdict_of(dialect, said["choices"][0])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
            likely = None
        if likely is None or not 0 <= likely <= 1:  # nor is what is no number a verdict
            raise PermanentError("The guard model said neither yes nor no.")
        return likely

    async def analyze(
        self, *, text: str, language: str, entities: Sequence[str], threshold: float
    ) -> list[Entity]:
        """Return what presidio's analyzer finds in a text. entities: none for all that it knows;
        threshold: the least score, 0 to 1.
        """
        body: dict[str, Any] = {"text": text, "language": language, "score_threshold": threshold}
        if entities:
            body["entities"] = list(entities)
        said = await self._post("/analyze", body)
        if not isinstance(said, list):
            raise PermanentError("The analyzer's answer cannot be read.")
        try:
            found = [_entity(one) for one in said]
        except (KeyError, TypeError, ValueError):
            raise PermanentError("The analyzer's answer cannot be read.") from None
        if any(not 0 <= one.start < one.end <= len(text) for one in found):
            raise PermanentError("The analyzer found something outside the text.")
        return found

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            answer = await self._http.post(path, json=body)
        except httpx.TimeoutException:
            raise TemporaryError("The guard did not answer in time.") from None
        except httpx.HTTPError as error:
            raise TemporaryError(f"The guard cannot be reached: {type(error).__name__}.") from None
        if answer.status_code == 429 or answer.status_code >= 500:
            raise TemporaryError(f"The guard is busy or broken ({answer.status_code}).")
        if answer.status_code != 200:
            raise PermanentError(f"The guard refused ({answer.status_code}).")
        try:
            return answer.json()
        except ValueError:
            raise PermanentError("The guard answered with something that is not JSON.") from None


def _label(said: dict[str, Any]) -> Label:
    probabilities = tuple(float(one) for one in said["probs"])
    if not probabilities or not all(0 <= one <= 1 for one in probabilities):
        raise ValueError("no probabilities")
    return Label(str(said.get("label") or ""), probabilities)


def _entity(said: dict[str, Any]) -> Entity:
    return Entity(
        str(said["entity_type"]), int(said["start"]), int(said["end"]), float(said["score"])
    )


def _shown(key: Callable[[], str]) -> Callable[[httpx.Request], httpx.Request]:
    """Return what shows a key with each call."""

    def show(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {key()}"
        return request

    return show
