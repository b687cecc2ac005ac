"""One call's way through the protocol, message by message, without a server."""

import asyncio
import json

import pytest
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb
from google.protobuf import json_format

from apps.integrations.envoy.exchange import Admitted, Part, Refused
from apps.integrations.envoy.flow import Flow, OutOfOrder, State
from tests.integrations.envoy_talk import (
    Judge,
    answer_body,
    answer_headers,
    answer_trailers,
    request_body,
    request_headers,
)

REFUSAL = Refused(402, b'{"error": {}}', "qm_insufficient_quota", {"X-Should-Retry": "false"})


def said(judge, *sent):
    """All answers to these messages, and the flow."""
    flow = Flow(judge, patience=1.0)

    async def talk():
        return [answer for message in sent for answer in await flow.take(message)]

    return asyncio.run(talk()), flow


def kinds(answers):
    return [answer.WhichOneof("response") for answer in answers]


def headers_set(mutation):
    return {entry.header.key: entry.header.raw_value.decode() for entry in mutation.set_headers}


class TestAPlainCall:
    def test_is_whole_once_both_bodies_are_answered(self):
        judge = Judge()
        answers, flow = said(
            judge, request_headers(), request_body(b"{}"), answer_headers(), answer_body(b"[1]")
        )
        assert kinds(answers) == [
            "request_headers",
            "request_body",
            "response_headers",
            "response_body",
        ]
        assert (flow.state, flow.is_whole) == (State.WHOLE, True)
        assert judge.seen == ["request", "begins", "whole"]
        assert judge.asked.body == b"{}"

    def test_is_told_who_calls_by_the_verified_token_alone(self):
        judge = Judge()
        said(judge, request_headers(team="forged"), request_body(b"{}"))
        assert judge.asked.claims == {"sub": "dana", "team": "claims", "exp": 12.0}
        assert judge.asked.headers[":path"] == "/v1/chat/completions"

    @pytest.mark.parametrize("payloads", [{}, {"a": {"sub": "x"}, "b": {"sub": "y"}}, {"a": "x"}])
    def test_has_no_claims_where_there_is_not_exactly_one_token(self, payloads):
        judge = Judge()
        said(judge, request_headers(payloads=payloads), request_body(b"{}"))
        assert judge.asked.claims is None

    def test_asks_engines_for_what_can_be_read(self):
        (answer, *_), _ = said(Judge(), request_headers())
        removed = answer.request_headers.response.header_mutation.remove_headers
        assert list(removed) == ["accept-encoding"]

    def test_goes_on_with_what_the_judge_sets(self):
        judge = Judge(admits=Admitted({"x-qm-class": "batch"}, reroutes=True))
        (_, answer), _ = said(judge, request_headers(), request_body(b"{}"))
        common = answer.request_body.response
        assert headers_set(common.header_mutation) == {"x-qm-class": "batch"}
        assert common.clear_route_cache

    def test_without_a_body_is_judged_too(self):
        judge = Judge()
        answers, flow = said(judge, request_headers(is_end=True))
        assert (kinds(answers), flow.state) == (["request_headers"], State.ANSWER)
        assert judge.seen == ["request"]

    def test_gets_another_body_with_its_own_length(self):
        judge = Judge(whole=b"[REDACTED]")
        answers, _ = said(
            judge, request_headers(), request_body(b"{}"), answer_headers(), answer_body(b"[1]")
        )
        common = answers[-1].response_body.response
        assert common.body_mutation.body == b"[REDACTED]"
        assert headers_set(common.header_mutation) == {"content-length": "10"}

    def test_tells_the_access_log_in_a_space_of_its_own(self):
        judge = Judge(notes={"basis": "USAGE", "output_tokens": 5})
        answers, _ = said(
            judge, request_headers(), request_body(b"{}"), answer_headers(), answer_body(b"[1]")
        )
        told = json_format.MessageToDict(answers[-1].dynamic_metadata)
        assert told == {"quartermaster.usage": {"basis": "USAGE", "output_tokens": 5}}


class TestARefusal:
    @pytest.mark.parametrize("where", ["request", "begins", "whole"])
    def test_takes_the_answers_place_complete(self, where):
        judge = Judge(refuses={where: REFUSAL})
        answers, flow = said(
            judge, request_headers(), request_body(b"{}"), answer_headers(), answer_body(b"[1]")
        )
        immediate = answers[-1].immediate_response
        assert (immediate.status.code, immediate.body, immediate.details) == (
            402,
            b'{"error": {}}',
            "qm_insufficient_quota",
        )
        assert headers_set(immediate.headers) == {
            "content-type": "application/json",
            "x-should-retry": "false",
        }
        assert (flow.state, flow.is_whole) == (State.REFUSED, False)

    def test_leaves_nothing_to_answer(self):
        judge = Judge(refuses={"request": REFUSAL})
        answers, _ = said(judge, request_headers(), request_body(b"{}"), answer_headers())
        assert kinds(answers) == ["request_headers", "immediate_response"]
        assert "begins" not in judge.seen

    @pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
    def test_is_asked_for_where_the_answer_cannot_be_read(self, encoding):
        judge = Judge()
        said(
            judge,
            request_headers(),
            request_body(b"{}"),
            answer_headers(**{"content-encoding": encoding}),
        )
        assert judge.encoding == encoding


