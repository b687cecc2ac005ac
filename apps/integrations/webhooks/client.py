"""Posts to people's webhooks: once, within a time as a whole, to the address that was looked at.

The connection goes to the checked address while host name, certificate and SNI stay those of the
URL. Nothing is followed, and no more of an answer is read than its status: what a receiver sends
back is none of the portal's business.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpcore
from django.conf import settings

from apps.integrations.errors import PermanentError, TemporaryError, error_of
from apps.integrations.webhooks.addresses import Allowed, Resolver, address_of, checked

SECONDS = 10.0  # for one post as a whole
NAME = "The receiver"


class Gone(PermanentError):
    """The receiver wants no more (410)."""


class WebhookClient:
    """Posts to hosts that are allowed. trust: whose certificates count, None for the system's."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        seconds: float = SECONDS,
        resolve: Resolver | None = None,
        trust: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.allowed, self._seconds, self._clock = allowed, seconds, clock
        self._resolve = {} if resolve is None else {"resolve": resolve}
        self._trust = trust

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> int:
        """Post once and return the answer's status, 200 to 299. Raises NotAllowed; Gone;
        TemporaryError where no such answer came; PermanentError where it was refused.
        """
        parts = checked(url, self.allowed)
        pinned = _Pinned(address_of(parts, self.allowed, **self._resolve), self._left())
        told = [("Content-Type", "application/json"), ("User-Agent", "Quartermaster")]
        told += headers.items()
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._trust or ssl.create_default_context(),
                    network_backend=pinned,
                    max_keepalive_connections=0,
                ) as pool,
                pool.stream("POST", url, headers=told, content=body) as answer,
            ):
                status = answer.status
        except httpcore.TimeoutException:
            raise TemporaryError(f"{NAME} did not answer in time.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            raise TemporaryError(f"{NAME} cannot be reached, or does not speak HTTP.") from None
        return _accepted(status)

    def _left(self) -> Callable[[], float]:
        """Return what tells how many seconds are left of this post."""
        until = self._clock() + self._seconds
        return lambda: until - self._clock()


def _accepted(status: int) -> int:
    """Return the status of an answer that took the message; raise what any other means."""
    if 200 <= status < 300:
        return status
    if status == 410:
        raise Gone(f"{NAME} wants no more of them (410).")
    if status < 400:
        raise PermanentError(f"{NAME} points elsewhere ({status}), which is not followed.")
    raise error_of(NAME, status=status, reason="no more was read", headers={}, body=b"")


class _Pinned(httpcore.SyncBackend):
    """Connects to one address, whatever the host is called, and lets nothing wait beyond the
    end. left: seconds until then.
    """

    def __init__(self, address: str, left: Callable[[], float]) -> None:
        self._address, self._left = address, left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the address that was looked at."""
        stream = super().connect_tcp(self._address, port, _within(self._left))
        return _Bounded(stream, self._left)


class _Bounded(httpcore.NetworkStream):
    """A stream whose every wait ends with the post: a receiver that sends a byte now and then does
    not keep a worker.
    """

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._stream, self._left = stream, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is."""
        return self._stream.read(max_bytes, _within(self._left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._stream.write(buffer, _within(self._left))

    def close(self) -> None:
        """Give the socket back."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Go on within TLS."""
        stream = self._stream.start_tls(ssl_context, server_hostname, _within(self._left))
        return _Bounded(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        """Return what the socket says of itself."""
        return self._stream.get_extra_info(info)


def _within(left: Callable[[], float]) -> float:
    """Return the seconds that a wait may take. Raises httpcore's timeout when none are left."""
    seconds = left()
    if seconds <= 0:
        raise httpcore.ReadTimeout("the time for this post is over")
    return seconds


def client_from_settings() -> WebhookClient:
    """Return the client that posts where the settings allow it; plain http on a local stack
    alone.
    """
    return WebhookClient(allowed_from_settings())


def allowed_from_settings() -> Allowed:
    """Return where webhooks may be."""
    return Allowed(
        hosts=frozenset(name.lower() for name in settings.WEBHOOK_HOSTS),
        networks=settings.WEBHOOK_NETWORKS,
        plain=settings.ENVIRONMENT_NAME == "local",
    )
