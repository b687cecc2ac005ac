"""Envoy's external processor: reads the model from a call's body and the usage from its answer.

Envoy calls it twice per request. As the *listener's* filter it names the model, so that a route can
be chosen, and at the end of a complete, successful answer it leaves numbers in the metadata. As the
*upstream* filter, after a backend was chosen, it writes that backend's own model name and path. It
writes them into the body as the *listener* saw it: whatever a filter between the two made of the
body is lost, as with Envoy AI Gateway. Prompt and answer are kept no longer than the call.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as pb_grpc
from envoy.type.v3 import http_status_pb2
from google.protobuf import struct_pb2

from deploy.local.gateway import bodies, expressions
from deploy.local.gateway.bodies import SERVED, BadCall
from deploy.local.gateway.mutations import Mutation
from deploy.local.gateway.tables import (
    METADATA_NAMESPACE,
    MODEL_HEADER,
    Destination,
    Lookup,
    Upstream,
)
from deploy.local.gateway.usage import USAGE_OF, PlainReader, Reader, StreamReader, Usage

_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_Mode = processing_mode_pb2.ProcessingMode
ORIGINAL_PATH_HEADER = "x-ai-eg-original-path"
# by which the upstream filter finds what the listener's saw of the same call
CALL_HEADER = "x-ai-eg-internal-req-id"


# generated code has no types
class Processor(pb_grpc.ExternalProcessorServicer):  # type: ignore[misc]
    """Serves both filters. `lookup` is replaced when the tables change."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.bodies: dict[str, dict[str, Any]] = {}  # of the calls under way, by CALL_HEADER

    async def Process(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer the messages of one call, one by one."""
        phase = dict(context.invocation_metadata()).get("x-phase")
        call = UpstreamCall(self) if phase == "upstream" else ListenerCall(self)
        try:
            async for request in requests:
                try:
                    yield call.answer(request)
                except BadCall as problem:
                    yield _refusal(problem)
                    return
        finally:  # a caller who leaves ends the messages, and nothing is raised here
            call.over()


@dataclass
class ListenerCall:
    """One call as the listener sees it."""

    owner: Processor
    path: str = ""
    sent_at: float = 0.0
    destination: Destination | None = None
    upstream: Upstream | None = None
    reader: Reader | None = None
    key: str = field(default_factory=lambda: str(uuid4()))

    def over(self) -> None:
        """Forget the body: the call has ended, well or not."""
        self.owner.bodies.pop(self.key, None)

    def answer(self, request: Any) -> Any:
        """Return the answer to one of Envoy's messages."""
        kind = request.WhichOneof("request")
        return getattr(self, kind)(request)

    def request_headers(self, request: Any) -> Any:
        """Refuse what is not served; answer the list of models."""
        headers = _headers(request.request_headers)
        self.path = headers.get(":path", "").partition("?")[0]
        if self.path == "/v1/models" and headers.get(":method") == "GET":
            return _model_list(self.owner.lookup.models)
        if self.path not in SERVED:
            served = ", ".join((*SERVED, "/v1/models"))
            raise BadCall(
                404,
                "path_not_found",
                f"The gateway does not serve {self.path}. It serves {served}.",
            )
        if request.request_headers.end_of_stream:
            raise BadCall(
                400,
                "body_missing",
                "The call has no body; it must be a JSON object that names a model.",
            )
        return pb.ProcessingResponse(request_headers=pb.HeadersResponse())

    def request_body(self, request: Any) -> Any:
        """Name the model in a header and let Envoy choose the route again; make a streamed chat
        tell its usage. Like Envoy AI Gateway, ask for that in chats alone: the engine must tell the
        usage of other streams by itself.
        """
        body = bodies.read(self.path, request.request_body.body)
        self.sent_at = time.monotonic()
        common = pb.CommonResponse(clear_route_cache=True)
        # the path as the caller asked: the backend's own takes its place
        _set_headers(
            common,
            [
                (MODEL_HEADER, body["model"]),
                (ORIGINAL_PATH_HEADER, self.path),
                (CALL_HEADER, self.key),
            ],
        )
        options = body.get("stream_options") or {}
        asks = self.path == bodies.CHAT and body.get("stream")
        if asks and not options.get("include_usage"):
            raw = bodies.with_usage(request.request_body.body)
            _set_raw_body(common, raw)
            body = json.loads(raw)
        self.owner.bodies[self.key] = body
        return pb.ProcessingResponse(request_body=pb.BodyResponse(response=common))

    def response_headers(self, request: Any) -> Any:
        """Choose how to read the answer: whole, as a stream, or not at all where it is not a
        model's success.
        """
        headers = _headers(request.response_headers)
        self._find_upstream(request)
        streamed = headers.get("content-type", "").startswith("text/event-stream")
        mode = _Mode.NONE
        if headers.get(":status") == "200" and self.upstream is not None:
            mode = _Mode.STREAMED if streamed else _Mode.BUFFERED
            self.reader = (
                StreamReader() if streamed else PlainReader(USAGE_OF[self.upstream.schema])
            )
        return pb.ProcessingResponse(
            response_headers=pb.HeadersResponse(), mode_override=_mode(mode)
        )

    def _find_upstream(self, request: Any) -> None:
        attributes = _attributes(request)
        rule = attributes.get("xds.route_name", "").partition("/match/")[0]
        self.destination = self.owner.lookup.destinations.get(rule)
        if self.destination:
            self.upstream = self.destination.upstreams.get(attributes.get("xds.cluster_name", ""))

    def response_body(self, request: Any) -> Any:
        """Read the next piece; leave the numbers when the answer is complete."""
        piece = request.response_body
        response = pb.ProcessingResponse(response_body=pb.BodyResponse())
        if self.reader is None:
            return response
        self.reader.feed(piece.body, time.monotonic())
        if piece.end_of_stream:
            self.reader.finish()
            response.dynamic_metadata.CopyFrom(self._metadata(self.reader))
        return response

    def request_trailers(self, request: Any) -> Any:
        """Let trailers pass."""
        return pb.ProcessingResponse(request_trailers=pb.TrailersResponse())

    def response_trailers(self, request: Any) -> Any:
        """Let trailers pass."""
        return pb.ProcessingResponse(response_trailers=pb.TrailersResponse())

    def _metadata(self, reader: Reader) -> struct_pb2.Struct:
        """Return what access log and budgets read, under the keys of Envoy AI Gateway."""
        if self.destination is None or self.upstream is None:
            return struct_pb2.Struct()
        values: dict[str, str | float] = {
            "route_name": self.destination.route,
            "ai_service_backend_name": self.upstream.ai_service_backend,
            "backend_name": self.upstream.backend_name,
            "response_model": reader.model,
            "model_name_override": self.upstream.model or reader.model,
        }
        if reader.usage is not None:
            values |= costs_of(
                self.destination, self.upstream, reader.usage, str(values["model_name_override"])
            )
        if isinstance(reader, StreamReader):
            values |= _latencies(reader, self.sent_at)
        found = struct_pb2.Struct()
        found.update({METADATA_NAMESPACE: values})
        return found


def costs_of(
    destination: Destination, upstream: Upstream, usage: Usage, model: str
) -> dict[str, float]:
    """Return each cost by its metadata key. One whose expression fails is left out, as the real
    gateway does.
    """
    found: dict[str, float] = {}
    names = {
        "model": model,
        "backend": upstream.backend_name,
        "route_name": destination.route.partition("/")[2],
    }
    for cost in destination.costs:
        if cost.kind != "CEL":
            found[cost.key] = usage.of(cost.kind)
        elif (value := expressions.value_of(cost.expression, usage, names)) is not None:
            found[cost.key] = value
    return found


def _latencies(reader: StreamReader, sent_at: float) -> dict[str, float]:
    """Return the time to the first token, and the mean time between tokens where there are two, in
    ms.
    """
    if reader.first_at is None or reader.last_at is None:
        return {}
    found = {"token_latency_ttft": round(1000 * (reader.first_at - sent_at), 1)}
    if reader.usage is not None and reader.usage.output_tokens > 1:
        between = 1000 * (reader.last_at - reader.first_at) / (reader.usage.output_tokens - 1)
        found["token_latency_itl"] = round(between, 3)
    return found


@dataclass
class UpstreamCall:
    """One call after its backend was chosen."""

    owner: Processor
    upstream: Upstream | None = None
    key: str = ""

    def over(self) -> None:
        """Do nothing: the body is the listener's."""

    def answer(self, request: Any) -> Any:
        """Return the answer to one of Envoy's messages."""
        if request.WhichOneof("request") == "request_headers":
            return self._headers(request)
        return self._body(request)

    def _headers(self, request: Any) -> Any:
        """Write the backend's path, show its engine the key, and ask for a plain answer: a
        compressed one could not be read.
        """
        attributes = _attributes(request)
        rule = attributes.get("xds.route_name", "").partition("/match/")[0]
        destination = self.owner.lookup.destinations.get(rule)
        self.upstream = (
            destination.upstreams.get(attributes.get("xds.cluster_name", ""))
            if destination
            else None
        )
        if self.upstream is None:
            raise BadCall(
                503,
                "route_changed",
                "The route changed while the call was under way. Send it again.",
            )
        headers = _headers(request.request_headers)
        path, self.key = headers.get(":path", "").partition("?")[0], headers.get(CALL_HEADER, "")
        common = pb.CommonResponse()
        ours = [(":path", self.upstream.prefix + _own_path(path, self.upstream))]
        if self.upstream.key:
            ours.append(("authorization", f"Bearer {self.upstream.key}"))
        _set_headers(common, ours)
        common.header_mutation.remove_headers.extend(["accept-encoding", CALL_HEADER])
        return pb.ProcessingResponse(request_headers=pb.HeadersResponse(response=common))

    def _body(self, request: Any) -> Any:
        """Write the backend's own model name, and last what the rule changes in the body."""
        common = pb.CommonResponse()
        upstream = self.upstream
        if upstream is not None and (upstream.model or upstream.mutation != Mutation()):
            # the listener's copy, not the bytes that arrive
            body = self.owner.bodies.get(self.key)
            if body is None:
                raise BadCall(503, "call_unknown", "The call was lost on its way. Send it again.")
            if upstream.model:
                body = {**body, "model": upstream.model}
            _set_body(common, upstream.mutation.applied(body))
        return pb.ProcessingResponse(request_body=pb.BodyResponse(response=common))


def _own_path(path: str, upstream: Upstream) -> str:
    """Return a path as a backend has it, without its prefix. Raises BadCall where the backend does
    not speak the API that was called: Envoy AI Gateway then finds no translator.
    """
    if (path == bodies.RERANK) != (upstream.schema == "Cohere"):
        raise BadCall(
            500,
            "schema_unsupported",
            f"The model speaks the API of {upstream.schema}, which has no {path}.",
        )
    return "/rerank" if path == bodies.RERANK else path.removeprefix("/v1")


def _headers(message: Any) -> dict[str, str]:
    return {
        h.key: (h.raw_value.decode("utf-8", "replace") or h.value) for h in message.headers.headers
    }


def _attributes(request: Any) -> dict[str, str]:
    """Return the attributes that the filter was told to send."""
    found: dict[str, str] = {}
    for struct in request.attributes.values():
        found |= {key: value.string_value for key, value in struct.fields.items()}
    return found


def _set_headers(common: Any, headers: Iterable[tuple[str, str]]) -> None:
    for key, value in headers:
        header = base_pb2.HeaderValue(key=key, raw_value=value.encode())
        common.header_mutation.set_headers.append(
            base_pb2.HeaderValueOption(header=header, append_action=_OVERWRITE)
        )


def _set_body(common: Any, body: dict[str, Any]) -> None:
    # in ASCII: half a surrogate pair has no UTF-8
    _set_raw_body(common, json.dumps(body, separators=(",", ":")).encode())


def _set_raw_body(common: Any, raw: bytes) -> None:
    common.body_mutation.body = raw
    _set_headers(common, [("content-length", str(len(raw)))])


def _mode(body: int) -> Any:
    """Return the mode for the rest of the answer; Envoy wants all four said."""
    return _Mode(
        request_header_mode=_Mode.SEND,
        response_header_mode=_Mode.SEND,
        request_body_mode=_Mode.BUFFERED,
        response_body_mode=body,
        request_trailer_mode=_Mode.SKIP,
        response_trailer_mode=_Mode.SKIP,
    )


def _refusal(problem: BadCall) -> Any:
    """Return an immediate answer; Envoy's reply mapper makes the JSON of the sentence and the
    code.
    """
    return pb.ProcessingResponse(
        immediate_response=pb.ImmediateResponse(
            status=http_status_pb2.HttpStatus(code=problem.status),
            body=str(problem).encode(),
            details=problem.code,
        )
    )


def _model_list(models: tuple[str, ...]) -> Any:
    entries = [
        {"id": model, "object": "model", "created": 0, "owned_by": "Envoy AI Gateway"}
        for model in models
    ]
    common = pb.CommonResponse()
    _set_headers(common, [("content-type", "application/json")])
    return pb.ProcessingResponse(
        immediate_response=pb.ImmediateResponse(
            status=http_status_pb2.HttpStatus(code=200),
            headers=common.header_mutation,
            body=json.dumps({"object": "list", "data": entries}).encode(),
            details="models_listed",
        )
    )


async def serve(processor: Processor, port: int) -> grpc.aio.Server:
    """Start the gRPC server on the loopback and return it."""
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.so_reuseport", 0)]
    )
    pb_grpc.add_ExternalProcessorServicer_to_server(processor, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server