class TestAStream:
    def begun(self, judge, *sent):
        return said(
            judge,
            request_headers(),
            request_body(b"{}"),
            answer_headers(**{"content-type": "text/event-stream; charset=utf-8"}),
            *sent,
        )

    def test_is_asked_for_piece_by_piece_with_its_trailers(self):
        answers, flow = self.begun(Judge())
        mode = answers[-1].mode_override
        assert mode.response_body_mode == mode.FULL_DUPLEX_STREAMED
        assert mode.response_trailer_mode == mode.SEND
        assert mode.request_body_mode == mode.BUFFERED
        assert flow.state is State.STREAM

    def test_gives_on_what_is_let_go_and_holds_back_the_rest(self):
        judge = Judge(parts=[Part(b""), Part(b"ab"), Part(b"c", is_last=True)])
        answers, flow = self.begun(
            judge, answer_body(b"a"), answer_body(b"b"), answer_body(b"c", is_end=True)
        )
        pieces = [a.response_body.response.body_mutation.streamed_response for a in answers[3:]]
        assert [(piece.body, piece.end_of_stream) for piece in pieces] == [
            (b"ab", False),
            (b"c", True),
        ]
        assert flow.state is State.WHOLE

    def test_ends_where_the_judge_ends_it_and_ignores_the_rest(self):
        judge = Judge(parts=[Part(b"cut", is_last=True)])
        answers, flow = self.begun(judge, answer_body(b"a"), answer_body(b"b"))
        piece = answers[-1].response_body.response.body_mutation.streamed_response
        assert (piece.body, piece.end_of_stream) == (b"cut", True)
        assert len(answers) == 4
        assert (flow.state, flow.is_whole) == (State.ENDED, True)

    def test_may_end_by_its_trailers(self):
        judge = Judge(parts=[Part(b"a"), Part(b"rest", is_last=True)])
        answers, flow = self.begun(judge, answer_body(b"a"), answer_trailers())
        assert kinds(answers[-2:]) == ["response_body", "response_trailers"]
        assert not answers[-2].response_body.response.body_mutation.streamed_response.end_of_stream
        assert flow.is_whole

    @pytest.mark.parametrize("status", ["200", "206", "500"])
    def test_is_only_a_models_success(self, status):
        sent = {"content-type": "text/event-stream", ":status": status}
        answers, flow = said(
            Judge(), request_headers(), request_body(b"{}"), answer_headers(**sent)
        )
        assert flow.state is (State.PLAIN if status == "500" else State.STREAM)
        assert answers[-1].HasField("mode_override") == (status != "500")


class TestAnAnswerThatIsNoModels:
    def test_passes_uncounted_where_the_call_never_came_here(self):
        judge = Judge()
        answers, flow = said(judge, answer_headers(**{":status": "401"}), answer_body(b"no"))
        assert kinds(answers) == ["response_headers", "response_body"]
        assert (judge.seen, flow.is_whole) == ([], True)

    def test_passes_where_a_call_was_not_judged_yet(self):
        judge = Judge()
        _, flow = said(judge, request_headers(), answer_headers(is_end=True, **{":status": "413"}))
        assert (judge.seen, flow.is_whole) == ([], True)

    @pytest.mark.parametrize("status", ["200", "206"])
    def test_is_never_a_success_of_a_call_that_waits(self, status):
        with pytest.raises(OutOfOrder):
            said(Judge(), request_headers(), answer_headers(**{":status": status}))


class TestWhatComesOutOfOrder:
    @pytest.mark.parametrize(
        "sent",
        [
            [request_body(b"{}")],
            [answer_body(b"a")],
            [request_headers(), request_headers()],
            [request_headers(), request_body(b"{}"), request_body(b"{}")],
            [request_headers(), request_body(b"{}"), answer_body(b"a")],
            [request_headers(), request_body(b"{}"), answer_headers(), answer_headers()],
            [request_headers(), request_body(b"{}"), answer_headers(), answer_trailers()],
            [answer_trailers()],
            [pb.ProcessingRequest()],
            [pb.ProcessingRequest(request_trailers=pb.HttpTrailers())],
        ],
    )
    def test_raises(self, sent):
        with pytest.raises(OutOfOrder):
            said(Judge(), *sent)


class TestWhatTakesTooLong:
    @pytest.mark.parametrize("where", ["request", "whole", "part"])
    def test_raises(self, where):
        judge = Judge(hangs=where)
        flow = Flow(judge, patience=0.01)
        kind = "text/event-stream" if where == "part" else "application/json"

        async def talk():
            for message in (
                request_headers(),
                request_body(b"{}"),
                answer_headers(**{"content-type": kind}),
                answer_body(b"a"),
            ):
                await flow.take(message)

        with pytest.raises(TimeoutError):
            asyncio.run(talk())
        told = flow.fail()
        assert [json.loads(answer.immediate_response.body) for answer in told] == (
            [] if where == "part" else [{"error": {"code": "gate_unavailable"}}]
        )
        assert not flow.is_whole
