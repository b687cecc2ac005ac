"""Each part that a rollout needs is taken away in the middle of one, and comes back: the rollout
finishes.

Afterwards there is one commit per step, one audit event per transition and one usage row per call,
and callers have noticed nothing but where the part stands in their own way (token limits are kept
in the broker's server).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stack.testing import Stack
from tests.chromium import running_browser
from tests.story import delivering, outages, publishing
from tests.story.calls import MODEL, PACKET, question
from tests.story.counting import events, listed, steps_committed
from tests.story.delivering import Desk, Exports, until
from tests.story.kubectl import kubectl
from tests.story.people import person
from tests.story.watch import Watch

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.parametrize("engine", ["stand-in"], indirect=True),
]
Look = Callable[[], dict[str, Any]]


class World:
    """What every stop needs: the persons, who calls, and what was counted before."""

    def __init__(self, stack: Stack, patience: float) -> None:
        self.stack, self.patience = stack, patience
        self.owner, self.reviewer = Desk(stack, "owen", patience), Desk(stack, "rita", patience)
        self.good = _two_good_versions(stack, self.owner, patience)
        delivering.grant(Desk(stack, "maya", patience), Desk(stack, "orla", patience), 1_000_000)
        self.token = stack.token("maya", "quartermaster-gateway")
        self.asked: dict[str, str] = {}  # request id → how it must be listed

    def ask(self, *wanted: int) -> int:
        """Call the model once; the answer must have one of these statuses."""
        headers = {"Authorization": f"Bearer {self.token}"}
        body = question(PACKET, MODEL, {"max_tokens": 8})
        address = f"{self.stack.gateway}/v1/chat/completions"
        answer = httpx.post(
            address, json=body, headers=headers, timeout=self.patience, trust_env=False
        )
        status = answer.status_code
        outcome = "METERED" if status == 200 else "FAILED" if status >= 500 else "REFUSED"
        self.asked[answer.headers["x-request-id"]] = outcome
        assert status in wanted, f"a call answered {status}"
        return status

    def served(self) -> None:
        """Call until the gateway lets the team in: its grant may be on the way, and a first rollout
        too.
        """
        until(
            lambda: self.ask(200, 403, 404, 429, 503),
            lambda status: status == 200,
            seconds=self.patience,
            what="200",
        )

    def other_version(self) -> int:
        """Return a good version that does not serve now."""
        live = delivering.live_version(self.owner)
        return next(number for number in reversed(self.good) if number != live)


def _two_good_versions(stack: Stack, owner: Desk, patience: float) -> list[int]:
    """Return two versions that passed: the sample's first one, and another one, published where
    there is none.
    """
    good = delivering.passing_versions(owner)
    if 1 not in good:
        delivering.evaluate(owner, 1)
    if not set(good) - {1}:
        delivering.evaluate(owner, _publish(stack, patience))
    return delivering.passing_versions(owner)[:2]


def _publish(stack: Stack, patience: float) -> int:
    watch = Watch(frozenset({stack.portal, stack.issuer}))
    weights = Path(stack.part("sample-weights")["address"]) / "smollm2"
    with (
        running_browser() as browser,
        person(browser, "owen", stack, watch, patience=patience) as owen,
    ):
        number = publishing.publish(owen, weights, "The same weights once more.")
        publishing.see_verified(owen, number)
    return number


@pytest.fixture(scope="module")
def world(stack, patience) -> World:
    """The persons, with two good versions, one of which serves."""
    found = World(stack, patience)
    if delivering.live_version(found.owner) is None:
        _, rollout = delivering.start_rollout(found.owner, found.reviewer, found.good[-1])
        _wait_live(found, rollout)
    found.served()
    return found


@pytest.fixture(scope="module")
def finance(stack) -> Iterator[Exports]:
    """What finance exports."""
    with Exports(stack, "fiona") as exports:
        yield exports


@pytest.fixture(scope="module")
def owner_pages(stack) -> Iterator[Exports]:
    """The pages as the model's owner sees them."""
    with Exports(stack, "owen") as pages:
        yield pages


@pytest.fixture(scope="module")
def auditor(stack) -> Iterator[Exports]:
    """What the auditor exports."""
    with Exports(stack, "aisha") as exports:
        yield exports


