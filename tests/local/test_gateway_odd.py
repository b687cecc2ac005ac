"""Odd requests by plain sockets, through the real Envoy to the gate's own reading: each is answered
with 4xx in JSON. None is answered with 500, and no 200 comes that nobody counted.
"""

import contextlib
import gzip
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from apps.manifests.gateway import Answers, traffic_policy
from tests.gateway.gate.odd import (
    CANARY,
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    ODD,
    RERANK,
    body,
    raw,
)  # fmt: skip
from tests.local.gateway_objects import COHERE
from tests.local.gateway_stand import binaries, eventually, stand
from tests.local.http2_call import Http2Call

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]
PLENTY = {"claims-review": 1_000_000_000}
# Envoy AI Gateway asks for the usage of a stream, and so makes a good request of it.
MADE_GOOD = [
    number
    for number, (_, content, *_) in enumerate(ODD)
    if isinstance(content, dict)
    and content.get("stream_options") == {"continuous_usage_stats": True}
]
BROKEN_OFF = 0  # Envoy closed the connection of what is no HTTP
JSON = "content-type: application/json"


@dataclass
class Gateway:
    """A gateway whose gate notes what it settled."""

    stand: object
    ledger: Path

    def counted(self) -> list[dict]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def asked(self) -> int:
        """Return how many calls reached an engine."""
        return sum(len(engine.calls) for engine, _ in self.stand.engines.values())

    def send(self, data: bytes, *, wait: float = 15) -> tuple[int, dict[str, str], bytes]:
        """Write bytes as they are; return the status, headers and body of what comes back."""
        address = ("127.0.0.1", self.stand.wiring.envoy_port)
        with socket.create_connection(address, wait) as found:
            with contextlib.suppress(OSError):  # it may be refused before all of it came
                found.sendall(data)
            got = b""
            while piece := _read(found):
                got += piece
        head, _, rest = got.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
        }
        if headers.get("transfer-encoding") == "chunked":
            rest = _unchunked(rest)
        return int((first.split() or ["", "0"])[1]), headers, rest

    def ask(self, path: str, content: bytes, *headers: str, method: str = "POST", **claims):
        """Send a call as bytes. headers: beside its length, its token and its host."""
        token = self.stand.identity.token(**claims)
        lines = [
            f"{method} {path} HTTP/1.1", "host: gateway.test", f"authorization: Bearer {token}",
            "connection: close", *headers,
        ]  # fmt: skip
        if not any(line.lower().startswith(("content-length", "transfer-")) for line in headers):
            lines.append(f"content-length: {len(content)}")
        return self.send("\r\n".join([*lines, "", ""]).encode() + content)


def _read(found: socket.socket) -> bytes:
    try:
        return found.recv(65_536)
    except ConnectionError:
        return b""


def _unchunked(rest: bytes) -> bytes:
    whole = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        whole, rest = whole + rest[:length], rest[length + 2 :]
        if not length:
            break
    return whole


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """The models `summary` and `rerank`, and a gate that reads and counts."""
    ledger = tmp_path_factory.mktemp("ledger") / "settled.jsonl"
    ledger.touch()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    gate = ("tests.local.counting_gate", str(ledger))
    with stand(tmp_path_factory.mktemp("odd"), binaries(), gate) as running:
        running.publish("summary", {"extract-v1": 1}, PLENTY)
        running.publish("rerank", {"other-v1": 1}, PLENTY, schema=COHERE)
        running.publish("small", {"extract-v2": 1}, {"claims-review": 20})
        for model in ("summary", "rerank", "small"):
            say_as_the_product(running, model)
        yield Gateway(running, ledger)


def say_as_the_product(running, model: str) -> None:
    """Give a model's policy the product's own sentences."""
    file = running.objects / f"model-{model}.yaml"
    objects = list(yaml.safe_load_all(file.read_text()))
    answers = Answers(retry_after=45, portal_url="http://portal.test")
    said = traffic_policy(model=model, limits=[], answers=answers)["spec"]["responseOverride"]
    for one in objects:
        if one["kind"] == "BackendTrafficPolicy":
            one["spec"]["responseOverride"] = said
    running.put(f"model-{model}", objects)


