"""HashiCorp Vault, or OpenBao, by the library hvac: a session that always has a good token.

The token is a file's, read at each use because whoever leases it replaces it; or that of a login
with the pod's own service account, taken anew before it ends, or when Vault no longer knows it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import hvac
import requests
from hvac import exceptions

from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError

TIMEOUT = 10.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
AWAY = (
    exceptions.VaultDown,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.RateLimitExceeded,
    exceptions.PreconditionFailed,
    exceptions.VaultNotInitialized,
)
Answer = TypeVar("Answer")


class Tokens(Protocol):
    """Where the token comes from."""

    def token(self, client: Any) -> str:
        """Return a token that should be good. client: hvac's, to log in with."""

    def forget(self) -> bool:
        """Give up the token that Vault refused. False where there is no other way to one."""


class FileTokens:
    """A token that somebody else leases and writes into a file."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def token(self, client: Any) -> str:
        """Return what the file has now. Raises PermanentError where it cannot be read."""
        try:
            return self._path.read_text().strip()
        except OSError as error:
            words = f"The token for Vault cannot be read: {error.strerror}."
            raise PermanentError(words) from error

    def forget(self) -> bool:
        """There is no other token."""
        return False


class KubernetesTokens:
    """A login with the pod's service account. Its JWT is read at each login, for it rotates."""

    def __init__(
        self,
        role: str,
        *,
        mount: str = "kubernetes",
        jwt: Path = SERVICE_ACCOUNT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role, self._mount, self._jwt, self._clock = role, mount, jwt, clock
        self._token, self._until = "", 0.0

    def token(self, client: Any) -> str:
        """Return the token of the login, made anew once two thirds of its time are over."""
        if not self._token or self._clock() >= self._until:
            try:
                jwt = self._jwt.read_text().strip()
            except OSError as error:
                words = f"The pod has no service account to log in with: {error.strerror}."
                raise PermanentError(words) from error
            client.token = None  # the old one is no part of a login
            answer = client.auth.kubernetes.login(
                role=self._role, jwt=jwt, use_token=False, mount_point=self._mount
            )["auth"]
            self._token = str(answer["client_token"])
            self._until = self._clock() + int(answer["lease_duration"]) * 2 / 3
        return self._token

    def forget(self) -> bool:
        """Log in again at the next use."""
        had, self._token = bool(self._token), ""
        return had


class Vault:
    """One Vault. Every call has a timeout, and raises TemporaryError or PermanentError. Several
    threads may call at once.
    """

    def __init__(
        self, address: str, tokens: Tokens, *, namespace: str = "", timeout: float = TIMEOUT
    ) -> None:
        self._tokens = tokens
        self._client: Any = hvac.Client(
            url=address, namespace=namespace or None, timeout=timeout, allow_redirects=False
        )

    def call(self, what: str, call: Callable[[Any], Answer]) -> Answer:
        """Return what a call gives. what: what it is about, for the error's words; call: takes
        hvac's client.
        """
        try:
            return self._once(what, call)
        except Refused:
            if not self._tokens.forget():
                raise
        return self._once(what, call)

    def _once(self, what: str, call: Callable[[Any], Answer]) -> Answer:
        with _translated(what):
            token = self._tokens.token(self._client)
            # set only where it is another one: a call of another thread may be on its way with it
            if self._client.token != token:
                self._client.token = token
            return call(self._client)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn the library's errors into ours: they name neither token nor input."""
    try:
        yield
    except AWAY as error:
        raise TemporaryError(f"Vault is sealed, busy or broken: {_said(error)}.") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise Refused(f"Vault does not let us use {what}: {_said(error)}.", status=403) from error
    except exceptions.InvalidPath as error:
        raise NotFound(f"Vault has no {what}, or does not show it to us.") from error
    except exceptions.VaultError as error:
        raise PermanentError(f"Vault refused {what}: {_said(error)}.") from error
    except (requests.RequestException, OSError) as error:
        raise TemporaryError(f"Vault cannot be reached: {type(error).__name__}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise PermanentError(f"Vault answered about {what} with what cannot be read.") from error


def _said(error: exceptions.VaultError) -> str:
    said = " ".join(" ".join(str(one) for one in error.errors or ()).split())
    return said.removeprefix("1 error occurred: * ")[:300] or type(error).__name__
