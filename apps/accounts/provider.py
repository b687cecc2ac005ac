"""The identity provider as this process knows it: its endpoints, its keys, its token endpoint; and
the keys of whoever signs the tokens of pipelines, who is asked in the same way.

Nothing is asked for before it is needed, so the portal starts without the provider. What it
publishes is kept and read again in the background: when it is an hour old, or when a token names a
key that is not among it. One thread reads at a time, at most once in ten seconds, and a failure is
remembered for as long. Only who cannot go on without an answer waits for it: a few seconds at most,
and never more than half of the web server's threads at once, two more for the keys of pipelines.
Everybody else hears at once that the provider does not answer, so that one that hangs holds up
nobody but those who sign in.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from joserfc.jwk import KeySet

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.oidc.client import (
    GrantRefused,
    OidcClient,
    client_from_settings,
    pipelines_from_settings,
)
from apps.integrations.oidc.types import Provider, Published

KEEP_SECONDS = 3600
AGAIN_SECONDS = 10  # between two readings, and after a failure
PATIENCE_SECONDS = 3.0  # how long a request waits for a reading, counted from when that began
MOST_WAITING, MOST_WAITING_FOR_PIPELINES = 4, 2  # threads, of the web server's eight
log = logging.getLogger(__name__)


class ProviderUnavailable(Exception):
    """The identity provider did not answer, or answered what it must not. The text says which.

    retry_after: whole seconds until asking again can help.
    """

    def __init__(self, text: str, *, retry_after: int = AGAIN_SECONDS) -> None:
        super().__init__(text)
        self.retry_after = retry_after


@dataclass
class _Failure:
    """What went wrong last, and when (monotonic seconds)."""

    text: str
    at: float

    def left(self) -> float:
        """Return for how many more seconds it is remembered."""
        return self.at + AGAIN_SECONDS - time.monotonic()


@dataclass
class _Reading:
    """One reading under way in its own thread."""

    began_at: float
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Kept:
    """What this process remembers of one provider. name: what people call it; it begins every text.
    `lock` is held for the length of a few assignments only.
    """

    name: str
    client: Callable[[], OidcClient]
    waiting: threading.BoundedSemaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    published: Published | None = None
    read_at: float = 0.0
    reading: _Reading | None = None
    failure: _Failure | None = None  # of the latest reading; None once one succeeds
    token_failure: _Failure | None = None  # of the token endpoint

    @property
    def no_answer(self) -> str:
        """Return what is said where it did not answer."""
        return f"{self.name} did not answer."


def _people() -> _Kept:
    few = threading.BoundedSemaphore(MOST_WAITING)
    return _Kept("The identity provider", lambda: client_from_settings(), few)


def _pipelines() -> _Kept:
    fewer = threading.BoundedSemaphore(MOST_WAITING_FOR_PIPELINES)
    return _Kept("The issuer of pipelines' tokens", lambda: pipelines_from_settings(), fewer)


_kept, _kept_of_pipelines = _people(), _pipelines()


def forget() -> None:
    """Drop what is kept; tests start clean with it."""
    global _kept, _kept_of_pipelines
    _kept, _kept_of_pipelines = _people(), _pipelines()


def provider() -> Provider:
    """Return the provider's endpoints. Raises ProviderUnavailable where they were never read and
    cannot be now.
    """
    return _published(_kept).provider


def signing_keys(key_id: str | None) -> KeySet:
    """Return the provider's keys; without `key_id` only where they were read a moment ago.

    Raises ProviderUnavailable where it cannot be told whether the provider publishes that key.
    """
    return _keys(_kept, key_id)


def pipeline_keys(key_id: str | None) -> KeySet:
    """Return the keys that sign the tokens of pipelines, as signing_keys does."""
    return _keys(_kept_of_pipelines, key_id)


def _keys(kept: _Kept, key_id: str | None) -> KeySet:
    keys = _published(kept).keys
    if _holds(keys, key_id) or _is_recent(kept):
        return keys
    return _read_again(kept).keys


def gateway_jwks_uri() -> str:
    """Return where the gateway finds the keys of callers' tokens. Raises TemporaryError while the
    provider is away.
    """
    try:
        return settings.GATEWAY_JWKS_URI or provider().jwks_uri
    except ProviderUnavailable as error:
        raise TemporaryError(
            f"{error} Without its key address no gateway policy can be compiled.",
            retry_after=error.retry_after,
        ) from error


def request_tokens(**form: str) -> dict[str, Any]:
    """Ask the token endpoint, as this client. Raises GrantRefused (4xx) or ProviderUnavailable, at
    once while a failure is remembered.
    """
    endpoint, kept = provider().token_endpoint, _kept
    _raise_remembered(kept.token_failure)
    with _one_of_few(kept), closing(client_from_settings()) as client:
        try:
            answer = client.tokens(endpoint, form)
        except GrantRefused:
            raise
        except (TemporaryError, PermanentError) as error:
            kept.token_failure = _Failure(str(error), time.monotonic())
            raise ProviderUnavailable(str(error)) from error
    kept.token_failure = None
    return answer


def _published(kept: _Kept) -> Published:
    """Return what was read last, however old; old knowledge is renewed behind the caller's back."""
    if kept.published is None:
        return _read_again(kept)
    if time.monotonic() - kept.read_at > KEEP_SECONDS:
        _begin(kept)
    return kept.published


