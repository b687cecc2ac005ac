"""Each way in which a rollout is kept from serving, made to happen on the real stack: what the API and the page say.

The failures are ordered where they arise (the kubelet, Git) and really happen; the statuses, events and conditions are
the controllers' own. A load that takes too long is not here: its probe allows half an hour.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.stack.testing import Stack
from tests.story.delivering import Exports, until
from tests.story.rolling import LOOKING, World

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
def ordered(stack: Stack, fault: str) -> Iterator[None]:
    """Have the kubelet fail in one way whatever it starts."""
    file = stack.state / "kubelet" / "faults.json"
    file.write_text(json.dumps({"*": fault}))
    try:
        yield
    finally:
        file.unlink()


@pytest.mark.parametrize(
    ("fault", "codes", "title"),
    [
        ("image-pull", ["IMAGE"], "The image cannot be pulled."),
        ("s3-denied", ["S3_DENIED"], "S3 denies access to the weights."),
        ("object-missing", ["OBJECT_MISSING"], "A file is missing in the registry."),
        ("checksum", ["CHECKSUM"], "The weights are not the approved ones."),
        ("bad-argument", ["BAD_ARGUMENT"], "The engine does not know an argument."),
        ("oom", ["OUT_OF_MEMORY"], "The engine ran out of memory."),
        ("crash-loop", ["ENGINE_CRASHED", "CRASH_LOOP"], "The engine crash"),
    ],
)
def test_a_failure_of_the_node_is_named(world: World, fault: str, codes: list[str], title: str) -> None:
    with ordered(world.stack, fault), world.rollout() as rollout:
        found = world.sees(rollout, *codes)
        assert title in world.page(rollout)
        assert (found["status"] == "FAILED") == (codes[0] in ("CHECKSUM", "BAD_ARGUMENT"))


def test_a_commit_that_argo_cd_cannot_read_is_named(world: World, tmp_path: Path) -> None:
    with no_yaml(world.stack, tmp_path) as mend, world.rollout() as rollout:
        found = world.sees(rollout, "COMPARISON")
        assert found["status"] == "PROGRESSING"
        assert "Argo CD cannot read Git." in world.page(rollout)
        mend()
        going_on = lambda row: row["reason"] != "COMPARISON"  # noqa: E731
        until(lambda: world.owner.get(f"/rollouts/{rollout}"), going_on, seconds=LOOKING, what="the rollout goes on")


@contextmanager
def no_yaml(stack: Stack, folder: Path) -> Iterator[Callable[[], None]]:
    """Commit a file that is no YAML, as somebody with a clone could; yield how to take it out again."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, timeout=60)

    def mend() -> None:
        git("pull", "--quiet", "--rebase")
        if broken.exists():
            git("rm", "--quiet", str(broken))
            git("commit", "--quiet", "-m", "Take the broken file out")
            git("push", "--quiet")

    git("clone", "--quiet", "--branch", "main", str(stack.state / "gitops.git"), ".")
    broken = folder / "serving" / "broken.yaml"
    broken.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: [\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "Break the folder")
    git("push", "--quiet")
    try:
        yield mend
    finally:
        mend()
