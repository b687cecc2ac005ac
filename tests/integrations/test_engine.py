"""The engine client against OpenAI-shaped answers: pieces, usage, refusals, being away."""

import json
from dataclasses import replace

import httpx
import pytest

from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.types import BadAnswer, Bounds, GatewayRefusal
from apps.integrations.errors import TemporaryError
from tests.evals.engine_double import endless, stream

ASK = {"model": "m", "messages": [{"role": "user", "content": "secret words"}]}


def client(handler) -> EngineClient:
    return EngineClient("http://engine", token="t", transport=httpx.MockTransport(handler))


def answers(status: int, **options):
    return lambda request: httpx.Response(status, **options)


class TestStreamChat:
    def test_yields_pieces_and_at_last_usage_and_times(self):
        seen = []

        def handler(request):
            seen.append(request)
            headers = {"x-request-id": "abc", "x-engine": "stand-in"}
            return httpx.Response(200, text=stream("m-v1", "codes"), headers=headers)

        *pieces, last = client(handler).stream_chat(**ASK, max_tokens=9)
        assert [piece.text for piece in pieces] == ["codes"]
        assert (last.usage.input_tokens, last.usage.output_tokens, last.usage.total_tokens) == (
            40,
            9,
            49,
        )
        assert 0 <= last.ttft_ms <= last.latency_ms
        assert (last.model, last.engine, last.request_id, last.finish_reason) == (
            "m-v1",
            "stand-in",
            "abc",
            "stop",
        )
        sent = json.loads(seen[0].content)
        assert sent["stream_options"] == {"include_usage": True}
        assert (sent["max_tokens"], sent["temperature"]) == (9, 0)
        assert seen[0].headers["authorization"] == "Bearer t"

    def test_ignores_comments_and_nonsense_lines(self):
        text = ": ping\n\ndata: not json\n\ndata: []\n\n" + stream("m", "x")
        assert (
            "".join(delta.text for delta in client(answers(200, text=text)).stream_chat(**ASK))
            == "x"
        )

    @pytest.mark.parametrize(
        ("status", "body", "code", "message"),
        [
            (
                403,
                {"error": {"message": "no grant", "code": "no_grant", "type": "x"}},
                "no_grant",
                "no grant",
            ),
            (401, {"message": "bad token"}, "401", "bad token"),
            (
                404,
                {"error": {"message": "unknown model", "type": "NotFoundError"}},
                "NotFoundError",
                "unknown model",
            ),
        ],
    )
    def test_refusals_carry_the_words_of_who_refused(self, status, body, code, message):
        with pytest.raises(GatewayRefusal) as caught:
            list(client(answers(status, json=body)).stream_chat(**ASK))
        assert (caught.value.status, caught.value.code, caught.value.message) == (
            status,
            code,
            message,
        )

    def test_a_limit_says_when_to_come_back(self):
        handler = answers(
            429,
            json={"error": {"message": "over"}},
            headers={"retry-after": "17", "x-request-id": "r"},
        )
        with pytest.raises(GatewayRefusal) as caught:
            list(client(handler).stream_chat(**ASK))
        assert (caught.value.retry_after, caught.value.request_id) == (17, "r")

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_failing_is_temporary(self, status):
        with pytest.raises(TemporaryError, match=str(status)):
            list(client(answers(status, text="secret words")).stream_chat(**ASK))

    def test_being_away_is_temporary_and_says_nothing_of_the_prompt(self):
        def handler(request):
            raise httpx.ReadTimeout("secret words")

        with pytest.raises(TemporaryError) as caught:
            list(client(handler).stream_chat(**ASK))
        assert "secret" not in str(caught.value)

    def test_an_error_in_the_middle_is_temporary(self):
        text = (
            'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: '
            '{"error":{"message":"dead"}}\n\n'
        )
        with pytest.raises(TemporaryError, match="broke off"):
            list(client(answers(200, text=text)).stream_chat(**ASK))


class TestBounds:
    """What is read of an answer where nobody watches."""

    BOUNDS = Bounds(seconds=5, size=100_000)

    def ask(self, handler, **bounds):
        return list(client(handler).stream_chat(**ASK, bounds=replace(self.BOUNDS, **bounds)))

    def test_let_a_whole_answer_pass_as_it_is(self):
        handler = answers(200, text=stream("m", "codes"))
        *pieces, last = self.ask(handler)
        assert ["".join(piece.text for piece in pieces), last.finish_reason] == ["codes", "stop"]
        assert last.usage.output_tokens == 9

    def test_end_an_answer_that_never_ends(self):
        with pytest.raises(BadAnswer, match="longer than 100,000 bytes") as caught:
            self.ask(answers(200, content=endless("m")))
        assert caught.value.code == "ENDLESS"

    def test_end_a_line_that_never_ends(self):
        with pytest.raises(BadAnswer, match="longer than"):
            self.ask(answers(200, content=(b"x" * 1000 for _ in range(10**9))))

    def test_end_an_answer_that_takes_too_long(self):
        with pytest.raises(BadAnswer, match="still answering after 0 s"):
            self.ask(answers(200, content=(b": ping\n\n" for _ in range(10))), seconds=0)

    def test_take_no_page_for_an_answer(self):
        with pytest.raises(BadAnswer, match="answered text/html, no stream") as caught:
            self.ask(answers(200, html="<html>secret words</html>"))
        assert caught.value.code == "NOT_A_STREAM"
        assert "secret" not in str(caught.value)

    def test_take_no_half_answer(self):
        half = stream("m", "codes").split("\n\n")[0] + "\n\n"
        with pytest.raises(BadAnswer, match="before it was whole") as caught:
            self.ask(answers(200, text=half))
        assert caught.value.code == "CUT_OFF"

    def test_without_them_whoever_reads_decides(self):
        half = stream("m", "codes").split("\n\n")[0] + "\n\n"
        pieces = list(client(answers(200, text=half)).stream_chat(**ASK))
        assert pieces[0].text == "codes"


class TestVersion:
    def test_knows_the_stand_in(self):
        assert (
            client(answers(200, json={"version": "x"}, headers={"x-engine": "stand-in"})).version()
            == "stand-in"
        )

    @pytest.mark.parametrize(
        ("models", "version", "words"),
        [
            ({"data": [{"owned_by": "vllm"}]}, {"version": "0.32.0"}, "vllm 0.32.0"),
            ({"data": [{"owned_by": "sglang"}]}, {"version": "0.5.1"}, "sglang 0.5.1"),
            ({"data": [{"owned_by": "vllm"}]}, {}, "vllm"),
            ({"data": []}, {"version": "0.32.0"}, "unnamed engine 0.32.0"),
            ({"data": [{"owned_by": "<b>"}]}, {"version": "0.32.0"}, "unnamed engine 0.32.0"),
            ([], [], "unnamed engine"),
        ],
    )
    def test_is_what_the_engine_says_of_itself(self, models, version, words):
        def handler(request):
            said = {"/v1/models": models, "/version": version}[request.url.path]
            return httpx.Response(200, json=said)

        assert client(handler).version() == words

    def test_being_away_is_temporary(self):
        with pytest.raises(TemporaryError):
            client(answers(503)).version()


class TestReady:
    def test_is_a_word(self):
        assert client(answers(200, json={})).ready()
        assert not client(answers(503)).ready()
