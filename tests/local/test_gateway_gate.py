"""The gate's place in the gateway, on the real Envoy: whatever becomes of the gate, at whichever
phase of a call, no byte passes that it has not let through.
"""

import copy
import json
import time

import httpx
import pytest

from tests.local.gateway_objects import policy, route, version
from tests.local.gateway_stand import binaries, eventually, stand

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]
TEAM = "claims-review"
PLENTY = {TEAM: 1_000_000_000}
ASLEEP = {
    "statusCode": 503,
    "contentType": "application/json",
    "body": {"type": "Inline", "inline": '{"error": {"code": "no_replica"}}'},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway with two models, the second of them younger, each with its engine; what Envoy says
    itself with 503 is overridden for all, by the oldest: no test adds one whose name comes before
    its name, for objects of one age are in the order of their names.
    """
    with stand(tmp_path_factory.mktemp("gate"), binaries()) as running:
        running.publish("extract", {"extract-v1": 1}, PLENTY, asleep=ASLEEP)
        running.publish("other", {"other-v1": 1}, PLENTY)
        yield running


@pytest.fixture(autouse=True)
def alive(gateway):
    """The gate is there again after a test that ended it."""
    yield

    def answers():
        if gateway.processes["gate"].poll() is not None:
            gateway.start("gate")
        return gateway.chat("extract").status_code == 200

    eventually(answers, 30)


def asked(gateway, model):
    """How many calls the model's engine got."""
    name = {"extract": "extract-v1", "other": "other-v1"}[model]
    return len(gateway.engines[name][0].calls)


def streamed(gateway, model, text):
    """A streamed call: its status, what came of it, and whether it ended as it must."""
    headers = {"authorization": f"Bearer {gateway.identity.token()}"}
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    found, ended = b"", True
    url = gateway.url("/v1/chat/completions")
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", url, json=body, headers=headers) as answer,
    ):
        try:
            for piece in answer.iter_bytes():
                found += piece
        except httpx.HTTPError:
            ended = False
    return answer, found, ended


def is_inspected(gateway, answer):
    """Whether the gate had judged the answer that came: its last word is in the record."""
    return answer.status_code == 200 and gateway.logged(answer)["gate.verdict"] == "whole"


FAULTS = ("raises", "hangs", "killed", "leaves", "twice", "wrong")


