import json
import signal
import struct
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from apps.traces.otlp import Read, read_json
from deploy.local.engine.stand_in.__main__ import keys_of
from deploy.local.engine.stand_in.engine import Engine, PrefixCache
from deploy.local.engine.stand_in.metrics import Metrics
from deploy.local.engine.stand_in.model import BadModel, load_model
from deploy.local.engine.stand_in.protocol import COMPLETIONS, Usage, parse_question
from deploy.local.engine.stand_in.seats import Seats
from tests.local.stand_in_process import stand_in
from tests.local.tiny_model import make_tiny_model

ROOT = Path(__file__).parents[2]
SECRET = "Okafor-the-member"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def client(folder: Path, log: Path) -> Iterator[httpx.Client]:
    with stand_in(folder, log, "--max-model-len=99999", "--gpu-memory-utilization", "0.9") as (
        client,
        _,
    ):
        yield client


def chat(client: httpx.Client, text: str = "hello", **more: object) -> httpx.Response:
    body = {"model": "m-v1", "messages": [{"role": "user", "content": text}], **more}
    return client.post("/v1/chat/completions", json=body)


class TestSpans:
    TRACE = "ab" * 16

    @pytest.fixture
    def told(
        self, folder: Path, tmp_path: Path
    ) -> Iterator[tuple[httpx.Client, list[tuple[str, bytes]]]]:
        """A stand-in that sends spans, and what it sends."""
        came: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                came.append((self.path, self.rfile.read(length)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
            log, flag = tmp_path / "log", f"--otlp-traces-endpoint={endpoint}"
            with stand_in(folder, log, flag) as (client, _):
                yield client, came
            server.shutdown()

    def spans(self, came: list[tuple[str, bytes]], wanted: int) -> list[Read]:
        until = time.monotonic() + 10
        while True:
            bodies = [body for path, body in came if path == "/v1/traces"]
            found = [span for body in bodies for span in read_json(body).spans]
            if len(found) >= wanted:
                return found
            assert time.monotonic() < until, came
            time.sleep(0.02)

    def test_are_those_of_vllm_and_say_that_they_are_not(
        self, told: tuple[httpx.Client, list[tuple[str, bytes]]]
    ) -> None:
        client, came = told
        call = "7b0e1f7a-0000-4000-8000-00000000000a"
        sent = {"traceparent": f"00-{self.TRACE}-{'cd' * 8}-01", "x-request-id": call}
        body = {"model": "m-v1", "messages": [{"role": "user", "content": SECRET}]}
        usage = client.post("/v1/chat/completions", json=body, headers=sent).json()["usage"]
        streamed = client.post("/v1/chat/completions", json=body | {"stream": True}, headers=sent)
        assert streamed.status_code == 200
        first, second = self.spans(came, 2)
        for span in (first, second):
            assert (span.service, span.name) == ("m-v1", "llm_request")
            assert (span.trace_id, span.parent_id) == (self.TRACE, "cd" * 8)
            assert str(span.known.request_id) == call
            facts = span.known.facts
            assert facts["stand_in"] == "yes"
            assert facts["input_tokens"] == usage["prompt_tokens"]
            assert facts["output_tokens"] == usage["completion_tokens"]
            assert 0 <= facts["queue_seconds"] <= facts["first_token_seconds"]  # type: ignore[operator]
        assert SECRET.encode() not in b"".join(body for _, body in came)

    def test_are_not_sent_of_what_is_not_traced_or_not_answered(
        self, told: tuple[httpx.Client, list[tuple[str, bytes]]]
    ) -> None:
        client, came = told
        body = {"model": "m-v1", "messages": [{"role": "user", "content": "hello"}]}
        unwanted = {"traceparent": f"00-{self.TRACE}-{'cd' * 8}-00"}
        assert client.post("/v1/chat/completions", json=body, headers=unwanted).status_code == 200
        assert client.post("/v1/chat/completions", json={"model": "other"}).status_code != 200
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        (only,) = self.spans(came, 1)
        assert (only.parent_id, only.trace_id != self.TRACE) == ("", True)


class TestChat:
    def test_says_what_it_is_in_every_answer(self, client: httpx.Client) -> None:
        answer = chat(client)
        assert answer.headers["x-engine"] == "stand-in"
        assert answer.json()["system_fingerprint"] == "quartermaster-stand-in"
        assert answer.json()["choices"][0]["message"]["content"].startswith(
            "Stand-in answer (no model is loaded): "
        )

    def test_counts_tokens_with_the_models_own_tokenizer(self, client: httpx.Client) -> None:
        answer = chat(client, "abc").json()
        usage = answer["usage"]
        assert usage["prompt_tokens"] == len("<user>abc<assistant>")
        assert usage["completion_tokens"] == len(answer["choices"][0]["message"]["content"]) + 1
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    def test_stops_at_max_tokens(self, client: httpx.Client) -> None:
        answer = chat(client, "Extract the codes. Packet: E11.9", max_tokens=5).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["choices"][0]["message"]["content"] == '{"dia'
        assert answer["usage"]["completion_tokens"] == 5

    def test_stops_at_a_stop_string(self, client: httpx.Client) -> None:
        assert (
            chat(client, stop=[" ("]).json()["choices"][0]["message"]["content"]
            == "Stand-in answer"
        )

    def test_reports_a_repeated_beginning_as_cached(self, client: httpx.Client) -> None:
        text = "the same long beginning " * 5
        assert chat(client, text).json()["usage"]["prompt_tokens_details"]["cached_tokens"] <= 16
        assert chat(client, text).json()["usage"]["prompt_tokens_details"]["cached_tokens"] > 64

    def test_tells_the_usage_of_every_stream_where_it_is_started_so(
        self, client: httpx.Client, folder: Path, tmp_path: Path
    ) -> None:
        asked = {"model": "m-v1", "prompt": "abc", "stream": True}
        assert '"usage":{' not in client.post("/v1/completions", json=asked).text
        with stand_in(folder, tmp_path / "log", "--enable-force-include-usage") as (told, _):
            assert '"usage":{' in told.post("/v1/completions", json=asked).text

    def test_streams_the_same_text_and_usage(self, client: httpx.Client) -> None:
        whole = chat(client, "naïve 😀").json()
        answer = chat(client, "naïve 😀", stream=True, stream_options={"include_usage": True})
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        assert events.pop() == "[DONE]"
        chunks = [json.loads(event) for event in events]
        text = "".join(
            chunk["choices"][0]["delta"]["content"] for chunk in chunks if chunk["choices"]
        )
        assert text == whole["choices"][0]["message"]["content"]
        assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"
        assert (
            chunks[-1]["choices"] == []
            and chunks[-1]["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
        )

    def test_streams_no_usage_unless_asked(self, client: httpx.Client) -> None:
        assert "usage" not in chat(client, stream=True).text

    def test_takes_a_chunked_body(self, client: httpx.Client) -> None:
        body = json.dumps(
            {"model": "m-v1", "messages": [{"role": "user", "content": "x"}]}
        ).encode()
        answer = client.post("/v1/chat/completions", content=iter([body[:9], body[9:]]))
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            (b'{"model": "m-v1",', 400, "Bad Request"),
            (b"[]", 400, "Bad Request"),
            (b'{"model": "m-v1"}', 400, "Bad Request"),
            (b'{"model": "m-v1", "messages": []}', 400, "BadRequestError"),
            (
                b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}',
                404,
                "NotFoundError",
            ),
            (
                b'{"model": "m-v1", "messages": [{"role": "user", "content": "x"}], "n": 2}',
                400,
                "BadRequestError",
            ),
            (
                b'{"model": "m-v1", "messages": [{"role": "user"}], "max_tokens": 0}',
                400,
                "BadRequestError",
            ),
            (
                b'{"model": "m-v1", "messages": [{"role": "user"}], "max_tokens": 9999}',
                400,
                "BadRequestError",
            ),
        ],
    )
    def test_refuses_as_vllm_does(
        self, client: httpx.Client, body: bytes, status: int, kind: str
    ) -> None:
        answer = client.post("/v1/chat/completions", content=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
        assert answer.json()["error"]["code"] == status

    def test_refuses_a_prompt_longer_than_the_context(self, client: httpx.Client) -> None:
        answer = chat(client, "x" * 3000)
        assert answer.status_code == 400
        assert "maximum context length is 2048" in answer.json()["error"]["message"]


class TestPriority:
    CALL = {"model": "m-v1", "messages": [{"role": "user", "content": "Hello."}]}

    def test_is_an_error_where_the_engine_does_not_schedule_by_it(
        self, client: httpx.Client
    ) -> None:
        for priority in (10, -1):
            refused = client.post("/v1/chat/completions", json=self.CALL | {"priority": priority})
            error = refused.json()["error"]
            words = f"Got priority {priority} but Priority scheduling is not enabled."
            assert (refused.status_code, error["message"]) == (400, words)
        for none in (0, None):
            taken = client.post("/v1/chat/completions", json=self.CALL | {"priority": none})
            assert taken.status_code == 200

    def test_is_a_whole_number_of_64_bits(self, folder: Path, tmp_path: Path) -> None:
        flag = "--scheduling-policy=priority"
        with stand_in(folder, tmp_path / "log", flag) as (client, _):
            for priority, status in ((10, 200), (-5, 200), (2**63, 400), ("1", 400), (True, 400)):
                body = self.CALL | {"priority": priority}
                assert client.post("/v1/chat/completions", json=body).status_code == status

    def test_lets_the_lower_value_and_then_the_earlier_call_sit_first(self) -> None:
        seats, order = Seats(1), list[str]()
        seats.take()
        callers = [("late batch", 10), ("first", 0), ("second", 0), ("urgent", -1)]

        def sit(name: str, priority: int) -> None:
            seats.take(priority)
            order.append(name)
            seats.leave()

        threads = []
        for place, (name, priority) in enumerate(callers, start=1):
            threads.append(threading.Thread(target=sit, args=(name, priority)))
            threads[-1].start()
            while len(seats._waiting) < place:
                time.sleep(0.001)
        seats.leave()
        for thread in threads:
            thread.join(5)
        assert order == ["urgent", "first", "second", "late batch"]


class TestOtherPaths:
    def test_completes_a_plain_prompt(self, client: httpx.Client) -> None:
        answer = client.post(
            "/v1/completions", json={"model": "m-v1", "prompt": "abc", "max_tokens": 4}
        ).json()
        assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "Stan")
        assert answer["usage"]["prompt_tokens"] == 3

    def test_lists_its_model_with_the_models_own_context_length(self, client: httpx.Client) -> None:
        (model,) = client.get("/v1/models").json()["data"]
        assert (model["id"], model["max_model_len"]) == ("m-v1", 2048)

    def test_measures_under_vllms_names(self, client: httpx.Client) -> None:
        chat(client)
        text = client.get("/metrics").text
        assert (
            'vllm:time_to_first_token_seconds_bucket{engine="0",model_name="m-v1",le="+Inf"}'
            in text
        )
        assert 'vllm:num_requests_running{engine="0",model_name="m-v1"} 0.0' in text
        assert 'finished_reason="stop"' in text

    def test_knows_other_paths_not(self, client: httpx.Client) -> None:
        assert client.get("/nope").status_code == 404
        assert client.get("/v1/completions").status_code == 405
        assert client.get("/version").json()["version"].startswith("stand-in")


