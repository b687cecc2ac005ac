"""The server fails closed: its streams end well only where both halves of a call were answered."""

import ast
import asyncio
import inspect
import logging
import textwrap
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as pb_grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.integrations.envoy.exchange import Part, Refused
from apps.integrations.envoy.server import Patience, Processor, start
from deploy.local.stack.ports import free_port
from tests.integrations.envoy_talk import (
    Judge,
    answer_body,
    answer_headers,
    answer_trailers,
    request_body,
    request_headers,
)

EVENTS = {"content-type": "text/event-stream"}
PLAIN = [request_headers(), request_body(b"{}"), answer_headers(), answer_body(b"[1]")]
STREAM = [*PLAIN[:2], answer_headers(**EVENTS), answer_body(b"a"), answer_body(b"b", is_end=True)]
REFUSAL = Refused(402, b"{}", "qm_insufficient_quota")


class Aborted(Exception):
    """What ends a stream with an error."""


class Wire:
    """One stream without a network: Envoy's messages in turn, then its end of the stream."""

    def __init__(self, sent, breaks_at=None, metadata=()):
        self.sent, self.breaks_at, self.answers = [*sent], breaks_at, []
        self.metadata = metadata

    def invocation_metadata(self):
        return self.metadata

    async def read(self):
        return self.sent.pop(0) if self.sent else grpc.aio.EOF

    async def write(self, answer):
        if len(self.answers) == self.breaks_at:
            raise grpc.aio.UsageError("the connection is gone")
        self.answers.append(answer)

    async def abort(self, code, words):
        assert code is not grpc.StatusCode.OK
        raise Aborted(words)


def served(judge, wire, *, judgment=0.05, call=5.0):
    """Serve one stream; return whether it ended well, and the words of its error."""

    async def serve():
        processor = Processor(lambda: judge, Patience(judgment, call))
        try:
            await processor.Process(None, wire)
            return True, ""
        except Aborted as problem:
            return False, str(problem)
        finally:
            await processor.closed()

    return asyncio.run(serve())


def is_answered(answers):
    """Tell from the answers alone whether both halves of the call were answered to their ends."""
    kinds = [answer.WhichOneof("response") for answer in answers]
    if not kinds or "immediate_response" in kinds:
        return False
    asked = "request_body" in kinds or kinds[:1] == ["response_headers"]
    bodies = [answer for answer in answers if answer.HasField("response_body")]
    duplex = any(answer.HasField("mode_override") for answer in answers)
    if not duplex:
        return asked and bool(bodies)
    last = bodies[-1].response_body.response.body_mutation.streamed_response if bodies else None
    return asked and ("response_trailers" in kinds or bool(last and last.end_of_stream))


MESSAGES = {
    "request_headers": request_headers(),
    "request_body": request_body(b"{}"),
    "answer": answer_headers(),
    "stream": answer_headers(**EVENTS),
    "piece": answer_body(b"a"),
    "last": answer_body(b"b", is_end=True),
    "trailers": answer_trailers(),
}
LIKELY = st.sampled_from(
    [
        ["request_headers", "request_body", "answer", "last"],
        ["request_headers", "request_body", "stream", "piece", "piece", "last"],
        ["request_headers", "request_body", "stream", "piece", "trailers"],
        ["answer", "last"],
    ]
)
CUT = LIKELY.flatmap(lambda names: st.integers(0, len(names)).map(lambda n: names[:n]))
ANY = st.lists(st.sampled_from(sorted(MESSAGES)), max_size=7)


class TestProcess:
    @given(
        names=st.one_of(LIKELY, CUT, ANY),
        raises=st.sampled_from(["", "", "request", "begins", "whole", "part"]),
        refuses=st.sampled_from(["", "", "request", "begins", "whole"]),
        cuts=st.booleans(),
        breaks_at=st.one_of(st.none(), st.integers(0, 6)),
    )
    @settings(max_examples=400, deadline=None)
    def test_ends_well_exactly_where_both_halves_were_answered(
        self, names, raises, refuses, cuts, breaks_at
    ):
        judge = Judge(
            raises=raises,
            refuses={refuses: REFUSAL} if refuses else {},
            parts=[Part(b"a"), Part(b"cut", is_last=True)] if cuts else [],
        )
        wire = Wire([MESSAGES[name] for name in names], breaks_at)
        ended_well, words = served(judge, wire)
        assert ended_well == is_answered(wire.answers)
        assert judge.closed == 1
        assert "knee" not in words

    @pytest.mark.parametrize("sent", [PLAIN, STREAM])
    @pytest.mark.parametrize("where", ["request", "whole", "part"])
    def test_waits_for_no_judgment_longer_than_its_patience(self, sent, where):
        judge = Judge(hangs=where)
        wire = Wire(sent)
        ended_well, _ = served(judge, wire)
        assert ended_well == (where not in judge.seen)
        told = [
            a.immediate_response.status.code
            for a in wire.answers
            if a.HasField("immediate_response")
        ]
        assert told == ([502] if where in judge.seen and where != "part" else [])

    def test_ends_a_call_that_takes_longer_than_any_may(self):
        class Slow(Wire):
            async def read(self):
                if not self.sent:
                    await asyncio.sleep(3600)
                return await super().read()

        ended_well, words = served(Judge(), Slow(STREAM[:4]), call=0.05)
        assert (ended_well, "TimeoutError" in words) == (False, True)

    def test_closes_a_call_that_its_client_leaves(self):
        judge = Judge(hangs="request")

        async def leave():
            processor = Processor(lambda: judge, Patience(60, 60))
            serving = asyncio.create_task(processor.Process(None, Wire(PLAIN)))
            await asyncio.sleep(0.01)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            await processor.closed()

        asyncio.run(leave())
        assert judge.closed == 1

    def test_says_what_failed_and_not_a_word_of_it(self, caplog):
        with caplog.at_level(logging.ERROR):
            served(Judge(raises="request"), Wire(PLAIN))
        assert "RuntimeError at " in caplog.text
        assert "knee" not in caplog.text

    def test_has_one_way_out_that_is_no_error(self):
        """Nothing is returned on the way, and its last word is an abort unless all was answered."""
        source = textwrap.dedent(inspect.getsource(Processor.Process))
        (function,) = ast.parse(source).body
        assert not [n for n in ast.walk(function) if isinstance(n, ast.Return | ast.Yield)]
        last = function.body[-1]
        assert isinstance(last, ast.If)
        assert ast.unparse(last.test) == "not is_whole"
        assert ast.unparse(last.body[0]).startswith("await context.abort(grpc.StatusCode.ABORTED")
        set_by = [
            ast.unparse(node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and "is_whole" in ast.unparse(node.targets[0])
        ]
        assert sorted(set_by) == [
            "('the call did not come to its end', False)",
            "await _carry(flow, context)",
        ]


OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024),
           ("grpc.max_send_message_length", 64 * 1024 * 1024)]  # fmt: skip


