"""How a container of the product's own pods becomes a process of this machine.

Nothing but its surroundings is translated: every port that it names becomes a free one of the
loopback, every folder that is mounted for it one of its own here. A pod that may read the cluster
gets the kubeconfig that this kubelet was given for such pods, and every pod the loopback proxy that
stands for the cluster's DNS.
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.local.engine.launcher import PROJECT
from deploy.local.kubelet import pods, processes
from deploy.local.kubelet.containers import CannotCreate, Started, keep_log
from deploy.local.kubelet.pods import Json, Pod
from deploy.local.kubelet.settings import Settings
from deploy.local.stack.ports import free_port

EVERYWHERE = "0.0.0.0"  # noqa: S104 - looked for, not listened on
PROBES = ("readinessProbe", "startupProbe", "livenessProbe")
NAME = "quartermaster"  # what the pod's annotation calls what runs in it


def start(pod: Pod, pod_ip: str, settings: Settings) -> Started:
    """Start the pod's main container. Raises CannotCreate."""
    container = pod.main
    folder = settings.pod(pod.uid) / container["name"]
    ports = {int(one["containerPort"]): free_port() for one in container.get("ports", ())}
    folders = _folders(container, settings.pod(pod.uid))
    try:
        given = pods.environment(pod, container, pod_ip)
    except ValueError as error:
        raise CannotCreate(str(error)) from error
    variables = {name: _here(value, ports, folders) for name, value in given.items()}
    words = [*container.get("command", ()), *container.get("args", ())]
    command = [_word(pods.expand(str(word), given), ports) for word in words]
    if command[:1] == ["python"]:
        command[0] = sys.executable
    environment = settings.base_environment() | settings.product_environment(pod.reads_cluster)
    environment |= {"PYTHONPATH": str(PROJECT), **variables}
    keep_log(folder)
    port = ports.get(_probed(container), 0)
    facts = {"port": port, "engine": NAME, "fault": ""}
    return Started(processes.start(folder, command, environment, facts), port, NAME)


def _folders(container: Json, where: Path) -> dict[str, str]:
    """Return a folder of this machine, made where missing, for each that the pod may write to."""
    found = {}
    for mount in container.get("volumeMounts", ()):
        if not mount.get("readOnly"):
            folder = where / "volumes" / mount["name"]
            folder.mkdir(parents=True, exist_ok=True)
            found[mount["mountPath"]] = str(folder)
    return found


def _here(value: str, ports: dict[int, int], folders: dict[str, str]) -> str:
    """Return a variable's value for this machine: a whole folder, or an address to listen on."""
    host, _, port = value.rpartition(":")
    if host == EVERYWHERE and port.isdecimal():
        return f"127.0.0.1:{ports.get(int(port), int(port))}"
    return folders.get(value, value)


def _word(word: str, ports: dict[int, int]) -> str:
    if word == EVERYWHERE:
        return "127.0.0.1"
    return str(ports.get(int(word), word)) if word.isdecimal() else word


def _probed(container: Json) -> int:
    """Return the number of the port that the container's probes ask; 0 where it has none."""
    named = {one.get("name"): int(one["containerPort"]) for one in container.get("ports", ())}
    for kind in PROBES:
        port = container.get(kind, {}).get("httpGet", {}).get("port", 0)
        if port:
            return named.get(port) or int(port)
    return 0
