"""A caller at the gate, and what the access log, the list of calls and the stack's own files hold
of a call afterwards.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx

from deploy.local.stack.testing import Stack
from tests.canaries import Canary
from tests.story import delivering
from tests.story.calls import MODEL, PACKET, question
from tests.story.delivering import Desk, Exports, Json, until

SOON = 60.0  # seconds until what became of a call stands everywhere
COLUMNS = "basis,completeness,estimated_input,estimated_output"


class Gated:
    """Who calls, who decides and who looks: a model that serves, and the team that may call it."""

    def __init__(self, stack: Stack, patience: float) -> None:
        self.stack, self.patience = stack, patience
        self._serve()
        delivering.grant(self.desk("maya"), self.desk("orla"), 1_000_000)
        token = stack.token("maya", "quartermaster-gateway")
        self.http = httpx.Client(
            base_url=stack.gateway,
            headers={"Authorization": f"Bearer {token}"},
            timeout=patience,
            trust_env=False,
        )

    def served(self) -> None:
        """Call until the gateway lets the team in: its grant may be on the way."""
        until(
            lambda: self.send(PACKET),
            lambda answer: answer.status_code == 200,
            seconds=self.patience,
            what="an answer",
        )

    def desk(self, persona: str) -> Desk:
        """Return a persona at the API."""
        return Desk(self.stack, persona, self.patience)

    def _serve(self) -> None:
        """Let a version serve, where none does."""
        owner = self.desk("owen")
        if delivering.live_version(owner) is not None:
            return
        if not delivering.passing_versions(owner):
            delivering.evaluate(owner, 1)
        good = delivering.passing_versions(owner)[0]
        _, rollout = delivering.start_rollout(owner, self.desk("rita"), good)
        until(
            lambda: owner.get(f"/rollouts/{rollout}")["status"],
            lambda status: status == "LIVE",
            seconds=self.patience,
            what="a version that serves",
        )

    def send(self, text: str, **more: Any) -> httpx.Response:
        """Ask, and read the whole answer, streamed or not."""
        return self.http.post("/v1/chat/completions", json=question(text, MODEL, more))

    def leave(self, text: str, *, after: int) -> str:
        """Ask for a stream and go away after so many of its events; return the request id."""
        body = question(text, MODEL, {"stream": True, "max_tokens": 600})
        with self.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200, answer.read()
            events = (line for line in answer.iter_lines() if line.startswith("data: {"))
            for _ in range(after):
                next(events)
            return answer.headers["x-request-id"]

    def logged(self, call: str) -> Json:
        """Return what the gateway's access log says of a call, once it does."""
        log = self.stack.state / "gateway" / "access.log"

        def look() -> Json:
            lines = (line for line in log.read_text().splitlines() if call in line)
            found = (json.loads(line) for line in lines)
            return next((line for line in found if line["x-request-id"] == call), {})

        return until(look, bool, seconds=SOON, what=f"{call} in the access log")

    def listed(self, call: str) -> dict[str, str]:
        """Return a call as finance lists it, once it does."""
        with Exports(self.stack, "fiona") as finance:
            path = f"/usage/?q={call}&columns={COLUMNS}&format=csv"
            rows = until(
                lambda: finance.rows(path), bool, seconds=SOON, what=f"{call} in the list of calls"
            )
        (row,) = rows
        return row

    def why(self, call: str) -> Json:
        """Return what the gateway's rules say of a call, as its own team reads it."""
        self.listed(call)
        return self.desk("maya").get(f"/gateway/why?request_id={call}")

    def page(self, persona: str, path: str) -> str:
        """Return a page as a persona's browser gets it."""
        with Exports(self.stack, persona) as someone:
            return someone.http.get(self.stack.portal + path).raise_for_status().text


def events_of(answer: httpx.Response) -> list[Json]:
    """Return the events of a stream, without its end mark."""
    lines = answer.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def words_of(events: list[Json]) -> str:
    """Return the text that a caller of a stream has seen."""
    deltas = (choice["delta"] for event in events for choice in event.get("choices", ()))
    return "".join(delta.get("content") or "" for delta in deltas)


def usage_of(document: Json) -> tuple[int, int]:
    """Return the tokens in and out that an answer tells."""
    return document["usage"]["prompt_tokens"], document["usage"]["completion_tokens"]


def holding(stack: Stack, *words: bytes) -> set[str]:
    """Return the stack's files that hold one of these words: its database with the log of what was
    written, its buckets, its broker, the logs of every part.
    """
    wanted = [part for word in words for part in ("-e", word.decode())]
    command = ["grep", "-rlsaF", "-D", "skip", *wanted, str(stack.state)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return {line.removeprefix(f"{stack.state}/") for line in found.stdout.splitlines()}


def stands_nowhere(stack: Stack, word: Canary, call: str) -> None:
    """See that no file of the stack holds a word of a call, while its request id is found."""
    assert "gateway/access.log" in holding(stack, call.encode())
    assert holding(stack, *word.forms()) == set()
