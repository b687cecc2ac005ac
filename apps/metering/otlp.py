"""OTLP log batches, read into plain mappings. Pure."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from apps.metering.otlp_messages import ExportLogsServiceRequest, ExportLogsServiceResponse


class BadBatch(ValueError):
    """The body is not a whole OTLP logs request."""


def read_batch(body: bytes) -> list[dict[str, object]]:
    """Return each log record's attributes. Unknown fields are ignored. Raises BadBatch on anything
    torn or foreign.
    """
    try:
        batch = ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        raise BadBatch("The body is not an OTLP logs request, or it was cut off.") from None
    return list(_records(batch))


def answer(rejected: int, message: str) -> bytes:
    """Return the response's body; `rejected` records were refused for good and must not be sent
    again.
    """
    response = ExportLogsServiceResponse()
    if rejected:
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def _records(batch: Any) -> Iterator[dict[str, object]]:
    for resource in batch.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield {pair.key: _value(pair.value) for pair in record.attributes}


def _value(value: Any) -> object:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
