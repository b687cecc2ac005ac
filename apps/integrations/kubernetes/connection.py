"""A connection to one API server, made by the `kubernetes` package: pools, TLS and proxy, retries,
and the lines of a watch. It can only read: nothing but GET is ever sent.

Answers come as raw JSON: the package's models cost many times what parsing does. Every call has a
time limit, and every trouble is one of the errors of `apps.integrations.errors`.
"""

import json
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from kubernetes.client import ApiClient, ApiException
from kubernetes.client.rest import RESTResponse
from kubernetes.utils import Backoff, on_error
from kubernetes.watch import Watch
from urllib3 import exceptions

from apps.integrations.errors import Expired, PermanentError, TemporaryError, error_of
from apps.integrations.kubernetes import config
from apps.integrations.kubernetes.config import Target
from apps.integrations.kubernetes.credentials import RETRY_AFTER, Credential

NAME = "The cluster"
CONNECT_SECONDS = 3.0
# three tries, 0.1 s and 0.2 s apart, each up to twice as long
TRIES = Backoff(steps=3, duration=0.1, factor=2.0, jitter=1.0)
_making = threading.Lock()


class Silent(TemporaryError):
    """A stream is open and brought nothing for as long as we wait: it may be dead."""


class Connection:
    """One API server. timeout: the seconds that it may keep silent while it answers a call."""

    def __init__(self, target: Target, *, timeout: float = 8.0) -> None:
        self._credentials, self._trust, self._timeout = target.credentials, target.trust, timeout
        self._client = ApiClient(target.configuration)
        self._client.user_agent = "quartermaster"
        self._pools = self._client.rest_client.pool_manager
        if target.trust is not None:
            # The package's own settings know files only, see `config`.
            self._pools.connection_pool_kw["ssl_context"] = target.trust
        self._shown, self._showing = "", threading.Lock()

    def json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of an answer. A call that got none is tried again, a few times."""
        try:
            return json.loads(self._read(path, query))
        except ValueError as error:
            raise PermanentError(f"{NAME} answered with something that is not JSON.") from error

    def text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return an answer as text."""
        return self._read(path, query).decode(errors="replace")

    @contextmanager
    def changes(
        self, path: str, query: Mapping[str, str], *, silence: float
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """Open a watch, once; yield its events ({"type", "object"}) as they come, bookmarks too.

        silence: the seconds without a line after which they end with Silent. A version that is no
        longer kept is Expired, at the opening or later; whatever else breaks off a TemporaryError.
        """
        with _translated():
            response = self._open(path, {**query, "watch": "1"}, silence).response
        try:
            yield _events(response)
        finally:
            response.close()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _read(self, path: str, query: Mapping[str, str] | None) -> bytes:
        def once() -> bytes:
            with _translated():
                return bytes(self._open(path, query or {}, self._timeout).read())

        # Not the package's own retries: they end where the body begins, and sleep for as long as
        # the server says.
        return bytes(on_error(TRIES, _is_worth_another_try, once, sleep_func=time.sleep))

    def _open(self, path: str, query: Mapping[str, str], silence: float) -> RESTResponse:
        """Return an answer whose body is still to be read; a refused credential is renewed once."""
        used = self._credentials(None)
        response = self._call(path, query, silence, used)
        if response.status == 401:
            renewed = self._credentials(used)
            if renewed != used:
                response.read()
                response = self._call(path, query, silence, renewed)
        if response.status >= 300:
            raise error_of(
                NAME,
                status=response.status,
                reason=response.reason or "",
                headers=response.headers,
                body=response.read(),
            )
        return response

    def _call(
        self, path: str, query: Mapping[str, str], silence: float, credential: Credential
    ) -> RESTResponse:
        """Send one GET. The credential goes with the call: the package's hook would change it under
        the calls of other threads.
        """
        self._show(credential.certificate)
        token = {
            "in": "header",
            "type": "api_key",
            "key": "Authorization",
            "value": f"Bearer {credential.token}",
        }
        request = self._client.param_serialize(
            "GET",
            path,
            query_params=list(query.items()),
            auth_settings=["BearerToken"] if credential.token else [],
            _request_auth=token,
        )
        return self._client.call_api(*request, _request_timeout=(CONNECT_SECONDS, silence))

    def _show(self, certificate: str) -> None:
        """Let new connections show a plugin's certificate, and end those that show another one."""
        if not certificate or self._trust is None:
            return
        with self._showing:
            if certificate != self._shown:
                _load_certificate(self._trust, certificate)
                self._pools.clear()
                self._shown = certificate


def connection_from_kubeconfig(path: Path) -> Connection:
    """Return the connection of a kubeconfig's current context."""
    return Connection(config.from_kubeconfig(path))


def connection_in_cluster() -> Connection:
    """Return the connection with the pod's own service account."""
    return Connection(config.in_cluster())


def connection_from_settings() -> Connection:
    """Return the process's connection; made anew when the kubeconfig or a certificate beside it
    changes.
    """
    # One at a time: threads that start together would each make their own, and the package shares
    # what it writes for OpenSSL between them.
    with _making:
        if not settings.KUBECONFIG:
            return _in_cluster(_changed(config.POD_FILES / "ca.crt"))
        path = Path(settings.KUBECONFIG)
        if os.pathsep in settings.KUBECONFIG and not path.exists():
            raise TemporaryError(
                "KUBECONFIG names several files; the portal takes one: "
                "kubectl config view --flatten."
            )
        changed = _changed(path)
        if changed is None:
            raise TemporaryError(
                "The cluster is not there yet: its credential (KUBECONFIG) does not exist."
            )
        return _from_file(path, (changed, *map(_changed, _files_beside(path, changed))))


def _changed(path: Path) -> int | None:
    """Return when a file was last written; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=4)
def _from_file(path: Path, changed: tuple[int | None, ...]) -> Connection:
    return connection_from_kubeconfig(path)


@lru_cache(maxsize=4)
def _files_beside(path: Path, changed: int) -> tuple[Path, ...]:
    return config.files_beside(path)


@lru_cache(maxsize=1)
def _in_cluster(changed: int | None) -> Connection:
    return connection_in_cluster()


def _is_worth_another_try(error: Exception) -> bool:
    return isinstance(error, TemporaryError) and error.retry_after is None


def _events(response: Any) -> Iterator[dict[str, Any]]:
    def opened(**_: object) -> Any:
        """Hand over the stream that is open already."""
        return response

    try:
        # With a time of its own the package's watch neither lists nor resumes by itself: it resumes
        # where we no longer know what was missed.
        for event in Watch().stream(opened, timeout_seconds=0):
            if event is None:  # a line that is not JSON
                raise TemporaryError("The stream broke off (a line cannot be read).")
            yield event
    except ApiException as error:
        said = f"The cluster ended the stream: {error.reason}"[:300]
        raise (Expired(said) if error.status == 410 else TemporaryError(said)) from None
    except exceptions.ReadTimeoutError as error:
        raise Silent("The stream broke off (nothing came).") from error
    except (exceptions.HTTPError, LookupError, TypeError) as error:
        raise TemporaryError(f"The stream broke off ({type(error).__name__}).") from error


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what can go wrong on the way into a TemporaryError."""
    try:
        yield
    except exceptions.NewConnectionError as error:  # by its class a timeout too
        raise TemporaryError(f"{NAME} cannot be reached.") from error
    except exceptions.TimeoutError as error:
        raise TemporaryError(f"{NAME} did not answer in time.") from error
    except (exceptions.HTTPError, ApiException) as error:
        raise TemporaryError(f"{NAME} cannot be reached.") from error
    except ValueError:
        # the error's own text would hold the token
        raise TemporaryError(
            "The token for the cluster holds what no token can hold.",
            retry_after=RETRY_AFTER,
        ) from None


def _load_certificate(trust: ssl.SSLContext, pem: str) -> None:
    """Let TLS show this certificate. OpenSSL reads files alone: this one lives as long as that
    takes.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        trust.load_cert_chain(file.name, password="")
