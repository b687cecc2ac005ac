"""A kubeconfig → which API server, whom to trust, and how to say who we are.

What is not supported is refused in words, never ignored: a setting that is skipped would connect as
somebody else, or trust somebody else, than the file says.
"""

import base64
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.exec_plugin import VERSIONS, Command, load_certificate
from apps.integrations.kubernetes.types import Manifest, Manifests

# Refused, with what to do instead.
_OF_CLUSTER = {
    "insecure-skip-tls-verify": "Anybody could play the API server. Put its CA into "
    "certificate-authority-data.",
    "tls-server-name": "Name the server in the kubeconfig as its certificate does.",
}
_OF_USER = {
    "username": "Use a client certificate, a token, or an exec plugin.",
    "password": "Use a client certificate, a token, or an exec plugin.",
    "auth-provider": "Use the provider's exec plugin instead; kubectl has dropped these too.",
    "as": "Give the portal a credential of its own, with deploy/portal/rbac.yaml.",
}
_AUTHORITY, _CERTIFICATE, _KEY = "certificate-authority", "client-certificate", "client-key"
_EMPTY: tuple[object, ...] = (None, "", False, {}, [])


@dataclass(frozen=True)
class Target:
    """What a kubeconfig's current context says. ssl_context: None for plain HTTP; exec: None
    without a plugin.

    certificates: the files beside it that ssl_context was read from, which may be renewed while it
    stays as it is.
    """

    server: str
    ssl_context: ssl.SSLContext | None
    certificates: tuple[Path, ...] = ()
    token: str = ""
    token_file: Path | None = None
    exec: Command | None = None
    proxy: str = ""


def read(path: Path) -> Target:
    """Return the current context of a kubeconfig. Raises TemporaryError, in words; never with a
    secret in them.
    """
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"] or {}
        server = str(cluster["server"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise TemporaryError(
            "The cluster's credential (KUBECONFIG) is not there yet or cannot be read."
        ) from None
    _refuse(cluster, _OF_CLUSTER)
    _refuse(user, _OF_USER)
    proxy = str(cluster.get("proxy-url") or "")
    if proxy and not proxy.startswith(("http://", "https://")):
        raise _unusable("its proxy-url is not one of http or https.")
    return Target(
        server=server,
        ssl_context=_trust(cluster, user, path) if server.startswith("https") else None,
        certificates=tuple(
            path.parent / section[key]
            for section, key in ((cluster, _AUTHORITY), (user, _CERTIFICATE), (user, _KEY))
            if section.get(key) and not section.get(f"{key}-data")
        ),
        token=str(user.get("token") or ""),
        token_file=path.parent / user["tokenFile"] if user.get("tokenFile") else None,
        exec=_command(user["exec"], cluster, path) if user.get("exec") else None,
        proxy=proxy,
    )


def _named(items: Manifests, name: str) -> Manifest:
    return next(item for item in items if item["name"] == name)


def _refuse(section: Manifest, unsupported: dict[str, str]) -> None:
    for key, advice in unsupported.items():
        if section.get(key) not in _EMPTY:
            raise _unusable(f"it says {key}, which is not supported. {advice}")


def _trust(cluster: Manifest, user: Manifest, path: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=_pem(cluster, _AUTHORITY, path))
        certificate, key = _pem(user, _CERTIFICATE, path), _pem(user, _KEY, path)
        if certificate and key:
            load_certificate(context, f"{certificate}\n{key}")
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(
            f"a certificate in it cannot be read ({error.strerror or type(error).__name__})."
        ) from None
    except ValueError:
        raise _unusable("a certificate in it is not base64 of PEM.") from None
    return context


def _pem(section: Manifest, key: str, config: Path) -> str | None:
    """Return PEM that stands in the file, or in a file that it names, relative to itself."""
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"]).decode()
    return (config.parent / section[key]).read_text() if section.get(key) else None


def _command(plugin: Manifest, cluster: Manifest, path: Path) -> Command:
    version, program = plugin.get("apiVersion"), str(plugin.get("command") or "")
    if version not in VERSIONS or not program:
        raise _unusable(f"its exec plugin must name a command and one of {', '.join(VERSIONS)}.")
    if plugin.get("interactiveMode") == "Always":
        raise _unusable(
            f"its exec plugin {Path(program).name} wants a terminal (interactiveMode: Always)."
        )
    if os.sep in program and not os.path.isabs(program):
        program = str(path.parent / program)
    return Command(
        program=program,
        arguments=tuple(map(str, plugin.get("args") or [])),
        environment={str(item["name"]): str(item["value"]) for item in plugin.get("env") or []},
        version=version,
        install_hint=str(plugin.get("installHint") or ""),
        cluster=_cluster_info(cluster, path) if plugin.get("provideClusterInfo") else None,
    )


def _cluster_info(cluster: Manifest, path: Path) -> Manifest:
    """Return what a plugin may know of the cluster, as client-go tells it."""
    authority = _pem(cluster, _AUTHORITY, path)
    found: Manifest = {"server": cluster["server"]}
    if authority:
        found["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            found["config"] = extension.get("extension")
    return found


def _unusable(words: str) -> TemporaryError:
    return TemporaryError(
        f"The cluster's credential (KUBECONFIG) cannot be used: {words}", retry_after=15
    )
