"""What one pod looks like to the API: its containers' records, written as status, annotations,
events and log files.

A report that the API does not take (it restarts, the network is gone) is tried again in the
background with whatever is true by then; the pod's life does not wait for it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx

from deploy.local.kubelet import pods, status
from deploy.local.kubelet.api import MERGE, STRATEGIC, Api, Gone
from deploy.local.kubelet.events import Events
from deploy.local.kubelet.pods import Json, Pod
from deploy.local.kubelet.status import Record

RETRY_SECONDS = 2.0
SECRET = "/api/v1/namespaces/{namespace}/secrets/{name}"  # noqa: S105 (a path)
LOGS = "/apis/kwok.x-k8s.io/v1alpha1/namespaces/{namespace}/logs"


class Reporter:
    """The API's view of one pod."""

    def __init__(self, api: Api, events: Events, pod: Pod, now: Callable[[], datetime]) -> None:
        self.pod, self._api, self._events, self._now = pod, api, events, now
        self.ip = ""
        self.inits = [
            self._first(entry, "initContainerStatuses", status.CREATING) for entry in pod.inits
        ]
        reason = status.INITIALIZING if pod.inits else status.CREATING
        self.main = self._first(pod.main, "containerStatuses", reason)
        self._written = dict(pod.status)
        self._turn = asyncio.Lock()
        self._retry: asyncio.Task[None] | None = None

    def _first(self, container: Json, field: str, reason: str) -> Record:
        """Return the record that an earlier kubelet reported for a container, or that of a new
        one.
        """
        for reported in self.pod.status.get(field, ()):
            if reported["name"] == container["name"]:
                return status.from_reported(reported, container["image"])
        return Record(container["name"], container["image"], {"waiting": {"reason": reason}})

    def record(self, name: str) -> Record:
        """Return one container's record."""
        return next(record for record in (self.main, *self.inits) if record.name == name)

    async def secret(self, name: str) -> dict[str, str] | None:
        """Return what is in a Secret of the pod's namespace, as text; None where there is none."""
        try:
            found = await self._api.get(SECRET.format(namespace=self.pod.namespace, name=name))
        except Gone:
            return None
        data: dict[str, str] = found.get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    async def change(self, record: Record) -> None:
        """Take over a container's new record and report it."""
        if record.name == self.main.name:
            self.main = record
        else:
            self.inits = [record if old.name == record.name else old for old in self.inits]
        await self.report()

    async def report(self) -> None:
        """Write the pod's status as it is now."""
        async with self._turn:
            body = status.pod_status(
                previous=self._written, generation=self.pod.generation, pod_ip=self.ip,
                inits=self.inits,
                mains=[self.main, *self._not_run()], now=self._now(),
            )  # fmt: skip
            try:
                await self._api.patch(
                    f"{self.pod.path}/status", {"metadata": {"uid": self.pod.uid}, "status": body}
                )
                self._written = body
            except Gone:
                return  # the watch will say so
            except httpx.HTTPError as error:
                print(
                    f"status of {self.pod.full_name} was not written: {type(error).__name__}",
                    flush=True,
                )
                if self._retry is None or self._retry.done():
                    self._retry = asyncio.ensure_future(self._report_later())

    async def annotate(self, listen: str, engine: str) -> None:
        """Publish where the engine listens and which one it is: no address of the pod itself can be
        reached.
        """
        annotations = {
            pods.LISTEN_ANNOTATION: listen or None,
            pods.ENGINE_ANNOTATION: engine or None,
        }
        body = {"metadata": {"uid": self.pod.uid, "annotations": annotations}}
        while True:
            try:
                await self._api.patch(self.pod.path, body, STRATEGIC)
                return
            except Gone:
                return
            except httpx.HTTPError:
                await asyncio.sleep(RETRY_SECONDS)

    def say(self, reason: str, message: str, container: str = "", *, warning: bool = False) -> None:
        """Record an event."""
        self._events.say(self.pod, reason, message, container=container, warning=warning)

    async def publish_logs(self, files: dict[str, Path]) -> None:
        """Tell KWOK which files `kubectl logs` reads for the pod's containers."""
        logs = [
            {"containers": [name], "logsFile": str(file), "previousLogsFile": f"{file}.previous"}
            for name, file in files.items()
        ]
        folder = LOGS.format(namespace=self.pod.namespace)
        body = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "spec": {"logs": logs},
                "metadata": {"name": self.pod.name, "namespace": self.pod.namespace}}  # fmt: skip
        try:
            await self._api.create(folder, body)
            await self._api.patch(f"{folder}/{self.pod.name}", {"spec": body["spec"]}, MERGE)
        except (httpx.HTTPError, Gone) as error:
            print(
                f"logs of {self.pod.full_name} are not published: {type(error).__name__}",
                flush=True,
            )

    async def forget(self) -> None:
        """Remove the pod and its log entry from the API; retried until they are gone."""
        folder = LOGS.format(namespace=self.pod.namespace)
        while True:
            try:
                await self._api.delete(f"{folder}/{self.pod.name}")
                await self._api.delete(self.pod.path, uid=self.pod.uid, grace=0)
                return
            except httpx.HTTPError as error:
                print(
                    f"pod {self.pod.full_name} was not removed: {type(error).__name__}", flush=True
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _report_later(self) -> None:
        await asyncio.sleep(RETRY_SECONDS)
        self._retry = None
        await self.report()

    def _not_run(self) -> list[Record]:
        message = "the local kubelet runs a serving pod's engine only"
        state = {"waiting": {"reason": "CreateContainerError", "message": message}}
        return [Record(name, "", state) for name in self.pod.others]