@pytest.fixture(scope="module")
def guarded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("guarded") / "log"
    with stand_in(folder, log, "--api-key", "k-one", "", "k-two", "--seed=1") as (client, _):
        yield client
    assert "k-one" not in log.read_text()
    assert "k-two" not in log.read_text()


class TestKey:
    """As vLLM's own --api-key: what it guards, what it does not, and how it refuses."""

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v2/rerank"])
    @pytest.mark.parametrize("shown", [None, "Bearer", "Bearer k-three", "k-one", "Basic k-one"])
    def test_is_asked_for_before_anything_is_read(
        self, guarded: httpx.Client, path: str, shown: str | None
    ) -> None:
        headers = {} if shown is None else {"authorization": shown}
        answer = guarded.post(path, content=b"{", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})

    @pytest.mark.parametrize("shown", ["Bearer k-one", "bearer k-two"])
    def test_may_be_any_of_those_that_it_was_given(self, guarded: httpx.Client, shown: str) -> None:
        guarded.headers["authorization"] = shown
        try:
            assert chat(guarded).status_code == 200
            assert guarded.get("/v1/models").status_code == 200
        finally:
            del guarded.headers["authorization"]

    def test_is_asked_for_nowhere_else(self, guarded: httpx.Client) -> None:
        for path in ("/health", "/metrics", "/version"):
            assert guarded.get(path).status_code == 200
        assert guarded.get("/v1/models").status_code == 401

    def test_comes_from_the_variable_where_the_command_line_has_none(self) -> None:
        assert keys_of([], {"VLLM_API_KEY": "k"}) == ("k",)
        assert keys_of(["a", "b"], {"VLLM_API_KEY": "k"}) == ("a", "b")
        assert keys_of([], {"VLLM_API_KEY": ""}) == keys_of(["", ""], {}) == ()


