"""OTLP log batches, read into plain mappings. Pure."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


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


def _records(batch: ExportLogsServiceRequest) -> Iterator[dict[str, object]]:
    for resource in batch.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield {pair.key: _value(pair.value) for pair in record.attributes}


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    return (
        getattr(value, kind)
        if kind in ("string_value", "int_value", "double_value", "bool_value")
        else None
    )