def _look(world: World, rollout: str) -> Look:
    return lambda: world.owner.get(f"/rollouts/{rollout}")


def _wait_live(world: World, rollout: str) -> dict[str, Any]:
    look = _look(world, rollout)
    found = until(
        look, lambda row: row["status"] in ("LIVE", "FAILED"), seconds=world.patience, what="live"
    )
    assert found["status"] == "LIVE", found
    return found


def _wait_for_phase(world: World, look: Look, phase: str) -> None:
    until(
        look,
        lambda row: phase in {done["phase"] for done in row["phases"]},
        seconds=world.patience,
        what=phase,
    )


def _wait_until_said(world: World, look: Look, *reasons: str) -> dict[str, Any]:
    return until(
        look,
        lambda row: row["reason"] in reasons,
        seconds=world.patience,
        what=" or ".join(reasons),
    )


def registry_hangs(world: World, look: Look) -> None:
    """S3 hangs while the node pulls the weights, and is killed."""
    with outages.frozen(world.stack, "versitygw", world.patience):
        _wait_until_said(world, look, "WEIGHTS", "LOAD_FAILED")
        world.ask(200)
        assert "WEIGHTS" not in {done["phase"] for done in look()["phases"]}


def worker_is_killed(world: World, look: Look) -> None:
    """kill -9 of the worker, after the first commit and once more when the version is ready."""
    for phase in ("COMMITTED", "READY"):
        _wait_for_phase(world, look, phase)
        outages.kill(world.stack, "worker")
        world.ask(200)


def repository_is_gone(world: World, look: Look) -> None:
    """Git is away before the next commit can be made."""
    with outages.without_repository(world.stack):
        _wait_until_said(world, look, "AWAY")
        world.ask(200)


def cluster_hangs(world: World, look: Look) -> None:
    """The API server hangs after the first commit, and is killed. The version that serves is not
    called broken.
    """
    _wait_for_phase(world, look, "COMMITTED")
    live = delivering.live_rollout(world.owner)
    with outages.frozen(world.stack, "kube-apiserver", world.patience):
        _wait_until_said(world, look, "AWAY")
        _wait_until_said(world, _look(world, live), "AWAY")
        assert _look(world, live)()["unready_since"] is None
        world.ask(200)


def broker_hangs(world: World, look: Look) -> None:
    """The broker hangs after the first commit, and is killed. Token limits are kept in the same
    server: no calls.
    """
    _wait_for_phase(world, look, "COMMITTED")
    with outages.frozen(world.stack, "valkey", world.patience):
        world.ask(503)
        look()


def database_hangs(world: World, look: Look) -> None:
    """The database hangs after the first commit, and is killed. No call passes whose budget nobody
    can look at: the gate says so, and the model never hears of it.
    """
    _wait_for_phase(world, look, "COMMITTED")
    with outages.frozen(world.stack, "postgres", world.patience):
        world.ask(502)
        with pytest.raises((httpx.TimeoutException, httpx.HTTPStatusError)):
            httpx.get(
                f"{world.stack.portal}/healthz", timeout=3, trust_env=False
            ).raise_for_status()


STOPS = [
    registry_hangs,
    worker_is_killed,
    repository_is_gone,
    cluster_hangs,
    broker_hangs,
    database_hangs,
]


@pytest.mark.parametrize("stop", STOPS, ids=[stop.__name__ for stop in STOPS])
def test_a_rollout_finishes_with_everything_once(stop, world, finance, auditor):
    world.ask(200)
    number = world.other_version()
    promotion, rollout = delivering.start_rollout(world.owner, world.reviewer, number)

    stop(world, _look(world, rollout))

    _wait_live(world, rollout)
    until(
        lambda: world.ask(200, 502, 503),
        lambda status: status == 200,
        seconds=world.patience,
        what="a call after it",
    )
    assert delivering.live_version(world.owner) == number
    look = lambda: listed(finance, set(world.asked))  # noqa: E731
    until(
        look,
        lambda rows: rows == world.asked,
        seconds=world.patience,
        what="each call once in the list of calls",
    )
    committed = steps_committed(world.stack, rollout)
    assert {"SERVE": 1, "SHIFT_10": 1, "SHIFT_50": 1, "SHIFT": 1}.items() <= committed.items()
    assert set(committed.values()) == {1}
    assert events(auditor, rollout) == {
        "rollout.started": 1,
        "rollout.committed": committed.total(),
        "rollout.judged": 2,
        "rollout.finished": 1,
    }
    assert events(auditor, promotion) == {"promotion.requested": 1, "promotion.approved": 1}


