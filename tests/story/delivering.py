"""The product over public HTTP, as pipelines and scripts use it: bearer tokens for the API, a
session for exports.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from deploy.local.stack.testing import Stack
from tests.story.calls import MODEL
from tests.story.promoting import SEEN

T = TypeVar("T")
Json = dict[str, Any]
AGAIN = 5  # times that what changes meanwhile is read
AWAY = (httpx.TransportError, httpx.TimeoutException)


def until(look: Callable[[], T], holds: Callable[[T], object], *, seconds: float, what: str) -> T:
    """Look until something holds, and return it. A server that is away, or answers 5xx, is looked
    at again.
    """
    deadline, last = time.monotonic() + seconds, "nothing"
    while time.monotonic() < deadline:
        try:
            found = look()
            if holds(found):
                return found
            last = str(found)[:1500]
        except (*AWAY, httpx.HTTPStatusError) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
                raise
            last = f"{type(error).__name__}: {error}"
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:.0f} s: {what}. Last seen: {last}")


@dataclass
class Desk:
    """One persona at the API. Every call takes a fresh token, so that an outage of any length may
    lie between two.
    """

    stack: Stack
    persona: str
    patience: float

    def get(self, path: str) -> Json:
        """Return what is at a path. Raises httpx.HTTPStatusError, httpx.TransportError."""
        return dict(self._send("GET", path, None))

    def post(self, path: str, body: Json | None = None) -> Json:
        """Send a body and return the answer."""
        return dict(self._send("POST", path, body))

    def _send(self, method: str, path: str, body: Json | None) -> Any:
        token = self.stack.token(self.persona, "quartermaster-api")
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(
            method,
            f"{self.stack.portal}/api/v1{path}",
            json=body,
            headers=headers,
            timeout=10,
            trust_env=False,
        )
        assert answer.status_code < 400 or answer.status_code >= 500, (
            f"{method} {path}: {answer.text}"
        )
        return answer.raise_for_status().json()


def passing_versions(owner: Desk, model: str = MODEL) -> list[int]:
    """Return the numbers of the versions whose newest evaluation passed, lowest first."""
    runs = owner.get(f"/evaluation-runs?model={model}")["results"]
    newest: dict[int, str] = {}
    for run in runs:
        newest.setdefault(run["version"], run["status"])
    return sorted(number for number, status in newest.items() if status == "PASSED")


def evaluate(owner: Desk, number: int) -> None:
    """Evaluate a version and wait until its candidate is gone again."""
    wait_evaluated(owner, start_evaluation(owner, number))


def start_evaluation(owner: Desk, number: int, model: str = MODEL) -> str:
    """Start the evaluation of a version; return the run's id."""
    return str(owner.post("/evaluation-runs", {"model": model, "version": number})["id"])


def wait_evaluated(owner: Desk, run: str) -> None:
    """Wait until an evaluation has passed and its candidate is gone again."""
    look = lambda: owner.get(f"/evaluation-runs/{run}")  # noqa: E731
    done = until(
        look, lambda found: found["removed_at"], seconds=owner.patience, what=f"evaluation {run}"
    )
    assert done["status"] == "PASSED", done["message"]


def measure_against_live(owner: Desk, number: int, model: str = MODEL) -> None:
    """Evaluate a version again where another one serves than its newest run was against."""
    live = live_version(owner, model)
    runs = owner.get(f"/evaluation-runs?model={model}&version={number}")["results"]
    newest = next((run for run in runs if run["status"] == "PASSED"), None)
    if live in (None, number) or (newest and newest["baseline"] == f"{model}-v{live}"):
        return
    wait_evaluated(owner, start_evaluation(owner, number, model))


def live_version(owner: Desk, model: str = MODEL) -> int | None:
    """Return the number of the version that serves all callers."""
    live = live_rollout(owner, model)
    return int(owner.get(f"/rollouts/{live}")["version"]) if live else None


def live_rollout(owner: Desk, model: str = MODEL) -> str:
    """Return the id of the rollout whose version serves all callers, "" for none."""
    for promotion in owner.get("/promotions")["results"]:
        if promotion["model"] == model and promotion["rollout"]:
            rollout = owner.get(f"/rollouts/{promotion['rollout']}")
            if rollout["status"] == "LIVE":
                return str(rollout["id"])
    return ""


def start_rollout(
    owner: Desk,
    reviewer: Desk,
    number: int,
    serving_class: str = "WARM",
    model: str = MODEL,
    settings: Json | None = None,
) -> tuple[str, str]:
    """Propose a version, have it approved by somebody else; return the promotion's and the
    rollout's id.
    """
    measure_against_live(owner, number, model)
    words = {
        "model": model,
        "version": number,
        "justification": "Taking turns, to see what an outage does.",
        "serving_class": serving_class,
        "serving_settings": settings or {},
        "without_traffic": True,
    }
    proposal = owner.post("/promotions", words)
    return proposal["id"], approve(reviewer, proposal["id"])["rollout"]


def approve(reviewer: Desk, promotion: str) -> Json:
    """Approve a promotion as it is now, and return it. What it costs is worked out just after it
    was made, so it may show something else than a moment ago: then it is read again.
    """
    for _ in range(AGAIN):
        read = reviewer.get(f"/promotions/{promotion}")
        body = {name: read[name] for name in SEEN} | {"reason": "Known figures."}
        try:
            return reviewer.post(f"/promotions/{promotion}/approve", body)
        except AssertionError as refused:
            if "stale_evidence" not in str(refused):
                raise
    raise AssertionError(f"{promotion} never stayed as it was read")


def grant(lead: Desk, owner: Desk, tokens_per_minute: int, model: str = MODEL) -> None:
    """Give the lead's team the model, unless it has it."""
    if any(row["model"] == model for row in lead.get("/grants")["results"]):
        return
    tomorrow = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 2 * 86_400))
    wish = {
        "model": model,
        "purpose": "Calling while parts are away.",
        "data_class": "PUBLIC",
        "tokens_per_minute": tokens_per_minute,
        "monthly_budget_usd": "10",
        "expires_date": tomorrow,
    }
    request = lead.post("/access-requests", wish)["id"]
    owner.post(f"/access-requests/{request}/approve", {"reason": "For this test."})


class Exports:
    """The CSV exports that a persona's pages offer, with a session of their own."""

    def __init__(self, stack: Stack, persona: str) -> None:
        self.stack = stack
        self.http = httpx.Client(follow_redirects=True, timeout=20, trust_env=False)
        page = self.http.get(stack.portal)
        signed_in = self.http.post(
            page.url, data={"username": persona}, headers={"Origin": stack.issuer}
        )
        assert re.match(re.escape(stack.portal), str(signed_in.url)), signed_in.url

    def __enter__(self) -> Exports:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def rows(self, path: str) -> list[dict[str, str]]:
        """Return the rows of an export. Raises httpx.HTTPStatusError, httpx.TransportError."""
        answer = self.http.get(self.stack.portal + path).raise_for_status()
        return list(csv.DictReader(io.StringIO(answer.text)))
