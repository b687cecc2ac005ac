"""Figures of the moment, sent as OpenTelemetry gauges, where an endpoint is named."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.common.otlp.messages import ExportMetricsServiceRequest
from apps.integrations.otlp.client import OtlpClient, headers_of


@dataclass(frozen=True)
class Gauge:
    """One figure. unit: as UCUM has it."""

    name: str
    unit: str
    value: float
    says: str


def is_wanted() -> bool:
    """Tell whether an endpoint is named."""
    return bool(settings.OTEL_EXPORTER_OTLP_ENDPOINT)


def send(gauges: Iterable[Gauge], *, now: datetime) -> bool:
    """Send the figures; tell whether they were taken. What is not is dropped: newer ones come."""
    client = OtlpClient(
        settings.OTEL_EXPORTER_OTLP_ENDPOINT, headers_of(settings.OTEL_EXPORTER_OTLP_HEADERS)
    )
    try:
        return client.send("metrics", batch_of(gauges, now=now))
    finally:
        client.close()


def batch_of(gauges: Iterable[Gauge], *, now: datetime) -> bytes:
    """Return the figures as a request of OTLP, in protobuf."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    for key, value in (
        ("service.name", "quartermaster"),
        ("deployment.environment.name", settings.ENVIRONMENT_NAME),
    ):
        group.resource.attributes.add(key=key).value.string_value = value
    scope = group.scope_metrics.add()
    for gauge in gauges:
        metric = scope.metrics.add(name=gauge.name, unit=gauge.unit, description=gauge.says)
        point = metric.gauge.data_points.add()
        point.time_unix_nano = int(now.timestamp() * 1_000_000) * 1000
        point.as_double = gauge.value
    return bytes(request.SerializeToString())
