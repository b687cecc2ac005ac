"""A copy of the Terraform here that may be broken on purpose, and OpenTofu that works in it without
a network.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.terraform.checking import needs, schemas

TERRAFORM = Path(__file__).parent.parent
VERSION = "6.69.1"  # of the provider whose schema the wheel carries
_USED = re.compile(r'^(resource|data) "(aws_\w+)"', re.MULTILINE)
_FRAME = re.compile(r"\n[│╷╵ \t]*(?=\S|\n)")  # around what is wrong, for people
_MACHINE = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def types_used(terraform: Path = TERRAFORM) -> frozenset[str]:
    """Return the types of resources, and of data sources with `data.` before them, used below."""
    found = {
        f"data.{name}" if kind == "data" else name
        for file in terraform.rglob("*.tf")
        for kind, name in _USED.findall(file.read_text())
    }
    return frozenset(found)


def mirror(folder: Path, env: Mapping[str, str]) -> Path:
    """Put the schema-only provider where OpenTofu looks for providers; return the folder."""
    machine = _MACHINE.get(platform.machine(), platform.machine())
    place = folder / "registry.opentofu.org/hashicorp/aws" / VERSION
    place = place / f"{platform.system().lower()}_{machine}"
    place.mkdir(parents=True)
    file = place / f"terraform-provider-aws_v{VERSION}"
    # a copy: a link's own name is not the one that a process is told
    shutil.copy2(needs.program(needs.PROVIDER, env), file)
    schemas.write(needs.wheel(env), types_used(), file.with_name(f"{file.name}.json"))
    return folder


@dataclass(frozen=True)
class Workspace:
    """A copy of deploy/terraform and what OpenTofu needs to work in it."""

    root: Path
    config: Path
    tofu: Path

    @classmethod
    def made(cls, folder: Path, providers: Path, env: Mapping[str, str]) -> Workspace:
        """Copy the Terraform into a folder that is not there yet."""
        shutil.copytree(TERRAFORM, folder, ignore=shutil.ignore_patterns("*.py", ".terraform*"))
        config = folder / "tofu.rc"
        config.write_text(
            f'provider_installation {{ filesystem_mirror {{ path = "{providers}" }} }}\n'
        )
        return cls(folder, config, needs.program(needs.TOFU, env))

    def run(self, place: str, *arguments: str) -> tuple[int, str]:
        """Run OpenTofu in a folder of it; return its exit code and what it said."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "TF_CLI_CONFIG_FILE": str(self.config),
            "TF_CLI_ARGS": "-no-color",
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        command = [str(self.tofu), f"-chdir={self.root / place}", *arguments]
        answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return answer.returncode, _FRAME.sub("\n", answer.stdout + answer.stderr)

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands exactly once in a file."""
        path = self.root / file
        text = path.read_text()
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands {text.count(old)} times in {file}")
        path.write_text(text.replace(old, new))
