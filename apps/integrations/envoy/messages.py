"""Envoy's messages about a call, read and built. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.ext_proc.v3 import processing_mode_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb
from envoy.type.v3 import http_status_pb2

from apps.integrations.envoy.exchange import Admitted, Refused

Message = Any  # generated classes have no types
TOKEN_NAMESPACE = "envoy.filters.http.jwt_authn"  # noqa: S105 (the name of a filter)
NOTES_NAMESPACE = "quartermaster.usage"
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_Mode = processing_mode_pb2.ProcessingMode


def headers_of(message: Message) -> dict[str, str]:
    """Return a message's headers by lower-case name; of one that is sent twice, all, with commas
    between them.
    """
    found: dict[str, str] = {}
    for header in message.headers.headers:
        value = header.raw_value.decode("utf-8", "replace") or header.value
        name = header.key.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def claims_of(request: Message) -> dict[str, Any] | None:
    """Return the claims of the token that Envoy verified, which lie under the name of their issuer;
    None unless there is exactly one.
    """
    metadata = request.metadata_context.filter_metadata
    if TOKEN_NAMESPACE not in metadata:
        return None
    payloads = list(metadata[TOKEN_NAMESPACE].fields.values())
    if len(payloads) != 1 or payloads[0].WhichOneof("kind") != "struct_value":
        return None
    return {name: _plain(value) for name, value in payloads[0].struct_value.fields.items()}


def _plain(value: Message) -> Any:
    """Return a value of a protobuf Struct as JSON's: a whole number as an int."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return {name: _plain(held) for name, held in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(held) for held in value.list_value.values]
    return None


def go_on(half: str, *, removing: Iterable[str] = ()) -> Message:
    """Let headers pass. half: "request" or "response"; removing: names of headers."""
    common = pb.CommonResponse()
    common.header_mutation.remove_headers.extend(removing)
    return pb.ProcessingResponse(**{f"{half}_headers": pb.HeadersResponse(response=common)})


def admit(admitted: Admitted, *, has_body: bool) -> Message:
    """Let a request pass, in answer to its body or, where it has none, to its headers."""
    common = pb.CommonResponse(clear_route_cache=admitted.reroutes)
    _set(common.header_mutation, admitted.headers)
    common.header_mutation.remove_headers.extend(admitted.removes)
    if has_body:
        return pb.ProcessingResponse(request_body=pb.BodyResponse(response=common))
    return pb.ProcessingResponse(request_headers=pb.HeadersResponse(response=common))


def keep_body() -> Message:
    """Let an answer's body pass as it is."""
    return pb.ProcessingResponse(response_body=pb.BodyResponse())


def replace_body(body: bytes) -> Message:
    """Let a plain answer pass with another body."""
    common = pb.CommonResponse()
    common.body_mutation.body = body
    _set(common.header_mutation, {"content-length": str(len(body))})
    return pb.ProcessingResponse(response_body=pb.BodyResponse(response=common))


def stream() -> Message:
    """Let an answer's headers pass, and ask for its body piece by piece, to be given on as we say.
    Envoy wants every mode said, and the trailers with this one.
    """
    found = go_on("response", removing=["content-length"])
    found.mode_override.CopyFrom(
        _Mode(
            request_header_mode=_Mode.SEND,
            request_body_mode=_Mode.BUFFERED,
            request_trailer_mode=_Mode.SKIP,
            response_header_mode=_Mode.SEND,
            response_body_mode=_Mode.FULL_DUPLEX_STREAMED,
            response_trailer_mode=_Mode.SEND,
        )
    )
    return found


def piece(data: bytes, *, is_end: bool) -> Message:
    """Give the caller the next piece of a stream."""
    common = pb.CommonResponse()
    common.body_mutation.streamed_response.body = data
    common.body_mutation.streamed_response.end_of_stream = is_end
    return pb.ProcessingResponse(response_body=pb.BodyResponse(response=common))


def trailers() -> Message:
    """Let an answer's trailers pass."""
    return pb.ProcessingResponse(response_trailers=pb.TrailersResponse())


def refuse(refused: Refused) -> Message:
    """Answer in our own name. The body is whole: no gateway writes one of it."""
    immediate = pb.ImmediateResponse(
        status=http_status_pb2.HttpStatus(code=refused.status),
        body=refused.body,
        details=refused.details,
    )
    _set(immediate.headers, {"content-type": "application/json", **refused.headers})
    return pb.ProcessingResponse(immediate_response=immediate)


def with_notes(message: Message, notes: Mapping[str, str | float]) -> Message:
    """Return the message with what the access log is told."""
    if notes:
        fields = message.dynamic_metadata.fields[NOTES_NAMESPACE].struct_value.fields
        for name, note in notes.items():
            if isinstance(note, str):
                fields[name].string_value = note
            else:
                fields[name].number_value = note
    return message


def _set(mutation: Message, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        header = base_pb2.HeaderValue(key=name.lower(), raw_value=value.encode())
        mutation.set_headers.append(
            base_pb2.HeaderValueOption(header=header, append_action=_OVERWRITE)
        )
