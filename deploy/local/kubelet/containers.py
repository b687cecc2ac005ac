"""How the two containers of a serving pod become processes of this machine: the product's own
loader, and the engine.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.engine.launcher import (
    NoEngine,
    choose_engine,
    engine_command,
    engine_environment,
    read_cpu_flags,
)
from deploy.local.kubelet import cache, faults, pods, processes
from deploy.local.kubelet.pods import Json, Pod
from deploy.local.kubelet.processes import Process
from deploy.local.kubelet.settings import Settings
from deploy.local.stack.ports import free_port


class CannotCreate(Exception):
    """A container cannot even be started; the message says why."""


@dataclass(frozen=True)
class Started:
    """An engine that was started, and what the pod's annotations say about it."""

    process: Process
    port: int
    engine: str


def start_initializer(pod: Pod, container: Json, pod_ip: str, settings: Settings) -> Process:
    """Start loading and verifying the pod's model. Raises CannotCreate."""
    arguments = [str(word) for word in container.get("args", ())]
    if container["name"] != pods.INITIALIZER or len(arguments) != 2:
        raise CannotCreate(f"the local kubelet knows the init container {pods.INITIALIZER} only")
    folder, models = settings.pod(pod.uid) / container["name"], model_folder(pod, settings)
    fault = faults.ordered(settings.faults, pod.service, faults.OF_THE_LOADER)
    if not fault:  # a transfer that is to fail must take place
        cache.lend(settings.cache, pod.digest, models)
    command = [sys.executable, "-m", *faults.loader(fault), arguments[0], str(models),
               f"--message={folder / 'message'}"]  # fmt: skip
    environment = settings.base_environment() | _variables(pod, container, pod_ip)
    environment |= settings.registry_environment()
    keep_log(folder)
    return processes.start(
        folder, command, faults.initializer_environment(fault, environment), {"fault": fault}
    )


def keep_model(pod: Pod, settings: Settings) -> None:
    """Keep what the loader has verified for the version's next pod."""
    cache.keep(settings.cache, pod.digest, model_folder(pod, settings))


def start_engine(
    pod: Pod,
    pod_ip: str,
    settings: Settings,
    secrets: Mapping[str, Mapping[str, str]] = pods.NO_SECRETS,
) -> Started:
    """Start the pod's engine on a free port. secrets: what is in those that it names. Raises
    CannotCreate.
    """
    folder = settings.pod(pod.uid) / pod.main["name"]
    try:
        engine = choose_engine(settings.environment)
    except NoEngine as error:
        raise CannotCreate(str(error)) from error
    variables = _variables(pod, pod.main, pod_ip, secrets)
    fault = faults.ordered(settings.faults, pod.service, faults.OF_THE_ENGINE)
    port = free_port()
    models = str(model_folder(pod, settings))
    arguments = pods.engine_arguments(pod.main, variables, models, port)
    command = faults.engine_command(fault, engine_command(engine, arguments, read_cpu_flags()))
    environment = {**settings.base_environment(), **variables, **engine_environment(engine)}
    keep_log(folder)
    facts = {"port": port, "engine": engine.name, "fault": fault}
    return Started(processes.start(folder, command, environment, facts), port, engine.name)


def found_engine(pod: Pod, settings: Settings) -> Started | None:
    """Return the pod's engine where an earlier kubelet started it and it still runs."""
    process = processes.find(settings.pod(pod.uid) / pod.main["name"])
    return (
        Started(process, int(process.facts["port"]), str(process.facts["engine"]))
        if process
        else None
    )


def model_folder(pod: Pod, settings: Settings) -> Path:
    """Return the folder that is /mnt/models to the pod's containers."""
    return settings.pod(pod.uid) / "mnt-models"


def log_files(pod: Pod, settings: Settings) -> dict[str, Path]:
    """Return the log file of each container."""
    names = [*(entry["name"] for entry in pod.inits), pod.main["name"]]
    return {name: settings.pod(pod.uid) / name / "log" for name in names}


def keep_log(folder: Path) -> None:
    """Put the log of the run before aside, where `kubectl logs --previous` finds it."""
    if (folder / "log").exists():
        (folder / "log").replace(folder / "log.previous")


def end_message(container: Json, folder: Path, code: int) -> str:
    """Return a container's termination message: what it wrote for that purpose, else its log's end
    where asked for.
    """
    if (folder / "message").exists():
        return (folder / "message").read_text()
    wants_log = container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
    return processes.tail(folder) if wants_log and code != 0 else ""


def _variables(
    pod: Pod,
    container: Json,
    pod_ip: str,
    secrets: Mapping[str, Mapping[str, str]] = pods.NO_SECRETS,
) -> dict[str, str]:
    try:
        return pods.environment(pod, container, pod_ip, secrets)
    except ValueError as error:
        raise CannotCreate(str(error)) from error
