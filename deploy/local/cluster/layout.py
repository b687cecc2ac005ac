"""Where the local cluster keeps things: addresses, folders and names that more than one of its
modules needs.

Everything is derived from the stack's Context, so two modules never disagree about a port or a
path. Nothing here starts, writes or asks anything, except that folders are made when they are first
named.
"""

from __future__ import annotations

from pathlib import Path

from deploy.local.stack.part import Context

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/24"
ARGOCD = "argocd"
KSERVE = "kserve"
KEDA = "keda"

# One stable port per listener. The first of each is the part's own name, as clients of the stack
# ask for it.
PORTS = {
    "etcd": 12379,
    "etcd-peer": 12380,
    "kube-apiserver": 16443,
    "kube-controller-manager": 19001,
    "kube-scheduler": 19002,
    "kwok": 19003,
    "karpenter": 19004,
    "karpenter-metrics": 19005,
    "kserve": 19006,
    "kserve-metrics": 19007,
    "kserve-webhook": 19008,
    "argocd-repo-server": 19009,
    "argocd-repo-server-metrics": 19010,
    "argocd-application-controller": 19011,
    "keda": 19012,
    "keda-metrics": 19013,
    "keda-metrics-service": 19014,
    "keda-adapter": 19015,
    "keda-adapter-metrics": 19016,
}


def port(context: Context, name: str) -> int:
    """Return the port kept for one of this folder's listeners."""
    return context.ports(name, PORTS[name])


def address(context: Context, name: str) -> str:
    """Return HOST:PORT of one of this folder's listeners."""
    return f"{LOOPBACK}:{port(context, name)}"


def api_server(context: Context) -> str:
    """Return the URL of the Kubernetes API."""
    return f"https://{address(context, 'kube-apiserver')}"


def folder(context: Context, *names: str) -> Path:
    """Return a folder under `state/cluster`, made where missing, readable by its owner only."""
    path = context.folder("cluster").joinpath(*names)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def kubeconfig(context: Context, client: str) -> Path:
    """Return the path of one client's kubeconfig; `kubeconfigs.ensure` writes it."""
    return folder(context, "kubeconfigs") / client


def gitops_repository(context: Context) -> Path:
    """Return the bare repository that Argo CD follows and the portal commits to."""
    return context.state / "gitops.git"
