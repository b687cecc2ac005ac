"""Runs one pod from its network to its end.

The life of a pod is one coroutine, read from top to bottom: address, model, engine; an engine that
ends is started again after a kubelet's back-off. Every change of a container is reported before the
next step, with the time at which it happened. A kubelet that was restarted takes up a pod where its
processes are; where they are gone the pod begins again with the verification of its model, as on a
machine that was rebooted.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from deploy.local.kubelet import containers, faults, pods, processes, product, status
from deploy.local.kubelet.containers import CannotCreate, Started
from deploy.local.kubelet.pods import Json, Pod
from deploy.local.kubelet.probes import Prober
from deploy.local.kubelet.processes import Process
from deploy.local.kubelet.reporter import Reporter
from deploy.local.kubelet.settings import Settings
from deploy.local.kubelet.watcher import Probes, Verdict, Watcher

SYNC_SECONDS = 1.0  # a kubelet looks at a failed container again after about this long
AGAIN_SECONDS = 5.0


@dataclass
class BackOff:
    """How long a container that keeps failing waits before its next start."""

    base: float
    limit: float
    failures: int = 0

    def next(self) -> float:
        """Return the seconds to wait now: none after the first failure, then ever longer."""
        wait = 0.0 if self.failures == 0 else min(self.limit, self.base * 2 ** (self.failures - 1))
        self.failures += 1
        return wait


class Worker:
    """One pod's life on this machine."""

    def __init__(
        self,
        pod: Pod,
        settings: Settings,
        reporter: Reporter,
        prober: Prober,
        images: set[str],
        now: Callable[[], datetime],
    ) -> None:
        self.pod, self._settings, self._reporter, self._prober = pod, settings, reporter, prober
        self._images, self._now = images, now
        self._life: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the pod, or take it up where another kubelet left it."""
        self._life = asyncio.ensure_future(self._keep_on(self._live))

    def end(self, *, grace: float, gone: bool = False) -> asyncio.Task[None]:
        """End the pod once; `gone` where the API has forgotten it, or its node, already."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._keep_on(lambda: self._finish(grace, gone)))
        return self._ending

    async def leave(self) -> None:
        """Stop looking after the pod and let its processes run, for the next kubelet."""
        if self._life is not None:
            self._life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._life

    async def _keep_on(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do a step of the pod's life; trouble in this program is said and the step is taken
        again.
        """
        while True:
            try:
                return await step()
            except Exception as error:
                print(f"pod {self.pod.full_name}: {type(error).__name__}: {error}", flush=True)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _live(self) -> None:
        started = containers.found_engine(self.pod, self._settings)
        if started is None:
            await self._begin_anew()
            for container in self.pod.inits:
                await self._load(container)
        # the kubelet before this one ended before it could report the start
        elif not self._reporter.main.running:
            await self._started(
                self.pod.main, started.process, again=bool(self._reporter.main.container_id)
            )
        await self._serve(started)

    async def _begin_anew(self) -> None:
        """Give the pod its network; what ran before and is gone is reported as lost."""
        records = self._reporter
        records.main = self._lost(records.main)
        records.inits = [
            status.waiting(self._lost(record), status.CREATING) for record in records.inits
        ]
        if "terminated" not in records.main.state:
            records.main = status.waiting(records.main, status.INITIALIZING)
        await records.publish_logs(containers.log_files(self.pod, self._settings))
        await records.report()

    def _lost(self, record: status.Record) -> status.Record:
        return status.lost(record, self._now()) if record.running else record

    async def _load(self, container: Json) -> None:
        """Run an init container until it succeeds."""
        back_off, again = (
            self._back_off(),
            self._reporter.record(container["name"]).last is not None,
        )
        while True:
            await self._pull(container)
            process = await self._create(
                container,
                lambda: containers.start_initializer(
                    self.pod, container, self._reporter.ip, self._settings
                ),
            )
            if process is not None:
                await self._started(container, process, again=again)
                code = await processes.ended(process)
                await self._ended(container, process, code, "Completed" if code == 0 else "Error")
                if code == 0:
                    containers.keep_model(self.pod, self._settings)
                    return
                again = True
            await self._wait(container, back_off)

    async def _serve(self, started: Started | None) -> None:
        """Keep the engine running; it never ends well."""
        container, back_off = self.pod.main, self._back_off()
        while True:
            if started is None:
                started = await self._start_engine()
            if started is not None:
                begun = time.monotonic()
                await self._reporter.annotate(f"127.0.0.1:{started.port}", started.engine)
                await self._watch(started)
                if time.monotonic() - begun > self._settings.crash_reset:
                    back_off.failures = 0
                started = None
            await self._wait(container, back_off)

    async def _start_engine(self) -> Started | None:
        container = self.pod.main
        await self._pull(container)
        again = bool(self._reporter.main.container_id)
        secrets = {
            name: await self._reporter.secret(name) for name in sorted(pods.secrets_of(container))
        }
        known = {name: values for name, values in secrets.items() if values is not None}
        started: Started | None = await self._create(
            container,
            lambda: self._start(known),
        )
        if started is not None:
            await self._started(container, started.process, again=again)
        return started

    def _start(self, secrets: Mapping[str, Mapping[str, str]]) -> Started:
        if self.pod.is_product:
            return product.start(self.pod, self._reporter.ip, self._settings)
        return containers.start_engine(self.pod, self._reporter.ip, self._settings, secrets)

    async def _watch(self, started: Started) -> None:
        """Watch an engine until its end and report that."""
        container, process = self.pod.main, started.process
        probes = Probes(
            *(
                pods.probe(container, f"{kind}Probe")
                for kind in ("startup", "readiness", "liveness")
            )
        )
        watcher = Watcher(
            process,
            probes,
            self._prober,
            started.port,
            first_probe=self._settings.first_probe,
            told=self._healthy,
            complain=lambda message: self._reporter.say(
                "Unhealthy", message, container["name"], warning=True
            ),
        )
        killer = asyncio.ensure_future(self._kill_on_order(process))
        try:
            verdict = await watcher.run()
        finally:
            killer.cancel()
        await self._bury(container, process, verdict)

    async def _bury(self, container: Json, process: Process, verdict: Verdict) -> None:
        code, fault = verdict.code, process.facts.get("fault")
        if verdict.unhealthy:
            message = (
                f"Container {container['name']} failed {verdict.unhealthy} probe, will be restarted"
            )
            self._reporter.say("Killing", message, container["name"])
            code = await processes.stop(process, self.pod.grace)
        processes.kill(process)  # whatever the engine left behind
        if code == processes.LOST:
            await self._reporter.change(status.lost(self._reporter.main, self._now()))
            return
        out_of_memory = fault == faults.OUT_OF_MEMORY and code == 137
        await self._ended(
            container,
            process,
            code,
            "OOMKilled" if out_of_memory else "Completed" if code == 0 else "Error",
        )

    async def _kill_on_order(self, process: Process) -> None:
        if faults.kills(process.facts.get("fault", "")):
            await asyncio.sleep(faults.KILL_AFTER_SECONDS)
            processes.kill_contents(process)

    async def _healthy(self, is_started: bool, ready: bool) -> None:
        await self._reporter.change(replace(self._reporter.main, started=is_started, ready=ready))

    async def _pull(self, container: Json) -> None:
        """Pretend to pull an image: this machine's own programs run instead, and the events say
        so.
        """
        image, name, back_off = container["image"], container["name"], self._back_off(failures=1)
        while faults.ordered(self._settings.faults, self.pod.service, (faults.IMAGE_PULL,)):
            self._images.discard(image)
            await self._fail_pull(container, back_off)
        if image in self._images:
            self._reporter.say(
                "Pulled", f'Container image "{image}" already present on machine (simulated)', name
            )
            return
        self._reporter.say("Pulling", f'Pulling image "{image}" (simulated)', name)
        self._images.add(image)
        self._reporter.say("Pulled", f'Successfully pulled image "{image}" in 0s (simulated: '
        f'nothing is downloaded, '
                           "this machine's own program runs instead)", name)  # fmt: skip

    async def _fail_pull(self, container: Json, back_off: BackOff) -> None:
        image, name, record = (
            container["image"],
            container["name"],
            self._reporter.record(container["name"]),
        )
        message = f'failed to pull and unpack image "{image}": not found (rehearsal)'
        self._reporter.say("Pulling", f'Pulling image "{image}" (simulated)', name)
        self._reporter.say(
            "Failed", f'Failed to pull image "{image}": {message}', name, warning=True
        )
        self._reporter.say("Failed", "Error: ErrImagePull", name, warning=True)
        await self._reporter.change(status.waiting(record, "ErrImagePull", message))
        await asyncio.sleep(SYNC_SECONDS)
        self._reporter.say("BackOff", f'Back-off pulling image "{image}"', name, warning=True)
        waits = f'Back-off pulling image "{image}": ErrImagePull: {message}'
        await self._reporter.change(status.waiting(record, "ImagePullBackOff", waits))
        await asyncio.sleep(back_off.next())

    async def _create(self, container: Json, start: Callable[[], Any]) -> Any:
        """Start a container's process; None, reported, where it cannot be created."""
        try:
            made = start()
        except CannotCreate as error:
            record = self._reporter.record(container["name"])
            self._reporter.say("Failed", f"Error: {error}", container["name"], warning=True)
            await self._reporter.change(status.waiting(record, "CreateContainerError", str(error)))
            return None
        self._reporter.say("Created", f"Created container: {container['name']}", container["name"])
        return made

    async def _started(self, container: Json, process: Process, *, again: bool) -> None:
        record = self._reporter.record(container["name"])
        self._reporter.say("Started", f"Started container {container['name']}", container["name"])
        if fault := process.facts.get("fault"):
            self._reporter.say(
                "Rehearsal", f"A failure was ordered for this container: {fault}", container["name"]
            )
        await self._reporter.change(
            status.running(record, process.container_id, self._now(), again=again)
        )

    async def _ended(self, container: Json, process: Process, code: int, reason: str) -> None:
        message = containers.end_message(container, process.folder, code)
        record = self._reporter.record(container["name"])
        await self._reporter.change(
            status.terminated(record, code if code >= 0 else 137, reason, message, self._now())
        )

    async def _wait(self, container: Json, back_off: BackOff) -> None:
        """Wait before a container's next start, as long as a kubelet would."""
        seconds = back_off.next()
        await asyncio.sleep(SYNC_SECONDS)
        if seconds:
            message = status.back_off_message(seconds, container["name"], self.pod.full_name)
            self._reporter.say(
                "BackOff",
                f"Back-off restarting failed container "
                f"{container['name']} in pod "
                f"{self.pod.full_name}",
                container["name"],
                warning=True,
            )
            record = self._reporter.record(container["name"])
            if "terminated" in record.state:
                await self._reporter.change(status.waiting(record, status.CRASH_LOOP, message))
            await asyncio.sleep(max(0.0, seconds - SYNC_SECONDS))

    def _back_off(self, failures: int = 0) -> BackOff:
        return BackOff(self._settings.crash_base, self._settings.crash_limit, failures)

    async def _finish(self, grace: float, gone: bool) -> None:
        """Stop what runs, report it, and remove the pod."""
        await self.leave()
        folder = self._settings.pod(self.pod.uid)
        for name in containers.log_files(self.pod, self._settings):
            process = processes.find(folder / name)
            if process is None:
                continue
            if not gone:
                self._reporter.say("Killing", f"Stopping container {name}", name)
            # the hook is part of the grace; where the pod is forgotten already, nobody waits for it
            hook = (
                min(self.pod.pre_stop, grace) if name == self.pod.main["name"] and not gone else 0
            )
            await asyncio.sleep(hook)
            code = await processes.stop(process, grace - hook)
            record = self._reporter.record(name)
            reason = "Completed" if code == 0 else "Error"
            ended = status.terminated(record, code if code >= 0 else 137, reason, "", self._now())
            if not gone:
                await self._reporter.change(ended)
        if not gone:
            await self._reporter.forget()
        shutil.rmtree(folder, ignore_errors=True)
