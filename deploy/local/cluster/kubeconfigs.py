"""One kubeconfig per client of the API server, each with its own certificate and nothing else.

What a client may do is said in the RBAC manifests (`manifests/rbac`, and rbac.yaml of the portal's
chart); here is only who it is. Clients that run under a ServiceAccount in production carry that
account's user name, so that the same bindings serve both.
"""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from deploy.local.cluster import layout
from deploy.local.cluster.pki import Authority, Identity, Pair
from deploy.local.stack.part import Context


def _service_account(namespace: str, name: str) -> Identity:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return Identity(f"system:serviceaccount:{namespace}:{name}", groups)


CLIENTS = {
    "admin": Identity("quartermaster:admin", ("system:masters",)),
    "engineer": Identity("quartermaster:engineer", ("quartermaster:engineers",)),
    "controller-manager": Identity("system:kube-controller-manager"),
    "scheduler": Identity("system:kube-scheduler"),
    "kwok": Identity("quartermaster:kwok"),
    "kubelet": Identity("quartermaster:kubelet"),
    "hook": Identity("quartermaster:hook"),
    "gateway": _service_account("ai-gateway", "gateway-control"),
    "karpenter": _service_account("kube-system", "karpenter"),
    "kserve": _service_account(layout.KSERVE, "kserve-controller-manager"),
    "keda": _service_account(layout.KEDA, "keda-operator"),
    "keda-adapter": _service_account(layout.KEDA, "keda-metrics-server"),
    "argocd": _service_account(layout.ARGOCD, "argocd-application-controller"),
    "portal": _service_account("quartermaster", "portal"),
}


FRONT_PROXY = "front-proxy-client"


def authority(context: Context) -> Authority:
    """Return the cluster's certificate authority."""
    return Authority(layout.folder(context, "pki"))


def front_proxy(context: Context) -> tuple[Authority, Pair]:
    """Return by what an API server that extends the cluster's knows that a request came from it:
    an authority that signs this one certificate, for whoever has it speaks for everybody.
    """
    signer = Authority(layout.folder(context, "pki", "front-proxy"))
    return signer, signer.client(FRONT_PROXY, Identity(FRONT_PROXY))


def client_pair(context: Context, client: str) -> Pair:
    """Return one client's certificate and key."""
    return authority(context).client(f"client-{client}", CLIENTS[client])


def ensure(context: Context) -> None:
    """Write the kubeconfig of each client where it is missing or no longer says the same."""
    signer = authority(context)
    for client, identity in CLIENTS.items():
        pair = signer.client(f"client-{client}", identity)
        _write_if_changed(layout.kubeconfig(context, client), render(context, client, signer, pair))


def render(context: Context, client: str, signer: Authority, pair: Pair) -> str:
    """Return a kubeconfig with everything inline: it can be copied to wherever kubectl runs."""
    cluster = {
        "server": layout.api_server(context),
        "certificate-authority-data": _encoded(signer.pair.certificate),
    }
    user = {
        "client-certificate-data": _encoded(pair.certificate),
        "client-key-data": _encoded(pair.key),
    }
    name = "quartermaster-local"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": client, "user": user}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": client, "namespace": "models"}}
        ],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write_if_changed(path: Path, content: str) -> None:
    if path.exists() and path.read_text() == content:
        return
    path.touch(mode=0o600)
    path.write_text(content)
