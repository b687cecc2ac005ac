"""Watches one running container: waits for its end and asks its probes, and says what a kubelet
would do about them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from deploy.local.kubelet import processes
from deploy.local.kubelet.pods import Probe
from deploy.local.kubelet.probes import Prober
from deploy.local.kubelet.processes import Process


@dataclass(frozen=True)
class Verdict:
    """How a container's run ended: by itself with a code, or because of what its probes said."""

    code: int
    unhealthy: str = ""  # "startup" or "liveness": it runs still and is to be stopped


@dataclass(frozen=True)
class Probes:
    """A container's three probes; each may be missing."""

    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None


class Counter:
    """Counts one probe's answers and knows when it is due again."""

    def __init__(self, probe: Probe, hasten: float | None) -> None:
        self.probe, self._hasten = probe, hasten
        now = time.monotonic()
        self.due = now + probe.initial_delay
        self.deadline = self.due + probe.period * probe.failures  # for a start-up
        self.failed = self.succeeded = 0

    def count(self, good: bool) -> None:
        """Take in one answer."""
        self.succeeded, self.failed = (self.succeeded + 1, 0) if good else (0, self.failed + 1)
        self.due = time.monotonic() + min(self.probe.period, self._hasten or self.probe.period)

    def settle(self) -> None:
        """Keep the declared period from now on."""
        self._hasten = None
        self.due = time.monotonic() + self.probe.period


class Watcher:
    """Watches one run of one container.

    told: called with (started, ready) whenever either changes. complain: called with a sentence for
    an event.
    """

    def __init__(
        self, process: Process, probes: Probes, prober: Prober, port: int, *, first_probe: float,
        told: Callable[[bool, bool], Awaitable[None]], complain: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._process, self._prober, self._port = process, prober, port
        self._told, self._complain = told, complain
        self._startup = Counter(probes.startup, first_probe) if probes.startup else None
        self._readiness = Counter(probes.readiness, first_probe) if probes.readiness else None
        self._liveness = Counter(probes.liveness, None) if probes.liveness else None
        self._ready = False

    async def run(self) -> Verdict:
        """Watch until the container ended or must be stopped."""
        ended = asyncio.ensure_future(processes.ended(self._process))
        try:
            unhealthy = await self._until_started(ended)
            if not unhealthy and not ended.done():
                await self._be(self._readiness is None)
                unhealthy = await self._while_running(ended)
            return Verdict(ended.result() if ended.done() else processes.LOST, unhealthy)
        finally:
            ended.cancel()

    async def _until_started(self, ended: asyncio.Future[int]) -> str:
        """Ask the startup probe until it is content; "startup" where its time is over."""
        while self._startup is not None:
            if await _pause(ended, self._startup.due):
                return ""
            trouble = await self._prober.ask(self._startup.probe, self._port)
            if not trouble:
                return ""
            if time.monotonic() >= self._startup.deadline:
                self._complain(f"Startup probe failed: {trouble}")
                return "startup"
            self._startup.count(False)
        return ""

    async def _while_running(self, ended: asyncio.Future[int]) -> str:
        """Ask readiness and liveness when they are due; "liveness" where the container must be
        stopped.
        """
        counters = [counter for counter in (self._readiness, self._liveness) if counter is not None]
        while counters:
            counter = min(counters, key=lambda item: item.due)
            if await _pause(ended, counter.due):
                return ""
            trouble = await self._prober.ask(counter.probe, self._port)
            counter.count(not trouble)
            if counter is self._readiness:
                await self._judge_readiness(counter, trouble)
            elif counter.failed >= counter.probe.failures:
                self._complain(f"Liveness probe failed: {trouble}")
                return "liveness"
        await ended
        return ""

    async def _judge_readiness(self, counter: Counter, trouble: str) -> None:
        if not self._ready and counter.succeeded >= counter.probe.successes:
            counter.settle()
            await self._be(True)
        elif self._ready and counter.failed >= counter.probe.failures:
            self._complain(f"Readiness probe failed: {trouble}")
            await self._be(False)

    async def _be(self, ready: bool) -> None:
        self._ready = ready
        await self._told(True, ready)


async def _pause(ended: asyncio.Future[int], until: float) -> bool:
    """Wait until a moment; return whether the container ended before it."""
    done, _ = await asyncio.wait({ended}, timeout=max(0.0, until - time.monotonic()))
    return bool(done)
