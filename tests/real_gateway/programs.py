"""The real gateways' programs and definitions, built from the modules that go.mod pins. Minutes the
first time.

Envoy AI Gateway is held at the newest release that Go's module proxy serves; the objects' shapes
are checked against the production release's own definitions in tests/manifests.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.platform.cache import cache_folder, digest
from deploy.local.platform.toolchain import find_go, go_env

HERE = Path(__file__).parent
ENVOY_GATEWAY = "github.com/envoyproxy/gateway"
AI_GATEWAY = "github.com/envoyproxy/ai-gateway"
PACKAGES = (
    f"{ENVOY_GATEWAY}/cmd/envoy-gateway",
    f"{AI_GATEWAY}/cmd/controller",
    f"{AI_GATEWAY}/cmd/extproc",
)
DEFINITIONS = {
    ENVOY_GATEWAY: "charts/gateway-helm/charts/crds/crds",
    AI_GATEWAY: "manifests/charts/ai-gateway-crds-helm/templates",
}


@dataclass(frozen=True)
class Release:
    """What one build gives. programs: the folder of the three; definitions: CRD files; versions: by
    module.
    """

    programs: Path
    definitions: tuple[Path, ...]
    versions: tuple[tuple[str, str], ...]


def release() -> Release:
    """Return the programs and definitions of the pinned modules, building what is not in the user's
    cache yet.
    """
    key = digest([(HERE / name).read_bytes() for name in ("go.mod", "go.sum")])
    folder = cache_folder(os.environ) / "real-gateway" / key
    if not all((folder / package.rpartition("/")[2]).exists() for package in PACKAGES):
        print("Building Envoy Gateway and Envoy AI Gateway, about five minutes, once", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        _go("build", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", f"{folder}/", *PACKAGES)
    modules = [json.loads(_go("list", "-m", "-json", name)) for name in DEFINITIONS]
    files = [path for module in modules for path in _definitions(module)]
    return Release(
        folder, tuple(files), tuple((module["Path"], module["Version"]) for module in modules)
    )


def _definitions(module: dict[str, str]) -> list[Path]:
    return sorted((Path(module["Dir"]) / DEFINITIONS[module["Path"]]).rglob("*.yaml"))


def _go(*arguments: str) -> str:
    command = [str(find_go(os.environ)), *arguments]
    return subprocess.run(
        command, cwd=HERE, env=go_env(os.environ), stdout=subprocess.PIPE, text=True, check=True
    ).stdout
