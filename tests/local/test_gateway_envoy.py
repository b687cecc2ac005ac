"""The whole gateway, with real Envoy, rate limit service and Valkey: what callers get and what is
written down.
"""

import base64
import json
import threading
import time
from collections import Counter

import httpx
import pytest

from apps.metering.access_log import read_record
from apps.metering.models import Operation, Outcome, Unmetered
from tests.local.gateway_objects import (
    COHERE,
    ISSUER,
    key_policy,
    pod,
    policy,
    route,
    secret,
    version,
)
from tests.local.gateway_stand import binaries, eventually, stand
from tests.local.stand_in_process import stand_in
from tests.local.tiny_model import make_tiny_model

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]
TEAM = "claims-review"
RERANK = "/cohere/v2/rerank"
PLENTY = {TEAM: 1_000_000}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One running gateway with the model `extract`, split over two versions."""
    with stand(tmp_path_factory.mktemp("gateway"), binaries()) as running:
        running.publish("extract", {"extract-v1": 70, "extract-v2": 30}, PLENTY)
        yield running


def error(answer):
    """The error of an answer, which must be JSON and carry the request's id."""
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"].startswith("application/json")
    found = answer.json()["error"]
    assert set(found) == {"type", "code", "message"}
    return found


def unsigned():
    """A token with algorithm none."""

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {
        "iss": ISSUER,
        "aud": "quartermaster-gateway",
        "team": TEAM,
        "exp": int(time.time()) + 600,
    }
    return f"{part({'alg': 'none'})}.{part(claims)}."


class TestTokens:
    @pytest.mark.parametrize(
        ("make", "code"),
        [
            (lambda idp: "", "token_missing"),
            (lambda idp: idp.token(exp=int(time.time()) - 3600), "token_expired"),
            (lambda idp: idp.token(nbf=int(time.time()) + 3600), "token_not_yet_valid"),
            (lambda idp: idp.token(aud=["quartermaster-api"]), "wrong_audience"),
            (lambda idp: idp.token(iss="http://elsewhere.test"), "wrong_issuer"),
            (lambda idp: idp.token(stranger=True), "bad_signature"),
            (lambda idp: idp.token(exp=None), "token_endless"),
            (lambda idp: idp.token(cost_center=None), "token_incomplete"),
            (lambda idp: idp.token(cost_center=""), "token_incomplete"),
            (lambda idp: idp.token(cost_center=7), "token_incomplete"),
            (lambda idp: idp.token(sub=None), "token_incomplete"),
            (lambda idp: idp.token(team=None), "token_incomplete"),
            (lambda idp: "not-a-token", "token_malformed"),
            (lambda idp: unsigned(), "algorithm_not_allowed"),
            (lambda idp: unsigned() + "AAAA", "algorithm_not_allowed"),
        ],
    )
    def test_that_are_no_good_are_named(self, gateway, make, code):
        answer = gateway.chat("extract", token=make(gateway.identity))
        if code == "token_missing":
            answer = httpx.post(
                gateway.url("/v1/chat/completions"), json={"model": "extract"}, trust_env=False
            )
        assert answer.status_code == 401
        assert error(answer)["code"] == code

    def test_never_reach_the_engine(self, gateway):
        assert gateway.chat("extract").status_code == 200
        seen = [call["headers"] for engine, _ in gateway.engines.values() for call in engine.calls]
        assert seen
        assert not [
            headers for headers in seen if "authorization" in {key.lower() for key in headers}
        ]


