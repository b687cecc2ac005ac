"""BackendSecurityPolicy and its Secret → the key that a backend's engine is shown. Pure.

Only type APIKey is played, as Envoy AI Gateway does it: the key `apiKey` of a Secret in the
policy's own namespace takes the place of whatever the caller sent as Authorization. A backend with
two policies, or whose Secret is missing, is refused: the real gateway sends it no call either.
"""

from __future__ import annotations

import base64
import binascii

from deploy.local.gateway.objects import Object, Objects, key_of
from deploy.local.gateway.refusal import Refused

IN_SECRET = "apiKey"  # noqa: S105 (a field's name)
_TARGET = ("aigateway.envoyproxy.io", "AIServiceBackend")


def key_for(backend: str, namespace: str, objects: Objects) -> str:
    """Return the key that an AIServiceBackend's engine is shown; "" where no policy names it.
    Raises Refused.
    """
    naming = [
        policy
        for policy in objects.all("BackendSecurityPolicy")
        if key_of(policy)[0] == namespace and backend in _targets(policy)
    ]
    if len(naming) > 1:
        raise Refused(f"multiple BackendSecurityPolicies found for backend {backend}")
    return read(naming[0], objects) if naming else ""


def read(policy: Object, objects: Objects) -> str:
    """Return a policy's key. Raises Refused for what is not played, and where there is none."""
    (namespace, name), spec = key_of(policy), policy["spec"]
    if spec["type"] != "APIKey":
        raise Refused(
            f"BackendSecurityPolicy {name}: type {spec['type']} is not played by the local gateway"
        )
    if unknown := sorted(set(spec) - {"type", "apiKey", "targetRefs"}):
        raise Refused(
            f"BackendSecurityPolicy {name}: {', '.join(unknown)} is not played by the local gateway"
        )
    if any((target["group"], target["kind"]) != _TARGET for target in _target_refs(policy)):
        raise Refused(
            f"BackendSecurityPolicy {name}: only AIServiceBackends are played as targets by the "
            "local gateway"
        )
    reference = spec["apiKey"]["secretRef"]
    if reference.get("namespace", namespace) != namespace:
        raise Refused(f"BackendSecurityPolicy {name}: a Secret in another namespace is not read")
    return _value(objects, namespace, reference["name"])


def _targets(policy: Object) -> set[str]:
    """Return the AIServiceBackends that a policy names."""
    return {
        target["name"]
        for target in _target_refs(policy)
        if (target["group"], target["kind"]) == _TARGET
    }


def _target_refs(policy: Object) -> list[Object]:
    return list(policy["spec"].get("targetRefs", []))


def _value(objects: Objects, namespace: str, name: str) -> str:
    secret = objects.get("Secret", namespace, name)
    if secret is None:
        raise Refused(f"failed to get secret {name}: it does not exist in {namespace}")
    try:
        raw = base64.b64decode((secret.get("data") or {})[IN_SECRET], validate=True).decode()
    except KeyError:
        raise Refused(f"secret {name} does not contain key {IN_SECRET}") from None
    except (binascii.Error, ValueError):
        raise Refused(f"secret {name}: {IN_SECRET} is no text") from None
    if not raw.strip():
        raise Refused(f"secret {name}: {IN_SECRET} is empty")
    return raw.strip()
