"""Follows the pods of the cluster and gives each a worker: the loop that makes this program a
kubelet.

It runs the pods that are bound to a node and belong to an InferenceService or to the product's own
chart, whatever node that is: all nodes here are kept alive by KWOK and are this one machine.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from datetime import datetime

from deploy.local.kubelet import containers, processes
from deploy.local.kubelet.api import Api
from deploy.local.kubelet.dcgm import Cards, Exporter, Holder, read_cards
from deploy.local.kubelet.events import Events
from deploy.local.kubelet.pods import Json, Pod, is_run_here, read_pod
from deploy.local.kubelet.probes import Prober
from deploy.local.kubelet.reporter import Reporter
from deploy.local.kubelet.settings import Settings, free_address
from deploy.local.kubelet.worker import Worker

PODS = {"fieldSelector": "spec.nodeName!="}
ENDED = ("Succeeded", "Failed")


class Kubelet:
    """All pods of one cluster that run here."""

    def __init__(self, api: Api, settings: Settings, now: Callable[[], datetime]) -> None:
        self._api, self._settings, self._now = api, settings, now
        self._events, self._prober = Events(api, now), Prober()
        self._workers: dict[str, Worker] = {}
        self._addresses: dict[str, str] = {}
        self._images: dict[str, set[str]] = {}  # per node: what it has pulled, so to speak
        self._nodes: set[str] | None = None
        self._cards: dict[str, Cards] = {}
        self._exporter = Exporter()
        self._left: set[str] = set()  # pods whose node is gone: they never run again
        self.synced = False

    async def run(self) -> None:
        """Follow nodes and pods for ever."""
        await asyncio.gather(self._follow_nodes(), self._follow_pods())

    async def leave(self) -> None:
        """Stop looking after all pods; their processes run on."""
        await asyncio.gather(*(worker.leave() for worker in self._workers.values()))
        await self._events.flush()
        await self._exporter.close()

    async def gpu_metrics(self) -> str:
        """Return the simulated figures of all nodes' GPUs, as a DCGM exporter would."""
        return await self._exporter.render(
            self._cards,
            [self._holder(each.pod) for each in self._workers.values() if not each.pod.is_product],
        )

    def _holder(self, pod: Pod) -> Holder:
        engine = containers.found_engine(pod, self._settings)
        return Holder(
            pod.uid,
            pod.namespace,
            pod.name,
            pod.main["name"],
            pod.node,
            pod.gpus,
            engine.port if engine else None,
        )

    async def _follow_pods(self) -> None:
        async for kind, found in self._api.follow("/api/v1/pods", **PODS):
            if kind == "LIST":
                self._reconcile([read_pod(item) for item in found["items"] if is_run_here(item)])
                self.synced = True
            elif kind == "DELETED":
                self._left.discard(found["metadata"]["uid"])
                self._forget(found["metadata"]["uid"])
            elif is_run_here(found):
                self._look_at(read_pod(found))

    async def _follow_nodes(self) -> None:
        async for kind, found in self._api.follow("/api/v1/nodes"):
            if kind == "LIST":
                gone = (self._nodes or set()) - (
                    names := {item["metadata"]["name"] for item in found["items"]}
                )
                self._nodes = names
                for item in found["items"]:
                    self._see_node(item)
            elif kind == "DELETED":
                gone = {found["metadata"]["name"]}
            else:
                self._see_node(found)
                gone = set()
            self._leave_nodes(gone)

    def _see_node(self, node: Json) -> None:
        if cards := read_cards(node):
            self._cards[node["metadata"]["name"]] = cards

    def _reconcile(self, pods: list[Pod]) -> None:
        """Compare what should run with what runs here, processes of unknown pods included."""
        for pod in pods:
            self._addresses.setdefault(pod.uid, pod.status.get("podIP", ""))
        for pod in pods:
            self._look_at(pod)
        wanted = {pod.uid for pod in pods}
        for uid in set(self._workers) - wanted:
            self._forget(uid)
        known = self._settings.folder / "pods"
        for folder in known.iterdir() if known.exists() else ():
            if folder.name not in wanted and folder.name not in self._workers:
                for container in folder.iterdir():
                    if process := processes.find(container):
                        processes.kill(process)
                shutil.rmtree(folder, ignore_errors=True)

    def _look_at(self, pod: Pod) -> None:
        """Begin a new pod, end one that is being deleted; anything else about a pod is this
        program's own doing.
        """
        worker = self._workers.get(pod.uid)
        over = pod.uid in self._left or pod.status.get("phase") in ENDED
        if worker is None and over and not pod.deleting:
            return
        if worker is None:
            worker = self._workers[pod.uid] = self._worker(pod)
            if not pod.deleting:
                worker.begin()
        if pod.deleting:
            task = worker.end(grace=pod.grace)
            task.add_done_callback(lambda _: self._drop(pod.uid))

    def _worker(self, pod: Pod) -> Worker:
        reporter = Reporter(self._api, self._events, pod, self._now)
        address = self._addresses.get(pod.uid) or free_address(
            [ip for ip in self._addresses.values() if ip]
        )
        self._addresses[pod.uid] = reporter.ip = address
        return Worker(
            pod,
            self._settings,
            reporter,
            self._prober,
            self._images.setdefault(pod.node, set()),
            self._now,
        )

    def _forget(self, uid: str) -> None:
        """End what runs of a pod that the API no longer has, or whose node is gone."""
        if worker := self._workers.get(uid):
            worker.end(grace=1, gone=True).add_done_callback(lambda _: self._drop(uid))

    def _leave_nodes(self, names: set[str]) -> None:
        """End the engines of nodes that are gone; their pods are the cluster's to remove."""
        for uid, worker in list(self._workers.items()):
            if worker.pod.node in names:
                self._left.add(uid)
                self._forget(uid)
        for name in names:
            self._images.pop(name, None)
            self._cards.pop(name, None)

    def _drop(self, uid: str) -> None:
        self._workers.pop(uid, None)
        self._addresses.pop(uid, None)
