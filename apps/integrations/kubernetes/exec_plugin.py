"""Credentials from a program that the kubeconfig names (client.authentication.k8s.io), as `aws eks
get-token`.

The program is asked at the first call, again shortly before its answer expires, and once more when
the API server does not accept it (401). It runs with a time limit and without a terminal. What it
prints never reaches a log or an error.
"""

import json
import os
import re
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.readings import parse_time
from apps.integrations.kubernetes.types import Manifest

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
SECONDS = 30.0
EARLY = timedelta(seconds=60)
RETRY_AFTER = 15.0
_TOKEN = re.compile(r"[\w+/=.:-]{40,}")


@dataclass(frozen=True)
class Command:
    """How the program is called. cluster: what it may know of the cluster, None unless the
    kubeconfig says so.
    """

    program: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = VERSIONS[0]
    install_hint: str = ""
    cluster: Manifest | None = None


@dataclass(frozen=True)
class Credential:
    """What the program answered. certificate: PEM of certificate and key; expires_at: None when it
    does not say.
    """

    token: str = ""
    certificate: str = ""
    expires_at: datetime | None = None


class ExecPlugin(httpx.Auth):
    """Authenticates each request with the program's credential, kept until it expires. Safe for
    several threads.
    """

    def __init__(
        self,
        command: Command,
        *,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._command, self._ssl_context, self._clock = command, ssl_context, clock
        self._kept: Credential | None = None
        self._lock = threading.Lock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the credential, and once more with a fresh one where it is not
        accepted.
        """
        used = self.credential()
        _authorize(request, used)
        response = yield request
        if response.status_code == 401:
            _authorize(request, self.credential(instead_of=used))
            yield request

    def credential(self, *, instead_of: Credential | None = None) -> Credential:
        """Return the kept credential, or ask for another one. Raises TemporaryError, in words."""
        with self._lock:
            kept = self._kept
            if kept is None or kept is instead_of or self._is_over(kept):
                kept = self._kept = ask(self._command)
                if kept.certificate and self._ssl_context is not None:
                    load_certificate(self._ssl_context, kept.certificate)
            return kept

    def _is_over(self, kept: Credential) -> bool:
        return kept.expires_at is not None and self._clock() >= kept.expires_at - EARLY


def ask(command: Command) -> Credential:
    """Run the program and return its credential."""
    spec: Manifest = {"interactive": False} | (
        {"cluster": command.cluster} if command.cluster else {}
    )
    info = json.dumps({"apiVersion": command.version, "kind": "ExecCredential", "spec": spec})
    environment = {**os.environ, **command.environment, "KUBERNETES_EXEC_INFO": info}
    name = Path(command.program).name
    try:
        done = subprocess.run(
            [command.program, *command.arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        hint = f" {command.install_hint.strip()[:300]}" if command.install_hint else ""
        raise _failed(f"{name} is not installed here.{hint}") from None
    except subprocess.TimeoutExpired:
        raise _failed(f"{name} did not answer within {SECONDS:.0f} s.") from None
    except OSError as error:
        raise _failed(f"{name} cannot be run: {error.strerror}.") from None
    if done.returncode:
        raise _failed(f"{name} ended with {done.returncode}: {_last_line(done.stderr)}")
    return _read(name, done.stdout, command.version)


def load_certificate(context: ssl.SSLContext, pem: str) -> None:
    """Let a TLS context show a client certificate. The ssl module reads keys from files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def _read(name: str, out: bytes, version: str) -> Credential:
    try:
        answer = json.loads(out)
        status = answer["status"]
        token, certificate = status.get("token") or "", status.get("clientCertificateData") or ""
        pem = f"{certificate}\n{status['clientKeyData']}\n" if certificate else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _failed(f"{name} did not print an ExecCredential with a status.") from None
    if answer.get("kind") != "ExecCredential" or answer.get("apiVersion") != version:
        raise _failed(
            f"{name} answered for {str(answer.get('apiVersion'))[:60]}, the kubeconfig "
            f"asks for {version}."
        )
    if not token and not pem:
        raise _failed(f"{name} gave neither a token nor a certificate.")
    return Credential(token, pem, parse_time(status.get("expirationTimestamp")))


def _authorize(request: httpx.Request, credential: Credential) -> None:
    if credential.token:
        request.headers["Authorization"] = f"Bearer {credential.token}"


def _failed(words: str) -> TemporaryError:
    return TemporaryError(
        f"No credential for the cluster (KUBECONFIG): {words}", retry_after=RETRY_AFTER
    )


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines() or ["it said nothing."]
    return _TOKEN.sub("***", lines[-1].strip())[:200]
