"""Nodes that are not to be had: our Karpenter rehearses the shortage from a file.

It comes last on its stack: what was short stays hidden for minutes, as in a real account.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.local.platform import programs
from deploy.local.stack.testing import Stack
from tests.story.delivering import Exports
from tests.story.rolling import World

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]


@pytest.fixture(scope="module")
def world(stack: Stack, patience: float) -> Iterator[World]:
    """The persons, a version that passed, and a session of the owner's."""
    with Exports(stack, "owen") as pages:
        yield World(stack, patience, pages)


@contextmanager
def rehearsed(stack: Stack, line: str) -> Iterator[None]:
    """Write a line of the shortage file for as long as the block lasts."""
    file = stack.state / "cluster" / "shortage.txt"
    file.write_text(f"{line}\n")
    try:
        yield
    finally:
        file.write_text("")


def no_nodes(stack: Stack) -> None:
    """Take every node away, so that the next pod needs a new one."""
    kubectl, who = programs.binaries(os.environ) / "kubectl", stack.state / "cluster" / "kubeconfigs" / "admin"
    words = [str(kubectl), f"--kubeconfig={who}", "delete", "nodeclaims", "--all", "--wait=true", "--timeout=90s"]
    subprocess.run(words, check=True, capture_output=True, timeout=120)


def test_a_gpu_shortage_is_named(world: World) -> None:
    with rehearsed(world.stack, "* * *"):
        no_nodes(world.stack)
        with world.rollout() as rollout:
            found = world.sees(rollout, "NO_CAPACITY")
            assert "widen the NodePool" in found["message"]
            assert "No GPU capacity." in world.page(rollout)
