"""Reads a pod's spec: what its containers are started with, which model they load, how they are
probed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
PART_LABEL, PRODUCT = "app.kubernetes.io/part-of", "quartermaster"
DIGEST_ANNOTATION = "quartermaster.dev/manifest-digest"
LISTEN_ANNOTATION = "quartermaster.dev/listen"
ENGINE_ANNOTATION = "quartermaster.dev/engine"
INITIALIZER = "storage-initializer"
MAIN = "kserve-container"
MODELS = "/mnt/models"
NO_SECRETS: Mapping[str, Mapping[str, str]] = {}

_ANNOTATION = re.compile(r"metadata\.annotations\['([^']+)'\]")
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True)
class Probe:
    """When a container counts as started or ready."""

    path: str | None  # None: a TCP connection is enough
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    failures: int = 3
    successes: int = 1


@dataclass(frozen=True)
class Pod:
    """What the kubelet needs of one pod; made anew from each state the API shows."""

    namespace: str
    name: str
    uid: str
    node: str
    generation: int
    service: str  # the InferenceService
    digest: str  # the approved manifest digest, "" where none is annotated
    inits: tuple[Json, ...]
    main: Json
    others: tuple[str, ...]  # containers that this kubelet does not run
    grace: float
    deleting: bool
    status: Json
    annotations: Mapping[str, str] = field(default_factory=dict)
    is_product: bool = False  # a process of the portal's chart, and no engine
    reads_cluster: bool = False  # the product's: with a credential of the cluster

    @property
    def gpus(self) -> int:
        """Return how many GPUs its main container holds."""
        return int(
            ((self.main.get("resources") or {}).get("limits") or {}).get("nvidia.com/gpu", 0)
        )

    @property
    def pre_stop(self) -> float:
        """Return for how many seconds its main container goes on before it is told to end."""
        hook = (self.main.get("lifecycle") or {}).get("preStop") or {}
        return float((hook.get("sleep") or {}).get("seconds", 0))

    @property
    def path(self) -> str:
        """Return the pod's address in the API."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    @property
    def full_name(self) -> str:
        """Return the name as a kubelet writes it into messages."""
        return f"{self.name}_{self.namespace}({self.uid})"


def is_run_here(document: Json) -> bool:
    """Tell whether a pod is one that this kubelet runs: an engine's, or the product's own."""
    labels = document["metadata"].get("labels", {})
    return SERVICE_LABEL in labels or labels.get(PART_LABEL) == PRODUCT


def read_pod(document: Json) -> Pod:
    """Return what matters of a pod's document."""
    metadata, spec = document["metadata"], document["spec"]
    annotations = metadata.get("annotations", {})
    containers: list[Json] = spec["containers"]
    main = next((entry for entry in containers if entry["name"] == MAIN), containers[0])
    grace = metadata.get(
        "deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30)
    )
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName", ""),
        generation=metadata.get("generation", 1),
        service=metadata.get("labels", {}).get(SERVICE_LABEL, ""),
        digest=annotations.get(DIGEST_ANNOTATION, ""),
        inits=tuple(spec.get("initContainers", ())),
        main=main,
        others=tuple(entry["name"] for entry in containers if entry is not main),
        grace=float(grace),
        deleting="deletionTimestamp" in metadata,
        status=document.get("status", {}),
        annotations=annotations,
        is_product=SERVICE_LABEL not in metadata.get("labels", {}),
        reads_cluster=bool(spec.get("automountServiceAccountToken", True)),
    )


def secrets_of(container: Json) -> set[str]:
    """Return the names of the Secrets that a container's variables are filled in from."""
    return {
        reference["name"]
        for entry in container.get("env", ())
        if (reference := entry.get("valueFrom", {}).get("secretKeyRef"))
    }


def environment(
    pod: Pod, container: Json, pod_ip: str, secrets: Mapping[str, Mapping[str, str]] = NO_SECRETS
) -> dict[str, str]:
    """Return a container's variables. secrets: what is in those that it names. Raises ValueError
    for a variable whose value this kubelet may not or cannot read.
    """
    facts = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.nodeName": pod.node,
        "status.podIP": pod_ip,
        "status.hostIP": "127.0.0.1",
    }
    found: dict[str, str] = {}
    for entry in container.get("env", ()):
        if "valueFrom" not in entry:
            found[entry["name"]] = expand(str(entry.get("value", "")), found)
            continue
        if reference := entry["valueFrom"].get("secretKeyRef"):
            found[entry["name"]] = _secret_value(pod, reference, secrets)
            continue
        path = entry["valueFrom"].get("fieldRef", {}).get("fieldPath", "")
        if annotation := _ANNOTATION.fullmatch(path):
            found[entry["name"]] = pod.annotations.get(annotation.group(1), "")
            continue
        if path not in facts:
            raise ValueError(
                f"variable {entry['name']}: only values, pod fields and Secrets can be given here"
            )
        found[entry["name"]] = facts[path]
    return found


def _secret_value(pod: Pod, reference: Json, secrets: Mapping[str, Mapping[str, str]]) -> str:
    """Return one value of a Secret. Raises ValueError, in a kubelet's words, for a missing one."""
    name, key = reference["name"], reference["key"]
    if name not in secrets:
        raise ValueError(f'secret "{name}" not found')
    if key not in secrets[name]:
        raise ValueError(f"couldn't find key {key} in Secret {pod.namespace}/{name}")
    return secrets[name][key]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with `$(NAME)` replaced; unknown names stay as written and `$$(NAME)` means
    `$(NAME)`.
    """

    def value(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group(0)[1:]
        return variables.get(match.group(2), match.group(0))

    return _REFERENCE.sub(value, text)


def engine_arguments(
    container: Json, variables: Mapping[str, str], folder: str, port: int
) -> list[str]:
    """Return the engine's flags for this machine: the model's folder for /mnt/models, a loopback
    address and port.

    The image's program (`vllm serve`, `python3 -m …`) is left out: which engine runs is this
    machine's business.
    """
    words = [
        expand(str(word), variables)
        for word in (*container.get("command", ()), *container.get("args", ()))
    ]
    first = next((index for index, word in enumerate(words) if word.startswith("--")), len(words))
    positional = [word for word in words[:first] if word.startswith(MODELS)]
    flags = _without(words[first:], ("--port", "--host"))
    if positional and not any(word == "--model" or word.startswith("--model=") for word in flags):
        flags = ["--model", positional[-1], *flags]
    return [*(_local(word, folder) for word in flags), "--host=127.0.0.1", f"--port={port}"]


def probe(container: Json, kind: str) -> Probe | None:
    """Return a container's readinessProbe, startupProbe or livenessProbe, or None where it has
    none.
    """
    declared = container.get(kind)
    if not declared or not ("httpGet" in declared or "tcpSocket" in declared):
        return None
    return Probe(
        path=declared["httpGet"].get("path", "/") if "httpGet" in declared else None,
        initial_delay=declared.get("initialDelaySeconds", 0),
        period=declared.get("periodSeconds", 10),
        timeout=declared.get("timeoutSeconds", 1),
        failures=declared.get("failureThreshold", 3),
        successes=declared.get("successThreshold", 1),
    )


def _local(word: str, folder: str) -> str:
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    if value == MODELS or value.startswith(MODELS + "/"):
        return flag + equals + folder + value[len(MODELS) :]
    return word


def _without(words: list[str], names: tuple[str, ...]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in names:
            skip = True
        elif not word.startswith(tuple(f"{name}=" for name in names)):
            kept.append(word)
    return kept
