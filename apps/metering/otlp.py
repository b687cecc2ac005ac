"""OTLP log batches, in protobuf or JSON, read into entries. Pure.

What is walked of a batch (apps/common/otlp/wire.py), how large a record is and how many values it
has is limited; all that a batch holds beside its records' attributes is stepped over unread.
"""

import json

from google.protobuf.message import DecodeError

from apps.common.otlp.messages import ExportLogsServiceResponse, LogRecord
from apps.common.otlp.wire import Steps, TooMany, json_list, json_of, json_pair, value_of
from apps.metering.access_log import Entry, read_entry, unreadable

MOST_RECORDS = 20_000  # the Collector is told to send 8,000 at most
MOST_STEPS = 10 * MOST_RECORDS  # fields of the groups around the records; an honest batch has six
MOST_VALUES = 25 * MOST_RECORDS  # attributes in all; an access-log record has two dozen
MOST_BYTES_OF_RECORD = 64 * 1024
# field numbers of ExportLogsServiceRequest, ResourceLogs and ScopeLogs that lead to a record
_RESOURCE_LOGS, _SCOPE_LOGS, _LOG_RECORDS = 1, 2, 2
_TOO_MANY_RECORDS = f"A batch may hold {MOST_RECORDS} records at most."
_TOO_MANY_VALUES = f"A batch may hold {MOST_VALUES} attributes at most."
_TOO_LARGE = f"a record has more than {MOST_BYTES_OF_RECORD} bytes"


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
                    pair.key: pair.value.string_value or value_of(pair.value)
                    for pair in record.attributes
                }
            )
        )
    return [entry for entry in found if entry]


def read_json(body: bytes) -> list[Entry]:
    """Return the calls that a batch in OTLP's JSON tells of, within the same limits.

    Raises BadBatch on anything that is no such batch, TooMany where it holds more than is allowed.
    """
    found: list[Entry | None] = []
    values = 0
    for record in _json_records(json_of(body)):
        attributes = json_list(record, "attributes")
        values += len(attributes)
        if values > MOST_VALUES:
            raise TooMany(_TOO_MANY_VALUES)
        found.append(read_entry(dict(json_pair(pair) for pair in attributes)))
    return [entry for entry in found if entry]


def _json_records(sent: object) -> list[dict[str, object]]:
    found = [
        record
        for resource in json_list(sent, "resourceLogs")
        for scope in json_list(resource, "scopeLogs")
        for record in json_list(scope, "logRecords")
    ]
    if len(found) > MOST_RECORDS:
        raise TooMany(_TOO_MANY_RECORDS)
    return found


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
    steps = Steps(MOST_STEPS)
    found: list[memoryview] = []
    for resource in steps.fields(memoryview(body), _RESOURCE_LOGS):
        for scope in steps.fields(resource, _SCOPE_LOGS):
            found.extend(steps.fields(scope, _LOG_RECORDS))
            if len(found) > MOST_RECORDS:
                raise TooMany(_TOO_MANY_RECORDS)
    return found
