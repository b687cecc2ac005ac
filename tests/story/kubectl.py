"""What an engineer sees with kubectl, of one version, and a GPU shortage that is rehearsed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.stack.testing import Stack

Json = dict[str, Any]


class Cluster:
    """The cluster, and one version in it."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name = stack, name

    def get(self, *what: str) -> list[Json]:
        """Return the objects of a kind in the namespace models."""
        config = self.stack.state / "cluster" / "kubeconfigs" / "engineer"
        kubectl = Path(self.stack.status()["binaries"]) / "kubectl"
        command = [str(kubectl), f"--kubeconfig={config}", "-n", "models", "get", *what, "-o", "json"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return list(json.loads(answer.stdout)["items"])

    def pods(self) -> list[Json]:
        """Return the version's pods."""
        return self.get("pods", "-l", f"serving.kserve.io/inferenceservice={self.name}")

    def nodes_of(self, pods: list[Json]) -> set[str]:
        """Return the nodes of pods."""
        return {pod["spec"].get("nodeName", "") for pod in pods} - {""}

    def capacity_types(self) -> dict[str, str]:
        """Return node → how its machine is bought: spot or on-demand."""
        labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in self.get("nodes")}
        return {name: found.get("karpenter.sh/capacity-type", "") for name, found in labels.items()}


@contextmanager
def short_of(stack: Stack, what: str) -> Iterator[None]:
    """Rehearse a shortage: `instance-type capacity-type zone`, `*` for any. It is felt 3 minutes longer."""
    file = stack.state / "cluster" / "shortage.txt"
    file.write_text(f"{what}\n")
    try:
        yield
    finally:
        file.write_text("")
