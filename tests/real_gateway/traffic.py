"""Calls through the real gateway, and what must come of them: the same as at the local one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from tests.local.gateway_doubles import Engine, Identity, Ingest, Server
from tests.real_gateway.objects import SHOWN
from tests.real_gateway.private import NODE
from tests.real_gateway.proxy import LISTENS

Json = dict[str, Any]
# Each version's predictor; nothing listens at the sleeper's.
ENGINES = {
    name: f"127.0.1.{place}"
    for place, name in enumerate(
        (
            "steady-v1",
            "steady-v2",
            "tried-v1",
            "tried-v2",
            "closed-v1",
            "ranker-v1",
        ),
        1,
    )
}
PREDICTORS = {**ENGINES, "sleeper-v1": "127.0.1.99"}
TEAM = "claims-review"
RERANK, ORIGINAL_PATH = "/cohere/v2/rerank", "x-ai-eg-original-path"
PORTAL = "127.0.1.100"


@dataclass
class Calls:
    """The caller's side, and what the engines and the access log saw. failures: what was not as it
    must be.
    """

    identity: Identity
    engines: dict[str, Engine]
    log: Path
    ingest: Ingest
    failures: list[str] = field(default_factory=list)

    def chat(
        self, model: str, text: str = "hello", *, team: str | None = TEAM, **more: Any
    ) -> httpx.Response:
        """Ask a model; team None sends no token."""
        headers = {"authorization": f"Bearer {self.identity.token(team)}"} if team else {}
        headers |= more.pop("headers", {})
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        address = f"http://127.0.0.1:{LISTENS}/v1/chat/completions"
        return httpx.post(address, json=body, headers=headers, timeout=20, trust_env=False)

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        """Call a path with a token of the first team."""
        sent = {"authorization": f"Bearer {self.identity.token(TEAM)}"} | headers
        address = f"http://127.0.0.1:{LISTENS}{path}"
        return httpx.post(address, json=body, headers=sent, timeout=20, trust_env=False)

    def record(self, answer: httpx.Response) -> Json:
        """Return the access log's record of an answer; empty where none came in time."""
        wanted, until = answer.headers.get("x-request-id", "?"), time.monotonic() + 12
        while time.monotonic() < until:
            for line in self.log.read_text().splitlines():
                if wanted in line and line.startswith("{"):
                    found: Json = json.loads(line)
                    return found
            time.sleep(0.2)
        return {}

    def collected(self, record: Json) -> Json:
        """Return the same record as the Collector brought it to the portal; empty where it did not
        in time.
        """
        until = time.monotonic() + 12
        while time.monotonic() < until:
            for found in self.ingest.records:
                if found.get("x-request-id") == record.get("x-request-id"):
                    return found
            time.sleep(0.2)
        return {}

    def must(self, what: str, expected: object, seen: object) -> None:
        """Note whether it is as it must be."""
        if expected != seen:
            self.failures.append(f"{what}: expected {expected!r}, the real gateway says {seen!r}")
        print(f"  ok     {what}" if expected == seen else f"  FAILED {what}: {seen!r}", flush=True)


def check(calls: Calls) -> None:
    """Make every kind of call."""
    for one in (
        _split,
        _untouched,
        _asleep,
        _refused,
        _stream,
        _kinds,
        _unknown,
        _listed,
        _budget,
        _cost,
        _forged,
        _gated,
        _refused_by_the_gate,
        _without_the_gate,
    ):
        one(calls)


def _header(call: Json, name: str) -> str:
    """Return a header that an engine got; "" where it got none."""
    found: dict[str, str] = {key.lower(): value for key, value in call["headers"].items()}
    return found.get(name, "")


