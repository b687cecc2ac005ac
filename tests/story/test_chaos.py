"""Every process of the local stack is killed, one after another, while three models change and two
workers work.

`make test-chaos`; not part of `make test`, for it takes a quarter of an hour. Afterwards each model
is live, each step has one commit, each transition one audit event, each answered call one usage
row, and no node's time is counted twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from deploy.local.stack.testing import Stack, running_stack
from tests.story import delivering, outages, several
from tests.story.calls import PACKET, question
from tests.story.conftest import HURRY, STARTING
from tests.story.counting import events, intervals, listed, steps_committed
from tests.story.delivering import Exports, until
from tests.story.several import MODELS, PatientDesk

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600, func_only=True)]
PATIENCE = 420.0  # seconds that one rollout may take while its surroundings die
SLOWLY = {"ROLLOUT_HOLD_SECONDS": "40"}  # so that a rollout meets several deaths
BETWEEN = 4.0  # seconds from one death to the next, once the part is back
UNWRITTEN = 2.5  # seconds of answers that a killed Envoy may not have logged
GOING = ("LIVE", "FAILED", "ROLLED_BACK", "ABORTED", "SUPERSEDED")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: nothing of it is left as it was."""
    state = tmp_path_factory.mktemp("chaos") / "state"
    with running_stack(
        state, env={"ENGINE": "stand-in", **HURRY, **SLOWLY}, keep="CHAOS_KEEP" in os.environ
    ) as running:
        running.wait_for(seconds=STARTING)
        yield running


class Rolling:
    """Three models that change all the time: each, once it is live, gets its other version."""

    def __init__(self, stack: Stack, owner: PatientDesk, reviewer: PatientDesk) -> None:
        self.stack, self.owner, self.reviewer = stack, owner, reviewer
        self.now: dict[str, tuple[str, int]] = {}  # model → the rollout that runs, and its version
        self.all: list[tuple[str, str]] = []  # promotion, rollout

    def start(self, model: str) -> None:
        """Promote the version that does not serve."""
        number = 3 - self.now[model][1] if model in self.now else 1
        promotion, rollout = delivering.start_rollout(
            self.owner, self.reviewer, number, model=model
        )
        self.now[model] = (rollout, number)
        self.all.append((promotion, rollout))

    def status(self, model: str) -> str:
        """Return how a model's newest rollout is."""
        return str(self.owner.get(f"/rollouts/{self.now[model][0]}")["status"])

    def keep_going(self) -> None:
        """Give every model that is live its other version; the stack must be whole for that."""
        done = [model for model in MODELS if self.status(model) == "LIVE"]
        if done:
            self.stack.wait_for(seconds=STARTING)
        for model in done:
            self.start(model)

    def wait_live(self) -> None:
        """Wait until all three are live."""
        for model in MODELS:
            found = until(
                lambda m=model: self.status(m),
                lambda status: status in GOING,
                seconds=PATIENCE,
                what=model,
            )
            row = self.owner.get(f"/rollouts/{self.now[model][0]}")
            assert found == "LIVE", f"{model}: {row['reason']}: {row['message']}"


class Calls:
    """Somebody who calls all three models all the time. answered: request id → when the answer was
    there.
    """

    def __init__(self, stack: Stack, lead: PatientDesk) -> None:
        self._stack, self._lead = stack, lead
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answered: dict[str, float] = {}
        self.failed = 0

    def _run(self) -> None:
        token, taken_at, gateway = "", 0.0, self._stack.gateway
        while not self._stopped.wait(0.3):
            try:
                if time.monotonic() - taken_at > 120:
                    token, taken_at = (
                        self._stack.token(self._lead.persona, "quartermaster-gateway"),
                        time.monotonic(),
                    )
                for model in MODELS:
                    self._call(gateway, model, token)
            except Exception:  # noqa: BLE001 (whoever calls meets every kind of outage here)
                self.failed += 1

    def _call(self, gateway: str, model: str, token: str) -> None:
        body = question(PACKET, model, {"max_tokens": 4})
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{gateway}/v1/chat/completions"
        answer = httpx.post(url, json=body, headers=headers, timeout=20, trust_env=False)
        if answer.status_code == 200:
            self.answered[answer.headers["x-request-id"]] = time.monotonic()
        else:
            self.failed += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Call until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join(60)