class TestPooling:
    def test_gives_the_same_text_the_same_vector(self, client: httpx.Client) -> None:
        body = {"model": "m-v1", "input": ["knee", "elbow", "knee"]}
        answer = client.post("/v1/embeddings", json=body)
        assert answer.headers["x-engine"] == "stand-in"
        first, other, again = (one["embedding"] for one in answer.json()["data"])
        assert first == again != other
        assert sum(part * part for part in first) == pytest.approx(1.0)
        tokens = len("knee") + len("elbow") + len("knee")
        assert answer.json()["usage"] == {
            "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0,
        }  # fmt: skip

    def test_packs_a_vector_as_clients_of_openai_ask_for_it(self, client: httpx.Client) -> None:
        body = {"model": "m-v1", "input": "knee"}
        plain = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
        packed = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
        found = struct.unpack(f"<{len(plain)}f", b64decode(packed["data"][0]["embedding"]))
        assert list(found) == pytest.approx(plain)

    def test_ranks_the_nearest_document_first(self, client: httpx.Client) -> None:
        body = {"model": "m-v1", "query": "knee", "documents": ["zzz", "knee", "kneel"], "top_n": 2}
        answer = client.post("/v2/rerank", json=body).json()
        found = [(one["index"], one["document"]["text"]) for one in answer["results"]]
        assert found == [(1, "knee"), (2, "kneel")]
        assert answer["results"][0]["relevance_score"] == pytest.approx(1.0)
        assert answer["usage"]["prompt_tokens"] == len("kneezzz") + len("kneeknee") + len(
            "kneekneel"
        )
        assert "meta" not in answer

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/v1/embeddings", {"input": []}, 400),
            ("/v1/embeddings", {"input": {"text": "knee"}}, 400),
            ("/v1/embeddings", {"input": "x" * 3000}, 400),
            ("/v1/embeddings", {"input": "knee", "model": "other"}, 404),
            ("/v2/rerank", {"query": "knee"}, 400),
            ("/v2/rerank", {"query": "knee", "documents": [1]}, 400),
        ],
    )
    def test_refuses_what_it_cannot_read(
        self, client: httpx.Client, path: str, body: dict[str, object], status: int
    ) -> None:
        answer = client.post(path, json={"model": "m-v1", **body})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)

    def test_counts_what_was_read_by_where_it_came_from(self, folder: Path) -> None:
        metrics = Metrics("m-v1")
        engine = Engine(load_model(folder, 64), metrics, 0, 2)
        engine.read(Usage(prompt=40, cached=16, completion=0))
        name = 'vllm:prompt_tokens_by_source_total{engine="0",model_name="m-v1",source='
        told = [
            line.removeprefix(name)
            for line in metrics.render().splitlines()
            if line.startswith(name)
        ]
        assert told == [
            '"local_compute"} 24.0',
            '"local_cache_hit"} 16.0',
            '"external_kv_transfer"} 0.0',
        ]


