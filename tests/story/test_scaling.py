"""A version on two GPUs a replica, whose replicas follow its callers: one, two, and one again.

Karpenter, the scheduler, KServe, KEDA with its metrics adapter and the cluster's autoscaler are the
real ones; the replicas' engine is the stand-in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.local.stack.testing import Stack
from tests.story import delivering
from tests.story.calls import MODEL, PACKET, question
from tests.story.delivering import Desk, until
from tests.story.kubectl import Cluster

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(900, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
GPU = "nvidia.com/gpu"
SETTINGS = {
    "gpus": 2,
    "tensor_parallelism": 2,
    "replicas_least": 1,
    "replicas_most": 2,
    "concurrency_target": 2,
    "drain_seconds": 20,
}
CALLERS = 6


def other_version(owner: Desk) -> int:
    """Return a version that does not serve now, evaluated with the settings."""
    delivering.evaluate(owner, 1)
    live = delivering.live_version(owner)
    number = next(each for each in delivering.passing_versions(owner) if each != live)
    run = owner.post(
        "/evaluation-runs", {"model": MODEL, "version": number, "serving_settings": SETTINGS}
    )
    delivering.wait_evaluated(owner, str(run["id"]))
    return number


@contextmanager
def calling(stack: Stack, token: str) -> Iterator[None]:
    """Have so many callers wait for answers all the while."""
    stop = threading.Event()
    body = question(PACKET, MODEL, {"max_tokens": 48})
    where, headers = f"{stack.gateway}/v1/chat/completions", {"Authorization": f"Bearer {token}"}

    def call() -> None:
        with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                client.post(where, json=body)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def ready(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the version's replicas that take calls."""
    return [
        pod
        for pod in cluster.pods()
        if not pod["metadata"].get("deletionTimestamp")
        and any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in pod["status"].get("conditions", ())
        )
    ]


def gpus_of(cluster: Cluster, pods: list[dict[str, Any]]) -> list[int]:
    """Return how many GPUs the machine of each replica has."""
    nodes = {node["metadata"]["name"]: node["status"]["capacity"] for node in cluster.get("nodes")}
    return [int(nodes[pod["spec"]["nodeName"]].get(GPU, 0)) for pod in pods]


def test_replicas_of_two_gpus_follow_the_callers(stack, patience):
    owner = Desk(stack, "owen", patience)
    delivering.grant(Desk(stack, "maya", patience), Desk(stack, "orla", patience), 1_000_000)
    number = other_version(owner)
    _, rollout = delivering.start_rollout(
        owner, Desk(stack, "rita", patience), number, settings=SETTINGS
    )
    done = until(
        lambda: owner.get(f"/rollouts/{rollout}"),
        lambda row: row["status"] in ("LIVE", "FAILED"),
        seconds=patience,
        what="live",
    )
    assert done["status"] == "LIVE", done
    cluster = Cluster(stack, f"{MODEL}-v{number}")
    (first,) = ready(cluster)
    (engine,) = (each for each in first["spec"]["containers"] if each["name"] == "kserve-container")
    assert engine["resources"]["limits"][GPU] == "2"
    assert "--tensor-parallel-size=2" in engine["args"]
    assert gpus_of(cluster, [first])[0] >= 2, "Karpenter bought it a machine that holds it"

    with calling(stack, stack.token("maya", "quartermaster-gateway")):
        pods = until(
            lambda: ready(cluster), lambda pods: len(pods) == 2, seconds=patience, what="two"
        )
        assert min(gpus_of(cluster, pods)) >= 2
    until(lambda: ready(cluster), lambda pods: len(pods) == 1, seconds=patience, what="one again")
    checks = owner.get(f"/rollouts/{rollout}")["checks"]
    assert {row["what"] for row in checks if row["verdict"] == "DIFFERENT"} == set()