def refused(answer, statuses=range(400, 500)) -> dict:
    """Return the error of an answer that must be 4xx in JSON, with its id and no word of the
    call.
    """
    status, headers, content = answer
    assert status in statuses, (status, content[:500])
    assert headers.get("content-type", "").startswith("application/json"), headers
    assert CANARY.encode() not in content
    error = json.loads(content)["error"]
    assert error["message"] and error["type"] and error["code"]
    return error


class TestOddRequests:
    @pytest.mark.parametrize("number", sorted({*range(len(ODD))} - {*MADE_GOOD}))
    def test_are_refused_before_an_engine_is_asked(self, gateway, number):
        path, content, *_ = ODD[number]
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        before, counted = gateway.asked(), len(gateway.counted())
        error = refused(gateway.ask(path, sent, JSON))
        assert gateway.asked() == before
        assert len(gateway.counted()) == counted
        assert error["code"] != "gate_unavailable"

    @pytest.mark.parametrize("number", range(len(ODD)))
    def test_are_refused_as_streams_too_or_counted(self, gateway, number):
        """Envoy AI Gateway writes into the body of a stream, and may make a good one of it."""
        path, content, *_ = ODD[number]
        if isinstance(content, dict):
            content = json.dumps({"stream": True, **content}).encode()
        elif content.startswith(b'{"model"'):
            content = b'{"stream": true, ' + content[1:]
        before, counted = gateway.asked(), len(gateway.counted())
        answer = gateway.ask(path, content, JSON)
        if answer[0] == 200:
            assert eventually(lambda: len(gateway.counted()) == counted + 1)
            return
        refused(answer)
        assert gateway.asked() == before

    @pytest.mark.parametrize(
        "header",
        [
            "content-type: text/plain", "content-type: application/json; charset=utf-16",
            "content-encoding: gzip", "content-encoding: br",
        ],
    )  # fmt: skip
    def test_in_another_encoding_are_refused(self, gateway, header):
        before = gateway.asked()
        sent = json.dumps(body()).encode()
        if "gzip" in header:
            sent = gzip.compress(sent)
        kind = () if header.startswith("content-type") else (JSON,)
        refused(gateway.ask(CHAT, sent, header, *kind))
        assert gateway.asked() == before

    def test_without_a_content_type_are_refused(self, gateway):
        assert refused(gateway.ask(CHAT, json.dumps(body()).encode()))["code"] == "content_type"

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/responses", "/v1/chat/completions/", "/v1//chat/completions", "/v1/messages",
            "/v1/chat/completions/../completions", "/V1/chat/completions", "/tokenize", "*",
            "/v1/chat%2Fcompletions", "/v1/chat/completions;x=1", "/v1/audio/speech",
        ],
    )  # fmt: skip
    def test_to_other_paths_are_refused_or_counted(self, gateway, path):
        counted = len(gateway.counted())
        status, _, content = gateway.ask(path, json.dumps(body()).encode(), JSON)
        assert (
            status == BROKEN_OFF
            or 400 <= status < 500
            or (status == 200 and eventually(lambda: len(gateway.counted()) == counted + 1))
        ), (status, content)

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "X"])
    def test_of_other_methods_never_reach_an_engine(self, gateway, method):
        before = gateway.asked()
        status, headers, content = gateway.ask(
            CHAT, json.dumps(body()).encode(), JSON, method=method
        )
        assert gateway.asked() == before
        if method == "X":  # no method that Envoy knows
            assert status in (BROKEN_OFF, 400)
            return
        assert (status, headers["allow"]) == (405, "POST"), content
        if method != "HEAD":
            assert json.loads(content)["error"]["code"] == "method_not_allowed"

    def test_without_a_body_are_refused(self, gateway):
        for method in ("POST", "GET"):
            refused(gateway.ask(CHAT, b"", JSON, method=method))

    @pytest.mark.parametrize(
        "claims",
        [
            {"exp": None}, {"cost_center": None}, {"cost_center": ""}, {"sub": None}, {"sub": ""},
            {"team": None}, {"cost_center": 7}, {"cost_center": "CC-4100\n"}, {"team": ["a"]},
        ],
    )  # fmt: skip
    def test_of_somebody_who_names_no_payer_are_refused(self, gateway, claims):
        before = gateway.asked()
        refused(gateway.ask(CHAT, json.dumps(body()).encode(), JSON, **claims), (401, 403))
        assert gateway.asked() == before

    def test_larger_than_the_gateway_takes_are_refused(self, gateway):
        before = gateway.asked()
        for size in (11 * 1024 * 1024, 51 * 1024 * 1024):
            sent = json.dumps(body(messages=[{"role": "user", "content": "x" * size}])).encode()
            error = refused(gateway.ask(CHAT, sent, JSON), (413,))
            assert error["code"] == "body_too_large"
        assert gateway.asked() == before

    @pytest.mark.parametrize(
        "header",
        [
            "x-ai-eg-model: rerank", "x-team: boss", "x-gateway-destination-endpoint: 10.0.0.1:80",
            "x-llm-d-inference-objective: first", "x-qm-class: batch", "x-cost-center: CC-1",
            "x-ai-eg-original-path: /v1/embeddings", "x-request-id: 1", "x-user-id: boss",
        ],
    )  # fmt: skip
    def test_cannot_say_by_a_header_what_the_token_and_the_body_say(self, gateway, header):
        name, _, value = header.partition(": ")
        counted = len(gateway.counted())
        status, headers, _ = gateway.ask(CHAT, json.dumps(body()).encode(), JSON, header)
        assert status == 200
        assert headers["x-request-id"] != value
        eventually(lambda: len(gateway.counted()) == counted + 1)
        engine, _ = gateway.stand.engines["extract-v1"]
        sent = {key.lower(): held for key, held in engine.calls[-1]["headers"].items()}
        assert sent.get(name) != value

    @pytest.mark.parametrize(
        "framing",
        [
            "content-length: 5", "content-length: 0", "content-length: -1", "content-length: x",
            "content-length: 10\r\ncontent-length: 12", "transfer-encoding: gzip",
            "transfer-encoding: chunked\r\ncontent-length: 10",
        ],
    )  # fmt: skip
    def test_of_odd_lengths_never_reach_an_engine(self, gateway, framing):
        before = gateway.asked()
        status, _, content = gateway.ask(CHAT, json.dumps(body()).encode(), JSON, framing)
        assert status == BROKEN_OFF or 400 <= status < 500 or status == 501, (status, content)
        assert gateway.asked() == before


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "limit", "after"), [("limit=tokens", "600", "23"), ("limit=calls", "5", "1")]
    )
    def test_of_the_gate_tell_one_time_in_every_place(self, gateway, text, limit, after):
        def said():
            sent = body(messages=[{"role": "user", "content": text}])
            return gateway.ask(CHAT, json.dumps(sent).encode(), JSON)

        eventually(lambda: "as many calls" in refused(said(), (429,))["message"])
        answer = said()
        error = refused(answer, (429,))
        assert error["code"] == "budget_exceeded"
        assert f"(limit: {limit})" in error["message"]
        assert f"resets in {after} seconds" in error["message"]
        assert answer[1]["retry-after"] == after

    def test_of_the_gateways_own_limiter_tell_the_same_time_in_every_place(self, gateway):
        sent = json.dumps(body(model="small")).encode()
        answer = eventually(
            lambda: (found := gateway.ask(CHAT, sent, JSON))[0] == 429 and found, 20
        )
        error = refused(answer, (429,))
        after = int(answer[1]["retry-after"])
        assert 1 <= after <= 60
        assert f"resets in {after} seconds" in error["message"]
        assert "limit: 20" in error["message"]


