"""Each way in which a rollout is kept from serving, made to happen on the real stack: what the API
and the page say.

The failures are ordered where they arise (the kubelet, Git, the API server) and really happen; the
statuses, events and conditions are the controllers' own.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from deploy.local.stack.testing import Stack
from tests.story.delivering import Exports, until
from tests.story.gitops import Clone
from tests.story.kubectl import Cluster, kubectl, refusing
from tests.story.outages import ordered
from tests.story.rolling import LOOKING, World

WHERE = ("--namespace=models",)
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
        ("load-timeout", ["LOAD_TIMEOUT"], "Loading took too long."),
    ],
)
def test_a_failure_of_the_node_is_named(
    world: World, fault: str, codes: list[str], title: str
) -> None:
    with ordered(world.stack, fault), world.rollout() as rollout:
        found = world.sees(rollout, *codes)
        assert title in world.page(rollout)
        assert (found["status"] == "FAILED") == (codes[0] in ("CHECKSUM", "BAD_ARGUMENT"))
        cluster = Cluster(world.stack, world.name)
        bought = {cluster.capacity_types()[node] for node in cluster.nodes_of(cluster.pods())}
        assert bought == {"on-demand"}, "a warm version runs on no Spot machine"


def held(stack: Stack) -> AbstractContextManager[None]:
    """Let no engine become ready, so that a rollout which goes on stays open and can be taken
    back.
    """
    return ordered(stack, "load-timeout")


NO_YAML = "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n"
# Valid YAML, but no ServingRuntime; it comes before all versions, so they wait for it.
NO_RUNTIME = """apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: handmade, namespace: models, annotations: {argocd.argoproj.io/sync-wave: "-1"}}
spec: {containers: many}
"""


@pytest.mark.parametrize(
    ("content", "code", "title", "words"),
    [
        (NO_YAML, "COMPARISON", "Argo CD cannot read Git.", "broken.yaml"),
        (
            NO_RUNTIME,
            "SYNC_BLOCKED",
            "Another change blocks this one.",
            "Correct ServingRuntime handmade in Git",
        ),
    ],
    ids=["no YAML", "no object"],
)
def test_somebody_elses_commit_that_stops_argo_cd_is_named(
    world: World, tmp_path: Path, content: str, code: str, title: str, words: str
) -> None:
    with (
        held(world.stack),
        broken(world.stack, tmp_path, content) as mend,
        world.rollout() as rollout,
    ):
        found = world.sees(rollout, code)
        assert (found["status"], words in found["message"]) == ("PROGRESSING", True), found[
            "message"
        ]
        assert title in world.page(rollout)
        mend()
        world.goes_on(rollout, code)


@contextmanager
def broken(stack: Stack, folder: Path, content: str) -> Iterator[Callable[[], None]]:
    """Commit a file that Argo CD cannot use, as somebody with a clone could; yield how to take it
    out again.
    """
    clone = Clone(stack, folder, "Somebody")

    def mend() -> None:
        clone.push("serving/broken.yaml", None, "Take the broken file out")

    clone.push("serving/broken.yaml", content, "Break the folder")
    try:
        yield mend
    finally:
        mend()


def test_what_the_cluster_refuses_is_named_and_tried_again(world: World) -> None:
    asked = lambda: subjects(world.stack).count("Have Argo CD try again")  # noqa: E731
    before = asked()
    with (
        held(world.stack),
        refused(world.stack, "No new models on Monday") as allow,
        world.rollout() as rollout,
    ):
        found = world.sees(rollout, "SYNC_FAILED")
        assert f"The cluster refused InferenceService {world.name}" in found["message"]
        assert "No new models on Monday" in found["message"]
        assert "Argo CD cannot apply it." in world.page(rollout)
        until(
            asked,
            lambda times: times > before,
            seconds=LOOKING,
            what="Argo CD gave up, and is asked again",
        )
        allow()
        world.goes_on(rollout, "SYNC_FAILED")


def refused(stack: Stack, sentence: str) -> AbstractContextManager[Callable[[], None]]:
    """Have the API server take no InferenceService in the namespace models; yield how to let it."""
    rule = {
        "apiGroups": ["serving.kserve.io"],
        "operations": ["CREATE"],
        "resources": ["inferenceservices"],
    }
    probe = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "probe-v1", "namespace": "models"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "vLLM"}}}},
    }
    words = ["create", "--dry-run=server", "-f", "-"]
    tried = lambda: kubectl(stack, *words, given=json.dumps(probe), check=False)  # noqa: E731
    return refusing(stack, rule, "request.namespace != 'models'", sentence, tried)


def test_an_object_changed_by_hand_is_named_and_put_right(world: World) -> None:
    with held(world.stack), world.rollout() as rollout:
        with changed_by_hand(world):
            found = world.sees(rollout, "OUT_OF_SYNC")
            assert f"Somebody changed InferenceService {world.name}" in found["message"]
            assert "The cluster is not what Git says." in world.page(rollout)
        world.goes_on(rollout, "OUT_OF_SYNC")
    assert replicas_at_most(world) in ("1", ""), "Argo CD put it right"


@contextmanager
def changed_by_hand(world: World) -> Iterator[None]:
    """Change the version's InferenceService, and again whenever Argo CD has put it right."""
    done = threading.Event()

    def change() -> None:
        patch = json.dumps({"spec": {"predictor": {"maxReplicas": 3}}})
        while not done.wait(0.3):
            if replicas_at_most(world) == "1":
                kubectl(
                    world.stack,
                    *WHERE,
                    "patch",
                    "isvc",
                    world.name,
                    "--type=merge",
                    "-p",
                    patch,
                    check=False,
                )

    hand = threading.Thread(target=change)
    hand.start()
    try:
        yield
    finally:
        done.set()
        hand.join()


