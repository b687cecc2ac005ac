"""The local cluster's parts: real Kubernetes and the platform's controllers, as plain processes."""

from __future__ import annotations

from deploy.local.cluster import argocd, control_plane, keda, kserve, nodes
from deploy.local.stack.part import Context, Part


def parts(context: Context) -> list[Part]:
    """Return every process of the cluster, in an order in which they can be started."""
    return [
        *control_plane.parts(context),
        *nodes.parts(context),
        *kserve.parts(context),
        *argocd.parts(context),
        *keda.parts(context),
    ]
