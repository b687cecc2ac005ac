"""KServe's objects: the runtime of a namespace, and one InferenceService per version. Pure.

Traps held here: cpu and memory are always set (else the runtime's 2 GiB limit stays and the engine
is killed); the mode and the autoscaler are named (the cluster's defaults differ); a GPU pod
tolerates the GPU taint; `serviceAccountName` is set (else there is no role to read the bucket
with); `model.name` is never set; the engine's arguments are those that its own parser takes. A warm
version runs on no Spot machine, for its callers wait for nobody's second start; one that sleeps,
and a candidate under evaluation, prefer Spot and take on-demand where there is none.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import ceil

from apps.manifests.capacity import CAPACITY_TYPE, GPU, SPOT
from apps.manifests.engine_args import checked as checked_arguments
from apps.manifests.names import DIGEST_ANNOTATION, EVALS, OWNER_LABELS, checked, labels
from apps.manifests.text import Manifest

RUNTIME = "vllm"
SERVICE_ACCOUNT = "model-reader"
LOADER = "model-loader"  # the ClusterStorageContainer of deploy/serving
START_SECONDS = 1800
# a node, an image and the weights come before an engine starts
START_AT_LEAST = timedelta(minutes=45)
BEFORE_START = timedelta(minutes=15)
# Argo CD applies these before what needs them: KServe calls a service whose runtime is not there
# yet invalid.
_FIRST = {"argocd.argoproj.io/sync-wave": "-1"}


class ServingClass(StrEnum):
    """WARM: a replica always runs. SCALE_TO_ZERO: none runs while nobody calls;
    apps.manifests.scaling wakes it.
    """

    WARM = "WARM"
    SCALE_TO_ZERO = "SCALE_TO_ZERO"


@dataclass(frozen=True)
class Resources:
    """What one replica asks for; requests equal limits."""

    cpu: str = "3"
    memory: str = "12Gi"
    gpus: int = 1


@dataclass(frozen=True)
class ServedVersion:
    """One version as one InferenceService. storage_uri: `s3://<bucket>/<model>/v<n>/`.
    max_model_len: tokens. runtime: the name of its ServingRuntime.
    """

    model: str
    number: int
    name: str
    namespace: str
    storage_uri: str
    manifest_digest: str
    max_model_len: int = 2048
    resources: Resources = field(default_factory=Resources)
    serving_class: ServingClass = ServingClass.WARM
    max_replicas: int = 1
    runtime: str = RUNTIME

    @property
    def sleeps(self) -> bool:
        """Tell whether no replica runs while nobody calls it."""
        return self.serving_class == ServingClass.SCALE_TO_ZERO

    @property
    def may_be_interrupted(self) -> bool:
        """Tell whether a Spot machine will do: a sleeper's callers wait for a start anyway, a
        candidate has none.
        """
        return self.sleeps or self.namespace == EVALS


def inference_service(version: ServedVersion) -> Manifest:
    """Return the InferenceService of a version: one GPU a replica, replicas as its serving class
    says.
    """
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": checked(version.name),
            "namespace": version.namespace,
            "labels": labels(version.model, version.number),
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                # KServe makes no autoscaler of its own for either: `none` keeps minReplicas,
                # `external` is KEDA's.
                "serving.kserve.io/autoscalerClass": "external" if version.sleeps else "none",
                DIGEST_ANNOTATION: version.manifest_digest,
            },
        },
        "spec": {"predictor": _predictor(version)},
    }


def _predictor(version: ServedVersion) -> Manifest:
    resources = {
        "cpu": version.resources.cpu,
        "memory": version.resources.memory,
        GPU: str(version.resources.gpus),
    }
    return {
        "serviceAccountName": SERVICE_ACCOUNT,
        "minReplicas": 0 if version.sleeps else 1,
        "maxReplicas": version.max_replicas,
        "timeout": 600,
        "affinity": {
            "nodeAffinity": _spot_first() if version.may_be_interrupted else _never_spot()
        },
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        # no other loader will do: where it is missing, KServe makes no pod
        "storageContainerName": LOADER,
        "model": {
            "modelFormat": {"name": "vLLM", "version": "1"},
            "runtime": version.runtime,
            "protocolVersion": "v2",
            "storageUri": version.storage_uri,
            "args": checked_arguments(
                [
                    f"--max-model-len={version.max_model_len}",
                    f"--tensor-parallel-size={version.resources.gpus}",
                ]
            ),
            "resources": {"requests": resources, "limits": dict(resources)},
        },
    }


def _spot_first() -> Manifest:
    """Prefer a Spot machine: whoever waits for a start anyway also waits for the next one after an
    interruption.
    """
    term = {"weight": 100, "preference": {"matchExpressions": [_capacity_type("In")]}}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [term]}


def _never_spot() -> Manifest:
    """Take any machine but a Spot one, which Karpenter then buys on demand.

    Not `In [on-demand]`: that would leave out reserved machines, and every node that Karpenter did
    not make.
    """
    terms = [{"matchExpressions": [_capacity_type("NotIn")]}]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}


def _capacity_type(operator: str) -> Manifest:
    return {"key": CAPACITY_TYPE, "operator": operator, "values": [SPOT]}


def longest_start(start_seconds: int = START_SECONDS) -> timedelta:
    """Return how long a version may take until it is ready: as long as the kubelet lets its engine
    load, and what comes before that; 45 minutes at least. Who waits longer waits in vain.
    """
    return max(START_AT_LEAST, timedelta(seconds=start_seconds) + BEFORE_START)


def runtime_objects(
    namespace: str,
    image: str,
    role_arn: str = "",
    s3_endpoint: str = "",
    start_seconds: int = START_SECONDS,
) -> list[Manifest]:
    """Return the ServiceAccount that reads the registry, and the ServingRuntime that everything in
    the namespace shares. The arguments are those of the two below.
    """
    return [
        service_account(namespace, role_arn, s3_endpoint),
        serving_runtime(namespace, image, start_seconds),
    ]


def service_account(namespace: str, role_arn: str = "", s3_endpoint: str = "") -> Manifest:
    """Return the ServiceAccount by which a namespace's pods read the registry.

    role_arn: its IAM role ("" where keys come another way). s3_endpoint: host:port of an S3 that is
    not AWS ("" in production).
    """
    annotations = dict(_FIRST)
    if role_arn:
        annotations["eks.amazonaws.com/role-arn"] = role_arn
    if s3_endpoint:
        host = s3_endpoint.split("://", 1)[-1].rstrip("/")
        annotations["serving.kserve.io/s3-endpoint"] = host
        annotations["serving.kserve.io/s3-usehttps"] = (
            "1" if s3_endpoint.startswith("https://") else "0"
        )
    metadata = {
        "name": SERVICE_ACCOUNT, "namespace": namespace, "labels": dict(OWNER_LABELS),
        "annotations": annotations,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def serving_runtime(
    namespace: str, image: str, start_seconds: int = START_SECONDS, name: str = RUNTIME
) -> Manifest:
    """Return a ServingRuntime: the engine's image, arguments and probes.

    A version that serves callers has one of its own name, in its own file: a shared one would give
    an image that was approved for the next version to all that serve already.
    start_seconds: how long an engine may take to load its weights before the kubelet starts it
    again.
    """
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(OWNER_LABELS),
            "annotations": dict(_FIRST),
        },  # fmt: skip
        "spec": {
            # Named by its InferenceService: of two that may be chosen by themselves, with one
            # priority, KServe's webhook refuses the second.
            "supportedModelFormats": [{"name": "vLLM", "version": "1"}],
            "protocolVersions": ["v2", "v1"],
            "containers": [_engine(image, start_seconds)],
            "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}],
        },
    }


def _engine(image: str, start_seconds: int) -> Manifest:
    probe = {"httpGet": {"path": "/health", "port": 8080}, "timeoutSeconds": 5}
    return {
        "name": "kserve-container",
        "image": image,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        # Named as a folder, the version's own generation_config.json limits every answer; found by
        # itself it does not.
        "args": checked_arguments(
            [
                "--port=8080",
                "--served-model-name={{.Name}}",
                "--model=/mnt/models",
                "--generation-config=/mnt/models",
                # else cached input is never told, and priced in full
                "--enable-prompt-tokens-details",
                # else a streamed completion tells no usage: AI Gateway asks for it in chats alone
                "--enable-force-include-usage",
            ]
        ),
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
        ],
        "startupProbe": probe
        | {"periodSeconds": 10, "failureThreshold": max(ceil(start_seconds / 10), 1)},
        "readinessProbe": probe | {"periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": probe | {"periodSeconds": 10, "failureThreshold": 6},
        "resources": {
            "requests": {"cpu": "1", "memory": "2Gi"},
            "limits": {"cpu": "1", "memory": "2Gi"},
        },
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 (in the container)
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
