"""Says who we are to the cluster: a token, the token of a file that rotates, or what an exec plugin
gives (client.authentication.k8s.io), as `aws eks get-token`.

The `kubernetes` package knows how a plugin is called. It is not left to run it: it waits for ever,
lets the plugin talk to a terminal, logs what the plugin printed and goes on without a credential,
does not ask again when the API server refuses the token (401) nor for a certificate that ends, and
lets each of several threads ask at once. Tokens of files it reads once.
"""

import json
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kubernetes.config import ConfigException
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode, FileOrData

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.readings import parse_time
from apps.integrations.kubernetes.types import Manifest

VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
SECONDS = 30.0
# The package asks five minutes before the end: a token that lives no longer would be asked for at
# each call.
EARLY = timedelta(seconds=60)
RETRY_AFTER = 15.0
_TOKEN = re.compile(r"[\w+/=.:-]{40,}")


@dataclass(frozen=True)
class Credential:
    """Who we are, where the kubeconfig's own certificate does not say it. certificate: PEM of
    certificate and key; expires_at: None when nobody said.
    """

    token: str = ""
    certificate: str = ""
    expires_at: datetime | None = None


# Asked before each call, and once more with the credential that the API server did not accept.
Credentials = Callable[[Credential | None], Credential]


def fixed(token: str = "") -> Credentials:
    """Return credentials that stay as they are."""
    kept = Credential(token)
    return lambda refused: kept


def of_file(path: Path) -> Credentials:
    """Return the credentials whose token a file holds; it is read at each call, for it rotates."""

    def read(refused: Credential | None) -> Credential:
        try:
            return Credential(path.read_text().strip())
        except (OSError, ValueError):
            raise TemporaryError(
                "The file with the cluster's token cannot be read.", retry_after=RETRY_AFTER
            ) from None

    return read


class Plugin:
    """Credentials of a program, kept until shortly before they end. Safe for several threads.

    hint: what the kubeconfig says to whoever lacks the program.
    """

    def __init__(
        self,
        command: ExecProvider,
        hint: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._command, self._hint, self._clock = command, hint, clock
        self._kept: Credential | None = None
        self._lock = threading.Lock()

    def __call__(self, refused: Credential | None = None) -> Credential:
        """Return the kept credential, or ask for another one. Raises TemporaryError, in words."""
        with self._lock:
            kept = self._kept
            if kept is None or kept is refused or self._is_over(kept):
                kept = self._kept = ask(self._command, self._hint)
            return kept

    def _is_over(self, kept: Credential) -> bool:
        return kept.expires_at is not None and self._clock() >= kept.expires_at - EARLY


def command_of(section: Manifest, cluster: Manifest, path: Path) -> ExecProvider:
    """Return how the plugin of a kubeconfig is called. Raises TemporaryError where that is not
    supported.
    """
    version, program = section.get("apiVersion"), str(section.get("command") or "")
    if version not in VERSIONS or not program:
        raise unusable(f"its exec plugin must name a command and one of {', '.join(VERSIONS)}.")
    if section.get("interactiveMode") == "Always":
        raise unusable(
            f"its exec plugin {Path(program).name} wants a terminal (interactiveMode: Always)."
        )
    try:
        command = ExecProvider(
            ConfigNode("exec", section),
            str(path.parent),
            ConfigNode("cluster", _told(cluster, path)),
        )
    except (ConfigException, KeyError, TypeError, AttributeError) as error:
        raise unusable(f"its exec plugin is not described as it should be ({error}).") from None
    command.args = [str(argument) for argument in command.args]
    command.env = {name: str(value) for name, value in command.env.items()}
    return command


def ask(command: ExecProvider, hint: str = "") -> Credential:
    """Run the program and return its credential."""
    spec: Manifest = {"interactive": False}
    if command.cluster is not None:
        spec["cluster"] = command.cluster.value
    info = {"apiVersion": command.api_version, "kind": "ExecCredential", "spec": spec}
    name = Path(command.args[0]).name
    try:
        done = subprocess.run(
            command.args,
            env=command.env | {"KUBERNETES_EXEC_INFO": json.dumps(info)},
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise _failed(f"{name} is not installed here. {hint.strip()[:300]}".rstrip()) from None
    except subprocess.TimeoutExpired:
        raise _failed(f"{name} did not answer within {SECONDS:.0f} s.") from None
    except OSError as error:
        raise _failed(f"{name} cannot be run: {error.strerror}.") from None
    if done.returncode:
        raise _failed(f"{name} ended with {done.returncode}: {_last_line(done.stderr)}")
    return _read(name, done.stdout, command.api_version)


def unusable(words: str) -> TemporaryError:
    """Return the error of a kubeconfig that is there, and is wrong or not supported."""
    return TemporaryError(
        f"The cluster's credential (KUBECONFIG) cannot be used: {words}", retry_after=RETRY_AFTER
    )


def _told(cluster: Manifest, path: Path) -> Manifest:
    """Return what a plugin may know of the cluster, as client-go tells it: the package would tell
    all that the kubeconfig says.
    """
    found: Manifest = {key: cluster[key] for key in ("server", "proxy-url") if key in cluster}
    authority = FileOrData(cluster, "certificate-authority", file_base_path=str(path.parent))
    if data := authority.as_data():
        found["certificate-authority-data"] = data
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            found["config"] = extension.get("extension")
    return found


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
    return Credential(str(token).strip(), pem, parse_time(status.get("expirationTimestamp")))


def _failed(words: str) -> TemporaryError:
    return TemporaryError(
        f"No credential for the cluster (KUBECONFIG): {words}", retry_after=RETRY_AFTER
    )


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines() or ["it said nothing."]
    return _TOKEN.sub("***", lines[-1].strip())[:200]
