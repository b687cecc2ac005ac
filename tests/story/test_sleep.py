"""A version that sleeps while nobody calls: idle, called, refused with a sentence, woken, ready,
answered, idle again.

KEDA, Karpenter, KServe and the gateway are the real ones; times are short by settings, as anybody
may set them.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from deploy.local.stack.testing import Stack
from tests.story import delivering
from tests.story.calls import MODEL, PACKET, question
from tests.story.delivering import Desk, Exports, until
from tests.story.gitops import Clone
from tests.story.kubectl import Cluster, market

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
POOL = "capacity/gpu-inference.yaml"


def call(stack: Stack, token: str) -> httpx.Response:
    """Call the model once."""
    body = question(PACKET, MODEL, {"max_tokens": 8})
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(
        f"{stack.gateway}/v1/chat/completions",
        json=body,
        headers=headers,
        timeout=60,
        trust_env=False,
    )


def give_back_empty_nodes_soon(stack: Stack, folder: Path) -> None:
    """Commit a shorter patience with empty nodes, as a platform engineer does."""
    clone = Clone(stack, folder, "Pete")
    sooner = clone.read(POOL).replace("consolidateAfter: 2m", "consolidateAfter: 5s")
    clone.push(POOL, sooner, "Give empty nodes back sooner")


@pytest.fixture
def owner(stack, patience) -> Desk:
    """Who owns the model."""
    return Desk(stack, "owen", patience)


def other_version(owner: Desk) -> int:
    """Return a version that passed and does not serve now."""
    if not delivering.passing_versions(owner):
        delivering.evaluate(owner, 1)
    live = delivering.live_version(owner)
    return next(number for number in delivering.passing_versions(owner) if number != live)


def roll_out_asleep(stack: Stack, owner: Desk, patience: float) -> int:
    """Roll a version out under scale-to-zero, and return its number when all callers are sent to
    it.
    """
    number = other_version(owner)
    _, rollout = delivering.start_rollout(
        owner, Desk(stack, "rita", patience), number, "SCALE_TO_ZERO"
    )
    look = lambda: owner.get(f"/rollouts/{rollout}")  # noqa: E731
    done = until(
        look, lambda row: row["status"] in ("LIVE", "FAILED"), seconds=patience, what="live"
    )
    assert done["status"] == "LIVE", done
    assert "READY" in {phase["phase"] for phase in done["phases"]}, (
        "callers were sent to what was never ready"
    )
    return number


def call_until_answered(stack: Stack, token: str, seconds: float) -> list[httpx.Response]:
    """Call as the sentence asks: again after Retry-After, until the model answers. Returns every
    answer.
    """
    answers = [call(stack, token)]
    deadline = time.monotonic() + seconds
    while answers[-1].status_code == 503 and time.monotonic() < deadline:
        time.sleep(int(answers[-1].headers["retry-after"]))
        answers.append(call(stack, token))
    assert answers[-1].status_code == 200, answers[-1].text
    return answers


def test_a_call_wakes_what_sleeps_and_it_falls_asleep_again(stack, patience, owner, tmp_path):
    give_back_empty_nodes_soon(stack, tmp_path)
    delivering.grant(Desk(stack, "maya", patience), Desk(stack, "orla", patience), 1_000_000)
    before = Cluster(stack, "").capacity_types()
    number = roll_out_asleep(stack, owner, patience)
    cluster = Cluster(stack, f"{MODEL}-v{number}")
    token = stack.token("maya", "quartermaster-gateway")
    used = cluster.nodes_of(cluster.pods())
    made_for_it = {
        name: bought
        for name, bought in cluster.capacity_types().items()
        if name in used - set(before)
    }
    assert set(made_for_it.values()) <= {"spot"}, "Spot first"
    asleep(cluster, used, patience)

    with market(stack, "* spot *"):
        refused, *_ = answers = call_until_answered(stack, token, patience)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "3"
    assert refused.json()["error"]["code"] == "no_replica"
    assert "this call was counted and wakes it" in refused.json()["error"]["message"]

    woken = cluster.nodes_of(cluster.pods())
    assert woken and not woken & used, "it was woken on a node of its own"
    assert {cluster.capacity_types()[node] for node in woken} == {"on-demand"}, (
        "and without Spot, on demand"
    )
    asleep(cluster, set(), patience)  # when its node goes was seen above
    counted(stack, answers)


def asleep(cluster: Cluster, nodes: set[str], patience: float) -> None:
    """Wait until the version has no replica, and its nodes are given back."""
    until(
        cluster.pods, lambda pods: not pods, seconds=patience, what="no replica while nobody calls"
    )
    gone = lambda: nodes & {node["metadata"]["name"] for node in cluster.get("nodes")}  # noqa: E731
    until(gone, lambda left: not left, seconds=patience, what="its node is given back")


def counted(stack: Stack, answers: list[httpx.Response]) -> None:
    """See each call once: the refused ones as failed, without a token; the answered one with its
    own.
    """
    ids = {answer.headers["x-request-id"]: answer for answer in answers}
    with Exports(stack, "fiona") as finance:

        def look() -> dict[str, dict[str, str]]:
            rows = finance.rows("/usage/?format=csv")
            return {row["event_id"]: row for row in rows if row["event_id"] in ids}

        rows = until(
            look, lambda found: len(found) == len(ids), seconds=60, what="every call in the list"
        )
    for request_id, answer in ids.items():
        row, asleep_then = rows[request_id], answer.status_code == 503
        assert row["outcome"] == ("FAILED" if asleep_then else "METERED")
        tokens = "" if asleep_then else str(answer.json()["usage"]["completion_tokens"])
        assert row["output_tokens"] == tokens
