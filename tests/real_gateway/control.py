"""The real controllers: Envoy Gateway and Envoy AI Gateway's, beside each other, on the check's own
API server.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from deploy.local.cluster import control_plane, kubeconfigs, layout
from deploy.local.stack.part import Context, NotReady, Part
from tests.real_gateway.cluster import Cluster
from tests.real_gateway.private import NODE, as_pod

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
ENVOY_GATEWAY = "envoy-gateway-system"
AI_GATEWAY = "envoy-ai-gateway-system"
MUTATOR = f"envoy-ai-gateway-gateway-pod-mutator.{AI_GATEWAY}"
WEBHOOK_PORT = 9444
ENVOY_GATEWAY_ADDRESS, AI_GATEWAY_ADDRESS, RATE_LIMIT_ADDRESS = (
    "10.96.0.2",
    "10.96.0.3",
    "10.96.0.4",
)
EXTENSION = f"ai-gateway-controller.{AI_GATEWAY}.svc.cluster.local"


def settings(redis: str) -> Json:
    """Return Envoy Gateway's own settings as they are shipped, but for what has no place here."""
    shipped: Json = yaml.safe_load((ROOT / "deploy" / "envoy-gateway" / "values.yaml").read_text())[
        "config"
    ]
    found = shipped["envoyGateway"] | {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
    }
    found["rateLimit"]["backend"]["redis"] = {"url": redis}  # the wheel's Valkey has no TLS
    found["provider"]["kubernetes"] = {"proxyTopologyInjector": {"disabled": True}}
    return found


def installation() -> list[Json]:
    """Return what an installation has of itself: namespaces, and Envoy Gateway, which owns the rate
    limit service.
    """
    metadata = {"name": "envoy-gateway", "namespace": ENVOY_GATEWAY}
    labels = {"control-plane": "envoy-gateway"}
    container = {"name": "envoy-gateway", "image": "docker.io/envoyproxy/gateway:v1.9.0"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in (ENVOY_GATEWAY, AI_GATEWAY)
    ]
    return [
        *spaces,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "grpc", "port": 18000}]},
        },
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
    ]


def plane(context: Context) -> list[Part]:
    """Return etcd and the API server, which here answers pods too."""
    etcd, api = control_plane.parts(context)[:2]
    command = [
        flag.replace("--bind-address=127.0.0.1", "--bind-address=0.0.0.0") for flag in api.command
    ]
    return [etcd, replace(api, command=command)]


def parts(context: Context, cluster: Cluster, programs: Path, redis: str) -> list[Part]:
    """Return the two controllers, Envoy AI Gateway's first: Envoy Gateway asks it at every
    translation.
    """
    return [
        _ai_gateway(context, cluster, programs),
        _envoy_gateway(context, cluster, programs, redis),
    ]


def _ai_gateway(context: Context, cluster: Cluster, programs: Path) -> Part:
    pair = kubeconfigs.authority(context).server("ai-gateway-webhook", (AI_GATEWAY_ADDRESS,))
    certificates = context.folder("ai-gateway-certs")
    flags = [
        *(
            "-enableLeaderElection=false",
            f"-tlsCertDir={certificates}",
            f"-webhookPort={WEBHOOK_PORT}",
        ),
        f"-envoyGatewayNamespace={ENVOY_GATEWAY}",
    ]

    def prepare() -> None:
        shutil.copyfile(pair.certificate, certificates / "tls.crt")
        shutil.copyfile(pair.key, certificates / "tls.key")
        shutil.copyfile(kubeconfigs.authority(context).pair.certificate, certificates / "ca.crt")
        cluster.apply(_mutator())

    command = as_pod("aigw", AI_GATEWAY_ADDRESS, {}, [str(programs / "controller"), *flags])
    return _part(context, "ai-gateway-controller", command, (AI_GATEWAY_ADDRESS, 1063), prepare)


def _mutator() -> Json:
    """Return the webhook that adds the external processor to Envoy's pods, by URL instead of by
    Service.
    """
    hook = {
        "name": EXTENSION,
        "clientConfig": {"url": f"https://{AI_GATEWAY_ADDRESS}:{WEBHOOK_PORT}/mutate"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ],
        "objectSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "envoy-gateway"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    version, kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": MUTATOR}, "webhooks": [hook]}


def _envoy_gateway(context: Context, cluster: Cluster, programs: Path, redis: str) -> Part:
    program, folder = str(programs / "envoy-gateway"), context.folder("envoy-gateway")
    file, certificates = folder / "config.yaml", folder / "certs"
    certificates.mkdir(exist_ok=True)
    command = as_pod(
        "eg",
        ENVOY_GATEWAY_ADDRESS,
        {"/certs": certificates},
        [program, "server", f"--config-path={file}"],
    )

    def prepare() -> None:
        file.write_text(json.dumps(settings(redis)))
        command = [program, "certgen", "--disable-topology-injector"]
        environment = {"KUBECONFIG": str(kubeconfig(context))}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        cluster.unpack("Secret", ENVOY_GATEWAY, "envoy-gateway", certificates)

    return _part(context, "envoy-gateway", command, (ENVOY_GATEWAY_ADDRESS, 18000), prepare)


def _part(
    context: Context,
    name: str,
    command: list[str],
    listens: tuple[str, int],
    prepare: Callable[[], None],
) -> Part:
    environment = {"KUBECONFIG": str(kubeconfig(context)), "POD_NAMESPACE": AI_GATEWAY}
    environment |= {"ENVOY_GATEWAY_NAMESPACE": ENVOY_GATEWAY}
    return Part(name, command, "", lambda: connects(*listens), env=environment, prepare=prepare)


def kubeconfig(context: Context) -> Path:
    """Return the administrator's kubeconfig as a pod needs it: with an address that it can
    reach.
    """
    theirs = context.folder("pods") / "kubeconfig"
    theirs.write_text(
        layout.kubeconfig(context, "admin").read_text().replace("//127.0.0.1:", f"//{NODE}:")
    )
    return theirs


def connects(address: str, port: int) -> None:
    """Raise NotReady unless something takes connections there."""
    try:
        socket.create_connection((address, port), timeout=1.5).close()
    except OSError as problem:
        raise NotReady(f"{address}:{port}: {problem}") from None
