"""A few calls to the Kubernetes API as the cluster's administrator: enough to put objects in place.

Written on the standard library, because the full client would stay in the supervisor's memory for a
handful of requests at start. Objects are applied server-side under one field manager; custom
resource definitions are replaced instead, since the ownership record of a large schema would cost
more than the schema.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

Json = dict[str, Any]

FIELD_MANAGER = "quartermaster-stack"
TIMEOUT_SECONDS = 30

# kind: (plural, whether it lives in a namespace)
KINDS = {
    "Namespace": ("namespaces", False),
    "ConfigMap": ("configmaps", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "APIService": ("apiservices", False),
    "ServiceAccount": ("serviceaccounts", True),
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "Role": ("roles", True),
    "RoleBinding": ("rolebindings", True),
    "CustomResourceDefinition": ("customresourcedefinitions", False),
    "MutatingWebhookConfiguration": ("mutatingwebhookconfigurations", False),
    "ValidatingWebhookConfiguration": ("validatingwebhookconfigurations", False),
    "ClusterStorageContainer": ("clusterstoragecontainers", False),
    "ClusterTriggerAuthentication": ("clustertriggerauthentications", False),
    "AppProject": ("appprojects", True),
    "Application": ("applications", True),
}


class ApiError(Exception):
    """The API server refused a request; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


def path_of(manifest: Json) -> str:
    """Return the API path of the object that a manifest describes."""
    plural, namespaced = KINDS[manifest["kind"]]
    version = manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = f"/namespaces/{manifest['metadata']['namespace']}" if namespaced else ""
    return f"{root}{namespace}/{plural}/{manifest['metadata']['name']}"


class Api:
    """One connection to the API server, to be closed after use (`with Api(...) as api`)."""

    def __init__(self, address: str, trust: ssl.SSLContext) -> None:
        self._connection = http.client.HTTPSConnection(
            address, timeout=TIMEOUT_SECONDS, context=trust
        )

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> Json:
        """Return the answer's object; raises ApiError for a refusal."""
        self._connection.request(method, path, body=body, headers={"Content-Type": kind})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise ApiError(answer.status, _message(content))
        found: Json = json.loads(content)
        return found

    def find(self, path: str) -> Json | None:
        """Return the object at `path`, or None where there is none."""
        try:
            return self.request("GET", path)
        except ApiError as problem:
            if problem.status == 404:
                return None
            raise

    def apply(self, manifest: Json) -> None:
        """Make the object be what the manifest says, taking over fields from other managers."""
        path = f"{path_of(manifest)}?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict"
        self.request("PATCH", path, json.dumps(manifest).encode(), "application/apply-patch+yaml")

    def replace(self, manifest: Json) -> None:
        """Create the object, or replace the one that is there."""
        path = path_of(manifest)
        try:
            self.request("POST", path.rpartition("/")[0], json.dumps(manifest).encode())
        except ApiError as problem:
            if problem.status != 409:
                raise
            existing = self.request("GET", path)
            metadata = manifest["metadata"] | {
                "resourceVersion": existing["metadata"]["resourceVersion"]
            }
            self.request("PUT", path, json.dumps(manifest | {"metadata": metadata}).encode())

    def serves(self, group: str, version: str, plural: str) -> bool:
        """Return whether the API has this kind of object by now."""
        found = self.find(f"/apis/{group}/{version}")
        return found is not None and any(entry["name"] == plural for entry in found["resources"])


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content).get("message", ""))[:500]
    except (ValueError, AttributeError):
        return content.decode(errors="replace")[:200]
