"""EnvoyExtensionPolicy → the gate that every call passes. Pure.

One policy, at the Gateway. A policy at a route is refused, and that is a guard: Envoy builds its
filters for the route that matches before the model is known, so the gate of any other route would
never be asked. A policy that cannot be honored closes the gateway, as Envoy Gateway does.
"""

from __future__ import annotations

from typing import Any

from deploy.local.gateway.durations import seconds, whole_bytes
from deploy.local.gateway.objects import Object, Objects, key_of
from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.tables import Extension

Judged = tuple[Object, Refused | None, tuple[str, str] | None]
_MODES = ("Buffered", "FullDuplexStreamed")
_PLAYED = {
    "": {"targetRefs", "targetRef", "extProc"},
    "extProc ": {
        "backendRefs",
        "backendSettings",
        "messageTimeout",
        "failOpen",
        "statusOnError",
        "processingMode",
        "metadata",
        "shadowMode",
    },
    "backendSettings ": {"connection", "circuitBreaker"},
    "connection ": {"bufferLimit"},
    "circuitBreaker ": {"maxParallelRequests", "maxPendingRequests"},
    "processingMode ": {"request", "response", "allowModeOverride"},
    "metadata ": {"accessibleNamespaces", "writableNamespaces"},
}


# what the API server fills in, which is Envoy's own default as well
_BREAKER = {"maxConnections": 1024, "maxParallelRetries": 1024}


def read(objects: Objects, *, gateway: tuple[str, str]) -> tuple[dict[str, Any], list[Judged]]:
    """Return the Listener fields that the EnvoyExtensionPolicies set, and the verdicts on them."""
    fields: dict[str, Any] = {}
    judged: list[Judged] = []
    for policy in objects.all("EnvoyExtensionPolicy"):
        problem = None
        try:
            _check_targets(policy, gateway)
            if "extension" in fields:
                raise Refused(f"another policy already targets Gateway {gateway[1]}", "Conflicted")
            fields["extension"] = _extension(policy, objects)
        except Refused as found:
            problem = found
        # a second policy is only not heard; anything else would let calls pass as if it were not
        if problem and problem.reason != "Conflicted":
            fields["closed"] = True
        judged.append((policy, problem, gateway))
    return fields, judged


def _check_targets(policy: Object, gateway: tuple[str, str]) -> None:
    spec = policy["spec"]
    _only(spec, "")
    refs = spec.get("targetRefs") or [spec.get("targetRef") or {}]
    for ref in refs:
        if ref.get("kind") != "Gateway" or "sectionName" in ref:
            raise Refused(
                f"a policy at {ref.get('kind', 'no target')} {ref.get('name', '')} would be asked "
                "for the oldest route's calls alone, or for none: the local gateway plays one at "
                "the whole Gateway only"
            )
        if (key_of(policy)[0], ref["name"]) != gateway:
            raise Refused(f"Gateway {key_of(policy)[0]}/{ref['name']} not found", "TargetNotFound")


def _extension(policy: Object, objects: Objects) -> Extension:
    (namespace, name), processors = key_of(policy), policy["spec"].get("extProc", [])
    if len(processors) != 1:
        raise Refused(f"{len(processors)} extProc: the local gateway plays exactly one")
    found = processors[0]
    _only(found, "extProc ")
    if found.get("failOpen"):
        raise Refused("failOpen is not played by the local gateway: calls would pass unseen")
    if found.get("shadowMode"):
        raise Refused("shadowMode is not played by the local gateway: it can refuse nothing")
    mode, metadata = found.get("processingMode", {}), found.get("metadata", {})
    _only(mode, "processingMode ")
    _only(metadata, "metadata ")
    return Extension(
        name=f"envoyextensionpolicy/{namespace}/{name}/extproc/0",
        host=_host(found, namespace, objects),
        request_mode=_mode(mode, "request"),
        response_mode=_mode(mode, "response"),
        request_attributes=tuple(mode.get("request", {}).get("attributes", ())),
        response_attributes=tuple(mode.get("response", {}).get("attributes", ())),
        allows_override=mode.get("allowModeOverride", False),
        reads=tuple(metadata.get("accessibleNamespaces", ())),
        writes=_writable(metadata),
        **_settings(found.get("backendSettings", {})),
        **_failing(found),
    )


def _only(given: Object, where: str) -> None:
    """Raise Refused where there is a field that is not played."""
    for unknown in sorted(set(given) - _PLAYED[where]):
        raise Refused(f"{where}{unknown} is not played by the local gateway")


def _mode(modes: Object, half: str) -> str:
    """Return how one half's body is sent; naming the half at all sends its headers."""
    mode = str(modes.get(half, {}).get("body", ""))
    if mode not in _MODES:
        raise Refused(
            f"processingMode {half}.body {mode or 'left out'}: the local gateway plays "
            f"{' and '.join(_MODES)}, in which no byte passes before it was answered"
        )
    return mode


def _writable(metadata: Object) -> tuple[str, ...]:
    names = tuple(metadata.get("writableNamespaces", ()))
    if any(name.startswith("envoy.filters.http") for name in names) or len(names) > 8:
        raise Refused("writableNamespaces: at most 8, and none of Envoy's own filters")
    return names


def _settings(settings: Object) -> dict[str, Any]:
    """Return the fields of the way to the gate: its buffer, and how much may be on it at once."""
    _only(settings, "backendSettings ")
    connection, breaker = settings.get("connection", {}), settings.get("circuitBreaker", {})
    _only(connection, "connection ")
    own = {name: value for name, value in breaker.items() if value != _BREAKER.get(name)}
    _only(own, "circuitBreaker ")
    return {
        "buffer_bytes": whole_bytes(connection.get("bufferLimit", "32Ki")),
        "most_calls": breaker.get("maxParallelRequests", 1024),
        "most_waiting": breaker.get("maxPendingRequests", 1024),
    }


def _failing(found: Object) -> dict[str, Any]:
    """Return the fields that say when and how a call fails with the gate."""
    fields: dict[str, Any] = {}
    if "messageTimeout" in found:
        fields["timeout_seconds"] = seconds(found["messageTimeout"])
    if "statusOnError" in found:
        fields["error_status"] = found["statusOnError"]
    return fields


def _host(found: Object, namespace: str, objects: Objects) -> tuple[str, int]:
    """Return the name and port of the one backend, a Backend of the policy's own namespace."""
    refs = found.get("backendRefs", [])
    if len(refs) != 1 or refs[0].get("kind", "Service") != "Backend":
        raise Refused("extProc: exactly one backendRef, of kind Backend, is played here")
    if refs[0].get("namespace", namespace) != namespace:
        raise Refused("extProc: a Backend in another namespace needs a ReferenceGrant")
    backend = objects.get("Backend", namespace, refs[0]["name"])
    if backend is None:
        raise Refused(f"Backend {namespace}/{refs[0]['name']} not found", "Invalid")
    if "tls" in backend["spec"]:
        raise Refused(f"Backend {refs[0]['name']}: tls is not played by the local gateway")
    ends = backend["spec"].get("endpoints", [])
    if len(ends) != 1 or "fqdn" not in ends[0]:
        raise Refused(f"Backend {refs[0]['name']} must have exactly one fqdn endpoint", "Invalid")
    return ends[0]["fqdn"]["hostname"].rstrip("."), ends[0]["fqdn"]["port"]