class TestAccess:
    def test_is_refused_in_words(self, gateway):
        answer = gateway.chat("extract", token=gateway.identity.token("prior-auth"))
        assert answer.status_code == 403
        assert error(answer)["message"] == (
            "Team prior-auth has no grant for model extract. Request access in the portal: "
            "http://portal.test"
        )
        assert gateway.logged(answer)["team"] == "prior-auth"

    @pytest.mark.parametrize("cost_center", ["CC 4100", "-4100", "x" * 33, "CC-4100\n"])
    def test_needs_a_cost_center_that_the_portal_takes(self, gateway, cost_center):
        """The policy's own condition says so, in CEL, as on a real gateway."""
        token = gateway.identity.token(cost_center=cost_center)
        assert gateway.chat("extract", token=token).status_code in (401, 403)
        good = gateway.identity.token(cost_center="CC_4100.a")
        assert gateway.chat("extract", token=good).status_code == 200

    def test_of_an_unfinished_token_is_told_before_a_grant(self, gateway):
        answer = gateway.chat("extract", token=gateway.identity.token(None))
        assert (answer.status_code, error(answer)["code"]) == (401, "token_incomplete")
        assert "cost_center" in error(answer)["message"]
        assert gateway.get("/v1/models", gateway.identity.token(None)).status_code == 401

    def test_cannot_be_borrowed_by_a_header(self, gateway):
        spoofed = {
            "x-team": TEAM,
            "x-cost-center": "CC-1",
            "x-user-id": "boss",
            "x-ai-eg-model": "extract",
        }
        answer = gateway.chat("extract", token=gateway.identity.token(None), headers=spoofed)
        assert answer.status_code == 401
        assert gateway.logged(answer)["team"] is None

    def test_is_closed_for_a_route_without_a_policy(self, gateway):
        gateway.put("bare", [route("bare", {"extract-v1": 1})])
        eventually(lambda: "bare" in gateway.models())
        assert eventually(lambda: gateway.chat("bare").status_code == 403)


class TestTraces:
    CANARY = "maria-delgado-123-45-6789"

    def spans(self, gateway, answer):
        """The spans of the trace that an answer's call is found by, once its own is there."""
        call = answer.headers["x-request-id"]

        def find():
            of_call = [one for one in gateway.ingest.spans if str(one.known.request_id) == call]
            root = next((one for one in of_call if not one.parent_id), None)
            return root and [one for one in gateway.ingest.spans if one.trace_id == root.trace_id]

        return eventually(find, 20)

    def test_tell_of_each_call_its_hops_and_tokens(self, gateway):
        answer = gateway.chat("extract")
        assert answer.status_code == 200
        found = self.spans(gateway, answer)
        (root,) = [one for one in found if not one.parent_id]
        hops = [one for one in found if one.name == "to the engine"]
        usage = answer.json()["usage"]
        assert (root.service, root.name) == ("ai-gateway", "call")
        assert root.known.facts["input_tokens"] == usage["prompt_tokens"]
        assert root.known.facts["output_tokens"] == usage["completion_tokens"]
        assert (root.known.facts["model"], root.known.facts["status"]) == ("extract", 200)
        assert [hop.parent_id for hop in hops] == [root.span_id]
        assert 0 < hops[0].duration_us <= root.duration_us
        assert any("ext_proc" in one.name or "ExternalProcessor" in one.name for one in found)

    def test_are_continued_by_the_engine_and_begun_by_no_caller(self, gateway):
        theirs = "ab" * 16
        sent = {
            "traceparent": f"00-{theirs}-{'cd' * 8}-00", "tracestate": "a=b", "baggage": "c=d",
            "x-client-trace-id": self.CANARY,
        }  # fmt: skip
        answer = gateway.chat("extract", headers=sent)
        found = self.spans(gateway, answer)
        (root,) = [one for one in found if not one.parent_id]
        assert root.trace_id != theirs
        ids = {one.span_id for one in found}
        came = [
            call["headers"]["traceparent"].split("-")
            for engine, _ in gateway.engines.values() for call in engine.calls
            if call["headers"].get("x-request-id") == answer.headers["x-request-id"]
        ]  # fmt: skip
        assert [(one[1], one[2] in ids) for one in came] == [(root.trace_id, True)]
        assert not [one for one in gateway.ingest.spans if one.trace_id == theirs]

    def test_carry_no_word_of_the_caller(self, gateway):
        """Not of the prompt, the address's query, the token or what a client calls itself: read in
        all that was sent, before the portal drops anything.
        """
        token = gateway.identity.token()
        body = {
            "model": "extract", "user": self.CANARY,
            "messages": [{"role": "user", "content": self.CANARY}],
        }  # fmt: skip
        sent = {
            "authorization": f"Bearer {token}", "user-agent": self.CANARY,
            "x-client-trace-id": self.CANARY, "baggage": f"member={self.CANARY}",
        }  # fmt: skip
        answer = httpx.post(
            gateway.url(f"/v1/chat/completions?member={self.CANARY}"), json=body, headers=sent,
            timeout=20, trust_env=False,
        )  # fmt: skip
        assert answer.status_code == 200
        self.spans(gateway, answer)
        raw = gateway.ingest.raw
        assert b"/v1/chat/completions" in raw
        assert self.CANARY.encode() not in raw
        assert token.encode() not in raw

    def test_are_there_for_a_refused_call_too(self, gateway):
        answer = gateway.chat("extract", token=gateway.identity.token("prior-auth"))
        (root,) = [one for one in self.spans(gateway, answer) if not one.parent_id]
        assert root.known.facts["status"] == 403
        assert "input_tokens" not in root.known.facts


