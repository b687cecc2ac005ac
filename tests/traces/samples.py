"""Spans as Collectors send them."""

from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from apps.common.otlp.messages import ExportTraceServiceRequest

CREDENTIAL = "Bearer ingest-token-of-the-tests"


def span(**changes):
    """Return what a span says: `ago` and `lasts` in seconds, ids in hex, attributes by name."""
    return {
        "trace": uuid4().hex,
        "id": uuid4().hex[:16],
        "parent": "",
        "service": "ai-gateway",
        "name": "call",
        "ago": 10.0,
        "lasts": 1.5,
        "failed": False,
        "attributes": {},
    } | changes


def nanoseconds(told):
    """Return when a span begins and ends, as OTLP says it."""
    began = timezone.now() - timedelta(seconds=told["ago"])
    start = int(began.timestamp() * 1_000_000) * 1000
    return start, start + int(told["lasts"] * 1e9)


def batch(*spans):
    """Return them as a batch in protobuf."""
    request = ExportTraceServiceRequest()
    for told in spans:
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = told["service"]
        one = group.scope_spans.add().spans.add()
        one.trace_id, one.span_id = bytes.fromhex(told["trace"]), bytes.fromhex(told["id"])
        one.parent_span_id = bytes.fromhex(told["parent"])
        one.name = told["name"]
        one.start_time_unix_nano, one.end_time_unix_nano = nanoseconds(told)
        one.status.code = 2 if told["failed"] else 0
        for key, value in told["attributes"].items():
            pair = one.attributes.add(key=key)
            kind = {str: "string", bool: "bool", int: "int", float: "double"}[type(value)]
            setattr(pair.value, f"{kind}_value", value)
    return request.SerializeToString()


def as_json(*spans):
    """Return them as a batch in OTLP's JSON."""
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    groups = []
    for told in spans:
        start, end = nanoseconds(told)
        pairs = [
            {
                "key": key,
                "value": {kinds[type(value)]: value if type(value) is not int else str(value)},
            }
            for key, value in told["attributes"].items()
        ]
        one = {
            "traceId": told["trace"], "spanId": told["id"], "parentSpanId": told["parent"],
            "name": told["name"], "startTimeUnixNano": str(start), "endTimeUnixNano": str(end),
            "attributes": pairs, "status": {"code": 2} if told["failed"] else {},
        }  # fmt: skip
        service = {"key": "service.name", "value": {"stringValue": told["service"]}}
        groups.append({"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [one]}]})
    return {"resourceSpans": groups}
