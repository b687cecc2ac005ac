"""HTTP to other systems: a time limit always, retries only where a call may be repeated, and two
kinds of error.

No answer is a TemporaryError, an answer that is not JSON a PermanentError; `errors` says what a
status means.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from apps.common import spans
from apps.integrations.errors import PermanentError, TemporaryError, error_of

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
TRIES = 3


class HttpClient:
    """Calls one system. name: what people call it ("the cluster"); it begins every error's text."""

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | float = TIMEOUT,
        proxy: str | None = None,
        transport: httpx.BaseTransport | None = None,
        trust_env: bool = False,
    ) -> None:
        self.name = name
        self._client = httpx.Client(
            base_url=base_url,
            headers=dict(headers or {}),
            timeout=timeout,
            proxy=proxy,
            transport=transport,
            trust_env=trust_env,
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send and return the answer when it is below 400; raise the error that it means
        otherwise.
        """
        tries = TRIES if method in REPEATABLE else 1
        for attempt in range(tries):
            try:
                return self._once(method, path, **options)
            except TemporaryError as error:
                if attempt + 1 == tries or error.retry_after is not None:
                    raise
                time.sleep(0.1 * 2**attempt * (1 + random.random()))  # noqa: S311 (jitter)
        raise AssertionError("unreachable")

    def json(self, path: str, **options: Any) -> Any:
        """Return the JSON of a GET."""
        response = self.request("GET", path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise PermanentError(
                f"{self.name} answered with something that is not JSON."
            ) from error

    def read(self, path: str, *, seconds: float, most_bytes: int, **options: Any) -> bytes:
        """Return the body of a GET, tried once, bounded in size and in time as a whole: something
        in trouble may answer slowly or without end.
        """
        until = time.monotonic() + seconds
        body = bytearray()
        try:
            with self.stream(path, read_timeout=seconds, **options) as answer:
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > most_bytes:
                        raise PermanentError(
                            f"{self.name} answered more than {most_bytes // 2**20} MiB."
                        )
                    if time.monotonic() > until:
                        raise TemporaryError(f"{self.name} did not answer in time.")
        except httpx.HTTPError as error:
            raise TemporaryError(f"{self.name} broke off in the middle of its answer.") from error
        return bytes(body)

    @contextmanager
    def stream(self, path: str, *, read_timeout: float, **options: Any) -> Iterator[httpx.Response]:
        """Open an answer that comes bit by bit, once; raise as `request` does where it does not
        begin.

        What breaks off later is httpx's own error: the caller knows how far it came.
        """
        timeout = httpx.Timeout(TIMEOUT.connect, read=read_timeout)
        with ExitStack() as stack:
            try:
                response = stack.enter_context(
                    self._client.stream("GET", path, timeout=timeout, **options)
                )
                if response.status_code >= 400:
                    response.read()
            except httpx.TimeoutException as error:
                raise TemporaryError(f"{self.name} did not answer in time.") from error
            except httpx.TransportError as error:
                raise TemporaryError(f"{self.name} cannot be reached.") from error
            if response.status_code >= 400:
                raise self._error(response)
            yield response

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            with spans.step(f"{method} {self.name}"):
                response = self._client.request(method, path, **options)
        except httpx.TimeoutException as error:
            raise TemporaryError(f"{self.name} did not answer in time.") from error
        except httpx.TransportError as error:
            raise TemporaryError(f"{self.name} cannot be reached.") from error
        if response.status_code >= 400:
            raise self._error(response)
        return response

    def _error(self, response: httpx.Response) -> Exception:
        return error_of(
            self.name,
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            body=response.content,
        )
