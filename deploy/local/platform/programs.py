"""The Go programs of the local stack: what each is built from, and where the ready ones are.

Every program has a key over all that goes into it; what is built lies under `<cache>/bin/<key>/`,
so a changed go.mod or main rebuilds just its own program, and two checkouts share what they have in
common.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.platform.cache import cache_folder, digest

HERE = Path(__file__).parent
STRIPPED = "-s -w"
PARALLEL = 2  # packages compiled at once: a build shall leave the machine usable


class BadReadyFolder(Exception):
    """QUARTERMASTER_BINARIES names something that is not a folder."""


@dataclass(frozen=True)
class Program:
    """One program that is built. The folder holds its go.mod; the package is an import path or our
    own main there.
    """

    name: str
    folder: str
    package: str
    # to build it alone, measured on a slow machine: the first guess of the time left
    cpu_seconds: int
    ldflags: str = STRIPPED
    links: tuple[str, ...] = ()  # the names that a program of several parts is called by

    @property
    def names(self) -> tuple[str, ...]:
        """Return all the file names that this program gives the stack."""
        return (self.name, *self.links)

    def first_guess(self) -> int:
        """Return the seconds that the build takes about, before anything of it was measured."""
        return self.cpu_seconds // min(PARALLEL, os.cpu_count() or 1)


_KUBERNETES_VERSION = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in {"gitVersion": "v1.36.3", "gitMajor": "1", "gitMinor": "36"}.items()
)

# In the order in which the stack needs them.
PROGRAMS = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", 120),
    Program(
        "kube",
        "kubernetes",
        ".",
        870,
        ldflags=f"{STRIPPED} {_KUBERNETES_VERSION}",
        links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
    ),
    Program("versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw", 180),
    Program("otelcol", "otelcol", ".", 150),
    Program("ratelimit", "ratelimit", "github.com/envoyproxy/ratelimit/src/service_cmd", 60),
    Program("kwok", "karpenter", "sigs.k8s.io/kwok/cmd/kwok", 240),
    Program("karpenter", "karpenter", ".", 120),
    Program(
        "argocd",
        "argocd",
        ".",
        480,
        ldflags=f"{STRIPPED} -X github.com/argoproj/argo-cd/v3/common.version=3.5.1",
        links=("argocd-application-controller", "argocd-repo-server", "argocd-git-ask-pass"),
    ),
    Program("kserve-manager", "kserve", "github.com/kserve/kserve/cmd/manager", 420),
    Program("keda-operator", "keda", "github.com/kedacore/keda/v2/cmd/operator", 660),
    Program("keda-adapter", "keda", "github.com/kedacore/keda/v2/cmd/adapter", 540),
)
# What checks the rest of what is shipped: `make check-delivery` alone builds these, and no stack
# needs one.
DELIVERY = (
    Program(
        "helm",
        "helm",
        "helm.sh/helm/v4/cmd/helm",
        322,
        ldflags=f"{STRIPPED} -X helm.sh/helm/v4/internal/version.version=v4.3.1",
    ),
    Program(
        "tofu",
        "tofu",
        "github.com/opentofu/opentofu/cmd/tofu",
        361,
        # else it may call itself a development version
        ldflags=f"{STRIPPED} -X github.com/opentofu/opentofu/version.dev=no",
    ),
    Program("terraform-provider", "terraform", ".", 15),
)


def key(program: Program, here: Path = HERE) -> str:
    """Return the name of exactly this build: its sources, versions, flags and kind of machine. 16
    hex digits.
    """
    folder = here / program.folder
    files = [folder / "go.mod", folder / "go.sum"]
    if program.package == ".":
        files += sorted(file for file in folder.glob("*.go") if not file.name.endswith("_test.go"))
    facts = [program.name, program.package, program.ldflags, sys.platform, platform.machine()]
    return digest([*facts, *(part for file in files for part in (file.name, file.read_bytes()))])


def built(program: Program, env: Mapping[str, str], here: Path = HERE) -> Path:
    """Return where the builder puts this program; it exists only when it is complete."""
    return cache_folder(env) / "bin" / key(program, here) / program.name


def ready_folder(env: Mapping[str, str]) -> Path | None:
    """Return the folder of ready programs that QUARTERMASTER_BINARIES names. Raises
    BadReadyFolder.
    """
    given = env.get("QUARTERMASTER_BINARIES")
    if not given:
        return None
    path = Path(given).expanduser().absolute()
    if not path.is_dir():
        raise BadReadyFolder(f"QUARTERMASTER_BINARIES={given} is not a folder")
    return path


def sources(program: Program, env: Mapping[str, str], here: Path = HERE) -> dict[str, Path] | None:
    """Return the file behind each name of the program: given ready, or built; None while it must
    still be built.
    """
    given = ready_folder(env)
    if given and all(os.access(given / name, os.X_OK) for name in program.links or (program.name,)):
        return {name: given / name for name in program.names if (given / name).exists()}
    file = built(program, env, here)
    return dict.fromkeys(program.names, file) if file.exists() else None


def missing(
    env: Mapping[str, str], programs: tuple[Program, ...] = PROGRAMS, here: Path = HERE
) -> list[Program]:
    """Return the programs that must still be built, in the stack's order."""
    return [program for program in programs if sources(program, env, here) is None]


def binaries(
    env: Mapping[str, str], programs: tuple[Program, ...] = PROGRAMS, here: Path = HERE
) -> Path:
    """Return the one folder with a link to every program that is ready, and bring its links up to
    date.

    Its path depends on the versions and on QUARTERMASTER_BINARIES only, so it is known before
    anything is built. Raises BadReadyFolder.
    """
    facts = [str(ready_folder(env) or ""), *(key(program, here) for program in programs)]
    folder = cache_folder(env) / "programs" / digest(facts)
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        for name, file in (sources(program, env, here) or {}).items():
            _link(folder / name, file)
    return folder


def _link(link: Path, file: Path) -> None:
    if link.is_symlink() and os.readlink(link) == str(file):
        return
    with tempfile.TemporaryDirectory(prefix=".part-", dir=link.parent) as part:
        made = Path(part) / link.name
        made.symlink_to(file)
        os.replace(made, link)
