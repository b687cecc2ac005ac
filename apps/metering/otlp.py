"""OTLP log batches, in protobuf or JSON, read into entries. Pure.

A batch in protobuf is walked in its wire format before anything is built of it: a few kilobytes of
gzip can unpack to millions of empty groups. What is walked, how large a record is and how many
values it has is limited; all that a batch holds beside its records' attributes is stepped over
unread.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from apps.metering.access_log import Entry, read_entry, unreadable
from apps.metering.otlp_messages import ExportLogsServiceResponse, LogRecord

MOST_RECORDS = 20_000  # the Collector is told to send 8,000 at most
MOST_STEPS = 10 * MOST_RECORDS  # fields of the groups around the records; an honest batch has six
MOST_VALUES = 25 * MOST_RECORDS  # attributes in all; an access-log record has two dozen
MOST_BYTES_OF_RECORD = 64 * 1024
# field numbers of ExportLogsServiceRequest, ResourceLogs and ScopeLogs that lead to a record
_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORDS = 1, 2, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_JSON_VALUES = ("stringValue", "boolValue", "intValue", "doubleValue")
_TOO_MANY_RECORDS = f"A batch may hold {MOST_RECORDS} records at most."
_TOO_MANY_VALUES = f"A batch may hold {MOST_VALUES} attributes at most."
_TOO_LARGE = f"a record has more than {MOST_BYTES_OF_RECORD} bytes"
_NO_JSON = "The body is not an OTLP logs request in JSON, or it was cut off."
_TORN = "The body is not an OTLP logs request, or it was cut off."


class BadBatch(ValueError):
    """The body is not a whole OTLP logs request."""


class TooMany(ValueError):
    """The batch holds more than this door takes at once. The text says of what."""


def read_batch(body: bytes) -> list[Entry]:
    """Return the calls that a batch in protobuf tells of. Unknown fields are ignored.

    Raises BadBatch on anything torn or foreign, TooMany before it would build more than is allowed.
    """
    found: list[Entry | None] = []
    values = 0
    for raw in _records(body):
        if len(raw) > MOST_BYTES_OF_RECORD:
            found.append(unreadable(raw, _TOO_LARGE))
            continue
        try:
            record = LogRecord.FromString(raw)
        except DecodeError:
            found.append(unreadable(raw, "a record cannot be read"))
            continue
        values += len(record.attributes)
        if values > MOST_VALUES:
            raise TooMany(_TOO_MANY_VALUES)
        # most values are text, and to ask for it first is cheaper than to ask of what kind it is
        found.append(
            read_entry(
                {
                    pair.key: pair.value.string_value or _value(pair.value)
                    for pair in record.attributes
                }
            )
        )
    return [entry for entry in found if entry]


def read_json(body: bytes) -> list[Entry]:
    """Return the calls that a batch in OTLP's JSON tells of, within the same limits.

    Raises BadBatch on anything that is no such batch, TooMany where it holds more than is allowed.
    """
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        raise BadBatch(_NO_JSON) from None
    found: list[Entry | None] = []
    values = 0
    for record in _json_records(sent):
        attributes = _list(record, "attributes")
        values += len(attributes)
        if values > MOST_VALUES:
            raise TooMany(_TOO_MANY_VALUES)
        found.append(read_entry(dict(_json_pair(pair) for pair in attributes)))
    return [entry for entry in found if entry]


def _json_records(sent: object) -> list[dict[str, object]]:
    found = [
        record
        for resource in _list(sent, "resourceLogs")
        for scope in _list(resource, "scopeLogs")
        for record in _list(scope, "logRecords")
    ]
    if len(found) > MOST_RECORDS:
        raise TooMany(_TOO_MANY_RECORDS)
    return found


def _list(group: object, key: str) -> list[Any]:
    """Return a list of objects; a group without it has none."""
    found = group.get(key, []) if isinstance(group, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadBatch(_NO_JSON)
    return found


def _json_pair(pair: dict[str, object]) -> tuple[str, object]:
    """Return one attribute. A 64-bit number comes as text; arrays, maps and bytes read as none."""
    value = pair.get("value")
    if not isinstance(value, dict):
        return str(pair.get("key")), None
    known = (value[kind] for kind in _JSON_VALUES if kind in value)
    return str(pair.get("key")), next(known, None)


def answer(rejected: int, message: str) -> bytes:
    """Return the response's body; `rejected` records were not counted and must not be sent
    again.
    """
    response = ExportLogsServiceResponse()
    if rejected:
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def json_answer(rejected: int, message: str) -> bytes:
    """Return the same in OTLP's JSON."""
    told = {"rejectedLogRecords": str(rejected), "errorMessage": message}
    return json.dumps({"partialSuccess": told} if rejected else {}).encode()


def _records(body: bytes) -> list[memoryview]:
    """Return each record's own bytes. Raises BadBatch or TooMany."""
    steps = _Steps()
    found: list[memoryview] = []
    for resource in steps.fields(memoryview(body), _RESOURCE_LOGS):
        for scope in steps.fields(resource, _SCOPE_LOGS):
            found.extend(steps.fields(scope, _LOG_RECORDS))
            if len(found) > MOST_RECORDS:
                raise TooMany(_TOO_MANY_RECORDS)
    return found


@dataclass
class _Steps:
    """Walks messages field by field, and stops where there are too many in all."""

    taken: int = 0

    def fields(self, message: memoryview, wanted: int) -> Iterator[memoryview]:
        """Yield the content of each field of that number; step over the others."""
        at, end = 0, len(message)
        while at < end:
            self.taken += 1
            if self.taken > MOST_STEPS:
                raise TooMany("The batch has too many groups or fields.")
            tag, at = _varint(message, at)
            start, at = _span(message, at, tag & 7)
            if at > end:
                raise BadBatch(_TORN)
            if tag >> 3 == wanted:
                if tag & 7 != _BYTES:
                    raise BadBatch(_TORN)
                yield message[start:at]


def _span(message: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Return where a field's content begins and ends. kind: its wire type."""
    if kind == _BYTES:
        length, at = _varint(message, at)
        return at, at + length
    if kind == _VARINT:
        return at, _varint(message, at)[1]
    if kind in (_FIXED64, _FIXED32):
        return at, at + (8 if kind == _FIXED64 else 4)
    raise BadBatch(_TORN)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that stands there, and where what follows it begins."""
    value = shift = 0
    for byte in message[at : at + 10]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise BadBatch(_TORN)


def _value(value: Any) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
