"""The few calls of the Kubernetes API that a kubelet makes, over one connection pool.

JSON in and out, no generated client: this process lives as long as the stack and should stay small.
A watch costs nothing while nothing happens; when it ends or its place in history is gone the
caller's list is read again, so no state is ever lost, only intermediate ones.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import yaml

Json = dict[str, Any]

WATCH_SECONDS = 540
RETRY_SECONDS = 2.0
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
POD = "/api/v1/namespaces/{namespace}/pods/{name}"


class Gone(Exception):
    """The object is not there, or is another one of the same name."""


class Api:
    """A client with one kubeconfig's identity."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **parameters: str) -> Json:
        """Return one object or list. Raises Gone."""
        return await self._call("GET", path, parameters=parameters)

    async def create(self, path: str, body: Json) -> Json:
        """Create an object; one that is there already is returned as sent."""
        try:
            return await self._call("POST", path, body=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 409:
                return body
            raise

    async def patch(self, path: str, body: Json, kind: str = STRATEGIC) -> Json:
        """Patch an object. Raises Gone; a body with metadata.uid reaches that very object or
        none.
        """
        try:
            return await self._call("PATCH", path, body=body, kind=kind)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 409:  # the uid differs
                raise Gone(path) from error
            raise

    async def delete(self, path: str, *, uid: str = "", grace: int | None = None) -> None:
        """Delete an object, only if it still is the one with this uid; one that is gone is fine."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", path, body=options)
        except Gone:
            return
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 409:
                raise

    async def follow(self, path: str, **selectors: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield ("LIST", the whole list) and then each change as (type, object), for ever.

        A broken connection or an expired place in history begins again with a LIST.
        """
        while True:
            try:
                found = await self.get(path, **selectors)
                yield "LIST", found
                version = str(found["metadata"]["resourceVersion"])
                async for kind, changed in self._watch(path, version, selectors):
                    yield kind, changed
            except (httpx.HTTPError, Gone, ValueError) as error:
                print(
                    f"api: {type(error).__name__} while following {path}; again in "
                    f"{RETRY_SECONDS:.0f} s",
                    flush=True,
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _watch(
        self, path: str, version: str, selectors: dict[str, str]
    ) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes after a version, over as many connections as it takes, until history is
        lost.
        """
        while True:
            parameters = {
                **selectors,
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(WATCH_SECONDS),
            }
            timeout = httpx.Timeout(10, read=WATCH_SECONDS + 30)
            async with self._client.stream(
                "GET", path, params=parameters, timeout=timeout
            ) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        return  # 410: list again
                    version = change["object"]["metadata"]["resourceVersion"]
                    if change["type"] != "BOOKMARK":
                        yield change["type"], change["object"]

    async def _call(
        self, verb: str, path: str, *, body: Json | None = None, kind: str = "application/json",
        parameters: dict[str, str] | None = None,
    ) -> Json:  # fmt: skip
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": kind} if body is not None else {}
        response = await self._client.request(
            verb, path, params=parameters, content=content, headers=headers
        )
        if response.status_code == 404:
            raise Gone(path)
        response.raise_for_status()
        answer: Json = response.json()
        return answer


def connect(kubeconfig: Path) -> Api:
    """Return a client for a kubeconfig's current context."""
    document = yaml.safe_load(kubeconfig.read_text())
    context = _named(document["contexts"], document["current-context"])["context"]
    cluster = _named(document["clusters"], context["cluster"])["cluster"]
    user = _named(document["users"], context["user"])["user"]
    headers = {"user-agent": "quartermaster-kubelet"}
    if token := user.get("token"):
        headers["authorization"] = f"Bearer {token}"
    limits = httpx.Limits(max_connections=20, max_keepalive_connections=4)
    client = httpx.AsyncClient(
        base_url=cluster["server"], verify=_tls(cluster, user), headers=headers, timeout=15,
        limits=limits,
        trust_env=False,
    )  # fmt: skip
    return Api(client)


def _tls(cluster: Json, user: Json) -> ssl.SSLContext | bool:
    if cluster["server"].startswith("http://"):
        return False
    authority = _pem(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority)
    if certificate := _pem(user, "client-certificate"):
        # the ssl module takes files only; this is 0600
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(f"{certificate}\n{_pem(user, 'client-key')}")
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _pem(holder: Json, name: str) -> str | None:
    if data := holder.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    return Path(holder[name]).read_text() if holder.get(name) else None


def _named(entries: list[Json], name: str) -> Json:
    return next(entry for entry in entries if entry["name"] == name)
