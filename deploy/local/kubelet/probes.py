"""Asks a container whether it is alive: an HTTP path or a TCP connection, as the pod's spec
says.
"""

from __future__ import annotations

import asyncio

import httpx

from deploy.local.kubelet.pods import Probe


class Prober:
    """One connection pool for all probes; nothing is kept open between two questions."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(verify=False, trust_env=False, limits=limits)  # noqa: S501  loopback only

    async def ask(self, probe: Probe, port: int) -> str:
        """Return "" where the container answers well, else what a kubelet would say about it."""
        if probe.path is None:
            return await self._connect(probe, port)
        url = f"http://127.0.0.1:{port}/{probe.path.lstrip('/')}"
        try:
            response = await self._client.get(
                url, timeout=probe.timeout, headers={"user-agent": "kube-probe/1.36"}
            )
        except httpx.HTTPError as error:
            return f'Get "{url}": {type(error).__name__}'
        good = 200 <= response.status_code < 400
        return "" if good else f"HTTP probe failed with statuscode: {response.status_code}"

    async def _connect(self, probe: Probe, port: int) -> str:
        try:
            async with asyncio.timeout(probe.timeout):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
        except (OSError, TimeoutError) as error:
            return f"dial tcp 127.0.0.1:{port}: {type(error).__name__}"
        return ""
