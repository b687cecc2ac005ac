"""A Kubernetes API for one test, behind httpx's mock transport: pods, nodes, events and KWOK's
Logs, with watches.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

Json = dict[str, Any]


class Cluster:
    """What the API holds; a kubelet talks to it through `client()`."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.deleted: list[Json] = []
        self.history: list[tuple[str, str, Json]] = []  # collection, type, object
        self.down = False
        self.seen: list[Json] = []  # every status that was written
        self._moved = asyncio.Event()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.MockTransport(self._answer), base_url="http://cluster"
        )

    def put(self, path: str, document: Json, kind: str = "ADDED") -> None:
        """Create or change an object as another client of the API would."""
        self.objects[path] = document
        self._record(path, kind)

    def pod(self, name: str = "p") -> Json:
        return self.objects[f"/api/v1/namespaces/models/pods/{name}"]

    def events(self) -> list[tuple[str, str]]:
        return [
            (o["reason"], o["message"]) for path, o in self.objects.items() if "/events/" in path
        ]

    def _record(self, path: str, kind: str) -> None:
        collection = (
            "/api/v1/nodes" if "/nodes/" in path else "/api/v1/pods" if "/pods/" in path else ""
        )
        document = self.objects[path]
        document["metadata"]["resourceVersion"] = str(len(self.history) + 1)
        self.history.append((collection, kind, json.loads(json.dumps(document))))
        self._moved.set()
        self._moved = asyncio.Event()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("the API is down")
        path, body = request.url.path, json.loads(request.content or b"null")
        if request.method == "GET":
            return self._read(path, dict(request.url.params))
        if request.method == "POST":
            return self._create(f"{path}/{body['metadata']['name']}", body)
        target = path.removesuffix("/status")
        if target not in self.objects:
            return httpx.Response(404, json={})
        if request.method == "DELETE":
            return self._delete(target, body)
        return self._patch(target, body)

    def _read(self, path: str, parameters: dict[str, str]) -> httpx.Response:
        if parameters.get("watch"):
            return httpx.Response(
                200, content=self._watch(path, int(parameters["resourceVersion"]))
            )
        kind = "/nodes/" if path.endswith("nodes") else "/pods/"
        items = [document for name, document in self.objects.items() if kind in name]
        return httpx.Response(
            200, json={"metadata": {"resourceVersion": str(len(self.history))}, "items": items}
        )

    async def _watch(self, collection: str, position: int) -> AsyncIterator[bytes]:
        while not self.down:
            while position < len(self.history):
                place, kind, document = self.history[position]
                position += 1
                if place == collection:
                    yield json.dumps({"type": kind, "object": document}).encode() + b"\n"
            await self._moved.wait()

    def _create(self, path: str, body: Json) -> httpx.Response:
        if path in self.objects:
            return httpx.Response(409, json={})
        self.objects[path] = body
        return httpx.Response(201, json=body)

    def _patch(self, path: str, body: Json) -> httpx.Response:
        uid = body.get("metadata", {}).get("uid")
        if uid and uid != self.objects[path]["metadata"]["uid"]:
            return httpx.Response(409, json={})
        if "status" in body:
            self.seen.append(body["status"])
        merge(self.objects[path], body)
        self._record(path, "MODIFIED")
        return httpx.Response(200, json=self.objects[path])

    def _delete(self, path: str, options: Json) -> httpx.Response:
        uid = options.get("preconditions", {}).get("uid")
        if uid and uid != self.objects[path]["metadata"]["uid"]:
            return httpx.Response(409, json={})
        self._record(path, "DELETED")
        self.deleted.append(self.objects.pop(path) | {"options": options})
        return httpx.Response(200, json={})


def merge(target: Json, change: Json) -> None:
    """Merge as a patch does: null removes, objects merge, anything else replaces."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
