"""Steps of the portal's own processes, told as OpenTelemetry spans, where they are wanted
(apps/integrations/otlp/sending.py); else nothing of this costs more than a call.

A step is told by a name and by facts of apps/common/otlp/facts.py: never by a text of anybody's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

REQUEST_ID = "quartermaster.request_id"
# facts by the names that this code uses -> as spans carry them
KEYS = {
    "request_id": REQUEST_ID,
    "verdict": "quartermaster.verdict",
    "basis": "quartermaster.basis",
    "input_tokens": "gen_ai.usage.input_tokens",
    "cached_input_tokens": "gen_ai.usage.cached_input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "model": "gen_ai.request.model",
    "status": "http.response.status_code",
}
_tracer = trace.get_tracer("quartermaster")
_context = TraceContextTextMapPropagator()


class Step:
    """A step that begins and ends in different places. Its facts are told by the names of KEYS;
    others are left out.
    """

    def __init__(self, name: str, carrier: Mapping[str, str]) -> None:
        self._span = _tracer.start_span(
            name, context=_context.extract(carrier), kind=trace.SpanKind.SERVER
        )

    @property
    def is_told(self) -> bool:
        """Tell whether anybody will hear of it: facts that cost something need not be gathered
        else.
        """
        return self._span.is_recording()

    def tell(self, facts: Mapping[str, str | float]) -> None:
        """Add facts."""
        for name, value in facts.items():
            if key := KEYS.get(name):
                self._span.set_attribute(key, value)

    def end(self, *, failed: bool = False) -> None:
        """End it."""
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tell of what happens inside as a step of the one that is under way. What it raises is told as
    a failure, without its words.
    """
    with _tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, record_exception=False):
        yield


def name_request(request_id: str) -> None:
    """Tell by which id the request that is being answered is known."""
    trace.get_current_span().set_attribute(REQUEST_ID, request_id)


def current_trace_id() -> str:
    """Return the id of the trace that is under way, in hex; "" where there is none."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""