class TestCache:
    def test_is_used_by_the_answers_under_way_alone(self, folder: Path) -> None:
        metrics = Metrics("m-v1")
        engine = Engine(load_model(folder, 64), metrics, 0, 2)

        def use() -> float:
            line = next(
                each
                for each in metrics.render().splitlines()
                if each.startswith("vllm:kv_cache_usage_perc{")
            )
            return float(line.rpartition(" ")[2])

        body = {"model": "m-v1", "prompt": "a b", "max_tokens": 8}
        plan = engine.plan(parse_question(COMPLETIONS, json.dumps(body).encode(), ("m-v1",)))
        pieces = engine.speak(plan)
        next(pieces)
        assert use() == (plan.usage.prompt + 1) / 64
        next(pieces)
        assert use() == (plan.usage.prompt + 2) / 64
        pieces.close()
        assert use() == 0


class TestLog:
    def test_names_the_request_and_never_its_text(self, client: httpx.Client, log: Path) -> None:
        body = {"model": "m-v1", "messages": [{"role": "user", "content": SECRET}]}
        answer = client.post(
            "/v1/chat/completions", json=body, headers={"x-request-id": "id-of-the-call"}
        )
        assert answer.headers["x-request-id"] == "id-of-the-call"
        assert answer.json()["id"] == "chatcmpl-id-of-the-call"
        client.post("/v1/chat/completions", content=SECRET.encode())
        assert "request_id=id-of-the-call" in log.read_text()
        assert SECRET not in log.read_text()


