"""The control plane's one loop: when objects change, compile them, publish the tables, report the
verdicts.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from deploy.local.gateway import processor, proxy, publish
from deploy.local.gateway.compile import compile_gateway
from deploy.local.gateway.sources import Source
from deploy.local.gateway.tables import Tables, lookup_of
from deploy.local.gateway.wiring import Wiring

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.05  # changes come in bursts
RETIRE_SECONDS = 5.0


class Control:
    """Processor, cluster proxy and publishing, over one source of objects."""

    def __init__(self, source: Source, wiring: Wiring, gateway: tuple[str, str]) -> None:
        self.source = source
        self.wiring = wiring
        self.gateway = gateway
        self.tables = Tables()
        # What was served before a restart is served on until the cluster says otherwise.
        self.processor = processor.Processor(publish.read_lookup(wiring))
        self._changed = asyncio.Event()

    async def run(self, proxy_port: int) -> None:
        """Serve and follow for ever."""
        server = await processor.serve(self.processor, self.wiring.processor_port)
        listening = await proxy.serve(self.source.objects, proxy_port, self.health)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.source.run(self._changed.set))
                group.create_task(self._follow())
        finally:
            listening.close()
            await server.stop(grace=1.0)

    def health(self) -> dict[str, object]:
        """Return what `GET /healthz` on the proxy says."""
        routes = sorted(f"{route.namespace}/{route.name}" for route in self.tables.routes)
        return {"source": self.source.state, "complete": self.source.complete, "routes": routes}

    async def _follow(self) -> None:
        """Publish after each change; take left-over clusters away once nothing has changed for a
        while.
        """
        left_over = False
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), RETIRE_SECONDS if left_over else None)
            except TimeoutError:
                publish.retire(self.tables, self.wiring)
                left_over = False
                continue
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            if self.source.complete:
                left_over = await self._bring_safely() or left_over

    async def _bring_safely(self) -> bool:
        """Bring the news; what cannot be brought is logged, and what is served stays."""
        try:
            return await self._bring()
        except Exception:  # an odd object must not end the processor, which every call needs
            log.exception("the objects could not be brought to Envoy; what was served before stays")
            return False

    async def _bring(self) -> bool:
        """Compile and publish; return whether clusters are left over."""
        tables = compile_gateway(self.source.objects, gateway=self.gateway, previous=self.tables)
        # The processor must know a route before Envoy does, and an old one for as long as calls are
        # under way.
        lookup = lookup_of(tables).including(self.processor.lookup)
        self.processor.lookup = replace(lookup, models=self.processor.lookup.models)
        publish.write_lookup(lookup, self.wiring)
        left_over = await publish.publish(tables, self.wiring)
        self.processor.lookup = lookup  # a model is listed once calls to it are routed
        self.tables = tables
        refused = [
            f"{v.kind} {v.namespace}/{v.name}: {v.message}"
            for v in tables.verdicts
            if not v.accepted
        ]
        log.info("%d routes, %d refused objects %s", len(tables.routes), len(refused), refused)
        await self.source.report(tables.verdicts)
        return left_over
