"""kubectl by hand: what an engineer sees, what an administrator may do and forbid, and a market
that is rehearsed.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.stack.testing import Stack
from tests.story.delivering import until

Json = dict[str, Any]


def kubectl(stack: Stack, *words: str, given: str = "", check: bool = True) -> str:
    """Run kubectl as an administrator and return what it printed; unchecked, its errors too. given:
    what it reads.
    """
    config = stack.state / "cluster" / "kubeconfigs" / "admin"
    command = [str(Path(stack.status()["binaries"]) / "kubectl"), f"--kubeconfig={config}", *words]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=check, timeout=60
    )
    return done.stdout if check else done.stdout + done.stderr


def objects(stack: Stack, *what: str) -> list[Json]:
    """Return objects as an engineer gets them."""
    config = stack.state / "cluster" / "kubeconfigs" / "engineer"
    program = str(Path(stack.status()["binaries"]) / "kubectl")
    command = [program, f"--kubeconfig={config}", "get", *what, "-o", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return list(json.loads(answer.stdout)["items"])


class Cluster:
    """The cluster, and one version in it."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name = stack, name

    def get(self, *what: str) -> list[Json]:
        """Return the objects of a kind in the namespace models."""
        return objects(self.stack, "-n", "models", *what)

    def pods(self) -> list[Json]:
        """Return the version's pods."""
        return self.get("pods", "-l", f"serving.kserve.io/inferenceservice={self.name}")

    def nodes_of(self, pods: list[Json]) -> set[str]:
        """Return the nodes of pods."""
        return {pod["spec"].get("nodeName", "") for pod in pods} - {""}

    def capacity_types(self) -> dict[str, str]:
        """Return node → how its machine is bought: spot or on-demand."""
        labels = {
            node["metadata"]["name"]: node["metadata"]["labels"] for node in self.get("nodes")
        }
        return {name: found.get("karpenter.sh/capacity-type", "") for name, found in labels.items()}


@contextmanager
def refusing(
    stack: Stack, rule: Json, unless: str, sentence: str, tried: Callable[[], str]
) -> Iterator[Callable[[], None]]:
    """Have the API server refuse what a rule names, with a sentence; yield how to let it again.

    rule: of a ValidatingAdmissionPolicy, without versions. unless: in CEL, what is taken all the
    same. tried: tries it and returns what the API server said.
    """
    group, name = "admissionregistration.k8s.io/v1", {"name": "refused-by-a-test"}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule | {"apiVersions": ["*"]}]},
        "validations": [{"expression": unless, "message": sentence}],
    }
    binding = {"policyName": name["name"], "validationActions": ["Deny"]}
    kinds = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    items = [
        {"apiVersion": group, "kind": kind, "metadata": name, "spec": spec}
        for kind, spec in kinds.items()
    ]
    applied = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})

    def allow() -> None:
        kubectl(stack, "delete", "--ignore-not-found", "-f", "-", given=applied)

    kubectl(stack, "apply", "-f", "-", given=applied)
    try:
        until(tried, lambda said: sentence in said, seconds=60, what="the API server refuses it")
        yield allow
    finally:
        allow()


@contextmanager
def market(stack: Stack, *lines: str) -> Iterator[None]:
    """Say which machines cannot be had or are taken back: `instance-type capacity-type zone
    [effect]`, `*` for any.
    """
    file = stack.state / "cluster" / "shortage.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    try:
        yield
    finally:
        file.write_text("")