class TestServer:
    def test_honors_the_folders_own_limit_and_ends_on_sigterm(self, tmp_path: Path) -> None:
        short = make_tiny_model(tmp_path / "short", generation={"max_new_tokens": 8})
        with stand_in(short, tmp_path / "log") as (client, process):
            answer = chat(client, max_tokens=50).json()
            assert (
                answer["usage"]["completion_tokens"],
                answer["choices"][0]["finish_reason"],
            ) == (8, "length")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0

    @pytest.mark.parametrize(
        ("flags", "code", "words"),
        [
            (["--no-such-flag"], 2, "unrecognized arguments: --no-such-flag"),
            ([], 1, "config.json is missing"),
        ],
    )
    def test_fails_where_a_real_engine_would(
        self, tmp_path: Path, flags: list[str], code: int, words: str
    ) -> None:
        command = [
            sys.executable,
            "-m",
            "deploy.local.engine.stand_in",
            "--model",
            str(tmp_path),
            *flags,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert words in done.stdout + done.stderr


class TestLoadModel:
    @pytest.mark.parametrize("broken", ["config.json", "tokenizer.json", "model.safetensors"])
    def test_names_the_broken_file(self, tmp_path: Path, broken: str) -> None:
        folder = make_tiny_model(tmp_path)
        (folder / broken).write_bytes((folder / broken).read_bytes()[:-3])
        with pytest.raises(BadModel, match=broken):
            load_model(folder)


class TestPrefixCache:
    def test_counts_whole_blocks_from_the_beginning(self) -> None:
        cache = PrefixCache()
        prompt = list(range(40))
        assert cache.visit(prompt) == 0
        assert cache.visit(prompt) == 32
        assert cache.visit([*prompt[:16], *range(100, 140)]) == 16
        assert cache.visit([1, *prompt]) == 0
