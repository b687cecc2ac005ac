"""Where the cluster is, whom to trust there, and how to say who we are: from a kubeconfig, or from
the account of a pod.

The `kubernetes` package reads both. Here stands what it leaves open, with the reason beside it.
What it would silently ignore is refused in words: a setting that is skipped would connect as
somebody else, or trust somebody else, than the file says. No error and no log holds a secret.
"""

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, incluster_config
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader

from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.credentials import (
    Credentials,
    Plugin,
    command_of,
    fixed,
    of_file,
    unusable,
)
from apps.integrations.kubernetes.types import Manifest

POD_FILES = Path(incluster_config.SERVICE_TOKEN_FILENAME).parent
_CONNECTIONS = 32  # kept open for each API server: one a feed, and what reads beside them

# Refused, with what to do instead.
_OF_CLUSTER = {
    "insecure-skip-tls-verify": "Anybody could pose as the API server. Put its CA into "
    "certificate-authority-data.",
    "tls-server-name": "Name the server in the kubeconfig as its certificate does.",
}
_OF_USER = {
    "username": "Use a client certificate, a token, or an exec plugin.",
    "password": "Use a client certificate, a token, or an exec plugin.",
    "auth-provider": "Use the provider's exec plugin instead; kubectl has dropped these too.",
    "as": "Give the portal a credential of its own, with the chart's rbac.yaml.",
    "as-uid": "Give the portal a credential of its own, with the chart's rbac.yaml.",
    "as-groups": "Give the portal a credential of its own, with the chart's rbac.yaml.",
    "as-user-extra": "Give the portal a credential of its own, with the chart's rbac.yaml.",
}
_AUTHORITY, _CERTIFICATE, _KEY = "certificate-authority", "client-certificate", "client-key"
_EMPTY: tuple[object, ...] = (None, "", False, {}, [])


@dataclass(frozen=True)
class Target:
    """One API server and how to reach it. trust: whom, with our certificate if we have one; None
    for plain HTTP.
    """

    configuration: Configuration
    trust: ssl.SSLContext | None = None
    credentials: Credentials = fixed()


def configuration(server: str = "") -> Configuration:
    """Return the package's settings for a server, with nothing taken from our surroundings."""
    # Left alone, it takes HTTPS_PROXY and NO_PROXY; a kubeconfig names its proxy itself. And its
    # retries wait as long as the server says: `Connection` tries again instead.
    return Configuration(
        host=server,
        proxy="",
        no_proxy="",
        retries=False,
        connection_pool_maxsize=_CONNECTIONS,
    )


def from_kubeconfig(path: Path) -> Target:
    """Return what a kubeconfig's current context says. Raises TemporaryError, in words."""
    config, cluster, user = _current(path)
    _refuse(cluster, _OF_CLUSTER)
    _refuse(user, _OF_USER)
    found = configuration()
    with _readable_certificates():
        credentials = _credentials(cluster, user, path)
        trust = _trusting(config, found, path)
    _set_proxy(found, str(cluster.get("proxy-url") or ""))
    return Target(found, trust, credentials)


def files_beside(path: Path) -> tuple[Path, ...]:
    """Return the certificates that a kubeconfig names, which may be renewed while it stays as it
    is.
    """
    _, cluster, user = _current(path)
    return tuple(
        path.parent / section[key]
        for section, key in ((cluster, _AUTHORITY), (user, _CERTIFICATE), (user, _KEY))
        if key in section and f"{key}-data" not in section
    )


def in_cluster() -> Target:
    """Return the API server of the cluster that this pod runs in, and the pod's own account."""
    found = configuration()
    try:
        incluster_config.InClusterConfigLoader(
            token_filename=str(POD_FILES / "token"),
            cert_filename=str(POD_FILES / "ca.crt"),
            try_refresh_token=False,
        ).load_and_set(found)
        trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
    except (ConfigException, OSError) as error:
        raise TemporaryError(
            "No credential for the cluster: KUBECONFIG is not set and this is not a pod with an "
            f"account ({error})."
        ) from None
    found.ssl_ca_cert = None
    return Target(found, trust, of_file(POD_FILES / "token"))


def _current(path: Path) -> tuple[ConfigNode, Manifest, Manifest]:
    """Return a kubeconfig, with the cluster and the user of its current context."""
    try:
        # Not read by the package: it takes a colon in the path for a list of files.
        config = ConfigNode("kubeconfig", yaml.safe_load(path.read_text()))
        context = config["contexts"].get_with_name(config["current-context"])["context"]
        cluster = config["clusters"].get_with_name(context["cluster"])["cluster"].value
        user = config["users"].get_with_name(context["user"])["user"].value
        cluster["server"] = str(cluster["server"])
    except (OSError, ValueError, yaml.YAMLError, ConfigException, LookupError, TypeError,
            AttributeError):  # fmt: skip
        raise TemporaryError(
            "The cluster's credential (KUBECONFIG) is not there yet or cannot be read."
        ) from None
    for section in (cluster, user):
        # The package takes an empty `…-data` for the data, and then trusts whom it likes.
        for key in [key for key, value in section.items() if value in _EMPTY]:
            del section[key]
    return config, cluster, user


def _refuse(section: Manifest, unsupported: dict[str, str]) -> None:
    for key, advice in unsupported.items():
        if key in section:
            raise unusable(f"it says {key}, which is not supported. {advice}")


def _credentials(cluster: Manifest, user: Manifest, path: Path) -> Credentials:
    """Take the token's source out of the user, in kubectl's order; the package would run a plugin
    at once, and take a fixed token before the file's.
    """
    token, token_file = user.pop("token", ""), user.pop("tokenFile", "")
    plugin = user.pop("exec", None)
    if token_file:
        return of_file(path.parent / str(token_file))
    if token or not plugin:
        return fixed(str(token))
    if not isinstance(plugin, dict):
        raise unusable("its exec plugin is not described as it should be.")
    hint = str(plugin.get("installHint") or "")
    return Plugin(command_of(plugin, cluster, path), hint)


def _trusting(config: ConfigNode, found: Configuration, path: Path) -> ssl.SSLContext | None:
    """Let the package read server, CA and certificate; return what TLS needs, None for plain HTTP.

    The package keeps what a kubeconfig holds inline, private keys too, in files that stay behind
    where a process is killed. So they lie in a folder that is gone when OpenSSL has read them.
    """
    with tempfile.TemporaryDirectory() as folder:
        KubeConfigLoader(
            config, config_base_path=str(path.parent), temp_file_path=folder
        ).load_and_set(found)
        if not found.host.startswith("https"):
            return None
        trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if shown := found.cert_file or found.key_file:
            # the empty password: without one, OpenSSL asks a terminal about a key that is locked
            trust.load_cert_chain(shown, found.key_file, password="")
        found.ssl_ca_cert = found.cert_file = found.key_file = None
        return trust


@contextmanager
def _readable_certificates() -> Iterator[None]:
    try:
        yield
    except (OSError, ConfigException) as error:  # ssl.SSLError is an OSError
        raise unusable(f"a certificate in it cannot be read ({error}).") from None
    except ValueError:
        raise unusable("a certificate in it is not base64 of PEM.") from None


def _set_proxy(found: Configuration, proxy: str) -> None:
    if not proxy:
        return
    if not proxy.startswith(("http://", "https://")):
        raise unusable("its proxy-url is not one of http or https.")
    # The package says nobody's name to a proxy whose address holds one.
    parts = urlsplit(proxy)
    if parts.username:
        found.proxy_headers = urllib3.make_headers(
            proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        )