def _split(calls: Calls) -> None:
    answers = [calls.chat("steady") for _ in range(40)]
    calls.must(
        "steady: every call is answered",
        {200: 40},
        dict(Counter(answer.status_code for answer in answers)),
    )
    calls.must(
        "steady: both versions answer",
        {"steady-v1", "steady-v2"},
        {a.json().get("model") for a in answers},
    )
    for name in ("steady-v1", "steady-v2"):
        asked = {(call["path"], call["body"]["model"]) for call in calls.engines[name].calls}
        calls.must(f"{name} is asked by its own name", {("/v1/chat/completions", name)}, asked)
        shown = {_header(call, "authorization") for call in calls.engines[name].calls}
        calls.must(f"{name} is shown the key and no caller's token", {f"Bearer {SHOWN}"}, shown)
    answer = answers[-1]
    record, name = calls.record(answer), answer.json()["model"]
    wanted = {
        "team": TEAM,
        "cost_center": "CC-4100",
        "user_id": "dana",
        "gen_ai.request.model": "steady",
        "gen_ai.response.model": name,
        "gen_ai.request.model_override": name,
        "gen_ai.backend": f"models/{name}",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.cached_input_tokens": 3,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.total_tokens": 12,
    }
    for key, value in wanted.items():
        calls.must(f"access log: {key}", value, record.get(key))
    calls.must(
        "access log: upstream_host",
        f"{name}-predictor.models.svc.cluster.local",
        record.get("upstream_host"),
    )
    collected = calls.collected(record)
    for key in ("team", "gen_ai.request.model_override", "gen_ai.usage.total_tokens"):
        calls.must(f"through the Collector: {key}", str(record.get(key)), collected.get(key))


def _untouched(calls: Calls) -> None:
    answers = [calls.chat("tried") for _ in range(10)]
    answered = Counter(answer.json().get("model") for answer in answers)
    calls.must("tried: a version with weight 0 gets no call", {"tried-v1": 10}, dict(answered))
    record = calls.record(answers[-1])
    calls.must(
        "tried: charged to the version that answered",
        "tried-v1",
        record.get("gen_ai.request.model_override"),
    )
    asked = {call["body"]["model"] for call in calls.engines["tried-v1"].calls}
    calls.must("tried: its engine is asked by its own name", {"tried-v1"}, asked)


def _asleep(calls: Calls) -> None:
    answer = calls.chat("sleeper")
    calls.must("sleeper: 503", 503, answer.status_code)
    calls.must("sleeper: Retry-After", "30", answer.headers.get("retry-after"))
    calls.must("sleeper: JSON", "application/json", answer.headers.get("content-type"))
    calls.must("sleeper: says so", "no_replica", _code(answer))
    record = calls.record(answer)
    calls.must("sleeper: the record names the team", TEAM, record.get("team"))
    calls.must("sleeper: the record names the model", "sleeper", record.get("gen_ai.request.model"))
    calls.must("sleeper: no tokens", None, record.get("gen_ai.usage.total_tokens"))


def _refused(calls: Calls) -> None:
    calls.must("steady without a token: 401", 401, calls.chat("steady", team=None).status_code)
    for model, team in (("closed", TEAM), ("sleeper", "strangers"), ("steady", "strangers")):
        answer = calls.chat(model, team=team)
        calls.must(
            f"{model} for {team}: 403, and why",
            (403, "no_grant"),
            (answer.status_code, _code(answer)),
        )


def _stream(calls: Calls) -> None:
    answer = calls.chat("steady", stream=True)
    calls.must("a stream ends whole", True, answer.text.rstrip().endswith("[DONE]"))
    record = calls.record(answer)
    calls.must("a stream's tokens", 12, record.get("gen_ai.usage.total_tokens"))
    calls.must(
        "a stream's first token",
        True,
        isinstance(record.get("gen_ai.latency.ttft_ms"), int | float),
    )