FENCED, FENCED_VERSION = "fenced", "fenced-v1"


@pytest.fixture(scope="module")
def engine(gateway, tmp_path_factory):
    """The address of a stand-in that takes three keys, of which the gateway shows one."""
    folder = tmp_path_factory.mktemp("fenced")
    model = make_tiny_model(folder / "model")
    args = ["--served-model-name", FENCED_VERSION, "--api-key", "key-1", "key-0", "key-2", ""]
    with stand_in(model, folder / "log", *args) as (client, _):
        address = str(client.base_url).rstrip("/")
        backends = [*version(FENCED_VERSION), key_policy(FENCED_VERSION)]
        policies = policy(FENCED, PLENTY, jwks=gateway.jwks)
        found = [route(FENCED, {FENCED_VERSION: 100}), *policies, *backends]
        gateway.put("engine-key", [secret("key-1", formerKey="key-0", nextKey="key-2")])
        gateway.put("fenced", [*found, *pod(FENCED_VERSION, int(address.rpartition(":")[2]))])
        eventually(lambda: gateway.chat(FENCED).status_code == 200)
        yield address


class TestEngineKey:
    """The second fence: an engine that asks for a key, here the stand-in, behind the gateway."""

    def straight(self, address, **headers):
        body = {"model": FENCED_VERSION, "messages": [{"role": "user", "content": "hello"}]}
        url = f"{address}/v1/chat/completions"
        return httpx.post(url, json=body, headers=headers, trust_env=False)

    def test_lets_calls_in_by_the_gateway_alone_and_only_those_are_counted(self, gateway, engine):
        answer = gateway.chat(FENCED)
        assert answer.status_code == 200
        assert answer.json()["model"] == FENCED_VERSION
        assert gateway.logged(answer)["gen_ai.usage.total_tokens"] > 0
        for shown in ({}, {"authorization": f"Bearer {gateway.identity.token()}"}):
            refused = self.straight(engine, **shown, **{"x-request-id": "past-the-gateway"})
            assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"})
        assert gateway.logged(gateway.chat(FENCED))  # so what came before is written, too
        assert "past-the-gateway" not in gateway.wiring.access_log.read_text()
        assert "past-the-gateway" not in str(gateway.ingest.records)

    def test_changes_under_calls_without_one_that_fails(self, gateway, engine):
        answers = []

        def rotate():
            for key in ("key-2", "key-0", "key-1"):
                time.sleep(0.5)
                gateway.put("engine-key", [secret(key)])

        rotating = threading.Thread(target=rotate)
        rotating.start()
        while rotating.is_alive() or len(answers) < 20:
            answers.append(gateway.chat(FENCED, max_tokens=1).status_code)
        assert Counter(answers) == {200: len(answers)}

    def test_that_the_engine_does_not_know_is_an_engines_refusal(self, gateway, engine):
        gateway.put("engine-key", [secret("of-another-cluster")])
        refused = eventually(lambda: (answer := gateway.chat(FENCED)).status_code == 401 and answer)
        gateway.put("engine-key", [secret("key-1")])
        record = gateway.logged(refused)
        assert record["response_code"] == 401
        assert record["gen_ai.usage.total_tokens"] is None
        eventually(lambda: gateway.chat(FENCED).status_code == 200)

    def test_is_never_written_where_envoy_or_the_log_could_tell_it(self, gateway, engine):
        assert gateway.chat(FENCED).status_code == 200
        folder = gateway.wiring.folder
        told = [
            path
            for path in folder.rglob("*")
            if path.is_file() and path.name != "lookup.json" and b"key-1" in path.read_bytes()
        ]
        assert told == []
        assert b"key-1" not in gateway.ingest.raw
        assert gateway.wiring.lookup.stat().st_mode & 0o077 == 0


