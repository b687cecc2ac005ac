"""Each way in which a rollout is kept from serving, made to happen on the real stack: what the API and the page say.

The failures are ordered from the kubelet and really happen; the statuses, events and conditions are the controllers'
own. A load that takes too long is not here: its probe allows half an hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deploy.local.stack.testing import Stack
from tests.story import delivering
from tests.story.delivering import Desk, Exports, until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
LOOKING = 120.0  # seconds until a failure shows: a node may have to be made first


class World:
    """Who rolls out what, and the page as the owner sees it."""

    def __init__(self, stack: Stack, patience: float, pages: Exports) -> None:
        self.stack, self.pages = stack, pages
        self.owner, self.reviewer = Desk(stack, "owen", patience), Desk(stack, "rita", patience)
        if not delivering.passing_versions(self.owner):
            delivering.evaluate(self.owner, 1)
        live = delivering.live_version(self.owner)
        self.number = next(number for number in delivering.passing_versions(self.owner) if number != live)

    @contextmanager
    def rollout(self) -> Iterator[str]:
        """Start a rollout; afterwards take it back and wait until its removal is committed."""
        _, rollout = delivering.start_rollout(self.owner, self.reviewer, self.number)
        try:
            yield rollout
        finally:
            self.owner.post(f"/rollouts/{rollout}/abort", {"reason": "The test has seen it."})
            removed = lambda row: "REMOVE" in {commit["step"] for commit in row["commits"]}  # noqa: E731
            until(lambda: self.owner.get(f"/rollouts/{rollout}"), removed, seconds=LOOKING, what="its removal")

    def sees(self, rollout: str, *codes: str) -> dict[str, Any]:
        """Wait until the rollout says one of these; return it."""
        look = lambda: self.owner.get(f"/rollouts/{rollout}")  # noqa: E731
        return until(look, lambda row: row["reason"] in codes, seconds=LOOKING, what=" or ".join(codes))

    def page(self, rollout: str) -> str:
        """Return the rollout's page."""
        return self.pages.http.get(f"{self.stack.portal}/rollouts/{rollout}/").raise_for_status().text


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