def _kinds(calls: Calls) -> None:
    chat, embedding = "/v1/chat/completions", "/v1/embeddings"
    record = calls.record(calls.post(chat + "?trace=my-knee", {"model": "steady", "messages": []}))
    calls.must("access log: path, without what a caller asked for", chat, record.get("path"))
    calls.must("through the Collector: path", chat, calls.collected(record).get("path"))
    record = calls.record(calls.post(embedding, {"model": "steady", "input": ["a", "b"]}))
    calls.must("an embedding tells what it read", (embedding, 64, 0), _told(record))
    body = {"model": "ranker", "query": "knee", "documents": ["knee", "elbow"]}
    record = calls.record(calls.post(RERANK, body))
    calls.must("a rerank tells its path, and no tokens", (RERANK, 0, 0), _told(record))
    calls.must(
        "a rerank is charged to its version",
        "ranker-v1",
        record.get("gen_ai.request.model_override"),
    )
    paths = [call["path"] for call in calls.engines["ranker-v1"].calls]
    calls.must("its engine is asked by its own path", ["/v2/rerank"], paths)
    refused = calls.post(RERANK, {**body, "model": "steady"})
    calls.must("a rerank of a backend of OpenAI's schema fails", 500, refused.status_code)
    forged = calls.post(chat, {"model": "steady", "messages": []}, **{ORIGINAL_PATH: RERANK})
    calls.must("nobody says that a chat is a rerank", chat, calls.record(forged).get("path"))


def _told(record: Json) -> tuple[object, object, object]:
    counts = (record.get(f"gen_ai.usage.{kind}_tokens") for kind in ("input", "output"))
    return (record.get("path"), *counts)


def _unknown(calls: Calls) -> None:
    answer = calls.chat("nobody-knows")
    # By the policy of the oldest route, which need not let this team in.
    calls.must("an unknown model: 404, or 403", True, answer.status_code in (403, 404))
    calls.must("a prompt of 1 MB passes", 200, calls.chat("steady", "long " * 200_000).status_code)


def _listed(calls: Calls) -> None:
    address, token = (
        f"http://127.0.0.1:{LISTENS}/v1/models",
        {"authorization": f"Bearer {calls.identity.token()}"},
    )
    calls.must(
        "the list of models needs a token", 401, httpx.get(address, trust_env=False).status_code
    )
    listed = httpx.get(address, headers=token, trust_env=False).json()
    models = {entry["id"] for entry in listed["data"]}
    calls.must("the list of models", {"steady", "tried", "sleeper", "closed", "ranker"}, models)


def _budget(calls: Calls) -> None:
    answered, answer = _spent(calls, "steady")
    what = "a budget of 20 tokens a minute is spent after two calls of 12"
    calls.must(what, (2, 429), (answered, answer.status_code))
    calls.must("a spent budget says so", "budget_exceeded", _code(answer))
    calls.must(
        "a spent budget: Retry-After is in seconds",
        True,
        answer.headers.get("retry-after", "").isdigit(),
    )


def _cost(calls: Calls) -> None:
    answered, answer = _spent(calls, "tried")
    calls.must(
        "one call spends it where a call costs 4 + 4 × 5", (1, 429), (answered, answer.status_code)
    )
    record = calls.record(calls.chat("tried"))
    calls.must(
        "such a call is recorded with its tokens as they are",
        12,
        record.get("gen_ai.usage.total_tokens"),
    )


def _spent(calls: Calls, model: str) -> tuple[int, httpx.Response]:
    """Call within one minute of the clock, as limits count; return how many were answered, and the
    last answer.
    """
    while time.time() % 60 > 45:
        time.sleep(1)
    answers = [calls.chat(model, team="research") for _ in range(5)]
    return sum(answer.status_code == 200 for answer in answers), answers[-1]


def _forged(calls: Calls) -> None:
    forged = {
        "x-team": "research",
        "x-cost-center": "CC-1",
        "x-user-id": "eve",
        "x-ai-eg-model": "closed",
    }
    answer = calls.chat("steady", headers=forged)
    record = calls.record(answer)
    seen = [record.get(key) for key in ("team", "cost_center", "user_id", "gen_ai.request.model")]
    calls.must(
        "headers that a client sends count for nothing", [TEAM, "CC-4100", "dana", "steady"], seen
    )