class TestRecords:
    def test_are_charged_to_the_token_whatever_the_client_says(self, gateway):
        spoofed = {
            "x-team": "boss",
            "x-cost-center": "CC-1",
            "x-user-id": "boss",
            "x-ai-eg-model": "other",
        }
        spoofed["x-request-id"] = "00000000-0000-4000-8000-000000000000"
        answer = gateway.chat("extract", headers=spoofed)
        record = gateway.logged(answer)
        assert answer.headers["x-request-id"] != spoofed["x-request-id"]
        assert (record["team"], record["cost_center"], record["user_id"]) == (
            TEAM,
            "CC-4100",
            "dana",
        )
        assert record["gen_ai.request.model"] == "extract"

    @pytest.mark.parametrize("streamed", [False, True])
    def test_hold_the_usage_of_the_version_that_answered(self, gateway, streamed):
        answer = gateway.chat("extract", "tokens=40", stream=streamed)
        assert answer.status_code == 200
        record = gateway.logged(answer)
        tokens = {
            key: record[f"gen_ai.usage.{key}_tokens"]
            for key in ("input", "cached_input", "output", "total")
        }
        assert tokens == {"input": 35, "cached_input": 3, "output": 5, "total": 40}
        assert record["gen_ai.response.model"] == record["gen_ai.request.model_override"]
        assert record["gen_ai.backend"] == f"models/{record['gen_ai.response.model']}"
        assert record["upstream_cluster"] == f"models/extract/{record['gen_ai.response.model']}"
        assert (
            record["upstream_host"]
            == f"{record['gen_ai.response.model']}-predictor.models.svc.cluster.local"
        )
        assert (record["gen_ai.latency.ttft_ms"] is not None) == streamed

    def test_tell_what_kind_of_call_it_was(self, gateway):
        calls = {
            Operation.CHAT: ("/v1/chat/completions?trace=my-knee", {"messages": []}),
            Operation.COMPLETION: ("/v1/completions", {"prompt": "hello"}),
            Operation.EMBEDDING: ("/v1/embeddings", {"input": ["hello", "there"]}),
        }
        read = {}
        for kind, (path, body) in calls.items():
            answer = gateway.post(path, {"model": "extract", **body})
            assert answer.status_code == 200, answer.text
            record = gateway.logged(answer)
            assert record["path"] == path.partition("?")[0]
            read[kind] = read_record(record)
        assert {kind: found.operation for kind, found in read.items()} == {
            kind: kind for kind in calls
        }
        embedded = read[Operation.EMBEDDING]
        assert (embedded.outcome, embedded.input_tokens, embedded.output_tokens) == (
            "METERED",
            64,
            0,
        )
        assert embedded.cached_input_tokens is None

    def test_count_a_rerank_whatever_it_read(self, gateway):
        engine, port = gateway.engines["other-v1"]
        gateway.put("rank-pod", pod("rank-v1", port))
        gateway.publish("rank", {"rank-v1": 100}, PLENTY, schema=COHERE)
        body = {"model": "rank", "query": "knee", "documents": ["knee", "elbow"]}

        def asked():
            return (found := gateway.post(RERANK, body)).status_code == 200 and found

        record = gateway.logged(eventually(asked))
        seen = engine.calls[-1]
        assert (seen["path"], seen["body"]["model"]) == ("/v2/rerank", "rank-v1")
        assert (record["path"], record["gen_ai.usage.total_tokens"]) == (RERANK, 0)
        read = read_record(record)
        assert (read.operation, read.outcome, read.version) == ("RERANK", "METERED", "rank-v1")
        assert (read.input_tokens, read.output_tokens) == (None, None)

    def test_of_a_rerank_that_its_backend_cannot_do_say_so(self, gateway):
        answer = gateway.post(RERANK, {"model": "extract", "query": "a", "documents": ["b"]})
        assert (answer.status_code, error(answer)["code"]) == (500, "schema_unsupported")
        read = read_record(gateway.logged(answer))
        assert (read.operation, read.outcome) == ("RERANK", "FAILED")

    def test_take_no_callers_word_for_the_kind_of_call(self, gateway):
        answer = gateway.post(
            "/v1/chat/completions",
            {"model": "extract", "messages": []},
            **{"x-ai-eg-original-path": RERANK},
        )
        assert gateway.logged(answer)["path"] == "/v1/chat/completions"

    def test_of_a_streamed_completion_hold_what_its_engine_tells_unasked(self, gateway):
        """Envoy AI Gateway asks for the usage of streamed chats alone."""
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        body = {"model": "extract", "prompt": "pieces=2", "stream": True}
        url = gateway.url("/v1/completions")
        with httpx.Client(trust_env=False) as client:
            silent = client.post(url, json=body, headers=headers)
            asked = body | {"stream_options": {"include_usage": True}}
            told = client.post(url, json=asked, headers=headers)
        assert (silent.status_code, told.status_code) == (200, 200)
        record = gateway.logged(silent)
        assert read_record(record).unmetered_because == Unmetered.NO_USAGE_TOLD
        assert gateway.logged(told)["gen_ai.usage.output_tokens"] == 5

    def test_of_a_call_that_failed_tell_the_version_it_had_reached(self, gateway):
        gateway.publish("lost", {"lost-v3": 100}, {TEAM: 1000})  # no pod serves it
        answer = eventually(lambda: (found := gateway.chat("lost")).status_code == 503 and found)
        record = gateway.logged(answer)
        assert record["gen_ai.request.model_override"] is None
        assert read_record(record).version == "lost-v3"

    def test_of_a_stream_that_the_client_left_hold_no_tokens(self, gateway):
        body = {
            "model": "extract",
            "stream": True,
            "messages": [{"role": "user", "content": "pieces=50 pause_ms=50"}],
        }
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        url = gateway.url("/v1/chat/completions")
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            next(answer.iter_lines())
        record = gateway.logged(answer)
        assert record["response_flags"] == "DC"
        assert record["gen_ai.usage.total_tokens"] is None

    def test_tell_a_client_that_left_from_an_engine_and_a_gateway_that_broke_off(self, gateway):
        def leave(answer):
            answer.close()

        def wait(answer):
            with pytest.raises(httpx.HTTPError):
                answer.read()

        def break_the_processor(answer):
            gateway.processes["gateway-control"].kill()
            wait(answer)

        try:
            for text, act, because in (
                ("pieces=50 pause_ms=50", leave, Unmetered.CLIENT_LEFT),
                ("breaks=3 pieces=50 pause_ms=20", wait, Unmetered.ENGINE_BROKE_OFF),
                ("silent=1", httpx.Response.read, Unmetered.NO_USAGE_TOLD),
                ("pieces=50 pause_ms=50", break_the_processor, Unmetered.GATEWAY_FAILED),
            ):
                record = read_record(self.streamed(gateway, text, act))
                assert (record.outcome, record.unmetered_because) == (Outcome.UNMETERED, because)
        finally:
            gateway.processes["gateway-control"].wait(10)
            gateway.start("gateway-control")
        eventually(lambda: gateway.chat("extract").status_code == 200, 30)
        record = read_record(gateway.logged(gateway.chat("extract", "silent=1")))
        assert record.unmetered_because == Unmetered.NO_USAGE_TOLD

    def streamed(self, gateway, text, act):
        """Begin a streamed call, do something once it answers, and return its record."""
        body = {
            "model": "extract", "stream": True, "messages": [{"role": "user", "content": text}],
        }  # fmt: skip
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        url = gateway.url("/v1/chat/completions")
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            act(answer)
        return gateway.logged(answer)

    def test_of_an_engines_error_hold_no_tokens(self, gateway):
        answer = gateway.chat("extract", "status=422 tokens=50")
        assert answer.status_code == 422
        assert gateway.logged(answer)["gen_ai.usage.total_tokens"] is None


