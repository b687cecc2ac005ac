"""A large fleet as plain objects: written straight into an API server, with the states that
controllers would give.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from apps.integrations.kubernetes.types import Kind
from apps.manifests import serving
from apps.manifests.names import labels

Json = dict[str, Any]
AT = "2026-11-02T09:00:00Z"
IMAGE = "vllm/vllm-openai:v0.32.0"
WRITERS = 8
REPLICAS_PER_SERVICE = 2
MODELS_OF = 50  # versions per model name, so that names look like real ones


def inference_service(number: int) -> Json:
    """Return a ready InferenceService, status included."""
    name = service_name(number)
    made = serving.inference_service(
        serving.ServedVersion(
            model=model_name(number),
            number=number,
            name=name,
            namespace="models",
            storage_uri=f"s3://model-registry/{model_name(number)}/v{number}/",
            manifest_digest=f"sha256:{number:064x}",
        )
    )
    status = {
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": AT}],
        "modelStatus": {"transitionStatus": "UpToDate", "states": {"activeModelState": "Loaded"}},
    }
    return made | {"status": status}


def node_claim(number: int) -> Json:
    """Return an initialized NodeClaim of one GPU, status included."""
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": AT}
        for kind in ("Launched", "Registered", "Initialized", "Ready")
    ]
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {
            "name": f"gpu-inference-{number:05d}",
            "labels": {
                "karpenter.sh/nodepool": "gpu-inference",
                "karpenter.sh/capacity-type": "spot" if number % 2 else "on-demand",
                "node.kubernetes.io/instance-type": "g6.xlarge",
                "topology.kubernetes.io/zone": f"us-east-1{'abc'[number % 3]}",
                "karpenter.k8s.aws/instance-gpu-count": "1",
            },
            "annotations": {
                "eks-node-viewer/instance-price": "0.8048",
                "quartermaster.dev/price-basis": "simulated: benchmark",
            },
        },
        "spec": {
            "nodeClassRef": {
                "group": "karpenter.kwok.sh",
                "kind": "KWOKNodeClass",
                "name": "default",
            },
            "requirements": [
                {
                    "key": "node.kubernetes.io/instance-type",
                    "operator": "In",
                    "values": ["g6.xlarge"],
                }
            ],
            "resources": {"requests": {"cpu": "3", "memory": "12Gi", "nvidia.com/gpu": "1"}},
        },
        "status": {
            "nodeName": node_name(number),
            "providerID": f"kwok://{node_name(number)}",
            "capacity": {"cpu": "4", "memory": "15155Mi", "nvidia.com/gpu": "1"},
            "conditions": conditions,
        },
    }


def pod(number: int, claims: int) -> Json:
    """Return a running, ready serving pod, status included."""
    service = number // REPLICAS_PER_SERVICE
    limits = {"cpu": "3", "memory": "12Gi", "nvidia.com/gpu": "1"}
    model = model_name(service)
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": AT}
        for kind in ("PodScheduled", "Initialized", "Ready")
    ]
    measured = {"digest": f"sha256:{service:064x}", "files": 9, "bytes": 16_000_000_000}
    ended = {
        "exitCode": 0, "reason": "Completed", "startedAt": AT, "finishedAt": AT,
        "message": json.dumps(measured),
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(number),
            "namespace": "models",
            "labels": {
                "serving.kserve.io/inferenceservice": service_name(service),
                **labels(model, service),
            },
            "annotations": {"quartermaster.dev/manifest-digest": f"sha256:{service:064x}"},
        },
        "spec": {
            "nodeName": node_name(number % claims),
            "automountServiceAccountToken": False,
            "initContainers": [
                {"name": "storage-initializer", "image": "quartermaster/model-loader:1"}
            ],
            "containers": [
                {"name": "kserve-container", "image": IMAGE, "resources": {"limits": limits}}
            ],
        },
        "status": {
            "phase": "Running",
            "conditions": conditions,
            "initContainerStatuses": [_container("storage-initializer", {"terminated": ended})],
            "containerStatuses": [_container("kserve-container", {"running": {"startedAt": AT}})],
        },
    }


def _container(name: str, state: Json) -> Json:
    return {
        "name": name,
        "ready": True,
        "restartCount": 0,
        "image": IMAGE,
        "imageID": IMAGE,
        "state": state,
    }


def model_name(number: int) -> str:
    """Return the model of a service."""
    return f"model-{number % MODELS_OF}"


def service_name(number: int) -> str:
    """Return a service's name."""
    return f"{model_name(number)}-v{number}"


def pod_name(number: int) -> str:
    """Return a pod's name."""
    return f"{service_name(number // REPLICAS_PER_SERVICE)}-predictor-{number:05d}"


def node_name(number: int) -> str:
    """Return a claim's node."""
    return f"node-{number:05d}"


def write(client: httpx.Client, kind: Kind, objects: Iterable[Json]) -> None:
    """Create the objects, each with its status, several at a time."""

    def one(made: Json) -> None:
        namespace = made["metadata"].get("namespace")
        _sent(client.post(kind.path(namespace), json=made))
        path = f"{kind.path(namespace, made['metadata']['name'])}/status"
        patch = {"status": made["status"]}
        _sent(
            client.patch(path, json=patch, headers={"Content-Type": "application/merge-patch+json"})
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(one, objects))


def restart(client: httpx.Client, number: int, restarts: int) -> None:
    """Say that a pod's engine has been started again so often."""
    patch = {
        "status": {"containerStatuses": [{"name": "kserve-container", "restartCount": restarts}]}
    }
    path = f"{Kind.POD.path('models', pod_name(number))}/status"
    _sent(
        client.patch(
            path, json=patch, headers={"Content-Type": "application/strategic-merge-patch+json"}
        )
    )


def _sent(response: httpx.Response) -> None:
    if response.status_code >= 400:
        raise RuntimeError(
            f"{response.request.url.path}: {response.status_code} {response.text[:300]}"
        )
