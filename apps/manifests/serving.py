"""KServe's objects: the runtime of a namespace, and one InferenceService per version. Pure.

Traps held here: cpu and memory are always set (else the runtime's 2 GiB limit stays and the engine
is killed); the mode and the autoscaler are named (the cluster's defaults differ); a GPU pod
tolerates the GPU taint; `serviceAccountName` is set (else there is no role to read the bucket
with); `model.name` is never set; the engine's arguments are those that its own parser takes; an
engine takes no call without a key of its namespace's Secret, and does not start without it. A warm
version runs on no Spot machine, for its callers wait for nobody's second start; one that sleeps,
and a candidate under evaluation, prefer Spot and take on-demand where there is none. How large a
replica is, and how many there are, is what was proposed (serving_settings.py).
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import ceil

from apps.manifests.capacity import CAPACITY_TYPE, GPU, INSTANCE_TYPE, SPOT
from apps.manifests.engine_args import checked as checked_arguments
from apps.manifests.names import (
    DIGEST_ANNOTATION,
    ENGINE_KEY,
    ENGINE_KEY_FORMER,
    ENGINE_KEY_NEXT,
    ENGINE_KEY_SHOWN,
    EVALS,
    MODELS,
    OWNER_LABELS,
    account_name,
    checked,
    labels,
)
from apps.manifests.serving_settings import SHM, USUAL, ServingSettings
from apps.manifests.text import Manifest

RUNTIME = "vllm"
MODEL = "{model}"  # stands for the model's name in the rule by which its role is called
LOADER = "model-loader"  # the ClusterStorageContainer of deploy/serving
START_SECONDS = 1800
# a node, an image and the weights come before an engine starts
START_AT_LEAST = timedelta(minutes=45)
BEFORE_START = timedelta(minutes=15)
# An engine that starts takes all three, so that the one that callers show may change while it runs.
_KEYS = {
    "ENGINE_KEY": ENGINE_KEY_SHOWN,
    "ENGINE_KEY_FORMER": ENGINE_KEY_FORMER,
    "ENGINE_KEY_NEXT": ENGINE_KEY_NEXT,
}
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
    settings: ServingSettings = field(default_factory=ServingSettings)
    serving_class: ServingClass = ServingClass.WARM
    runtime: str = RUNTIME

    @property
    def sleeps(self) -> bool:
        """Tell whether no replica runs while nobody calls it."""
        return self.serving_class == ServingClass.SCALE_TO_ZERO

    @property
    def least_replicas(self) -> int:
        """Return how many replicas run at least."""
        return 0 if self.sleeps else self.settings.replicas_least

    @property
    def is_scaled(self) -> bool:
        """Tell whether KEDA sets the number of its replicas."""
        return self.sleeps or self.settings.scales

    @property
    def may_be_interrupted(self) -> bool:
        """Tell whether a Spot machine will do: a sleeper's callers wait for a start anyway, a
        candidate has none.
        """
        return self.sleeps or self.namespace == EVALS


def inference_service(version: ServedVersion) -> Manifest:
    """Return the InferenceService of a version: replicas as its serving class and settings say."""
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
                "serving.kserve.io/autoscalerClass": "external" if version.is_scaled else "none",
                DIGEST_ANNOTATION: version.manifest_digest,
            },
        },
        "spec": {"predictor": _predictor(version)},
    }


def _predictor(version: ServedVersion) -> Manifest:
    resources = resources_of(version.settings)
    return {
        "serviceAccountName": account_name(version.model),
        "minReplicas": version.least_replicas,
        "maxReplicas": version.settings.replicas_most,
        "timeout": 600,
        **_ending(version.settings),
        "affinity": {"nodeAffinity": _machines(version)},
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        # no other loader will do: where it is missing, KServe makes no pod
        "storageContainerName": LOADER,
        "model": {
            "modelFormat": {"name": "vLLM", "version": "1"},
            "runtime": version.runtime,
            "protocolVersion": "v2",
            "storageUri": version.storage_uri,
            "args": checked_arguments(
                [f"--max-model-len={version.max_model_len}", *version.settings.arguments()]
            ),
            "resources": {"requests": resources, "limits": dict(resources)},
        },
    }


def resources_of(settings: ServingSettings) -> dict[str, str]:
    """Return what one replica asks for: its requests, which are its limits too."""
    return {"cpu": settings.cpu, "memory": settings.memory, GPU: str(settings.gpus)}


def _ending(settings: ServingSettings) -> Manifest:
    """Return how long a replica may take to end, where that is not what the cluster does anyway."""
    seconds = settings.stop_seconds
    return {} if seconds is None else {"terminationGracePeriodSeconds": seconds}


def _machines(version: ServedVersion) -> Manifest:
    """Return which machines a version runs on: of its instance types, and of Spot or not.

    Whoever waits for a start anyway prefers Spot, and also waits for the next one after an
    interruption. Anything else takes any machine but a Spot one, which Karpenter then buys on
    demand. Not `In [on-demand]`: that would leave out reserved machines, and every node that
    Karpenter did not make.
    """
    found: Manifest = {}
    must = [] if version.may_be_interrupted else [_capacity_type("NotIn")]
    if names := version.settings.instance_types:
        must.append({"key": INSTANCE_TYPE, "operator": "In", "values": list(names)})
    if must:
        found["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": must}]
        }
    if version.may_be_interrupted:
        term = {"weight": 100, "preference": {"matchExpressions": [_capacity_type("In")]}}
        found["preferredDuringSchedulingIgnoredDuringExecution"] = [term]
    return found


def _capacity_type(operator: str) -> Manifest:
    return {"key": CAPACITY_TYPE, "operator": operator, "values": [SPOT]}


def longest_start(start_seconds: int = START_SECONDS) -> timedelta:
    """Return how long a version may take until it is ready: as long as the kubelet lets its engine
    load, and what comes before that; 45 minutes at least. Who waits longer waits in vain.
    """
    return max(START_AT_LEAST, timedelta(seconds=start_seconds) + BEFORE_START)


def service_accounts(model: str, role_arn: str = "", s3_endpoint: str = "") -> list[Manifest]:
    """Return the service accounts by which a model's engines read its weights: one where callers
    are served, one where candidates are evaluated. Nobody else reads them by these.

    role_arn: how a model's IAM role is called, `{model}` for its name ("" where keys come another
    way). s3_endpoint: host:port of an S3 that is not AWS ("" in production).
    """
    annotations = dict(_FIRST)
    if role_arn:
        annotations["eks.amazonaws.com/role-arn"] = role_arn.replace(MODEL, model)
    if s3_endpoint:
        host = s3_endpoint.split("://", 1)[-1].rstrip("/")
        annotations["serving.kserve.io/s3-endpoint"] = host
        annotations["serving.kserve.io/s3-usehttps"] = (
            "1" if s3_endpoint.startswith("https://") else "0"
        )
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": account_name(model),
                "namespace": namespace,
                "labels": labels(model),
                "annotations": dict(annotations),
            },
        }
        for namespace in (MODELS, EVALS)
    ]


def serving_runtime(
    namespace: str,
    image: str,
    start_seconds: int = START_SECONDS,
    name: str = RUNTIME,
    settings: ServingSettings = USUAL,
    traces_endpoint: str = "",
) -> Manifest:
    """Return a ServingRuntime: the engine's image, arguments and probes.

    A version that serves callers has one of its own name, in its own file: a shared one would give
    an image that was approved for the next version to all that serve already.
    start_seconds: how long an engine may take to load its weights before the kubelet starts it
    again. settings: of which it has /dev/shm, and how long a replica takes calls once it ends.
    traces_endpoint: the whole address that takes its spans as OTLP over HTTP, "" for none.
    """
    engine = _engine(image, start_seconds) | _before_ending(settings)
    shm = {"medium": "Memory", "sizeLimit": settings.shm}
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
            "containers": [_traced(engine, traces_endpoint)],
            "volumes": [{"name": "shm", "emptyDir": shm}],
        },
    }


def _traced(engine: Manifest, endpoint: str) -> Manifest:
    """Return the engine with spans of its calls: it continues the trace that the gateway began. The
    protocol is named, for by itself vLLM speaks gRPC.
    """
    if not endpoint:
        return engine
    more = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "{{.Name}}"}
    return engine | {
        "args": checked_arguments([*engine["args"], f"--otlp-traces-endpoint={endpoint}"]),
        "env": [*engine["env"], *({"name": name, "value": more[name]} for name in more)],
    }


def _before_ending(settings: ServingSettings) -> Manifest:
    """Return that a replica still takes calls while the gateway learns that it ends, if it does."""
    if not settings.pre_stop_seconds:
        return {}
    # not a command: the engine's image need not have a shell
    return {"lifecycle": {"preStop": {"sleep": {"seconds": settings.pre_stop_seconds}}}}


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
                # filled in by the kubelet; vLLM leaves out what is empty, and logs none
                "--api-key",
                *(f"$({variable})" for variable in _KEYS),
            ]
        ),
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "VLLM_NO_USAGE_STATS", "value": "1"},
            *(_from_secret(variable, key) for variable, key in _KEYS.items()),
        ],
        "startupProbe": probe
        | {"periodSeconds": 10, "failureThreshold": max(ceil(start_seconds / 10), 1)},
        "readinessProbe": probe | {"periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": probe | {"periodSeconds": 10, "failureThreshold": 6},
        "resources": {
            "requests": {"cpu": "1", "memory": "2Gi"},
            "limits": {"cpu": "1", "memory": "2Gi"},
        },
        "volumeMounts": [{"name": "shm", "mountPath": SHM}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _from_secret(variable: str, key: str) -> Manifest:
    """Return a variable whose value no manifest holds. It is not optional: where it is missing the
    pod does not start, else its name in the arguments would be a key that everybody knows.
    """
    return {
        "name": variable,
        "valueFrom": {"secretKeyRef": {"name": ENGINE_KEY, "key": key}},
    }