class TestCollector:
    def test_brings_the_same_record_as_the_file(self, gateway):
        answer = gateway.chat("extract", "tokens=55")
        wanted = answer.headers["x-request-id"]
        found = eventually(
            lambda: [r for r in gateway.ingest.records if r["x-request-id"] == wanted], 20
        )[0]
        record = gateway.logged(answer)
        assert set(found) == set(record)
        assert found["gen_ai.usage.total_tokens"] == "55"
        assert found["gen_ai.latency.ttft_ms"] == "-"
        assert {value for _, value in gateway.ingest.seen} == {"Bearer ingest-credential"}
        assert {path for path, _ in gateway.ingest.seen} == {"/v1/logs"}

    def test_keeps_what_the_portal_cannot_take_yet(self, gateway):
        gateway.ingest.refusals = 1
        answer = gateway.chat("extract")
        eventually(lambda: gateway.ingest.refusals < 0, 20)
        wanted = answer.headers["x-request-id"]
        eventually(lambda: [r for r in gateway.ingest.records if r["x-request-id"] == wanted], 30)


class TestRouting:
    def test_splits_by_weight_and_writes_the_versions_name(self, gateway):
        gateway.publish("split", {"extract-v1": 70, "extract-v2": 30}, PLENTY)
        for engine, _ in gateway.engines.values():
            engine.calls.clear()
        assert {gateway.chat("split").status_code for _ in range(100)} == {200}
        for name in ("extract-v1", "extract-v2"):
            assert {call["body"]["model"] for call in gateway.engines[name][0].calls} == {name}
        share = len(gateway.engines["extract-v1"][0].calls)
        assert 50 <= share <= 88

    def test_moves_without_a_failed_call(self, gateway):
        gateway.publish("moving", {"extract-v1": 1}, PLENTY)
        done, seen = threading.Event(), []

        def call():
            while not done.is_set():
                answer = gateway.chat("moving")
                seen.append((answer.status_code, answer.json().get("model")))

        callers = [threading.Thread(target=call) for _ in range(3)]
        for caller in callers:
            caller.start()
        for weights in (
            {"extract-v1": 9, "extract-v2": 1},
            {"extract-v2": 1},
            {"extract-v1": 1},
            {"extract-v2": 1},
        ):
            gateway.publish("moving", weights, PLENTY)
            time.sleep(1)
        eventually(lambda: [model for _, model in seen[-9:]] == ["extract-v2"] * 9)
        time.sleep(5.5)  # the left-over cluster is taken away
        done.set()
        for caller in callers:
            caller.join()
        assert Counter(status for status, _ in seen) == {200: len(seen)}

    def test_lets_a_long_answer_end_when_its_version_is_taken_out(self, gateway):
        gateway.publish("leaving", {"extract-v1": 1}, PLENTY)
        found = []
        asked = threading.Thread(
            target=lambda: found.append(
                gateway.chat("leaving", "pieces=80 pause_ms=100 tokens=77", stream=True)
            )
        )
        asked.start()
        time.sleep(0.5)
        gateway.publish("leaving", {"extract-v2": 1}, PLENTY)
        asked.join()
        assert found[0].text.endswith("data: [DONE]\n\n")
        assert gateway.logged(found[0])["gen_ai.usage.total_tokens"] == 77

    def test_says_when_no_replica_is_ready(self, gateway):
        gateway.put("model-asleep", [route("asleep", {"asleep-v1": 1}), *version("asleep-v1")])
        gateway.publish("asleep", {"asleep-v1": 1}, PLENTY)
        eventually(lambda: gateway.chat("asleep").status_code == 503)
        answer = gateway.chat("asleep")
        assert answer.headers["retry-after"] == "30"
        assert "Model asleep has no replica that is ready" in error(answer)["message"]
        assert gateway.logged(answer)["response_flags"] == "UH"

    def test_says_for_every_model_what_the_oldest_ones_policy_says(self, gateway):
        words = {
            "error": {"type": "unavailable_error", "code": "no_replica", "message": "It was woken."}
        }
        sentence = {
            "contentType": "application/json",
            "header": {"set": [{"name": "Retry-After", "value": "7"}]},
            "body": {"type": "Inline", "inline": json.dumps(words)},
        }
        gateway.publish("napping", {"napping-v1": 1}, PLENTY)
        gateway.publish(
            "a-nap", {"a-nap-v1": 1}, PLENTY, asleep=sentence
        )  # of one age, the first by name is the oldest
        gateway.publish("honest", {"extract-v1": 1}, PLENTY)
        for model in ("a-nap", "napping"):
            eventually(lambda model=model: gateway.chat(model).headers.get("retry-after") == "7")
            answer = gateway.chat(model)
            assert (answer.status_code, error(answer)) == (503, words["error"])
            record = gateway.logged(answer)
            assert (record["response_code"], record["response_flags"]) == (503, "UH")
        assert gateway.chat("napping", token="").status_code == 401
        engines_own = gateway.chat("honest", "status=503")
        assert (engines_own.status_code, "woken" in engines_own.text) == (503, False)
        gateway.put("model-a-nap", [])
        eventually(lambda: "a-nap" not in gateway.models())

    def test_finds_a_replica_that_becomes_ready(self, gateway):
        gateway.publish("waking", {"waking-v1": 1}, PLENTY)
        assert gateway.chat("waking").status_code == 503
        gateway.put("waking-pod", pod("waking-v1", gateway.engines["other-v1"][1]))
        eventually(lambda: gateway.chat("waking").status_code == 200)

    def test_knows_no_other_models(self, gateway):
        answer = gateway.chat("nothing")
        assert answer.status_code == 404
        assert "the model nothing" in error(answer)["message"]

    def test_refuses_an_ip_and_says_so_in_the_status(self, gateway):
        wrong = version("ip-v1")
        wrong[1]["spec"]["endpoints"] = [
            {"ip": {"address": "127.0.0.1", "port": gateway.engines["other-v1"][1]}}
        ]
        gateway.put("ip", [route("by-ip", {"ip-v1": 1}), *wrong])
        eventually(lambda: "AIGatewayRoute/models/by-ip" in gateway.verdicts())
        (condition,) = gateway.verdicts()["AIGatewayRoute/models/by-ip"]["conditions"]
        assert (condition["type"], condition["status"]) == ("NotAccepted", "False")
        assert "127.0.0.1" in condition["message"]
        assert gateway.chat("by-ip").status_code == 404


