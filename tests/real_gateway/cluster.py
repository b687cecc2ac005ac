"""The API server of the check: the gateways' own definitions in it, objects applied strictly,
conditions read back.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from deploy.local.stack.part import Context
from tests.local.running import api_as

Json = dict[str, Any]
APPLY = "fieldManager=check&force=true&fieldValidation=Strict"
PLURALS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "Namespace": "namespaces",
    "Pod": "pods",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}


class Cluster:
    """What the check says to the API server, as its administrator. `plurals` learns each kind from
    its definition.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.plurals = dict(PLURALS)

    def define(self, files: Iterable[Path]) -> None:
        """Install every definition of these files as it is shipped, over one that is there, and
        wait for all.
        """
        with api_as(self._context) as api:
            kinds = []
            for path in files:
                # the safe one, in C
                for definition in yaml.load_all(path.read_bytes(), yaml.CSafeLoader):  # noqa: S506
                    if definition and definition["kind"] == "CustomResourceDefinition":
                        api.replace(definition)
                        spec = definition["spec"]
                        self.plurals[spec["names"]["kind"]] = spec["names"]["plural"]
                        kinds += [
                            (spec["group"], each["name"], spec["names"]["plural"])
                            for each in spec["versions"]
                        ]
            while not all(api.serves(*kind) for kind in kinds):
                time.sleep(0.5)

    def apply(self, obj: Json) -> None:
        """Make the object be so; raises ApiError where the real definition refuses it."""
        self._patch(f"{self._path_of(obj)}?{APPLY}", obj, "application/apply-patch+yaml")

    def read(self, obj: Json) -> Json:
        """Return the object as the server has it now."""
        return self._get(self._path_of(obj))

    def all(self, version: str, kind: str, namespace: str = "") -> list[Json]:
        """Return every object of a kind."""
        found = self._get(self._path(version, kind, namespace))["items"]
        return [{"apiVersion": version, "kind": kind, **item} for item in found]

    def patch_status(self, obj: Json, status: Json) -> None:
        """Say what a kubelet or a cloud would say."""
        self._patch(
            f"{self._path_of(obj)}/status", {"status": status}, "application/merge-patch+json"
        )

    def unpack(self, kind: str, namespace: str, name: str, folder: Path) -> None:
        """Write a Secret's or a ConfigMap's entries into a folder, as a pod sees its volume."""
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in self._get(self._path("v1", kind, namespace, name))["data"].items():
            (folder / key).write_bytes(
                base64.b64decode(value) if kind == "Secret" else value.encode()
            )

    def _path(self, version: str, kind: str, namespace: str = "", name: str = "") -> str:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{place}/{self.plurals[kind]}" + (f"/{name}" if name else "")

    def _path_of(self, obj: Json) -> str:
        metadata = obj["metadata"]
        return self._path(
            obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]
        )

    def _get(self, path: str) -> Json:
        # one connection each: an idle one is closed by the server
        with api_as(self._context) as api:
            return api.request("GET", path)

    def _patch(self, path: str, body: Json, kind: str) -> None:
        with api_as(self._context) as api:
            api.request("PATCH", path, json.dumps(body).encode(), kind)
