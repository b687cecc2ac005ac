"""Makes the environment that real vLLM runs in: `python -m deploy.local.engine.serving`.

It is an environment of its own (`.venv-serving`, about 6 GB, git-ignored), because vLLM pins half
of the packages the project uses. `serving.lock` names every file by its hash. Safe to run again: a
finished environment is left alone, an unfinished one continues, with what was downloaded taken from
the package cache. The file complete.json is written last, after vLLM was imported once; until then
the launcher does not use the environment.

The lock is made, in this folder, by: uv pip compile serving.in --override serving.overrides
--universal --python-version 3.11 --generate-hashes --no-emit-index-url -o serving.lock
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from deploy.local.engine.launcher import PROJECT, vllm_version

LOCK = Path(__file__).parent / "serving.lock"
# the environment, and the same again in the package cache where they cannot be linked
NEEDED_GIB = 14
NICENESS = 10


class CannotMake(Exception):
    """The environment cannot be made; the message says why and what to do."""


def make_environment(folder: Path) -> None:
    """Make the environment, or continue it, or leave a finished one alone."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if is_complete(folder, digest):
        print(f"vLLM {vllm_version(folder)} is ready in {folder}")
        return
    (folder / "complete.json").unlink(missing_ok=True)
    check_space(folder.parent)
    started = time.monotonic()
    python = folder / "bin" / "python"
    if not python.exists():
        say(f"making an environment of its own in {folder}")
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
    say("installing vLLM for CPUs from serving.lock: about 2.5 GB to download, 6 GB on disk")
    install(python)
    say("importing it once: the first import compiles thousands of files")
    version = checked_version(python)
    seconds = round(time.monotonic() - started)
    (folder / "complete.json").write_text(
        json.dumps({"lock": digest, "vllm": version, "seconds": seconds}) + "\n"
    )
    print(
        f"vLLM {version} is ready in {folder} after {seconds} s; restart the serving pods to use it"
    )


def is_complete(folder: Path, digest: str) -> bool:
    """Return whether the environment was finished from this very lock."""
    try:
        return bool(json.loads((folder / "complete.json").read_text())["lock"] == digest)
    except (OSError, ValueError, KeyError):
        return False


def check_space(parent: Path) -> None:
    """Raise CannotMake where the disk is too small for it."""
    free = shutil.disk_usage(parent).free / 2**30
    if free < NEEDED_GIB:
        raise CannotMake(
            f"{free:.0f} GB free, {NEEDED_GIB} GB needed: make room, or stay with the stand-in"
        )


def install(python: Path) -> None:
    """Install every package of the lock, by hash, with uv where there is one, else with pip."""
    installer = uv_command()
    if installer:
        run([*installer, "pip", "sync", "--python", str(python), "--require-hashes", str(LOCK)])
    else:  # the lock is whole, and vLLM's own pin of torch names a build that no index carries
        run([str(python), "-m", "pip", "install", "--no-deps", "--require-hashes", "-r", str(LOCK)])


def uv_command() -> list[str]:
    """Return how uv is called here, or nothing where it is not installed."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found:
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def checked_version(python: Path) -> str:
    """Return the version that vLLM itself gives. Raises CannotMake where it cannot be imported on
    this machine.
    """
    program = (
        "import vllm, vllm.platforms as p; assert p.current_platform.is_cpu(); "
        "print(vllm.__version__)"
    )
    done = subprocess.run(
        [str(python), "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise CannotMake(f"vLLM was installed but does not start on this machine: {lines[-1]}")
    return done.stdout.strip().splitlines()[-1]


def run(command: list[str]) -> None:
    """Run one step at a low priority, its output shown. Raises CannotMake where it fails."""
    done = subprocess.run(
        command, env=_environment(), preexec_fn=lambda: os.nice(NICENESS), check=False
    )
    if done.returncode != 0:
        raise CannotMake(
            f"{Path(command[0]).name} {command[1]} ended with {done.returncode}: run make serving "
            f"again, it continues"
        )


def say(line: str) -> None:
    """Print one step."""
    print(f"serving: {line}", flush=True)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "UV_HTTP_TIMEOUT": "300",
        "UV_CONCURRENT_DOWNLOADS": "4",
        "VLLM_NO_USAGE_STATS": "1",
    }


def main(arguments: list[str] | None = None) -> int:
    """Make the environment; 1 where it cannot be made."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.engine.serving", description="Install vLLM for CPUs."
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=PROJECT / ".venv-serving", metavar="FOLDER"
    )
    try:
        make_environment(parser.parse_args(arguments).folder)
    except CannotMake as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
