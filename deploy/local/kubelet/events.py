"""Writes a pod's events as a kubelet does: one object per sentence, counted up when it is said
again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime

import httpx

from deploy.local.kubelet.api import MERGE, Api, Gone
from deploy.local.kubelet.pods import Pod
from deploy.local.kubelet.status import timestamp

KEPT = 200


class Events:
    """Events of all pods. Losing one never stops a pod: the status is the truth."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api, self._now = api, now
        self._said: dict[tuple[str, str, str, str], tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # first said, first written

    def say(
        self, pod: Pod, reason: str, message: str, *, container: str = "", warning: bool = False
    ) -> None:
        """Record an event in the background."""
        init = any(entry["name"] == container for entry in pod.inits)
        field = (
            f"spec.{'initContainers' if init else 'containers'}{{{container}}}" if container else ""
        )
        at, kind = timestamp(self._now()), "Warning" if warning else "Normal"
        task = asyncio.ensure_future(self._in_turn(pod, reason, message, field, kind, at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def flush(self) -> None:
        """Wait until what was said is written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _in_turn(
        self, pod: Pod, reason: str, message: str, field: str, kind: str, at: str
    ) -> None:
        async with self._turn:
            await self._write(pod, reason, message, field, kind, at)

    async def _write(
        self, pod: Pod, reason: str, message: str, field: str, kind: str, at: str
    ) -> None:
        key, folder = (
            (pod.uid, field, reason, message),
            f"/api/v1/namespaces/{pod.namespace}/events",
        )
        name, count = self._said.get(key, ("", 0))
        self._said[key] = (name or f"{pod.name}.{uuid.uuid4().hex[:16]}", count + 1)
        while len(self._said) > KEPT:
            self._said.pop(next(iter(self._said)))
        try:
            if name:
                await self._api.patch(
                    f"{folder}/{name}", {"count": count + 1, "lastTimestamp": at}, MERGE
                )
                return
            reference = {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
                "fieldPath": field,
            }
            await self._api.create(folder, {
                "apiVersion": "v1", "kind": "Event", "type": kind, "reason": reason,
                "message": message[:1024],
                "metadata": {"name": self._said[key][0], "namespace": pod.namespace},
                "involvedObject": reference,
                "source": {"component": "kubelet", "host": pod.node}, "firstTimestamp": at,
                "lastTimestamp": at,
                "count": 1, "reportingComponent": "kubelet", "reportingInstance": pod.node,
            })  # fmt: skip
        except (httpx.HTTPError, Gone) as error:
            print(
                f"event {reason} of {pod.full_name} was not written: {type(error).__name__}",
                flush=True,
            )