def _holds(keys: KeySet, key_id: str | None) -> bool:
    return any(key.kid == key_id for key in keys.keys)


def _is_recent(kept: _Kept) -> bool:
    """Tell whether the latest reading succeeded, and only a moment ago."""
    return kept.failure is None and time.monotonic() - kept.read_at < AGAIN_SECONDS


def _read_again(kept: _Kept) -> Published:
    """Wait for a reading: the one under way, or a new one. Raises ProviderUnavailable where it
    fails or takes too long, or where the last one failed a moment ago.
    """
    reading = _begin(kept)
    if reading is not None:
        with _one_of_few(kept):
            left = reading.began_at + PATIENCE_SECONDS - time.monotonic()
            if not reading.done.wait(max(0.0, left)):
                raise ProviderUnavailable(kept.no_answer)
    if kept.failure is not None:
        raise ProviderUnavailable(kept.failure.text, retry_after=_whole(kept.failure.left()))
    if kept.published is None:
        raise ProviderUnavailable(kept.no_answer)
    return kept.published


def _begin(kept: _Kept) -> _Reading | None:
    """Return the reading under way, begun now if need be; None while the last one is recent."""
    with kept.lock:
        if kept.reading is not None:
            return kept.reading
        if _is_recent(kept) or (kept.failure is not None and kept.failure.left() > 0):
            return None
        kept.reading = reading = _Reading(began_at=time.monotonic())
    threading.Thread(
        target=_read, args=(kept, reading), name="identity-provider", daemon=True
    ).start()
    return reading


def _read(kept: _Kept, reading: _Reading) -> None:
    """Read what the provider publishes into `kept`; runs in a thread of its own."""
    published, failure = None, None
    try:
        with closing(kept.client()) as client:
            published = client.published()
    except (TemporaryError, PermanentError) as error:
        failure = _Failure(str(error), time.monotonic())
        log.warning("%s could not be read: %s", kept.name, error)
    except Exception:
        failure = _Failure(kept.no_answer, time.monotonic())
        log.exception("%s could not be read", kept.name)
    with kept.lock:
        kept.failure, kept.reading = failure, None
        if published is not None:
            kept.published, kept.read_at = published, time.monotonic()
    reading.done.set()


@contextmanager
def _one_of_few(kept: _Kept) -> Iterator[None]:
    """Let a few threads wait for the provider; the next one hears at once that it is slow."""
    if not kept.waiting.acquire(blocking=False):
        raise ProviderUnavailable(f"{kept.name} answers slowly.", retry_after=1)
    try:
        yield
    finally:
        kept.waiting.release()


def _raise_remembered(failure: _Failure | None) -> None:
    if failure is not None and failure.left() > 0:
        raise ProviderUnavailable(failure.text, retry_after=_whole(failure.left()))


def _whole(seconds: float) -> int:
    return max(1, round(seconds))
