"""The messages of OTLP, as much of them as is read and sent here: field numbers and types are its
own (opentelemetry/proto/{logs,trace,metrics}/v1, stable), and what is not declared is skipped.

The package opentelemetry-proto has all of them, but under paths that Envoy's messages (xds-protos)
bring too, in versions from before OTLP 1.0: which ones were read would depend on the order in which
the two were unpacked.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "quartermaster.otlp"
_Field = descriptor_pb2.FieldDescriptorProto


def _field(number: int, name: str, kind: str, *, repeated: bool = False) -> _Field:
    """Return one field. kind: a scalar type of protobuf, or the name of a message below."""
    field = _Field(number=number, name=name)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind.islower():
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    return field


_MESSAGES = {
    "ExportLogsServiceRequest": [_field(1, "resource_logs", "ResourceLogs", repeated=True)],
    "ResourceLogs": [_field(2, "scope_logs", "ScopeLogs", repeated=True)],
    "ScopeLogs": [_field(2, "log_records", "LogRecord", repeated=True)],
    "LogRecord": [_field(6, "attributes", "KeyValue", repeated=True)],
    "KeyValue": [_field(1, "key", "string"), _field(2, "value", "AnyValue")],
    # Arrays, maps and bytes have no place in a record of ours: such a value reads as none.
    "AnyValue": [
        _field(1, "string_value", "string"),
        _field(2, "bool_value", "bool"),
        _field(3, "int_value", "int64"),
        _field(4, "double_value", "double"),
    ],
    "ExportTraceServiceRequest": [_field(1, "resource_spans", "ResourceSpans", repeated=True)],
    "ResourceSpans": [
        _field(1, "resource", "Resource"),
        _field(2, "scope_spans", "ScopeSpans", repeated=True),
    ],
    "Resource": [_field(1, "attributes", "KeyValue", repeated=True)],
    "ScopeSpans": [_field(2, "spans", "Span", repeated=True)],
    # what is said in events and links is not read, and not sent: an event may quote anything
    "Span": [
        _field(1, "trace_id", "bytes"),
        _field(2, "span_id", "bytes"),
        _field(4, "parent_span_id", "bytes"),
        _field(5, "name", "string"),
        _field(6, "kind", "int32"),
        _field(7, "start_time_unix_nano", "fixed64"),
        _field(8, "end_time_unix_nano", "fixed64"),
        _field(9, "attributes", "KeyValue", repeated=True),
        _field(15, "status", "Status"),
    ],
    "Status": [_field(3, "code", "int32")],
    "ExportMetricsServiceRequest": [
        _field(1, "resource_metrics", "ResourceMetrics", repeated=True)
    ],
    "ResourceMetrics": [
        _field(1, "resource", "Resource"),
        _field(2, "scope_metrics", "ScopeMetrics", repeated=True),
    ],
    "ScopeMetrics": [_field(2, "metrics", "Metric", repeated=True)],
    "Metric": [
        _field(1, "name", "string"),
        _field(2, "description", "string"),
        _field(3, "unit", "string"),
        _field(5, "gauge", "Gauge"),
    ],
    "Gauge": [_field(1, "data_points", "NumberDataPoint", repeated=True)],
    "NumberDataPoint": [
        _field(3, "time_unix_nano", "fixed64"),
        _field(4, "as_double", "double"),
    ],
    "ExportLogsServiceResponse": [_field(1, "partial_success", "ExportLogsPartialSuccess")],
    "ExportLogsPartialSuccess": [
        _field(1, "rejected_log_records", "int64"),
        _field(2, "error_message", "string"),
    ],
    "ExportTraceServiceResponse": [_field(1, "partial_success", "ExportTracePartialSuccess")],
    "ExportTracePartialSuccess": [
        _field(1, "rejected_spans", "int64"),
        _field(2, "error_message", "string"),
    ],
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="quartermaster/otlp.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        file.message_type.add(name=name, field=fields)
    any_value = next(message for message in file.message_type if message.name == "AnyValue")
    any_value.oneof_decl.add(name="value")
    for field in any_value.field:
        field.oneof_index = 0
    return file


def _classes() -> dict[str, Any]:
    # a pool of its own: the generated files of other packages may name what they like
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _classes()
# Made while running: their fields have no types to check.
ExportLogsServiceRequest: Any = _CLASSES["ExportLogsServiceRequest"]
ExportLogsServiceResponse: Any = _CLASSES["ExportLogsServiceResponse"]
LogRecord: Any = _CLASSES["LogRecord"]
ExportTraceServiceRequest: Any = _CLASSES["ExportTraceServiceRequest"]
ExportTraceServiceResponse: Any = _CLASSES["ExportTraceServiceResponse"]
ExportMetricsServiceRequest: Any = _CLASSES["ExportMetricsServiceRequest"]
Resource: Any = _CLASSES["Resource"]
Span: Any = _CLASSES["Span"]
