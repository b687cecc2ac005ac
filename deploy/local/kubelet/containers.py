"""How the two containers of a serving pod become processes of this machine: the model's loader and
the engine.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.engine.launcher import (
    NoEngine,
    choose_engine,
    engine_command,
    engine_environment,
    read_cpu_flags,
)
from deploy.local.kubelet import faults, pods, processes
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


def start_initializer(pod: Pod, container: Json, settings: Settings) -> Process:
    """Start loading and verifying the pod's model. Raises CannotCreate."""
    arguments = [str(word) for word in container.get("args", ())]
    if container["name"] != pods.INITIALIZER or not arguments:
        raise CannotCreate(f"the local kubelet knows the init container {pods.INITIALIZER} only")
    folder = settings.pod(pod.uid) / container["name"]
    fault = faults.ordered(settings.faults, pod.service, faults.OF_THE_LOADER)
    command = [sys.executable, "-m", "deploy.local.kubelet.storage_initializer", arguments[0],
               f"--cache={settings.cache}", f"--link={link(pod, settings)}",
               f"--message={folder / 'message'}",
               f"--digest={pod.digest}", *faults.initializer_flags(fault)]  # fmt: skip
    environment = settings.base_environment() | settings.registry_environment()
    settings.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    keep_log(folder)
    return processes.start(
        folder, command, faults.initializer_environment(fault, environment), {"fault": fault}
    )


def start_engine(pod: Pod, pod_ip: str, settings: Settings) -> Started:
    """Start the pod's engine on a free port. Raises CannotCreate."""
    folder = settings.pod(pod.uid) / pod.main["name"]
    try:
        engine = choose_engine(settings.environment)
        variables = pods.environment(pod, pod.main, pod_ip)
    except (NoEngine, ValueError) as error:
        raise CannotCreate(str(error)) from error
    fault = faults.ordered(settings.faults, pod.service, faults.OF_THE_ENGINE)
    port = free_port()
    arguments = pods.engine_arguments(pod.main, variables, model_folder(pod, settings), port)
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


def model_folder(pod: Pod, settings: Settings) -> str:
    """Return the folder of the verified model, as the loader left it."""
    try:
        return link(pod, settings).read_text()
    except OSError:
        # a pod without a storage-initializer: the engine will say it
        return str(settings.pod(pod.uid) / "no-model")


def link(pod: Pod, settings: Settings) -> Path:
    """Return the file in which the loader says where the model is."""
    return settings.pod(pod.uid) / "model"


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
