"""The CRDs and manifests of the pinned releases, taken from their Go modules: none of them is
copied into the tree.

They are unpacked once into the user's cache; later starts need neither Go nor a network. Each
module is checked against the hash that stands here, so nobody can give another content to a
version.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.platform.cache import cache_folder, digest
from deploy.local.platform.toolchain import find_go, go_env

Say = Callable[[str], None]


class DownloadFailed(Exception):
    """A module could not be downloaded or is not the pinned one; the message names it and says what
    to do.
    """


@dataclass(frozen=True)
class Upstream:
    """Files of one released module. `name` is its folder in the cache; the files keep their paths
    below it.
    """

    name: str
    module: str
    version: str
    sum: str
    files: tuple[str, ...]  # folders (without their subfolders) and single files
    without: tuple[str, ...] = ()  # files of those folders that nobody should load


UPSTREAM = (
    Upstream(
        "kserve",
        "github.com/kserve/kserve",
        "v0.20.0",
        "h1:Bs7HxmGV4KFqqptDcWseKv+mwD4YOYHJWcuVgPG2Gug=",
        (
            "config/crd/full",
            "config/crd/full/clusterstoragecontainer",
            "config/configmap/inferenceservice.yaml",
            "config/webhook/manifests.yaml",
            "config/rbac/role.yaml",
        ),
    ),
    Upstream(
        "karpenter",
        "sigs.k8s.io/karpenter",
        "v1.14.1",
        "h1:GjqvOHLjl2+OXM0ti5VEZSQuvcitB0pETd8zdChXEtI=",
        ("pkg/apis/crds", "kwok/apis/crds"),
    ),
    # The same NodePool with the rules of an EKS cluster, and EC2NodeClass.
    Upstream(
        "karpenter-aws",
        "github.com/aws/karpenter-provider-aws",
        "v1.14.1",
        "h1:WGtIQTQcxpElYMdWfWuPwaF2+9muR+hYhPZsTtoY8Gs=",
        ("pkg/apis/crds",),
    ),
    Upstream(
        "kwok",
        "sigs.k8s.io/kwok",
        "v0.8.0",
        "h1:OTIOTwgROqPMovcTwxICx2eYQ4AwLpSx5EpjbDKF4SQ=",
        (
            "kustomize/crd/bases",
            "kustomize/stage/node/fast",
            "kustomize/stage/node/heartbeat-with-lease",
        ),
    ),
    Upstream(
        "argo-cd",
        "github.com/argoproj/argo-cd/v3",
        "v3.5.1",
        "h1:jtwPLEFX9mNj3jSq88ugFcScGnOZVs2DWaXFuZxrRT8=",
        ("manifests/crds", "hack/git-verify-wrapper.sh"),
        without=("applicationset-crd.yaml",),
    ),
    Upstream(
        "keda",
        "github.com/kedacore/keda/v2",
        "v2.20.2",
        "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=",
        ("config/crd/bases",),
    ),
    Upstream(
        "gateway-api",
        "sigs.k8s.io/gateway-api",
        "v1.6.1",
        "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=",
        ("config/crd/standard",),
    ),
    Upstream(
        "envoy-gateway",
        "github.com/envoyproxy/gateway",
        "v1.9.0",
        "h1:PaOpud15v3kDCl3L5yc1TdYzggCMpRm1yRjNKmLkzHA=",
        ("charts/gateway-helm/charts/crds/crds/generated",),
    ),
)
SKIPPED = ("kustomization.yaml",)  # not an object that a cluster takes
KEPT = (".yaml", ".sh")


def folder(env: Mapping[str, str], say: Say = print) -> Path:
    """Return the folder with the upstream files, `<folder>/<name>/<path in the module>`; downloads
    it when missing.

    The first time takes about 130 MB of downloads and, where the machine has none, Go. Raises
    DownloadFailed and NoToolchain.
    """
    wanted = cache_folder(env) / "upstream" / version_key()
    if wanted.exists():
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with open(wanted.parent / "lock", "a") as lock:  # a second caller waits and then finds it there
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            _fetch(wanted, find_go(env, say), env, say)
    return wanted


def _fetch(wanted: Path, go: Path, env: Mapping[str, str], say: Say) -> None:
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=wanted.parent))
    try:
        for upstream in UPSTREAM:
            say(f"Fetching the manifests of {upstream.module} {upstream.version}")
            unpack(upstream, module_dir(upstream, go, env), part / upstream.name)
        part.chmod(0o755)
        os.rename(part, wanted)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def version_key() -> str:
    """Return the name of this set of versions and files."""
    return digest([repr(UPSTREAM), repr(SKIPPED), repr(KEPT)])


def module_dir(upstream: Upstream, go: Path, env: Mapping[str, str]) -> Path:
    """Return the folder of the downloaded module; it belongs to Go's module cache. Raises
    DownloadFailed.
    """
    with tempfile.TemporaryDirectory() as empty:
        answer = subprocess.run(
            [str(go), "mod", "download", "-json", f"{upstream.module}@{upstream.version}"],
            cwd=empty,
            env=go_env(env) | {"GOFLAGS": "-modcacherw"},
            capture_output=True,
            text=True,
            check=False,
        )
    facts = json.loads(answer.stdout or "{}")
    if answer.returncode or "Dir" not in facts:
        reason = facts.get("Error") or answer.stderr.strip()
        raise DownloadFailed(
            f"{upstream.module} {upstream.version} could not be downloaded: {reason}\n"
            "Check the network (and GOPROXY, where one is set), then start again."
        )
    if facts["Sum"] != upstream.sum:
        raise DownloadFailed(
            f"{upstream.module} {upstream.version} has another content than the pinned one: "
            f"{facts['Sum']} instead of {upstream.sum}. Do not use it."
        )
    return Path(facts["Dir"])


def unpack(upstream: Upstream, module: Path, target: Path) -> None:
    """Copy the wanted files of one module to `target`, with their paths inside the module."""
    for wanted in upstream.files:
        source = module / wanted
        for file in sorted(source.iterdir()) if source.is_dir() else [source]:
            if file.suffix in KEPT and file.name not in (*SKIPPED, *upstream.without):
                copy = target / file.relative_to(module)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                copy.chmod(0o755 if file.suffix == ".sh" else 0o644)