class TestCalls:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "invalid_json"),
            (b"[]", "invalid_json"),
            (b"{}", "model_missing"),
            (b'{"model": 7}', "model_missing"),
            (b'{"model": "a\\nb"}', "model_invalid"),
            (b"", "body_missing"),
            (b"[" * 100_000, "invalid_json"),
        ],
    )
    def test_that_name_no_model_are_told_so(self, gateway, body, code):
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        answer = httpx.post(
            gateway.url("/v1/chat/completions"), content=body, headers=headers, trust_env=False
        )
        assert (answer.status_code, error(answer)["code"]) == (400, code)

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"stream": "true"}, "stream must be true or false"),
            ({"stream": 1}, "stream must be true or false"),
            ({"stream_options": []}, "stream_options must be an object"),
            ({"stream": True, "stream_options": 7}, "stream_options must be an object"),
            (
                {"stream": True, "stream_options": {"include_usage": "yes"}},
                "stream_options.include_usage must be true or false",
            ),
            ({"max_tokens": "9"}, "max_tokens must be a whole number"),
            ({"messages": [{"content": "no role"}]}, "messages[0].role must be"),
        ],
    )
    def test_with_a_field_of_another_type_never_reach_an_engine(self, gateway, more, words):
        before = sum(len(engine.calls) for engine, _ in gateway.engines.values())
        body = {"model": "extract", "messages": [{"role": "user", "content": "hello"}], **more}
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        answer = httpx.post(
            gateway.url("/v1/chat/completions"), json=body, headers=headers, trust_env=False
        )
        assert (answer.status_code, error(answer)["code"]) == (400, "field_invalid")
        assert words in error(answer)["message"]
        assert sum(len(engine.calls) for engine, _ in gateway.engines.values()) == before

    @pytest.mark.parametrize(
        "more",
        [
            {"stream": None, "stream_options": None},
            {"user": "\ud800"},
            {"note": "€ 5 ✓"},
            {"unknown": [{}]},
        ],
    )
    def test_that_are_merely_odd_are_left_to_the_engine(self, gateway, more):
        body = {"model": "extract", "messages": [{"role": "user", "content": "status=200"}], **more}
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        raw = json.dumps(body)
        answer = httpx.post(
            gateway.url("/v1/chat/completions"), content=raw, headers=headers, trust_env=False
        )
        assert answer.status_code in (200, 502, 503)
        assert "processor" not in answer.text

    def test_to_other_paths_are_told_what_is_served(self, gateway):
        answer = gateway.get("/v2/chat", gateway.identity.token())
        assert (answer.status_code, error(answer)["code"]) == (404, "path_not_found")

    def test_list_the_models(self, gateway):
        assert "extract" in gateway.models()


