"""Rehearsals of the ways in which serving fails: orders in `<state>/kubelet/faults.json`, read at
each start.

The file maps an InferenceService's name, or "*", to one of FAULTS. Each order makes the failure
itself happen (a wrong key is really refused by S3, a changed byte really fails its checksum), so
everything that reads the cluster sees what it would see in production. An event on the pod says
that it was ordered. Take the line out and the next attempt works.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

IMAGE_PULL, S3_DENIED, OBJECT_MISSING, CHECKSUM = (
    "image-pull",
    "s3-denied",
    "object-missing",
    "checksum",
)
BAD_ARGUMENT, OUT_OF_MEMORY, LOAD_TIMEOUT, CRASH_LOOP = (
    "bad-argument",
    "oom",
    "load-timeout",
    "crash-loop",
)
OF_THE_LOADER = (S3_DENIED, OBJECT_MISSING, CHECKSUM)
OF_THE_ENGINE = (BAD_ARGUMENT, OUT_OF_MEMORY, LOAD_TIMEOUT, CRASH_LOOP)
FAULTS = (IMAGE_PULL, *OF_THE_LOADER, *OF_THE_ENGINE)
KILL_AFTER_SECONDS = 0.3  # before any engine is ready: a version that served would have passed


def ordered(file: Path, service: str, kinds: tuple[str, ...] = FAULTS) -> str:
    """Return the failure of these kinds that is ordered for an InferenceService, "" for none.

    A file that is missing or cannot be read orders nothing.
    """
    try:
        orders = json.loads(file.read_text())
        fault = orders.get(service) or orders.get("*") or ""
    except (OSError, ValueError, AttributeError):
        return ""
    return fault if fault in kinds else ""


def initializer_environment(fault: str, environment: dict[str, str]) -> dict[str, str]:
    """Return the init container's variables: with a wrong key where S3 is to refuse it."""
    return {**environment, "AWS_SECRET_ACCESS_KEY": "wrong"} if fault == S3_DENIED else environment


def loader(fault: str) -> list[str]:
    """Return the module that loads, with its first words: for a failure of the transfer, the one
    that rehearses it.
    """
    if fault in (OBJECT_MISSING, CHECKSUM):
        return ["deploy.local.kubelet.rehearsal", fault]
    return ["deploy.serving.loader"]


def engine_command(fault: str, command: list[str]) -> list[str]:
    """Return the engine's command: with a flag that no engine knows, or as a process that never
    listens.
    """
    if fault == BAD_ARGUMENT:
        return [*command, "--no-such-flag"]
    if fault == LOAD_TIMEOUT:
        return [
            sys.executable,
            "-c",
            "import time; print('loading weights', flush=True); time.sleep(86400)",
        ]
    return command


def kills(fault: str) -> bool:
    """Return whether the engine is to be killed as soon as it was started."""
    return fault in (OUT_OF_MEMORY, CRASH_LOOP)
