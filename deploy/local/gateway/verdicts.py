"""Verdicts → the status that the real controllers would write into each object. Pure but for the
clock's time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from deploy.local.gateway.objects import Object
from deploy.local.gateway.tables import Verdict

Json = dict[str, Any]
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
_AI_KINDS = ("AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy")
# its problems are the Gateway's in Envoy Gateway; it has no conditions of its own
_SILENT_KINDS = ("EnvoyProxy",)


def status_of(verdict: Verdict, obj: Object) -> Json | None:
    """Return the object's status as it should be, or None where the kind has none.

    A condition that already says the same keeps its time of transition, so that an unchanged status
    stays equal.
    """
    status: Json = dict(obj.get("status") or {})
    if verdict.kind in _SILENT_KINDS:
        return None
    if verdict.kind in _AI_KINDS:
        return status | {"conditions": _keep(status.get("conditions"), [_ai_condition(verdict)])}
    if verdict.kind == "Gateway":
        return _gateway_status(verdict, obj, status)
    if verdict.ancestor is None:
        return status | {
            "conditions": _keep(status.get("conditions"), [_condition("Accepted", verdict)])
        }
    return status | {"ancestors": _ancestors(verdict, status.get("ancestors") or [])}


def _ai_condition(verdict: Verdict) -> Json:
    """Envoy AI Gateway has two types of condition and shows one at a time."""
    if verdict.accepted:
        message = f"{verdict.kind} reconciled successfully"
        return _condition("Accepted", verdict) | {
            "reason": "ReconciliationSucceeded",
            "message": message,
        }
    return _condition("NotAccepted", verdict) | {"reason": "ReconciliationFailed"}


def _condition(kind: str, verdict: Verdict) -> Json:
    return {
        "type": kind,
        "status": "True" if verdict.accepted else "False",
        "reason": "Accepted" if verdict.accepted else verdict.reason,
        "message": verdict.message or f"{verdict.kind} has been accepted.",
        "observedGeneration": verdict.generation,
    }


def _keep(before: list[Json] | None, now: list[Json]) -> list[Json]:
    """Return the conditions with their times of transition: the old one while the status is the
    same.
    """
    old = {condition["type"]: condition for condition in before or []}
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for condition in now:
        known = old.get(condition["type"], {})
        same = known.get("status") == condition["status"] and "lastTransitionTime" in known
        condition["lastTransitionTime"] = known["lastTransitionTime"] if same else stamp
    return now


def _ancestors(verdict: Verdict, before: list[Json]) -> list[Json]:
    """Return the entries with ours for the Gateway; other controllers' entries stay."""
    namespace, name = verdict.ancestor or ("", "")
    ref = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": name,
        "namespace": namespace,
    }
    ours = next((entry for entry in before if entry["controllerName"] == CONTROLLER), {})
    conditions = _keep(ours.get("conditions"), [_condition("Accepted", verdict)])
    others = [entry for entry in before if entry["controllerName"] != CONTROLLER]
    return [*others, {"ancestorRef": ref, "controllerName": CONTROLLER, "conditions": conditions}]


def _gateway_status(verdict: Verdict, obj: Object, status: Json) -> Json:
    """Return a Gateway's status; the verdict's ancestor carries the number of attached routes."""
    attached = int((verdict.ancestor or ("0", ""))[0])
    programmed = _condition("Programmed", verdict) | {
        "reason": "Programmed",
        "message": "Envoy serves this Gateway.",
    }
    conditions = [_condition("Accepted", verdict), programmed]
    known = {listener["name"]: listener for listener in status.get("listeners") or []}
    listeners = [
        {
            "name": listener["name"],
            "attachedRoutes": attached,
            "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "conditions": _keep(
                known.get(listener["name"], {}).get("conditions"),
                [dict(condition) for condition in conditions],
            ),
        }
        for listener in obj["spec"]["listeners"]
    ]
    address = {"type": "IPAddress", "value": "127.0.0.1"}
    merged = {
        "addresses": [address],
        "conditions": _keep(status.get("conditions"), conditions),
        "listeners": listeners,
    }
    return status | merged
