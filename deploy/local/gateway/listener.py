"""GatewayClass, Gateway, EnvoyProxy and ClientTrafficPolicy → what holds for every call. Pure.
EnvoyExtensionPolicy, which does too, is read in `extension`.

The access log's fields are the EnvoyProxy object's own: what production logs is what is logged
here. Only where the sinks lead is local: a file in the stack's folder, the stack's Collector.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway import extension
from deploy.local.gateway.durations import whole_bytes
from deploy.local.gateway.objects import Object, Objects, key_of
from deploy.local.gateway.policies import Judged
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.tables import AccessLog, Listener, Tracing

_KNOWN_HEADER_SETTINGS = {
    "earlyRequestHeaders",
    "lateResponseHeaders",
    "requestID",
    "disableRateLimitHeaders",
}
_REQUEST_ID_BACK = {"set": [{"name": "x-request-id", "value": "%REQ(X-REQUEST-ID)%"}]}
_ORDER = [
    {"name": "envoy.filters.http.custom_response", "after": "envoy.filters.http.jwt_authn"},
    {"name": "envoy.filters.http.ext_proc", "after": "envoy.filters.http.rbac"},
]


def read(
    objects: Objects, *, gateway: tuple[str, str], attached: int
) -> tuple[Listener, list[Judged]]:
    """Return the listener's settings and the verdicts on the objects that made them."""
    judged: list[Judged] = []
    front = objects.get("Gateway", *gateway)
    if front is None:
        return Listener(), judged
    settings: dict[str, Any] = {}
    klass = objects.get("GatewayClass", "", front["spec"]["gatewayClassName"])
    if klass:
        judged.append((klass, None, None))
    proxy = _proxy(objects, front, klass)
    if proxy:
        settings |= _read(judged, proxy, None, _telemetry, {})
    for policy in objects.all("ClientTrafficPolicy"):
        if _targets(policy, gateway):
            settings |= _read(judged, policy, gateway, _client_settings, {})
    extended, more = extension.read(objects, gateway=gateway)
    judged += [*more, (front, None, (str(attached), ""))]
    return Listener(**settings, **extended), judged


def _read(
    judged: list[Judged],
    obj: Object,
    ancestor: tuple[str, str] | None,
    read_one: Any,
    fallback: Any,
) -> Any:
    """Return what read_one makes of the object, or the fallback, and note the verdict."""
    try:
        meaning = read_one(obj)
    except Refused as problem:
        judged.append((obj, problem, ancestor))
        return fallback
    judged.append((obj, None, ancestor))
    return meaning


def _proxy(objects: Objects, front: Object, klass: Object | None) -> Object | None:
    """Return the EnvoyProxy that the Gateway names, else the GatewayClass's."""
    own = front["spec"].get("infrastructure", {}).get("parametersRef")
    if own:
        return objects.get("EnvoyProxy", key_of(front)[0], own["name"])
    common = (klass or {}).get("spec", {}).get("parametersRef")
    return (
        objects.get("EnvoyProxy", common.get("namespace", ""), common["name"]) if common else None
    )


def _targets(policy: Object, gateway: tuple[str, str]) -> bool:
    refs = policy["spec"].get("targetRefs") or [policy["spec"].get("targetRef") or {}]
    return any(
        ref.get("kind") == "Gateway" and (key_of(policy)[0], ref.get("name")) == gateway
        for ref in refs
    )


def _client_settings(policy: Object) -> dict[str, Any]:
    """Return the Listener fields that a ClientTrafficPolicy sets."""
    spec, headers = policy["spec"], policy["spec"].get("headers", {})
    for unknown in sorted(set(spec) - {"targetRefs", "targetRef", "headers", "connection"}):
        raise Refused(f"{unknown} is not played by the local gateway")
    for unknown in sorted(set(headers) - _KNOWN_HEADER_SETTINGS):
        raise Refused(f"headers.{unknown} is not played by the local gateway")
    early = headers.get("earlyRequestHeaders", {})
    if set(early) - {"remove", "removeOnMatch"}:
        raise Refused(
            "only earlyRequestHeaders.remove and removeOnMatch are played by the local gateway"
        )
    if any(match.get("type") != "Prefix" for match in early.get("removeOnMatch", [])):
        raise Refused("removeOnMatch is played by the local gateway for beginnings of names only")
    if headers.get("lateResponseHeaders", _REQUEST_ID_BACK) != _REQUEST_ID_BACK:
        raise Refused("only the request id is set as a late response header by the local gateway")
    settings = {
        "returns_request_id": "lateResponseHeaders" in headers,
        "removed_headers": tuple(name.lower() for name in early.get("remove", [])),
        "removed_prefixes": tuple(
            match["value"].lower() for match in early.get("removeOnMatch", [])
        ),
        "generates_request_id": headers.get("requestID", "") == "Generate",
        "limit_headers": not headers.get("disableRateLimitHeaders", False),
    }
    if "bufferLimit" in spec.get("connection", {}):
        settings["buffer_bytes"] = whole_bytes(spec["connection"]["bufferLimit"])
    return settings


def _telemetry(proxy: Object) -> dict[str, Any]:
    """Return the Listener fields that an EnvoyProxy sets."""
    return {"access_logs": _access_logs(proxy), "tracing": _tracing(proxy)}


def _tracing(proxy: Object) -> Tracing | None:
    """Return how calls are traced; None where they are not."""
    told = proxy["spec"].get("telemetry", {}).get("tracing")
    if told is None:
        return None
    for unknown in sorted(set(told) - {"samplingRate", "provider", "spanName", "tags"}):
        raise Refused(f"telemetry.tracing.{unknown} is not played by the local gateway")
    provider = told["provider"]
    if provider.get("type") != "OpenTelemetry" or "openTelemetry" in provider:
        raise Refused("only plain OpenTelemetry is a provider of traces for the local gateway")
    names = told.get("spanName", {})
    return Tracing(
        service=provider.get("serviceName", "ai-gateway"),
        call=names.get("client", ""),
        hop=names.get("server", ""),
        percent=told.get("samplingRate", 100),
        tags=tuple(sorted(told.get("tags", {}).items())),
    )


def _access_logs(proxy: Object) -> tuple[AccessLog, ...]:
    """Return the sinks of an EnvoyProxy's access log. Its filterOrder must be the one that is
    played here.
    """
    if proxy["spec"].get("filterOrder", []) != _ORDER:
        raise Refused(
            "the local gateway checks the token before it reads the body, and asks the gate after "
            "the grants: filterOrder must say so too"
        )
    found: list[AccessLog] = []
    for setting in proxy["spec"].get("telemetry", {}).get("accessLog", {}).get("settings", []):
        if setting.get("matches") or setting.get("type", "Listener") != "Listener":
            raise Refused(
                "an access log with matches or a type of its own is not played by the local gateway"
            )
        fields = setting.get("format", {}).get("json")
        if not fields:
            raise Refused("only an access log in JSON is played by the local gateway")
        for sink in setting["sinks"]:
            if sink["type"] not in ("File", "OpenTelemetry"):
                raise Refused(
                    f"the access log sink {sink['type']} is not played by the local gateway"
                )
            resource = sink.get("openTelemetry", {}).get("resourceAttributes", {})
            found.append(
                AccessLog(
                    sink["type"], tuple(sorted(fields.items())), tuple(sorted(resource.items()))
                )
            )
    return tuple(found)
