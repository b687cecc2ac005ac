"""Starts the sending of a process's spans, where OTEL_EXPORTER_OTLP_ENDPOINT names an endpoint.

Pages, tasks and statements are told by OpenTelemetry's own instrumentation, steps of ours by
apps/common/spans.py. What begins with a statement, outside any page, task or step, is not told:
loops look at rows many times a minute.
"""

from collections.abc import Sequence

from django.conf import settings
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from apps.integrations.otlp.client import OtlpClient, headers_of
from apps.integrations.otlp.exporter import Exporter

# what Collectors and probes ask for: to tell of spans that come would make more of them
NOT_TOLD = "healthz,v1/logs,v1/traces,v1/scaling,static/"
EVERY_MILLISECONDS = 2000


class _Roots(Sampler):
    """Begins a trace with whatever is no call of something else."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Drop what begins as the call of something else."""
        is_call = kind == SpanKind.CLIENT
        return SamplingResult(Decision.DROP if is_call else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        """Return its name."""
        return "all but calls"


def start(service: str) -> None:
    """Tell of what this process does from now on, where an endpoint is named. To be called once,
    before the first request, task or connection. A process that is forked later goes on telling.
    """
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return
    provider = provider_for(service, _client())
    trace.set_tracer_provider(provider)
    instrument(provider)


def instrument(provider: TracerProvider) -> None:
    """Have pages, tasks and statements told."""
    DjangoInstrumentor().instrument(tracer_provider=provider, excluded_urls=NOT_TOLD)
    CeleryInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    PsycopgInstrumentor().instrument(tracer_provider=provider)


def start_steps(service: str) -> None:
    """As `start`, for a process whose statements are not worth a span each: the gate."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        trace.set_tracer_provider(provider_for(service, _client()))


def provider_for(service: str, client: OtlpClient) -> TracerProvider:
    """Return what makes spans of a service and sends them."""
    found = TracerProvider(
        sampler=ParentBased(root=_Roots()), resource=Resource({"service.name": service})
    )
    sender = BatchSpanProcessor(Exporter(client), schedule_delay_millis=EVERY_MILLISECONDS)
    found.add_span_processor(sender)
    return found


def _client() -> OtlpClient:
    headers = headers_of(settings.OTEL_EXPORTER_OTLP_HEADERS)
    return OtlpClient(settings.OTEL_EXPORTER_OTLP_ENDPOINT, headers)