def replicas_at_most(world: World) -> str:
    """Return maxReplicas of the version as the cluster has it, "" where there is no such
    InferenceService.
    """
    field = "jsonpath={.spec.predictor.maxReplicas}"
    return kubectl(
        world.stack, *WHERE, "get", "isvc", world.name, "--ignore-not-found", "-o", field
    )


def test_a_commit_that_git_refuses_is_named_and_made_by_a_retry(world: World) -> None:
    with (
        held(world.stack),
        closed(world.stack, "The change window is closed.") as lift,
        world.rollout() as rollout,
    ):
        found = world.sees(rollout, "GIT_REFUSED")
        assert (found["status"], found["commits"]) == ("FAILED", [])
        page = world.page(rollout)
        assert "Git refused the commit." in page
        assert "The change window is closed." in page
        assert "Retry where it stopped" in page
        lift()
        world.owner.post(f"/rollouts/{rollout}/retry")
        world.goes_on(rollout, "GIT_REFUSED", "SYNCING")


@contextmanager
def closed(stack: Stack, sentence: str) -> Iterator[Callable[[], None]]:
    """Have the Git server take no push; yield how to let it."""
    hook = stack.state / "gitops.git" / "hooks" / "pre-receive"

    def lift() -> None:
        hook.unlink(missing_ok=True)

    hook.write_text(f"#!/bin/sh\necho '{sentence}' >&2\nexit 1\n")
    hook.chmod(0o700)
    try:
        yield lift
    finally:
        lift()


def test_a_history_that_was_rewritten_is_named_and_a_retry_commits_anew(world: World) -> None:
    with held(world.stack), world.rollout() as rollout:
        found = world.goes_on(rollout, "TAKING_BACK", "SYNCING", "APPLIED")
        lose(world.stack, found["commits"][0]["sha"])
        found = world.sees(rollout, "GIT_DIVERGED")
        assert (found["status"], found["commits"][0]["lost_at"] is None) == ("FAILED", False)
        page = world.page(rollout)
        assert "Git's history was rewritten." in page.replace("&#x27;", "'")
        assert "(no longer on the branch)" in page
        assert "Retry and commit again" in page
        world.owner.post(f"/rollouts/{rollout}/retry")
        found = world.goes_on(rollout, "TAKING_BACK", "SYNCING", "APPLIED")
        assert [(row["step"], row["attempt"]) for row in found["commits"]] == [
            ("SERVE", 1),
            ("SERVE", 2),
        ]


def lose(stack: Stack, sha: str) -> None:
    """Rewrite the branch's history to before a commit, as a forced push does; Argo CD is told as of
    any push.
    """
    repository = stack.state / "gitops.git"
    subprocess.run(
        ["git", "update-ref", "refs/heads/main", f"{sha}~1"], cwd=repository, check=True, timeout=60
    )
    subprocess.run(
        [repository / "hooks" / "post-receive"], input=b"", cwd=repository, check=True, timeout=60
    )


def subjects(stack: Stack) -> list[str]:
    """Return the subjects of the GitOps repository's commits."""
    command = ["git", "--git-dir", str(stack.state / "gitops.git"), "log", "--format=%s", "main"]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