class TestBudgets:
    def test_end_with_what_was_spent_and_when_it_returns(self, gateway):
        gateway.publish("tight", {"extract-v1": 1}, {TEAM: 10, "prior-auth": 1000}, unit="Hour")
        assert gateway.chat("tight", "tokens=11").status_code == 200
        answer = eventually(
            lambda: (found := gateway.chat("tight", "tokens=11")).status_code == 429 and found
        )
        found = error(answer)
        assert (
            "Team claims-review has used up its tokens per hour for model tight (limit: 10)"
            in found["message"]
        )
        assert 0 < int(answer.headers["retry-after"]) <= 3600
        assert f"in {answer.headers['retry-after']} seconds" in found["message"]
        assert gateway.logged(answer)["gen_ai.usage.total_tokens"] is None
        assert gateway.chat("tight", token=gateway.identity.token("prior-auth")).status_code == 200

    def test_count_what_the_routes_own_expression_says(self, gateway):
        gateway.publish(
            "written", {"extract-v1": 1}, {TEAM: 10}, limit_cost="output_tokens", unit="Hour"
        )
        # each is 11 tokens, 5 of them written: counted whole, the second would be refused
        for _ in range(2):
            answer = gateway.chat("written", "tokens=11")
            assert answer.status_code == 200
            assert gateway.logged(answer)["gen_ai.usage.total_tokens"] == 11
        eventually(lambda: gateway.chat("written", "tokens=11").status_code == 429)

    def test_do_not_count_errors(self, gateway):
        gateway.publish("errors", {"extract-v1": 1}, {TEAM: 10}, unit="Hour")
        assert [gateway.chat("errors", "status=500 tokens=99").status_code for _ in range(3)] == [
            500
        ] * 3


