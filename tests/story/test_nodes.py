"""What happens to the node under a version, made to happen on the real Karpenter: what the API and
the page say.

One rollout stands for all of them: paused before its first callers, its replica loses its node
again and again. A Spot interruption and a used-up quota are the only things made up, by the local
Karpenter main, which says so in its events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from deploy.local.stack.testing import Stack
from tests.story.counting import intervals, moment
from tests.story.delivering import Exports, Json, until
from tests.story.gitops import Clone
from tests.story.kubectl import kubectl, market
from tests.story.outages import ordered
from tests.story.rolling import LOOKING, World

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
POOL = "capacity/gpu-inference.yaml"
ROUNDED = timedelta(seconds=1)  # clocks of two processes, and what kubectl takes


class Standing:
    """A rollout whose replica is ready and whose next commit waits."""

    def __init__(self, world: World, rollout: str) -> None:
        self.world, self.stack, self.rollout = world, world.stack, rollout

    def row(self) -> Json:
        """Return the rollout."""
        return self.world.owner.get(f"/rollouts/{self.rollout}")

    def stands(self, machine: str = "") -> None:
        """Wait until nothing is wrong, on a machine of this type: the replica is ready, and only
        the pause holds.
        """
        holds = lambda row: row["reason"] == "PAUSED" and row["instance_type"].startswith(machine)  # noqa: E731
        until(self.row, holds, seconds=LOOKING, what=f"ready on {machine or 'a node'}, and paused")

    def says(self, code: str, title: str) -> str:
        """Wait for a code, and for its title on the page; return the words."""
        found = self.world.sees(self.rollout, code)
        assert found["status"] == "PROGRESSING"
        assert title in self.world.page(self.rollout)
        return str(found["message"])

    def lose_the_node(self) -> None:
        """Delete every NodeClaim, as an engineer may, and wait until the rollout has noticed."""
        kubectl(self.stack, "delete", "nodeclaims", "--all", "--wait=false")
        until(
            self.row,
            lambda row: row["reason"] != "PAUSED",
            seconds=LOOKING,
            what="the loss is noticed",
        )

    def lose_the_pod(self) -> None:
        """Delete its pod: another one takes its place."""
        labels = f"serving.kserve.io/inferenceservice={self.world.name}"
        kubectl(
            self.stack,
            "delete",
            "pods",
            "--namespace=models",
            f"--selector={labels}",
            "--wait=false",
        )


@pytest.fixture(scope="module")
def rollout(stack: Stack, patience: float) -> Iterator[Standing]:
    """The rollout that stands, of the class that takes Spot machines first."""
    with Exports(stack, "owen") as pages:
        world = World(stack, patience, pages)
        with world.rollout("SCALE_TO_ZERO") as started:
            standing = Standing(world, started)
            until(
                standing.row, lambda row: row["commits"], seconds=patience, what="its first commit"
            )
            world.owner.post(
                f"/rollouts/{started}/pause", {"reason": "Its node is to be lost a few times."}
            )
            standing.stands()
            yield standing


@contextmanager
def pool(stack: Stack, folder: Path, **changed: object) -> Iterator[None]:
    """Change the pool's spec in Git, as a platform engineer may, wait until the cluster has it;
    then put it back.
    """
    clone = Clone(stack, folder, "Pete")
    before = clone.read(POOL)
    wanted = yaml.safe_load(before)
    wanted["spec"] |= changed
    limits = "jsonpath={.spec.limits}{.spec.disruption.consolidateAfter}"
    look = lambda: kubectl(stack, "get", "nodepool", "gpu-inference", "-o", limits)  # noqa: E731
    seen = look()
    clone.push(POOL, yaml.safe_dump(wanted, sort_keys=False), "Try another pool")
    try:
        until(
            look, lambda now: now != seen, seconds=LOOKING, what="the changed pool in the cluster"
        )
        yield
    finally:
        clone.push(POOL, before, "Put the pool back")


def test_a_deleted_node_claim(rollout: Standing) -> None:
    rollout.stands()
    claims = names_of(rollout.stack)
    began = datetime.now(UTC)
    rollout.lose_the_node()
    assert "Fleet shows who ended it" in rollout.says("NODE_LOST", "Its node is gone.")
    until(
        lambda: names_of(rollout.stack),
        lambda left: not claims & left,
        seconds=LOOKING,
        what="the claim is gone",
    )
    gone = datetime.now(UTC)
    rollout.stands()
    for ended in ends_of(rollout.stack, claims):
        assert began - ROUNDED <= ended <= gone + ROUNDED


def names_of(stack: Stack) -> set[str]:
    """Return the names of the NodeClaims that kubectl lists."""
    return set(
        kubectl(stack, "get", "nodeclaims", "-o", "name")
        .replace("nodeclaim.karpenter.sh/", "")
        .split()
    )


def ends_of(stack: Stack, claims: set[str]) -> list[datetime]:
    """Return when the last intervals of these claims ended, as finance exports them: one end for
    each.
    """
    with Exports(stack, "fiona") as finance:
        found = intervals(finance)
    assert claims <= found.keys()
    return [moment(found[name][-1]["ended_at_utc"]) for name in claims]


def test_no_gpu_to_be_had_then_no_quota(rollout: Standing) -> None:
    rollout.stands()
    with market(rollout.stack, "* * *"):
        rollout.lose_the_node()
        assert "(simulated shortage)" in rollout.says("NO_CAPACITY", "No GPU")
    with market(rollout.stack, "* * * quota"):
        # Karpenter tells one pod at most every two minutes what it plans for it
        rollout.lose_the_pod()
        assert "(simulated quota)" in rollout.says("QUOTA", "quota")
    rollout.stands()


def test_the_limit_of_the_pool(rollout: Standing, tmp_path: Path) -> None:
    rollout.stands()
    with pool(rollout.stack, tmp_path, limits={"nvidia.com/gpu": "0"}):
        rollout.lose_the_node()
        assert "exceed limits for nodepool" in rollout.says("NODEPOOL_LIMIT", "limit")
    rollout.stands()


def test_a_spot_interruption(rollout: Standing) -> None:
    assert kubectl(
        rollout.stack, "get", "nodeclaims", "-l", "karpenter.sh/capacity-type=spot", "-o", "name"
    )
    with market(rollout.stack, "* spot * interrupt"):
        assert "(simulated)" in rollout.says("SPOT", "AWS took the Spot node back.")
    rollout.stands()


def test_a_consolidation(rollout: Standing, tmp_path: Path) -> None:
    rollout.stands()
    with market(rollout.stack, "* spot *", "g6.xlarge * *"):
        rollout.lose_the_node()
        rollout.stands("g6.2xlarge")
    at_once = {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "5s",
        "budgets": [{"nodes": "100%"}],
    }
    with pool(rollout.stack, tmp_path, disruption=at_once):
        # its start on a node that is there takes two seconds
        with ordered(rollout.stack, "load-timeout"):
            assert "consolidation" in rollout.says(
                "CONSOLIDATED", "Karpenter moved it to another node."
            )
        rollout.stands()