class TestAGateThatFails:
    @pytest.mark.parametrize("model", ["extract", "other"])
    @pytest.mark.parametrize("what", FAULTS)
    def test_at_the_request_lets_nothing_reach_an_engine(self, gateway, model, what):
        before = asked(gateway, model)
        answer = gateway.chat(model, f"gate={what}@request")
        if what == "twice":  # the first answer was good: what follows it breaks the call off
            assert answer.status_code == 502 or is_inspected(gateway, answer)
            return
        assert answer.status_code == 502, answer.text
        assert "error" in answer.json()
        assert asked(gateway, model) == before

    @pytest.mark.parametrize("model", ["extract", "other"])
    @pytest.mark.parametrize("what", FAULTS)
    def test_at_a_plain_answer_lets_nothing_of_it_pass(self, gateway, model, what):
        before = asked(gateway, model)
        answer = gateway.chat(model, f"gate={what}@whole")
        assert asked(gateway, model) == before + 1
        if what == "twice":
            assert answer.status_code == 502 or is_inspected(gateway, answer)
            return
        assert answer.status_code == 502, answer.text
        assert "choices" not in answer.json()

    @pytest.mark.parametrize("what", FAULTS)
    @pytest.mark.parametrize("where", ["part", "end"])
    def test_in_a_stream_lets_nothing_more_pass(self, gateway, what, where):
        _, found, ended = streamed(gateway, "other", f"pieces=6 pause_ms=40 gate={what}@{where}")
        if what == "twice":  # what was let through came, or the call was broken off
            assert found.count(b"ok ") <= 12
            return
        assert found.count(b"ok ") <= (2 if where == "part" else 6), found
        # an answer about trailers that never came is an end to Envoy, of what was let through
        assert not ended or (what, where) == ("wrong", "part"), found

    @pytest.mark.parametrize("what", ["leaves", "wrong"])
    def test_at_the_answers_headers_lets_nothing_pass(self, gateway, what):
        answer = gateway.chat("extract", f"gate={what}@begins")
        assert answer.status_code == 502
        answer, found, ended = streamed(gateway, "extract", f"gate={what}@begins pieces=3")
        assert (answer.status_code, b"ok " in found) == (502, False)

    def test_and_blocks_ends_in_envoys_own_patience(self, gateway):
        before, began = asked(gateway, "extract"), time.monotonic()
        answer = gateway.chat("extract", "gate=blocks@request")
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "gate_unavailable"
        assert 9 < time.monotonic() - began < 15
        assert asked(gateway, "extract") == before
        gateway.processes["gate"].kill()
        gateway.processes["gate"].wait(5)

    def test_tells_nobody_a_word_of_the_call(self, gateway):
        for where in ("request", "whole"):
            answer = gateway.chat("extract", f"gate=raises@{where}")
            record = json.dumps(gateway.logged(answer))
            assert "knee" not in answer.text + record
        log = (gateway.wiring.folder.parent / "gate.log").read_text()
        assert "RuntimeError" in log
        assert "knee" not in log

    def test_closed_the_gateway_while_it_is_away(self, gateway):
        gateway.processes["gate"].kill()
        gateway.processes["gate"].wait(5)
        before = asked(gateway, "other")
        for model in ("extract", "other"):
            answer = gateway.chat(model)
            assert (answer.status_code, answer.json()["error"]["type"]) == (502, "server_error")
            assert "proc" not in answer.text
            assert gateway.chat(model, stream=True).status_code == 502
        assert asked(gateway, "other") == before


class TestWhatTheGateSays:
    @pytest.mark.parametrize("status", [400, 402, 502])
    @pytest.mark.parametrize("where", ["request", "whole", "begins"])
    def test_reaches_the_caller_as_it_is(self, gateway, status, where):
        answer = gateway.chat("extract", f"gate=refuses-{status}@{where}")
        assert answer.status_code == status
        assert answer.json() == {
            "error": {"type": "t", "code": "gate_says", "message": str(status)}
        }
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-should-retry"] == "false"
        assert gateway.logged(answer)["response_code_details"] == "qm_gate_says"

    def test_with_a_status_of_the_policies_is_their_word(self, gateway):
        """So a wrong status in the gate is found here, as it would be with a real gateway."""
        answer = gateway.chat("extract", "gate=refuses-503@request")
        assert answer.json()["error"]["code"] == "no_replica"

    def test_takes_the_answers_place_with_its_own_length(self, gateway):
        answer = gateway.chat("extract", "gate=masks@whole")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "[REDACTED]"
        assert gateway.logged(answer)["gen_ai.usage.total_tokens"] == 12

    def test_ends_a_stream_early_and_well(self, gateway):
        began = time.monotonic()
        answer, found, ended = streamed(gateway, "extract", "pieces=100 pause_ms=50 gate=cuts@part")
        assert time.monotonic() - began < 3
        assert (answer.status_code, ended) == (200, True)
        assert found.endswith(b"data: [DONE]\n\n")
        assert found.count(b"ok ") == 1
        record = gateway.logged(answer)
        assert record["gen_ai.usage.output_tokens"] == 2  # of the last piece that we wrote

    def test_about_a_call_that_its_client_leaves_is_in_the_record(self, gateway):
        headers = {"authorization": f"Bearer {gateway.identity.token()}"}
        body = {"model": "extract", "stream": True,
                "messages": [{"role": "user", "content": "pieces=50 pause_ms=50"}]}  # fmt: skip
        url = gateway.url("/v1/chat/completions")
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            lines = answer.iter_lines()
            for _ in range(5):
                next(lines)
        record = gateway.logged(answer)
        assert record["gen_ai.usage.output_tokens"] is None
        assert record["gate.basis"] == "ESTIMATED"
        assert record["gate.usage.output_tokens"] >= 2


