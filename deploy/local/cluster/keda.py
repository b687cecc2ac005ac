"""KEDA's operator: wakes a model that sleeps when somebody calls it, and lets it sleep again.

The operator alone does 0 ↔ 1, which is all that happens here: above one replica a metrics adapter
would be needed. It asks the portal for the demand with a credential that lies in its own namespace
and nowhere in Git.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import yaml

from deploy.local.cluster import kubeconfigs, layout, probes
from deploy.local.stack import credentials
from deploy.local.stack.part import Context, Part

Json = dict[str, Any]

SHIPPED = Path("deploy/keda/clustertriggerauthentication.yaml")
SECRET = "quartermaster-demand"  # noqa: S105 - an object's name


def parts(context: Context) -> list[Part]:
    """Return the operator."""
    health = layout.address(context, "keda")
    certificates = layout.folder(context, "keda", "certificates")
    command = [
        str(context.binaries / "keda-operator"),
        f"--kubeconfig={layout.kubeconfig(context, 'keda')}",
        f"--cert-dir={certificates}",
        f"--health-probe-bind-address={health}",
        f"--metrics-bind-address={layout.address(context, 'keda-metrics')}",
        f"--metrics-service-bind-address={layout.address(context, 'keda-metrics-service')}",
        "--zap-log-level=info",
    ]
    part = Part(
        name="keda",
        command=command,
        address=f"http://{health}",
        ready=probes.answers_ok(health, "/readyz"),
        env={
            "POD_NAMESPACE": layout.KEDA,
            "KEDA_CLUSTER_OBJECT_NAMESPACE": layout.KEDA,
            "KEDA_RESTRICT_SECRET_ACCESS": "true",
            "WATCH_NAMESPACE": "models",
            "OPERATOR_NAME": "keda-operator",
            "GOGC": "50",
            "GOMEMLIMIT": "96MiB",
        },
        needs=("kube-apiserver",),
        programs=("keda-operator",),
        replaced_by="KUBECONFIG",
        prepare=lambda: _place_certificates(context, certificates),
    )
    return [part]


def _place_certificates(context: Context, folder: Path) -> None:
    """Put the certificate of the metrics service, which nobody calls here, where the operator
    insists on finding it.
    """
    authority = kubeconfigs.authority(context)
    pair = authority.server("keda")
    for source, name in (
        (pair.certificate, "tls.crt"),
        (pair.key, "tls.key"),
        (authority.pair.certificate, "ca.crt"),
    ):
        shutil.copyfile(source, folder / name)
        (folder / name).chmod(0o600)


def objects(context: Context) -> list[Json]:
    """Return the credential and the object that names it."""
    token = base64.b64encode(credentials.scaling_token_file(context).read_bytes()).decode()
    metadata = {"name": SECRET, "namespace": layout.KEDA}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": token}}
    return [secret, *yaml.safe_load_all((context.root / SHIPPED).read_text())]