class TestGoodRequests:
    @pytest.mark.parametrize(
        ("path", "more", "output"),
        [
            (CHAT, {}, 5), (CHAT, {"stream": True}, 5), (COMPLETIONS, {}, 5),
            (CHAT, {"stream": True, "stream_options": {"include_usage": False}}, 5),
            (COMPLETIONS, {"stream": True}, 3), (EMBEDDINGS, {}, 0),
            (EMBEDDINGS, {"input": ["a", "b"]}, 0), (RERANK, {"model": "rerank"}, None),
        ],
    )  # fmt: skip
    def test_are_counted_once_each(self, gateway, path, more, output):
        counted = gateway.counted()
        sent = json.dumps({**body(path), **more}).encode()
        status, headers, content = gateway.ask(path, sent, JSON)
        assert status == 200, content
        found = eventually(lambda: gateway.counted()[len(counted) :])
        time.sleep(0.1)
        assert len(gateway.counted()) == len(counted) + 1
        assert found[0]["id"] == headers["x-request-id"]
        assert found[0]["output_tokens"] == output
        assert found[0]["basis"] == ("ESTIMATED" if output == 3 else "USAGE")
        assert found[0]["completeness"] == ("ENDED_EARLY" if output == 3 else "COMPLETE")

    def test_may_come_in_pieces(self, gateway):
        sent = json.dumps(body()).encode()
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in sent) + b"0\r\n\r\n"
        status, _, content = gateway.ask(CHAT, chunks, JSON, "transfer-encoding: chunked")
        assert status == 200, content

    def test_may_hold_a_whole_pair_of_surrogates(self, gateway):
        status, _, content = gateway.ask(CHAT, raw('"x": "\\ud83d\\ude00"'), JSON)
        assert status == 200, content

    def test_of_a_client_that_leaves_are_counted_as_far_as_they_came(self, gateway):
        counted = len(gateway.counted())
        message = {"role": "user", "content": "pieces=50 pause_ms=50"}
        sent = json.dumps({**body(), "messages": [message], "stream": True}).encode()
        token = gateway.stand.identity.token()
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {token}\r\n{JSON}\r\n"
            f"content-length: {len(sent)}\r\n\r\n"
        )
        address = ("127.0.0.1", gateway.stand.wiring.envoy_port)
        with socket.create_connection(address, 10) as found:
            found.sendall(head.encode() + sent)
            got = b""
            while got.count(b"ok ") < 4:
                got += found.recv(4096)
        (used,) = eventually(lambda: gateway.counted()[counted:], 10)
        assert (used["basis"], used["completeness"]) == ("ESTIMATED", "ABORTED")
        assert 4 <= used["output_tokens"] < 50


