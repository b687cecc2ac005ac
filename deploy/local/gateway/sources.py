"""Where the objects come from: a cluster's API server, or a folder of YAML.

A source fills `Objects`, says when anything changed, and takes verdicts back. While the API server
is away, what was seen last stays.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx
import yaml

from deploy.local.gateway.objects import KINDS, Kind, Object, Objects, read_folder
from deploy.local.gateway.publish import write
from deploy.local.gateway.tables import Verdict
from deploy.local.gateway.verdicts import status_of

log = logging.getLogger(__name__)
WATCH_SECONDS = 290
RETRY_SECONDS = (0.5, 1, 2, 5)
METADATA_ONLY = ";g=meta.k8s.io;v=v1"


class Source(Protocol):
    """Fills `objects`."""

    objects: Objects
    state: str  # in words, for the health page

    @property
    def complete(self) -> bool:
        """Say whether every kind was seen at least once: before that, nothing may be taken as
        deleted.
        """

    async def run(self, changed: Callable[[], None]) -> None:
        """Follow the objects for ever."""

    async def report(self, verdicts: tuple[Verdict, ...]) -> None:
        """Bring the verdicts back to the objects."""


class FolderSource:
    """Reads a folder of YAML again whenever a file changes; verdicts go into a file."""

    def __init__(self, folder: Path, verdicts: Path) -> None:
        self.objects, self.state, self.complete = Objects(), f"reading {folder}", False
        self._folder, self._verdicts = folder, verdicts

    async def run(self, changed: Callable[[], None]) -> None:
        """Look at the files five times a second."""
        before: object = None
        while True:
            now = [
                (path.name, path.stat().st_mtime_ns) for path in sorted(self._folder.glob("*.y*ml"))
            ]
            if now != before:
                before = now
                self._read()
                changed()
            await asyncio.sleep(0.2)

    def _read(self) -> None:
        found = read_folder(self._folder)
        for name in KINDS:
            self.objects.replace(name, [obj for obj in found if obj["kind"] == name])
        self.complete = True

    async def report(self, verdicts: tuple[Verdict, ...]) -> None:
        """Write the verdicts as they would be stored in each object's status."""
        found = {}
        for verdict in verdicts:
            obj = self.objects.get(verdict.kind, verdict.namespace, verdict.name)
            if obj:
                found[f"{verdict.kind}/{verdict.namespace}/{verdict.name}"] = status_of(
                    verdict, obj
                )
        write(self._verdicts, json.dumps(found, indent=1))


class Gone(Exception):
    """The watch's position is too old; the kind must be listed again."""


class NotInstalled(OSError):
    """The API server does not know the kind."""


