"""The guard's answers on the real Envoy: what a caller gets of an answer in which a rule finds
something, plain and streamed, at its middle and at its end, and that nothing passes unseen.
"""

import json
import time

import httpx
import pytest

from tests.local.gateway_stand import binaries, eventually, stand

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]
PLENTY = {"claims-review": 1_000_000_000}
SSN = "412-55-1098"
PROSE = "The request meets the criteria of the policy and can be approved. "


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway with two models: of "extract" the guard blocks leaks, of "other" it masks."""
    gate = ("tests.local.guard_gate",)
    with stand(tmp_path_factory.mktemp("guard"), binaries(), gate) as running:
        running.publish("extract", {"extract-v1": 1}, PLENTY)
        running.publish("other", {"other-v1": 1}, PLENTY)
        eventually(lambda: running.chat("extract").status_code == 200, 30)
        yield running


class APIError(Exception):
    """What OpenAI's client raises over an event with an error."""


def stream(gateway, model, text, events=None):
    """Read a stream as OpenAI's client does: nothing behind the end mark is taken, and an event
    that holds an error is raised. events: how many are read before the client leaves.
    """
    headers = {"authorization": f"Bearer {gateway.identity.token()}"}
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    url, found = gateway.url("/v1/chat/completions"), []
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", url, json=body, headers=headers) as answer,
    ):
        found.append(answer)
        is_over = False
        for line in answer.iter_lines():
            if events is not None and len(found) > events:
                break
            is_over |= line.startswith("data: [DONE]")
            if is_over or not line.startswith("data: "):
                continue  # what follows the end mark is read to the end, and not looked at
            document = json.loads(line[6:])
            found.append(document)
            if document.get("error"):
                raise APIError(document["error"], found)
    return found


def said(documents) -> str:
    """Join what a client shows."""
    choices = [choice for one in documents[1:] for choice in one.get("choices") or []]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


class TestAPlainAnswer:
    def test_passes_where_the_prompt_held_what_it_says(self, gateway):
        answer = gateway.chat("extract", f"says: The SSN is {SSN}.")
        assert answer.status_code == 200
        assert SSN in answer.text

    def test_is_masked_with_its_own_length(self, gateway):
        answer = gateway.chat("other", f"says: The SSN is {SSN}, or SSN 519447231.")
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == (
            "The SSN is [REDACTED], or SSN [REDACTED]."
        )
        assert gateway.logged(answer)["gen_ai.usage.total_tokens"] == 12
        assert int(answer.headers["content-length"]) == len(answer.content)

    def test_is_closed_where_a_rule_does_not_come_back(self, gateway):
        answer = gateway.chat("extract", "slow says: some words of the model")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "answer_unreadable")
        assert "words" not in answer.text


class TestAStream:
    @pytest.mark.parametrize("size", [1, 4, 37])
    def test_passes_whole_where_nothing_is_found(self, gateway, size):
        text = PROSE * 5 + f"The SSN is {SSN}."
        found = stream(gateway, "extract", f"size={size} says: {text}")
        assert said(found) == text
        assert found[-1]["usage"]["completion_tokens"] == 5
        assert gateway.logged(found[0])["gen_ai.usage.total_tokens"] == 12

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_is_masked_over_its_events(self, gateway, size):
        text = f"{PROSE}The SSN is {SSN}, as asked. {PROSE}"
        found = stream(gateway, "other", f"size={size} says: {text}")
        assert said(found) == text.replace(SSN, "[REDACTED]")
        assert gateway.logged(found[0])["gen_ai.usage.total_tokens"] == 12

    def test_is_closed_where_a_rule_does_not_come_back(self, gateway):
        with pytest.raises(APIError) as raised:
            stream(gateway, "extract", f"slow says: {PROSE}")
        error, found = raised.value.args
        assert (error["code"], said(found)) == ("answer_unreadable", "")

    def test_that_its_client_leaves_has_let_nothing_through(self, gateway):
        found = stream(gateway, "other", f"pause_ms=5 says: {PROSE}SSN {SSN} {PROSE * 9}", 6)
        assert PROSE.startswith(said(found)) or said(found).startswith(PROSE)
        record = gateway.logged(found[0])
        assert record["gate.basis"] == "ESTIMATED"
        assert record["gate.usage.output_tokens"] >= 6


class TestALeak:
    """The engine's words come from the prompt here, so a leak is made of another writing, which the
    prompt holds in pieces alone.
    """

    def leak(self, before: str, after: str, **options) -> str:
        wishes = " ".join(f"{name}={value}" for name, value in options.items())
        return f"{wishes} turns: {before}SSN 8901-55-214{after}"

    @pytest.mark.parametrize("size", [1, 4, 37])
    @pytest.mark.parametrize("after", [". " + PROSE * 40, "", " ok"])
    def test_ends_the_stream_well_before_a_character_of_it(self, gateway, size, after):
        began = time.monotonic()
        with pytest.raises(APIError) as raised:
            stream(gateway, "extract", self.leak(PROSE * 3, after, size=size, pause_ms=2))
        assert time.monotonic() - began < 10
        error, found = raised.value.args
        assert (error["code"], error["type"]) == ("content_filter", "invalid_request_error")
        assert error["guardrail"] == {"rule": "no-leaks", "phase": "answer"}
        assert "412-55" not in json.dumps(found[1:])
        assert f"{PROSE * 3}SSN ".startswith(said(found))
        assert found[-2]["choices"] == []
        assert found[-2]["usage"]["completion_tokens"] > 0
        record = gateway.logged(found[0])
        assert record["gate.verdict"] == "content_filter"
        assert record["gen_ai.usage.output_tokens"] == found[-2]["usage"]["completion_tokens"]

    def test_refuses_a_plain_answer(self, gateway):
        answer = gateway.chat("extract", self.leak(PROSE, "."))
        assert answer.status_code == 400
        assert answer.json()["error"]["guardrail"] == {"rule": "no-leaks", "phase": "answer"}
        assert "412" not in answer.text
        assert gateway.logged(answer)["response_code_details"] == "qm_content_filter"

    def test_stands_in_no_log(self, gateway):
        with pytest.raises(APIError):
            stream(gateway, "extract", self.leak(PROSE, "."))
        for log in gateway.wiring.folder.parent.glob("*.log"):
            assert "412-55" not in log.read_text(errors="replace")
        assert "412-55" not in gateway.wiring.access_log.read_text()