class TestAnotherFiltersAnswer:
    def test_before_the_gate_passes_and_is_no_call(self, gateway):
        for answer, status in (
            (gateway.get("/v1/models", gateway.identity.token()), 200),
            (gateway.get("/v1/models"), 401),
            (gateway.get("/v2/nothing", gateway.identity.token()), 404),
            (gateway.chat("extract", token=gateway.identity.token("strangers")), 403),
        ):
            assert answer.status_code == status
            assert gateway.logged(answer)["gate.basis"] is None

    def test_behind_the_gate_passes(self, gateway):
        gateway.publish("tight", {"extract-v1": 1}, {TEAM: 10}, unit="Hour")
        answer = eventually(
            lambda: (found := gateway.chat("tight", "tokens=11")).status_code == 429 and found
        )
        assert answer.json()["error"]["code"] == "budget_exceeded"
        gateway.publish("gone", {"gone-v1": 1}, PLENTY)
        answer = gateway.chat("gone")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_replica")


class TestWhatTheGateIsTold:
    def test_is_the_token_and_never_a_header(self, gateway):
        forged = {
            "x-team": "boss",
            "x-llm-d-inference-fairness-id": "boss",
            "X-Gateway-Inference-Objective": "1",
            "x-ai-eg-internal-req-id": "1",
            "x-slo-ttft-ms": "1",
            "x-qm-class": "batch",
        }
        assert gateway.chat("other", headers=forged).status_code == 200
        seen = {
            name.lower(): value
            for name, value in gateway.engines["other-v1"][0].calls[-1]["headers"].items()
        }
        assert (seen["x-gate-team"], seen["x-gate-sub"]) == (TEAM, "dana")
        assert "accept-encoding" not in seen
        left = [n for n in seen if n.startswith(("x-llm-d-", "x-gateway-", "x-slo-", "x-qm-"))]
        assert left == []
        assert seen["x-team"] == TEAM

    def test_can_send_a_call_by_the_rule_of_its_class(self, gateway):
        """The gate chooses the class after the route was chosen, and the route is chosen anew."""
        found = [route("ranked", {"extract-v1": 1}), *policy("ranked", PLENTY, jwks=gateway.jwks)]
        rules = found[0]["spec"]["rules"]
        slow = copy.deepcopy(rules[0])
        slow["matches"][0]["headers"].append(
            {"type": "Exact", "name": "x-qm-class", "value": "batch"}
        )
        slow["backendRefs"][0]["bodyMutation"] = {"set": [{"path": "priority", "value": "10"}]}
        rules.append(slow)
        gateway.put("model-ranked", [*found, *version("extract-v1")])
        eventually(lambda: "ranked" in gateway.models())
        forged = {"x-qm-class": "batch"}
        assert gateway.chat("ranked", headers=forged).status_code == 200
        assert gateway.chat("ranked", "gate=batch@request").status_code == 200
        bodies = [call["body"] for call in gateway.engines["extract-v1"][0].calls[-2:]]
        assert [body.get("priority") for body in bodies] == [None, 10]

    @pytest.mark.parametrize("length", [33 * 1024, 5 * 1024 * 1024])
    def test_is_a_whole_body_both_ways(self, gateway, length):
        answer = gateway.chat("extract", "x" * length)
        assert answer.status_code == 200
        answer = gateway.chat("other", f"gate=masks@whole length={length}")
        assert answer.status_code == 200
        assert len(answer.content) > length

    def test_is_no_body_that_is_too_large(self, gateway):
        length = 51 * 1024 * 1024
        before = asked(gateway, "extract")
        answer = gateway.chat("extract", "x" * length)
        assert answer.status_code == 413
        assert asked(gateway, "extract") == before
        answer = gateway.chat("extract", f"length={length}")
        assert answer.status_code == 500
        assert "choices" not in answer.json()

    def test_is_no_answer_that_cannot_be_read(self, gateway):
        answer = gateway.chat("extract", "packed=1")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "gate_says")
