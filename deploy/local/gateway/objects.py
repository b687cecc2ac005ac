"""The Kubernetes objects that the gateway is made of, kept by kind as plain mappings.

Where they come from (a cluster's watch, a folder of YAML) is the business of `sources`; what they
mean is `compile`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind: where the API server lists it, and how little of it is enough."""

    name: str
    group: str
    version: str
    plural: str
    label_selector: str = ""
    metadata_only: bool = False
    namespace: str = ""  # "": all of them
    field_selector: str = ""

    @property
    def list_path(self) -> str:
        """Return the path that lists the kind, over all namespaces or in its own."""
        root = f"/apis/{self.group}" if self.group else "/api"
        place = f"namespaces/{self.namespace}/" if self.namespace else ""
        return f"{root}/{self.version}/{place}{self.plural}"

    def status_path(self, namespace: str, name: str) -> str:
        """Return the path of one object's status; namespace is "" where the kind has none."""
        root = f"/apis/{self.group}" if self.group else "/api"
        place = f"namespaces/{namespace}/" if namespace else ""
        return f"{root}/{self.version}/{place}{self.plural}/{name}/status"


_GATEWAY_API = ("gateway.networking.k8s.io", "v1")
_ENVOY = ("gateway.envoyproxy.io", "v1alpha1")
_AI = ("aigateway.envoyproxy.io", "v1beta1")

KINDS = {
    kind.name: kind
    for kind in (
        Kind("GatewayClass", *_GATEWAY_API, "gatewayclasses"),
        Kind("Gateway", *_GATEWAY_API, "gateways"),
        Kind("EnvoyProxy", *_ENVOY, "envoyproxies"),
        Kind("ClientTrafficPolicy", *_ENVOY, "clienttrafficpolicies"),
        Kind("SecurityPolicy", *_ENVOY, "securitypolicies"),
        Kind("BackendTrafficPolicy", *_ENVOY, "backendtrafficpolicies"),
        Kind("EnvoyExtensionPolicy", *_ENVOY, "envoyextensionpolicies"),
        Kind("Backend", *_ENVOY, "backends"),
        Kind("AIGatewayRoute", *_AI, "aigatewayroutes"),
        Kind("AIServiceBackend", *_AI, "aiservicebackends"),
        Kind("BackendSecurityPolicy", *_AI, "backendsecuritypolicies"),
        # the one that the policies name; the control plane may read no other
        Kind(
            "Secret",
            "",
            "v1",
            "secrets",
            namespace="models",
            field_selector="metadata.name=engine-key",
        ),
        Kind("Service", "", "v1", "services"),
        Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
        # Only serving pods say where they listen, and only their annotations matter.
        Kind(
            "Pod",
            "",
            "v1",
            "pods",
            label_selector="serving.kserve.io/inferenceservice",
            metadata_only=True,
        ),
    )
}


def key_of(obj: Object) -> tuple[str, str]:
    """Return (namespace, name); namespace is "" for cluster-wide objects."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Objects:
    """All known objects, by kind, then by namespace and name."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._by_kind: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        for obj in objects:
            self.put(obj["kind"], obj)

    def all(self, kind: str) -> list[Object]:
        """Return the kind's objects, oldest first as Gateway API ranks them, then by name."""
        found = self._by_kind[kind].values()
        return sorted(
            found, key=lambda obj: (obj["metadata"].get("creationTimestamp") or "", key_of(obj))
        )

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object, or None."""
        return self._by_kind[kind].get((namespace, name))

    def put(self, kind: str, obj: Object) -> bool:
        """Keep the object where its kind matters here; say whether anything that is read from it
        changed.
        """
        if kind not in self._by_kind:
            return False
        before = self._by_kind[kind].get(key_of(obj))
        self._by_kind[kind][key_of(obj)] = obj
        return before is None or _meaning(before) != _meaning(obj)

    def remove(self, kind: str, obj: Object) -> bool:
        """Forget the object; say whether it was there."""
        return self._by_kind[kind].pop(key_of(obj), None) is not None

    def replace(self, kind: str, objects: list[Object]) -> bool:
        """Make these the kind's only objects; say whether anything changed."""
        before = self._by_kind[kind]
        self._by_kind[kind] = {key_of(obj): obj for obj in objects}
        return {key: _meaning(obj) for key, obj in before.items()} != {
            key: _meaning(obj) for key, obj in self._by_kind[kind].items()
        }


def _meaning(obj: Object) -> tuple[object, ...]:
    """Return what the gateway reads of an object: everything but its status and bookkeeping."""
    metadata = obj["metadata"]
    rest = {
        key: value
        for key, value in obj.items()
        if key not in ("metadata", "status", "kind", "apiVersion")
    }
    return metadata.get("uid"), metadata.get("generation"), metadata.get("annotations"), rest


def read_folder(folder: Path) -> list[Object]:
    """Return every object in the folder's YAML files, in the files' order of name; lists are
    opened.
    """
    found: list[Object] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        for document in yaml.safe_load_all(path.read_text()):
            if document:
                found += document["items"] if document.get("kind") == "List" else [document]
    return found