@asynccontextmanager
async def serving(judge, identity=None):
    """The server, and its address."""
    processor = Processor(lambda: judge, Patience(1, 5))
    address = f"127.0.0.1:{free_port()}"
    listening = await start(processor, address, identity)
    yield listening, address
    await listening.stop(0)
    await processor.closed()


@asynccontextmanager
async def running(judge):
    """The server on a port, and a client as Envoy is one."""
    async with (
        serving(judge) as (listening, address),
        grpc.aio.insecure_channel(address, options=OPTIONS) as channel,
    ):
        yield pb_grpc.ExternalProcessorStub(channel), listening


def certificate(folder):
    """Write a new certificate for `gate` with its key, signed by itself; return it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gate")]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "tls.key").write_bytes(key.private_bytes(*form))
    (folder / "tls.crt").write_bytes(made)
    return made


async def called(address, trusted=None):
    """Make a plain call by TLS, or without where nothing is trusted; return how it ended."""
    options = [("grpc.ssl_target_name_override", "gate")]
    channel = (
        grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(trusted), options)
        if trusted
        else grpc.aio.insecure_channel(address)
    )
    async with channel:
        stream = pb_grpc.ExternalProcessorStub(channel).Process(timeout=5)
        try:
            for message in PLAIN:
                await stream.write(message)
                await stream.read()
        except grpc.aio.AioRpcError as problem:
            return problem.code()
        return await stream.code()


class TestStart:
    def test_takes_bodies_of_fifty_mebibytes(self):
        body = b"x" * (51 * 1024 * 1024)

        async def talk():
            async with running(judge := Judge()) as (stub, _):
                stream = stub.Process()
                for message in (request_headers(), request_body(body), *PLAIN[2:]):
                    await stream.write(message)
                    await stream.read()
                await stream.done_writing()
                return await stream.code(), len(judge.asked.body)

        assert asyncio.run(talk()) == (grpc.StatusCode.OK, len(body))

    def test_ends_a_stream_that_is_not_answered_with_an_error(self):
        async def talk():
            async with running(Judge()) as (stub, _):
                stream = stub.Process()
                for message in PLAIN[:3]:
                    await stream.write(message)
                    await stream.read()
                await stream.done_writing()
                return await stream.code()

        assert asyncio.run(talk()) is grpc.StatusCode.ABORTED

    def test_breaks_off_with_an_error_what_does_not_end_in_time(self):
        async def talk():
            async with running(Judge()) as (stub, listening):
                stream = stub.Process()
                for message in PLAIN[:3]:
                    await stream.write(message)
                    await stream.read()
                await listening.stop(0.05)
                return await stream.code()

        assert asyncio.run(talk()) is not grpc.StatusCode.OK

    def test_proves_who_it_is_by_the_certificate_that_is_there_now(self, tmp_path):
        """A renewed one is taken for the next connection; nobody is served without TLS."""

        async def talk():
            first = certificate(tmp_path)
            async with serving(Judge(), tmp_path) as (_, address):
                found = [await called(address, first), await called(address)]
                second = certificate(tmp_path)
                return [*found, await called(address, second), await called(address, first)]

        away = grpc.StatusCode.UNAVAILABLE
        assert asyncio.run(talk()) == [grpc.StatusCode.OK, away, grpc.StatusCode.OK, away]

    def test_does_not_begin_without_the_certificate_it_was_told_of(self, tmp_path):
        async def talk():
            await start(Processor(Judge, Patience(1, 5)), f"127.0.0.1:{free_port()}", tmp_path)

        with pytest.raises(FileNotFoundError):
            asyncio.run(talk())
