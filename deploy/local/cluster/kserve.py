"""KServe's manager: turns InferenceServices into Deployments and Services, and checks them through
its webhooks.

Standard mode only, and no ingress: traffic reaches models through the AI gateway's routes. The
webhooks are the release's own, addressed by URL because no cluster network reaches them by Service
name.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from deploy.local.cluster import kubeconfigs, layout, probes
from deploy.local.stack import s3, vault
from deploy.local.stack.part import Context, Part

Json = dict[str, Any]

RELEASE = "v0.20.0"
LOADER = Path("deploy/serving/clusterstoragecontainer.yaml")


def parts(context: Context) -> list[Part]:
    """Return the manager."""
    temporary = layout.folder(context, "kserve")
    health = layout.address(context, "kserve")
    command = [
        str(context.binaries / "kserve-manager"),
        f"--metrics-addr={layout.address(context, 'kserve-metrics')}",
        f"--health-probe-addr={health}",
        f"--webhook-port={layout.port(context, 'kserve-webhook')}",
        "--zap-log-level=info",
    ]
    part = Part(
        name="kserve",
        command=command,
        address=f"https://{layout.address(context, 'kserve-webhook')}",
        ready=probes.answers_ok(health, "/readyz"),
        env={
            "KUBECONFIG": str(layout.kubeconfig(context, "kserve")),
            "POD_NAMESPACE": layout.KSERVE,
            "TMPDIR": str(temporary),
            "GOGC": "50",
            "GOMEMLIMIT": "160MiB",
        },
        needs=("kube-apiserver",),
        programs=("kserve-manager",),
        replaced_by="KUBECONFIG",
        prepare=lambda: _place_certificate(context, temporary),
    )
    return [part]


def _place_certificate(context: Context, temporary: Path) -> None:
    """Put the webhooks' certificate where the manager's webhook server looks for it: a fixed place
    under TMPDIR.
    """
    pair = kubeconfigs.authority(context).server("kserve-webhook")
    folder = temporary / "k8s-webhook-server" / "serving-certs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(pair.certificate, folder / "tls.crt")
    shutil.copyfile(pair.key, folder / "tls.key")
    (folder / "tls.key").chmod(0o600)


def objects(context: Context, release: Path) -> list[Json]:
    """Return what the manager needs in the cluster; `release` is the folder of KServe's own
    files.
    """
    shipped = yaml.safe_load((release / "config/configmap/inferenceservice.yaml").read_text())
    hooks = yaml.safe_load_all((release / "config/webhook/manifests.yaml").read_text())
    url = f"https://{layout.address(context, 'kserve-webhook')}"
    authority = kubeconfigs.authority(context).pair.certificate.read_bytes()
    return [
        settings(shipped),
        storage_container(shipped),
        loader(
            yaml.safe_load((context.root / LOADER).read_text()),
            bucket=context.env.get("REGISTRY_BUCKET") or s3.BUCKET,
            keys=vault.public_keys(context, vault.REGISTRY).read_text(),
        ),
        *(webhook(hook, url, authority) for hook in hooks if hook),
    ]


def settings(shipped: Json) -> Json:
    """Return the ConfigMap of the release with this platform's choices."""
    data = {key: value for key, value in shipped["data"].items() if key != "_example"}
    ingress = json.loads(data["ingress"]) | {
        "enableGatewayApi": True,
        "ingressDomain": "models.localhost",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    }
    data["deploy"] = json.dumps({"defaultDeploymentMode": "Standard"})
    data["ingress"] = json.dumps(ingress)
    metadata = {"name": "inferenceservice-config", "namespace": layout.KSERVE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def storage_container(shipped: Json) -> Json:
    """Return the default storage initializer, for the one kind of address that the registry has.

    Its image is pinned to KServe's own release; as shipped it is whatever `latest` is when a pod
    starts.
    """
    initializer = json.loads(shipped["data"]["storageInitializer"])
    container = {
        "name": "storage-initializer",
        "image": f"{initializer['image'].rpartition(':')[0]}:{RELEASE}",
        "resources": {
            "requests": {"cpu": initializer["cpuRequest"], "memory": initializer["memoryRequest"]},
            "limits": {"cpu": initializer["cpuLimit"], "memory": initializer["memoryLimit"]},
        },
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "default"},
        "spec": {
            "container": container,
            "supportedUriFormats": [{"prefix": "s3://"}],
            "workloadType": "initContainer",
        },
    }


def loader(shipped: Json, *, bucket: str, keys: str) -> Json:
    """Return the product's own loader for the stack's bucket and key. No image is pulled here: the
    kubelet runs the program itself.
    """
    container = shipped["spec"]["container"]
    env = [
        item | {"value": keys} if item["name"] == "TRUSTED_KEYS" else item
        for item in container["env"]
    ]
    changed = container | {"image": "quartermaster/model-loader:local", "env": env}
    formats = [{"prefix": f"s3://{bucket}/"}]
    spec = shipped["spec"] | {"container": changed, "supportedUriFormats": formats}
    return shipped | {"spec": spec}


def webhook(configuration: Json, url: str, authority: bytes) -> Json:
    """Return a webhook configuration of the release that calls the manager by URL instead of by
    Service.
    """
    hooks = []
    for hook in configuration["webhooks"]:
        path = hook["clientConfig"]["service"]["path"]
        client = {"url": url + path, "caBundle": base64.b64encode(authority).decode()}
        hooks.append(hook | {"clientConfig": client})
    return {
        "apiVersion": configuration["apiVersion"],
        "kind": configuration["kind"],
        "metadata": {"name": configuration["metadata"]["name"]},
        "webhooks": hooks,
    }