class TestProxy:
    def test_leads_to_services(self, gateway):
        answer = httpx.post(
            "http://extract-v1-predictor.models.svc.cluster.local/v1/chat/completions",
            json={"model": "extract-v1", "messages": []},
            **_through(gateway),
        )
        assert answer.json()["model"] == "extract-v1"

    def test_leads_to_pods(self, gateway):
        body = {"model": "m", "messages": [], "stream": True}
        answer = httpx.post(
            "http://10.244.0.9:8080/v1/chat/completions", json=body, **_through(gateway)
        )
        assert answer.text.endswith("data: [DONE]\n\n")

    def test_says_when_nothing_is_ready(self, gateway):
        answer = httpx.get("http://ghost-predictor.models.svc/health", **_through(gateway))
        assert answer.status_code == 503
        assert "ghost-predictor.models.svc:80 is ready" in answer.json()["error"]["message"]

    def test_leads_nowhere_else(self, gateway):
        answer = httpx.get("http://example.test/", **_through(gateway))
        assert answer.status_code == 502


def _through(gateway):
    """How a client uses the cluster proxy. The client is closed with the call."""
    return {"proxy": f"http://127.0.0.1:{gateway.proxy_port}", "trust_env": False}


class TestFailures:
    def test_without_the_processor_calls_are_refused_and_it_comes_back(self, gateway):
        gateway.stop("gateway-control")
        try:
            answer = gateway.chat("extract")
            assert answer.status_code == 502
            assert error(answer)["code"] == "gate_unavailable"
        finally:
            gateway.start("gateway-control")
        eventually(lambda: gateway.chat("extract").status_code == 200, 30)

    def test_without_the_rate_limit_service_calls_are_refused(self, gateway):
        gateway.stop("ratelimit")
        try:
            answer = gateway.chat("extract")
            assert (answer.status_code, error(answer)["code"]) == (503, "rate_limit_unavailable")
        finally:
            gateway.start("ratelimit")
        eventually(lambda: gateway.chat("extract").status_code == 200, 30)
