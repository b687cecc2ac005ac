"""OTLP batches of spans, in protobuf or JSON, read into what is kept of each. Pure.

The limits are as for the records of calls: on what is walked, on how large a span is and on how
many values there are. A span that cannot be read is counted, and the others are kept.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError

from apps.common.otlp.facts import Known, known_of, title
from apps.common.otlp.messages import ExportTraceServiceResponse, Resource
from apps.common.otlp.messages import Span as Message
from apps.common.otlp.wire import Steps, TooMany, json_list, json_of, json_pair, value_of

MOST_SPANS = 20_000  # the Collector is told to send 8,000 at most
MOST_STEPS = 20 * MOST_SPANS
MOST_VALUES = 40 * MOST_SPANS  # attributes in all; a span of Envoy has two dozen
MOST_BYTES_OF_SPAN = 64 * 1024
# field numbers of ExportTraceServiceRequest, ResourceSpans and ScopeSpans that lead to a span
_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SPANS = 1, 1, 2, 2
_FAILED = 2  # the status "error"
_TOO_MANY_SPANS = f"A batch may hold {MOST_SPANS} spans at most."
_TOO_MANY_VALUES = f"A batch may hold {MOST_VALUES} attributes at most."
LONGEST = timedelta(days=1)


@dataclass(frozen=True)
class Read:
    """One span. parent_id: "" for the first of its trace."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    started_at: datetime
    duration_us: int
    failed: bool
    known: Known


@dataclass(frozen=True)
class Batch:
    """What a batch tells: its spans, and how many of them cannot be read."""

    spans: list[Read]
    unreadable: int


class _Unreadable(ValueError):
    """This span cannot be read."""


@dataclass
class _Values:
    """Counts the attributes of a batch."""

    seen: int = 0

    def count(self, more: int) -> None:
        self.seen += more
        if self.seen > MOST_VALUES:
            raise TooMany(_TOO_MANY_VALUES)


def read_batch(body: bytes) -> Batch:
    """Return the spans of a batch in protobuf. Raises BadBatch on anything torn or foreign, TooMany
    before it would build more than is allowed.
    """
    found: list[Read] = []
    unreadable, values = 0, _Values()
    for service, raw in _messages(body, values):
        try:
            found.append(_of_message(service, raw, values))
        except (DecodeError, _Unreadable):
            unreadable += 1
    return Batch(found, unreadable)


def _messages(body: bytes, values: _Values) -> Iterator[tuple[str, memoryview]]:
    """Yield each span's own bytes with its service. Raises BadBatch or TooMany."""
    steps, seen = Steps(MOST_STEPS), 0
    for group in steps.fields(memoryview(body), _RESOURCE_SPANS):
        service = _service(list(steps.fields(group, _RESOURCE)), values)
        for scope in steps.fields(group, _SCOPE_SPANS):
            for raw in steps.fields(scope, _SPANS):
                seen += 1
                if seen > MOST_SPANS:
                    raise TooMany(_TOO_MANY_SPANS)
                yield service, raw


def _service(resources: list[memoryview], values: _Values) -> str:
    """Return the name of the service that the spans are of."""
    if not resources or len(resources[-1]) > MOST_BYTES_OF_SPAN:
        return title("")
    try:
        resource = Resource.FromString(resources[-1])
    except DecodeError:
        return title("")
    values.count(len(resource.attributes))
    names = (pair.value.string_value for pair in resource.attributes if pair.key == "service.name")
    return title(next(names, ""))[:63]


def _of_message(service: str, raw: memoryview, values: _Values) -> Read:
    if len(raw) > MOST_BYTES_OF_SPAN:
        raise _Unreadable
    span = Message.FromString(raw)
    values.count(len(span.attributes))
    return _read(
        service=service,
        ids=(span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
        name=span.name,
        times=(span.start_time_unix_nano, span.end_time_unix_nano),
        failed=span.status.code == _FAILED,
        attributes={pair.key: value_of(pair.value) for pair in span.attributes},
    )


def read_json(body: bytes) -> Batch:
    """Return the spans of a batch in OTLP's JSON, within the same limits. Raises BadBatch,
    TooMany.
    """
    found: list[Read] = []
    unreadable, values = 0, _Values()
    for service, span in _objects(json_of(body)):
        pairs = json_list(span, "attributes")
        values.count(len(pairs))
        try:
            found.append(_of_object(service, span, dict(json_pair(pair) for pair in pairs)))
        except ValueError:  # _Unreadable is one, too
            unreadable += 1
    return Batch(found, unreadable)


def _objects(sent: object) -> Iterator[tuple[str, dict[str, Any]]]:
    seen = 0
    for group in json_list(sent, "resourceSpans"):
        told = group.get("resource") or {}
        resource = dict(json_pair(pair) for pair in json_list(told, "attributes"))
        service = title(resource.get("service.name"))[:63]
        for scope in json_list(group, "scopeSpans"):
            for span in json_list(scope, "spans"):
                seen += 1
                if seen > MOST_SPANS:
                    raise TooMany(_TOO_MANY_SPANS)
                yield service, span


def _of_object(service: str, span: dict[str, Any], attributes: Mapping[str, object]) -> Read:
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    ids = (str(span.get(key) or "").lower() for key in ("traceId", "spanId", "parentSpanId"))
    return _read(
        service=service,
        ids=(next(ids), next(ids), next(ids)),
        name=span.get("name"),
        times=(_nanoseconds(span, "startTimeUnixNano"), _nanoseconds(span, "endTimeUnixNano")),
        failed=code in (_FAILED, "STATUS_CODE_ERROR"),
        attributes=attributes,
    )


def _nanoseconds(span: dict[str, Any], key: str) -> int:
    """Return a time. A 64-bit number comes as text. Raises ValueError for what is none."""
    told = span.get(key)
    if isinstance(told, bool) or not isinstance(told, str | int):
        raise _Unreadable
    return int(told)


def _read(
    *,
    service: str,
    ids: tuple[str, str, str],
    name: object,
    times: tuple[int, int],
    failed: bool,
    attributes: Mapping[str, object],
) -> Read:
    """Return a span. Raises _Unreadable where it names itself, or its time, in no such way."""
    trace_id, span_id, parent_id = ids
    whole = _is_id(trace_id, 32) and _is_id(span_id, 16)
    if not whole or not (parent_id == "" or _is_id(parent_id, 16)):
        raise _Unreadable
    start, end = times
    if not 0 < start <= end or end - start > LONGEST.total_seconds() * 1e9:
        raise _Unreadable
    try:
        started_at = datetime.fromtimestamp(start // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        raise _Unreadable from None
    started_at += timedelta(microseconds=start % 1_000_000_000 // 1000)
    return Read(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        service=service,
        name=title(name),
        started_at=started_at,
        duration_us=(end - start) // 1000,
        failed=failed,
        known=known_of(attributes),
    )


def _is_id(text: str, length: int) -> bool:
    """Tell whether a text is an id in hex; one of zeros alone is none."""
    return len(text) == length and not set(text) - set("0123456789abcdef") and set(text) != {"0"}


def answer(rejected: int, message: str, *, is_json: bool) -> bytes:
    """Return the response's body; `rejected` spans were not kept and must not be sent again."""
    if is_json:
        told = {"rejectedSpans": str(rejected), "errorMessage": message}
        return json.dumps({"partialSuccess": told} if rejected else {}).encode()
    response = ExportTraceServiceResponse()
    if rejected:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())
