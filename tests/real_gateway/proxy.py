"""The data plane, run as a kubelet would: Envoy's pod with Envoy AI Gateway's processor in it, and
the token limits.

Commands, arguments, environment and volumes are the controllers' own; only the programs come from
this machine.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from deploy.local.gateway.parts import collector_command, envoy_program
from deploy.local.stack.part import Context, NotReady, Part
from tests.real_gateway.cluster import Cluster
from tests.real_gateway.control import ENVOY_GATEWAY, RATE_LIMIT_ADDRESS, connects
from tests.real_gateway.private import NODE, as_pod, with_folders

Json = dict[str, Any]
OWNED = {"gateway.envoyproxy.io/owning-gateway-name": "ai-gateway"}
RATE_LIMIT = "envoy-ratelimit"
ADMIN = "http://127.0.0.1:19000"
ROOT = Path(__file__).parents[2]
# what every call passes, in this order
FILTERS = [
    "header_mutation",
    "jwt_authn",
    "ext_proc/aigateway",
    "custom_response",
    "rbac",
    "ext_proc/envoyextensionpolicy/ai-gateway/gate/extproc/0",
    "ratelimit",
    "header_to_metadata",  # of Envoy AI Gateway, whose own settings it reads
    "router",
]
LISTENS = 10080  # the listener's port 80, as Envoy Gateway maps it for an ordinary user


def deployments(cluster: Cluster) -> dict[str, Json]:
    """Return Envoy's Deployment as `envoy` and the rate limit service's as its name, once they are
    there.
    """
    found = {
        item["metadata"]["name"]: item
        for item in cluster.all("apps/v1", "Deployment", ENVOY_GATEWAY)
    }
    ours = [
        item
        for item in found.values()
        if OWNED.items() <= item["metadata"].get("labels", {}).items()
    ]
    if len(ours) != 1 or RATE_LIMIT not in found:
        raise NotReady(f"Envoy Gateway has made only these Deployments: {sorted(found)}")
    return {"envoy": ours[0], RATE_LIMIT: found[RATE_LIMIT]}


def say_ready(cluster: Cluster, made: Iterable[Json]) -> None:
    """Say of these Deployments what their controller would, and give Envoy's Service the address a
    Gateway needs.
    """
    for deployment in made:
        cluster.patch_status(
            deployment,
            {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
        )
    for service in cluster.all("v1", "Service", ENVOY_GATEWAY):
        if service["spec"]["type"] == "LoadBalancer":
            cluster.patch_status(service, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}})


def configured(cluster: Cluster) -> None:
    """Raise NotReady until Envoy AI Gateway has written its processor's configuration for the
    Gateway.
    """
    names = {secret["metadata"]["name"] for secret in cluster.all("v1", "Secret", ENVOY_GATEWAY)}
    if "ai-gateway-ai-gateway" not in names:
        raise NotReady(
            f"the processor has no configuration yet, only these Secrets are there: {sorted(names)}"
        )


def pod_of(cluster: Cluster, deployment: Json) -> Json:
    """Create the Deployment's pod, as its controller would, and return what the webhook made of
    it.
    """
    template = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "envoy", "namespace": ENVOY_GATEWAY}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    cluster.apply(pod)
    return cluster.read(pod)


def processor(context: Context, cluster: Cluster, pod: Json, programs: Path) -> Part:
    """Return Envoy AI Gateway's external processor, the container that the webhook put into the
    pod.
    """
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    container = next((item for item in containers if item["name"] == "ai-gateway-extproc"), None)
    if container is None:
        raise NotReady("Envoy AI Gateway's webhook added no processor to Envoy's pod")
    folders = _volumes(context, cluster, pod, container)
    command = with_folders(folders, [str(programs / "extproc"), *container["args"]])
    socket = (
        next(folder for place, folder in folders.items() if place.endswith("-uds")) / "run.sock"
    )
    return Part("extproc", command, "", lambda: _exists(socket), env=_environment(container))


def envoy(context: Context, cluster: Cluster, pod: Json) -> Part:
    """Return Envoy, configured by Envoy Gateway over mutual TLS."""
    container = next(item for item in pod["spec"]["containers"] if item["name"] == "envoy")
    environment = _environment(container)
    arguments = [
        re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], word)
        for word in container["args"]
    ]
    folders = _volumes(context, cluster, pod, {"volumeMounts": _mounts(pod)})
    command = with_folders(
        folders, [str(envoy_program()), *arguments, "--concurrency", "1", "--disable-hot-restart"]
    )
    return Part("envoy", command, "", lambda: connects("127.0.0.1", LISTENS), env=environment)


def rate_limit(context: Context, cluster: Cluster, deployment: Json) -> Part:
    """Return the rate limit service, configured by Envoy Gateway too."""
    pod = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]
    data = context.folder("ratelimit-data")
    folders = {**_volumes(context, cluster, pod, container), "/data": data}
    command = as_pod(
        "ratelimit", RATE_LIMIT_ADDRESS, folders, [str(context.binaries / "ratelimit")]
    )
    return Part(
        RATE_LIMIT,
        command,
        "",
        lambda: connects(RATE_LIMIT_ADDRESS, 8081),
        env=_environment(container),
    )


def collector(context: Context, portal_url: str) -> Part:
    """Return the Collector at the address that the access log goes to."""
    token, queue = context.folder("collector") / "token", context.folder("collector-queue")
    token.write_text("ingest-credential")
    environment = {
        "OTLP_GRPC_ENDPOINT": f"{NODE}:4317",
        "OTLP_HTTP_ENDPOINT": f"{NODE}:4318",
        "PORTAL_URL": portal_url,
        "USAGE_INGEST_TOKEN_FILE": str(token),
        "QUEUE_DIRECTORY": str(queue),
    }
    command = collector_command(context.binaries, context.root)
    return Part("otelcol", command, "", lambda: connects(NODE, 4317), env=environment)


def gate() -> Part:
    """Return the gate of the tests at the address that the shipped Backend names."""
    command = [sys.executable, "-m", "tests.local.gate_double", f"{NODE}:9003"]
    return Part("gate", command, "", lambda: connects(NODE, 9003), cwd=ROOT)


def filters() -> list[str]:
    """Return the names of the filters that calls pass, as Envoy has them now, in their order; of
    those that belong to one route's policy, what they begin with. Envoy's other listeners, which
    check no token, are for probes and for MCP.
    """
    dump = httpx.get(f"{ADMIN}/config_dump?resource=dynamic_listeners", trust_env=False).json()
    chains = [
        [entry["name"].removeprefix("envoy.filters.http.") for entry in filters]
        for listener in dump["configs"]
        for chain in _chains(listener["active_state"]["listener"])
        for network in chain["filters"]
        if (filters := network["typed_config"].get("http_filters"))
    ]
    (found,) = (names for names in chains if "jwt_authn" in names)
    return list(dict.fromkeys(name.partition("/backendtrafficpolicy/")[0] for name in found))


def _chains(listener: Json) -> list[Json]:
    chains = list(listener.get("filter_chains", []))
    return (
        [*chains, listener["default_filter_chain"]]
        if "default_filter_chain" in listener
        else chains
    )


def _mounts(pod: Json) -> list[Json]:
    """Return the mounts of all containers: the processor's socket is Envoy's too, where the webhook
    says so.
    """
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    return [
        mount
        for item in containers
        for mount in item.get("volumeMounts", [])
        if item["name"] != "shutdown-manager"
    ]


def _volumes(context: Context, cluster: Cluster, pod: Json, container: Json) -> dict[str, Path]:
    """Return place → folder of what the container mounts; unknown kinds of volume are left out."""
    sources = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    found = {}
    for mount in container.get("volumeMounts", []):
        volume, folder = sources[mount["name"]], context.folder("volumes") / mount["name"]
        if "secret" in volume:
            cluster.unpack("Secret", ENVOY_GATEWAY, volume["secret"]["secretName"], folder)
        elif "configMap" in volume and not volume["configMap"].get("optional"):
            cluster.unpack("ConfigMap", ENVOY_GATEWAY, volume["configMap"]["name"], folder)
        elif "emptyDir" not in volume:
            continue
        folder.mkdir(exist_ok=True)
        found[mount["mountPath"]] = folder
    return found


def _environment(container: Json) -> dict[str, str]:
    """Return the container's variables; those that the kubelet fills in get a plain value."""
    given: Mapping[str, str] = {
        "ENVOY_POD_NAME": "envoy",
        "ENVOY_POD_NAMESPACE": ENVOY_GATEWAY,
        "POD_IP": NODE,
    }
    found = {
        entry["name"]: entry.get("value", given.get(entry["name"], ""))
        for entry in container.get("env", [])
    }
    return {**found, "ENVOY_SERVICE_ZONE": found.get("ENVOY_SERVICE_ZONE", "")}


def _exists(path: Path) -> None:
    if not path.exists():
        raise NotReady(f"{path} is not there yet")