def _gated(calls: Calls) -> None:
    """The gate is asked about every model, whichever route is the oldest, and told who calls."""
    forged = {"x-llm-d-inference-fairness-id": "x", "x-gateway-inference-objective": "x",
              "x-slo-ttft-ms": "1", "x-qm-class": "batch", "x-ai-eg-of-mine": "x"}  # fmt: skip
    for model, engine in (("steady", "steady-v1"), ("tried", "tried-v1")):
        for _ in range(20):
            calls.chat(model, headers=forged)
        headers = {k.lower(): v for k, v in calls.engines[engine].calls[-1]["headers"].items()}
        calls.must(f"{model}: the gate knows who calls", TEAM, headers.get("x-gate-team"))
        calls.must(f"{model}: nothing forged arrives", set(), forged.keys() & headers.keys())
    record = calls.record(calls.chat("tried", stream=True))
    calls.must("access log: what the gate counted", "ESTIMATED", record.get("gate.basis"))
    body = calls.chat("tried", "gate=masks@whole").json()["choices"][0]["message"]["content"]
    calls.must("the gate can write a plain answer anew", "[REDACTED]", body)
    cut = calls.chat("tried", "pieces=40 pause_ms=50 gate=cuts@part", stream=True)
    calls.must(
        "the gate can end a stream well", (200, True), (cut.status_code, "[DONE]" in cut.text)
    )
    calls.must("…and early", 1, cut.text.count("ok "))
    calls.must("…and is believed", 2, calls.record(cut).get("gen_ai.usage.output_tokens"))
    calls.must(
        "40 KB pass both ways", 200, calls.chat("tried", "x" * 40_000 + " length=40000").status_code
    )


def _refused_by_the_gate(calls: Calls) -> None:
    for status in (400, 402):
        answer = calls.chat("tried", f"gate=refuses-{status}@request")
        calls.must(f"the gate's {status} is left alone", (status, "gate_says"), _told_by(answer))
        calls.must("…with its headers", "false", answer.headers.get("x-should-retry"))
        record = calls.record(answer)
        calls.must("…and named", "qm_gate_says", record.get("response_code_details"))
    answer = calls.chat("tried", "gate=refuses-503@request")
    calls.must("its 503 would be the policy's", (503, "no_replica"), _told_by(answer))


def _without_the_gate(calls: Calls) -> None:
    asked = len(calls.engines["tried-v1"].calls)
    for what in ("raises", "leaves", "hangs"):
        answer = calls.chat("tried", f"gate={what}@request")
        calls.must(f"a gate that {what} lets nothing pass", 502, answer.status_code)
    calls.must("no engine was asked", asked, len(calls.engines["tried-v1"].calls))
    for what in ("raises", "leaves", "hangs"):
        answer = calls.chat("tried", f"gate={what}@whole")
        calls.must(f"a gate that {what} at the answer lets nothing pass", 502, answer.status_code)
    answer = calls.chat("tried", "gate=killed@whole")
    calls.must("a gate that is killed lets nothing pass", 502, answer.status_code)


def _told_by(answer: httpx.Response) -> tuple[int, object]:
    return answer.status_code, _code(answer)


def _code(answer: httpx.Response) -> object:
    try:
        return answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return answer.text


@contextmanager
def neighbors(log: Path) -> Iterator[Calls]:
    """Run the engines, the identity provider and the portal's ingest at the addresses that their
    names have here.
    """
    identity, ingest, engines = Identity(), Ingest(), {name: Engine(name) for name in ENGINES}
    with ExitStack() as stack:
        stack.enter_context(_served(NODE, identity.handler()))
        stack.enter_context(_served(PORTAL, ingest.handler()))
        for name, engine in engines.items():
            stack.enter_context(_served(ENGINES[name], engine.handler()))
        yield Calls(identity, engines, log, ingest)


@contextmanager
def _served(address: str, handler: type[BaseHTTPRequestHandler]) -> Iterator[None]:
    server = Server((address, 80), handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