class ClusterSource:
    """Lists and watches each kind with a credential of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.objects, self.state = Objects(), "waiting for the cluster"
        self._kubeconfig = kubeconfig
        self._seen: set[str] = set()
        self._client: httpx.AsyncClient | None = None

    @property
    def complete(self) -> bool:
        """Say whether every kind was listed at least once."""
        return len(self._seen) == len(KINDS)

    async def run(self, changed: Callable[[], None]) -> None:
        """Wait for the cluster, then follow every kind."""
        self._client = await self._connect()
        async with asyncio.TaskGroup() as group:
            for kind in KINDS.values():
                group.create_task(self._follow(kind, changed))

    async def _connect(self) -> httpx.AsyncClient:
        """Return a client once the API server says that it is ready, custom kinds included."""
        while True:
            try:
                client = client_from_kubeconfig(self._kubeconfig)
                (await client.get("/readyz", timeout=5.0)).raise_for_status()
            except (OSError, KeyError, ValueError, httpx.HTTPError) as problem:
                self.state = f"waiting for the cluster ({type(problem).__name__})"
                await asyncio.sleep(1.0)
                continue
            self.state = "watching the cluster"
            return client

    async def _follow(self, kind: Kind, changed: Callable[[], None]) -> None:
        """Keep one kind up to date; begin again, ever more patiently, when the API server is
        away.
        """
        failures, version = 0, ""
        while True:
            try:
                if not version:
                    version = await self._list(kind, changed)
                version = await self._watch(kind, version, changed)
                failures = 0
            except Gone:
                version = ""
            except (httpx.HTTPError, OSError, ValueError) as problem:
                version = ""
                if isinstance(problem, httpx.TransportError):
                    self.state = (
                        f"the API server does not answer ({type(problem).__name__}); what was seen "
                        f"last is served"
                    )
                if failures == 0:
                    log.warning("%s: %s %s", kind.plural, type(problem).__name__, problem)
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _list(self, kind: Kind, changed: Callable[[], None]) -> str:
        """Take the kind's objects as they are now; return the position to watch from."""
        answer = await self._api.get(
            kind.list_path, params=_selector(kind), headers=_accept(kind, "List")
        )
        if answer.status_code == 404:
            if kind.name not in self._seen:
                self._seen.add(kind.name)
                changed()
            raise NotInstalled("not installed yet")
        answer.raise_for_status()
        self.state, body = "watching the cluster", answer.json()
        news = self.objects.replace(
            kind.name, [{**item, "kind": kind.name} for item in body["items"] or []]
        )
        if news or kind.name not in self._seen:
            self._seen.add(kind.name)
            changed()
        return str(body["metadata"]["resourceVersion"])

    async def _watch(self, kind: Kind, version: str, changed: Callable[[], None]) -> str:
        """Follow changes until the server ends the watch; return the new position."""
        params = {
            **_selector(kind),
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
        }
        params["timeoutSeconds"] = str(WATCH_SECONDS)
        timeout = httpx.Timeout(10.0, read=WATCH_SECONDS + 20.0)
        headers = _accept(kind, "")
        async with self._api.stream(
            "GET", kind.list_path, params=params, headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code == 410:
                raise Gone
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                version = self._take(kind, event["type"], event["object"], changed)
        return version

    def _take(self, kind: Kind, what: str, obj: Object, changed: Callable[[], None]) -> str:
        """Take one event; return its position. Raises Gone."""
        if what == "ERROR":
            raise Gone
        if what in ("ADDED", "MODIFIED") and self.objects.put(
            kind.name, {**obj, "kind": kind.name}
        ):
            changed()
        if what == "DELETED" and self.objects.remove(kind.name, obj):
            changed()
        return str(obj["metadata"]["resourceVersion"])

    async def report(self, verdicts: tuple[Verdict, ...]) -> None:
        """Write each status that says something else than the verdict."""
        for verdict in verdicts:
            obj = self.objects.get(verdict.kind, verdict.namespace, verdict.name)
            status = status_of(verdict, obj) if obj else None
            if obj is None or status is None or status == obj.get("status"):
                continue
            try:
                await self._write_status(verdict, status)
            except httpx.HTTPError as problem:
                log.warning(
                    "status of %s %s/%s: %s", verdict.kind, verdict.namespace, verdict.name, problem
                )

    async def _write_status(self, verdict: Verdict, status: Object) -> None:
        path = KINDS[verdict.kind].status_path(verdict.namespace, verdict.name)
        headers = {"content-type": "application/merge-patch+json"}
        answer = await self._api.patch(
            path, content=json.dumps({"status": status}), headers=headers
        )
        if answer.status_code != 404:  # deleted meanwhile
            answer.raise_for_status()

    @property
    def _api(self) -> httpx.AsyncClient:
        if self._client is None:
            raise OSError("the cluster was never reached")
        return self._client


def _selector(kind: Kind) -> dict[str, str]:
    found = {"labelSelector": kind.label_selector, "fieldSelector": kind.field_selector}
    return {name: value for name, value in found.items() if value}


def _accept(kind: Kind, suffix: str) -> dict[str, str]:
    """Ask for metadata alone where that is enough: a pod's spec is most of its size."""
    if not kind.metadata_only:
        return {}
    return {"accept": f"application/json;as=PartialObjectMetadata{suffix}{METADATA_ONLY}"}


def client_from_kubeconfig(path: Path) -> httpx.AsyncClient:
    """Return a client for the kubeconfig's current context. Raises OSError, KeyError or ValueError
    where it is odd.
    """
    config = yaml.safe_load(path.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    verify = ssl.create_default_context(
        cadata=_pem(cluster, "certificate-authority", path).decode()
    )
    headers = {"authorization": f"Bearer {user['token']}"} if "token" in user else {}
    if "client-certificate" in user or "client-certificate-data" in user:
        _load_certificate(
            verify, _pem(user, "client-certificate", path) + b"\n" + _pem(user, "client-key", path)
        )
    return httpx.AsyncClient(
        base_url=cluster["server"], verify=verify, headers=headers, timeout=10.0, trust_env=False
    )


def _load_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    """Load certificate and key; Python's ssl takes them from a file only, which is gone right
    after.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)


def _named(entries: list[Any], name: str) -> Any:
    return next(entry for entry in entries if entry["name"] == name)


def _pem(entry: Object, key: str, kubeconfig: Path) -> bytes:
    """Return what the entry holds inline or names as a file, which may be relative to the
    kubeconfig.
    """
    if f"{key}-data" in entry:
        return base64.b64decode(entry[f"{key}-data"])
    return (kubeconfig.parent / str(entry[key])).read_bytes()