class SecondWorker:
    """Another Celery worker beside the stack's own, with its variables, started again when it dies,
    as that one is.

    Celery itself gives up where a task ends in the very moment in which the broker dies.
    """

    def __init__(self, stack: Stack) -> None:
        first = psutil.Process(stack.part("worker")["pid"])
        self._command, self._env, self._cwd = (
            [*first.cmdline(), "--hostname", "second@%h"],
            first.environ(),
            first.cwd(),
        )
        self._log = stack.state / "logs" / "second-worker.log"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    self._command, env=self._env, cwd=self._cwd, stdout=log, stderr=log
                )
            while process.poll() is None and not self._stopped.wait(0.5):
                continue
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join(90)

    def finished(self) -> int:
        """Return how many tasks it has finished."""
        return self._log.read_text().count(" succeeded in ")


def living(stack: Stack) -> list[str]:
    """Return the names of the parts that run."""
    return [part["name"] for part in stack.status()["parts"] if part["pid"]]


def test_three_models_change_while_every_process_dies(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    owner, reviewer, lead = (
        PatientDesk(stack, name, PATIENCE) for name in ("owen", "rita", "maya")
    )
    weights = several.small_weights(stack, tmp_path_factory.mktemp("weights") / "small")
    for model in MODELS:
        several.two_passing_versions(owner, model, weights)
        delivering.grant(lead, PatientDesk(stack, "owen", PATIENCE), 10_000_000, model)
    rolling, calls = Rolling(stack, owner, reviewer), Calls(stack, lead)
    for model in MODELS:
        rolling.start(model)
    rolling.wait_live()

    second, died = SecondWorker(stack), dict[str, float]()
    with second.working(), calls.going_on():
        for part in living(stack):
            rolling.keep_going()
            stack.wait_for(part, seconds=STARTING)
            outages.kill(stack, part)
            died[part] = time.monotonic()
            time.sleep(BETWEEN)
            stack.wait_for(part, seconds=STARTING)
        stack.wait_for(seconds=STARTING)
        rolling.wait_live()

    assert len(rolling.all) >= 6 and second.finished() > 50
    with Exports(stack, "aisha") as auditor:
        for promotion, rollout in rolling.all:
            see_once(stack, auditor, promotion, rollout)
    with Exports(stack, "fiona") as finance:
        see_calls_once(finance, calls, died["envoy"])
        see_no_time_twice(finance)


def see_once(stack: Stack, auditor: Exports, promotion: str, rollout: str) -> None:
    """See one commit per step and one event per transition."""
    committed = steps_committed(stack, rollout)
    assert committed["SERVE"] == committed["SHIFT"] == 1
    assert set(committed.values()) == {1}, committed
    found = events(auditor, rollout)
    assert (found["rollout.started"], found["rollout.finished"]) == (1, 1), found
    assert found["rollout.committed"] == committed.total(), (found, committed)
    assert events(auditor, promotion) == {"promotion.requested": 1, "promotion.approved": 1}


def see_calls_once(finance: Exports, calls: Calls, gateway_died: float) -> None:
    """See every call that was answered, once; but for what Envoy took with it: it writes its log
    once a second.
    """
    wanted = {
        call
        for call, at in calls.answered.items()
        if not gateway_died - UNWRITTEN < at < gateway_died + 1
    }
    assert len(wanted) > 100

    def missing() -> dict[str, float]:
        found = listed(finance, set(calls.answered))
        assert set(found.values()) == {"METERED"}
        return {call: calls.answered[call] - gateway_died for call in wanted - found.keys()}

    until(
        missing, lambda left: not left, seconds=120, what="each answered call in the list of calls"
    )


def see_no_time_twice(finance: Exports) -> None:
    """See each node's time covered without an overlap or a hole."""
    claims = intervals(finance)
    assert claims
    for name, rows in claims.items():
        for before, after in zip(rows, rows[1:], strict=False):
            assert before["ended_at_utc"] == after["started_at_utc"], (name, rows)