def test_a_live_version_that_fails_is_named_and_heals(world, owner_pages):
    live = delivering.live_rollout(world.owner)
    look, page = _look(world, live), f"{world.stack.portal}/rollouts/{live}/"
    with outages.ordered(world.stack, "crash-loop"):
        name = f"{MODEL}-v{look()['version']}"
        label = f"serving.kserve.io/inferenceservice={name}"
        kubectl(world.stack, "--namespace=models", "delete", "pod", "--wait=false", "-l", label)
        found = _wait_until_said(world, look, "ENGINE_CRASHED")
        assert found["status"] == "LIVE"
        assert found["message"].startswith(f"No replica of {name} is ready. The engine crashed")
        said = owner_pages.http.get(page).raise_for_status().text
        assert "Callers are not answered since" in said
        assert "The engine crashed." in said
        world.ask(503)
    until(
        look,
        lambda row: not (row["reason"] or row["unready_since"]),
        seconds=world.patience,
        what="healed",
    )
    assert "Callers are not answered" not in owner_pages.http.get(page).raise_for_status().text
    until(
        lambda: world.ask(200, 503),
        lambda status: status == 200,
        seconds=world.patience,
        what="a call after it",
    )


def test_a_replica_that_is_not_what_was_approved_is_drift_until_it_is_right(world, owner_pages):
    """Somebody replaces what its loader said, then its engine's image; nobody approved either."""
    live = delivering.live_rollout(world.owner)
    look, page = _look(world, live), f"{world.stack.portal}/rollouts/{live}/"
    label = f"serving.kserve.io/inferenceservice={MODEL}-v{look()['version']}"
    models = ["--namespace=models"]
    pod = kubectl(world.stack, *models, "get", "pod", "-l", label, "-o", "name").strip()
    said = json.dumps({"digest": "sha256:" + "f" * 64})
    where = "/status/initContainerStatuses/0/state/terminated/message"
    loaded = json.dumps([{"op": "replace", "path": where, "value": said}])
    other = [{"name": "kserve-container", "image": "vllm/vllm-openai:v0.0.1"}]
    image = json.dumps({"spec": {"containers": other}})
    assert {check["verdict"] for check in look()["checks"]} == {"SAME", "UNKNOWN"}

    kubectl(world.stack, *models, "patch", pod, "--subresource=status", "--type=json", "-p", loaded)
    found = _wait_until_said(world, look, "DRIFT")
    assert [row["what"] for row in found["differences"]] == ["Weights as its loader read them"]
    assert found["differences"][0]["found"] == "sha256:" + "f" * 64
    kubectl(world.stack, *models, "patch", pod, "-p", image)
    both = lambda row: len(row["differences"]) == 2  # noqa: E731
    found = until(look, both, seconds=world.patience, what="both differences")
    assert "found vllm/vllm-openai:v0.0.1" in found["message"]
    assert "Differs" in owner_pages.http.get(page).raise_for_status().text

    kubectl(world.stack, *models, "delete", pod, "--wait=false")
    right = lambda row: not (row["reason"] or row["differences"])  # noqa: E731
    found = until(look, right, seconds=world.patience, what="right again")
    assert (found["drifted_at"], found["status"]) == (None, "LIVE")
    assert "Differs" not in owner_pages.http.get(page).raise_for_status().text


def test_what_was_replaced_is_stopped_once(world, auditor):
    newest = world.owner.get("/promotions")["results"][0]["rollout"]
    retired = lambda: steps_committed(world.stack, newest)  # noqa: E731
    until(
        retired,
        lambda steps: steps["RETIRE"],
        seconds=world.patience,
        what="the replaced version's end",
    )
    assert set(retired().values()) == {1}
    until(
        lambda: events(auditor, newest),
        lambda found: found["rollout.committed"] == 5,
        seconds=30,
        what="its event",
    )
