"""The SDK's spans, made into OTLP: of each no more leaves than apps/common/otlp/facts.py lets."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from apps.common.otlp.facts import leaving, title
from apps.common.otlp.messages import ExportTraceServiceRequest
from apps.integrations.otlp.client import OtlpClient

FAILED = 2  # the status "error"


class Exporter(SpanExporter):
    """Sends spans to one endpoint."""

    def __init__(self, client: OtlpClient) -> None:
        self._client = client

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; what cannot be sent is dropped."""
        was_taken = self._client.send("traces", batch_of(spans))
        return SpanExportResult.SUCCESS if was_taken else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Give the connections back."""
        self._client.close()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing waits here."""
        return True


def batch_of(spans: Sequence[ReadableSpan]) -> bytes:
    """Return spans as a request of OTLP, in protobuf."""
    request = ExportTraceServiceRequest()
    by_service: dict[str, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        by_service[str(span.resource.attributes.get("service.name"))].append(span)
    for service, found in by_service.items():
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        scope = group.scope_spans.add()
        for span in found:
            _fill(scope.spans.add(), span)
    return bytes(request.SerializeToString())


def _fill(message: Any, span: ReadableSpan) -> None:
    context = span.get_span_context()
    if context is None:
        return
    message.trace_id = context.trace_id.to_bytes(16, "big")
    message.span_id = context.span_id.to_bytes(8, "big")
    if span.parent is not None:
        message.parent_span_id = span.parent.span_id.to_bytes(8, "big")
    message.name = title(span.name)
    message.kind = span.kind.value + 1  # OTLP's 0 is "not told"
    message.start_time_unix_nano = span.start_time or 0
    message.end_time_unix_nano = span.end_time or 0
    if span.status.status_code == StatusCode.ERROR:
        message.status.code = FAILED  # its description is an exception's text
    for key, value in leaving(span.attributes or {}).items():
        told = message.attributes.add(key=key).value
        if isinstance(value, str):
            told.string_value = value
        elif isinstance(value, bool):
            told.bool_value = value
        elif isinstance(value, int):
            told.int_value = value
        else:
            told.double_value = value
