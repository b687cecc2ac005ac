"""KEDA: its operator wakes a model that sleeps when somebody calls it, and lets it sleep again; its
metrics adapter tells the cluster's autoscaler how many replicas the load needs.

The operator alone does 0 ↔ 1 and makes the HPA; above one replica the HPA asks the API for the
figure, which the adapter answers as a part of it. The operator asks the portal with a credential
that lies in its own namespace and nowhere in Git.
"""

from __future__ import annotations

import base64
import shutil
import ssl
from pathlib import Path
from typing import Any

import yaml

from deploy.local.cluster import kubeconfigs, layout, probes
from deploy.local.cluster.api import Api
from deploy.local.cluster.pki import SERVER_NAMES
from deploy.local.stack import credentials
from deploy.local.stack.part import Context, Part

Json = dict[str, Any]

SHIPPED = Path("deploy/keda/clustertriggerauthentication.yaml")
ADAPTER = "keda-adapter"
METRICS = "external.metrics.k8s.io"
SERVED_AS = ("keda-metrics-apiserver.keda.svc",)
SECRET = "quartermaster-demand"  # noqa: S105 - an object's name


def parts(context: Context) -> list[Part]:
    """Return the operator and the adapter."""
    return [_operator(context), _adapter(context)]


def _operator(context: Context) -> Part:
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
    return Part(
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
        prepare=lambda: _place_certificates(context, "keda", certificates),
    )


def _adapter(context: Context) -> Part:
    """Return the adapter. It listens for metrics of its own on every interface: its flag knows no
    address.
    """
    address = layout.address(context, ADAPTER)
    certificates = layout.folder(context, ADAPTER, "certificates")
    kubeconfig = layout.kubeconfig(context, ADAPTER)
    command = [
        str(context.binaries / ADAPTER),
        f"--bind-address={layout.LOOPBACK}",
        f"--secure-port={layout.port(context, ADAPTER)}",
        f"--cert-dir={certificates}",
        f"--tls-cert-file={certificates / 'tls.crt'}",
        f"--tls-private-key-file={certificates / 'tls.key'}",
        f"--kubeconfig={kubeconfig}",
        f"--lister-kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--metrics-service-address={layout.address(context, 'keda-metrics-service')}",
        f"--port={layout.port(context, f'{ADAPTER}-metrics')}",
        "--zap-log-level=info",
    ]
    return Part(
        name=ADAPTER,
        command=command,
        address=f"https://{address}",
        ready=probes.answers_ok(address, "/readyz", lambda: _trust(context)),
        env={"POD_NAMESPACE": layout.KEDA, "WATCH_NAMESPACE": "models", "GOGC": "50"},
        needs=("kube-apiserver", "keda"),
        programs=(ADAPTER,),
        replaced_by="KUBECONFIG",
        prepare=lambda: _place_certificates(context, ADAPTER, certificates, SERVED_AS),
        after=lambda: _announce(context),
    )


def _trust(context: Context) -> ssl.SSLContext:
    pair = kubeconfigs.client_pair(context, "admin")
    return probes.tls(kubeconfigs.authority(context).pair.certificate, pair.certificate, pair.key)


def _announce(context: Context) -> None:
    """Let the API server send what is asked of external metrics to the adapter, now that it is
    there: a part of the API that does not answer would be in everybody's way.
    """
    with Api(layout.address(context, "kube-apiserver"), _trust(context)) as api:
        for manifest in api_service(context):
            api.apply(manifest)


def api_service(context: Context) -> list[Json]:
    """Return the part of the API that the adapter answers. Nothing here resolves a Service's
    address, so it is one that only names a host.
    """
    service, _, namespace = SERVED_AS[0].removesuffix(".svc").partition(".")
    trusted = kubeconfigs.authority(context).pair.certificate.read_bytes()
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"v1beta1.{METRICS}"},
            "spec": {
                "group": METRICS,
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(trusted).decode(),
                "service": {
                    "name": service,
                    "namespace": namespace,
                    "port": layout.port(context, ADAPTER),
                },
            },
        },
    ]


def _place_certificates(
    context: Context, name: str, folder: Path, also: tuple[str, ...] = ()
) -> None:
    """Put a server's certificate where it insists on finding it; the two know each other by
    theirs.
    """
    authority = kubeconfigs.authority(context)
    pair = authority.server(name, (*SERVER_NAMES, *also))
    for source, copy in (
        (pair.certificate, "tls.crt"),
        (pair.key, "tls.key"),
        (authority.pair.certificate, "ca.crt"),
    ):
        shutil.copyfile(source, folder / copy)
        (folder / copy).chmod(0o600)


def objects(context: Context) -> list[Json]:
    """Return the credential and the object that names it."""
    token = base64.b64encode(credentials.scaling_token_file(context).read_bytes()).decode()
    metadata = {"name": SECRET, "namespace": layout.KEDA}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": token}}
    return [secret, *yaml.safe_load_all((context.root / SHIPPED).read_text())]