class TestHttp2:
    """A client of HTTP/2 may end its request with trailers, or never."""

    def begun(self, gateway, call):
        token = gateway.stand.identity.token()
        call.headers(
            (":method", "POST"), (":scheme", "http"), (":path", CHAT), (":authority", "g.test"),
            ("authorization", f"Bearer {token}"), ("content-type", "application/json"),
        )  # fmt: skip

    @pytest.mark.parametrize("ends_with", ["data", "trailers"])
    @pytest.mark.parametrize("stream", [False, True])
    def test_is_counted_however_its_request_ends(self, gateway, ends_with, stream):
        counted = len(gateway.counted())
        sent = json.dumps(body(stream=stream)).encode()
        with Http2Call(gateway.stand.wiring.envoy_port) as call:
            self.begun(gateway, call)
            call.data(sent[:20])
            call.data(sent[20:], is_end=ends_with == "data")
            if ends_with == "trailers":
                call.headers(("x-team", "boss"), is_end=True)
            is_ok, content = call.answer()
        assert is_ok, content
        (used,) = eventually(lambda: gateway.counted()[counted:])
        assert (used["basis"], used["texts"]) == ("USAGE", 1)

    @pytest.mark.parametrize("sent", [b"", b"{}", json.dumps(body(stream="true")).encode()])
    def test_is_refused_as_others_are(self, gateway, sent):
        before, counted = gateway.asked(), len(gateway.counted())
        with Http2Call(gateway.stand.wiring.envoy_port) as call:
            self.begun(gateway, call)
            if sent:
                call.data(sent)
            call.headers(("x-odd", "1"), is_end=True)
            is_ok, content = call.answer()
        assert not is_ok
        assert json.loads(content)["error"]["code"]
        assert (gateway.asked(), len(gateway.counted())) == (before, counted)

    def test_reaches_no_engine_before_its_request_has_ended(self, gateway):
        before, counted = gateway.asked(), len(gateway.counted())
        with Http2Call(gateway.stand.wiring.envoy_port) as call:
            self.begun(gateway, call)
            call.data(json.dumps(body()).encode())
            time.sleep(0.5)
            call.reset()
            time.sleep(0.5)
        assert (gateway.asked(), len(gateway.counted())) == (before, counted)
