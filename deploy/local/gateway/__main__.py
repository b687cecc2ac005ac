"""`python -m deploy.local.gateway`: the gateway's control plane, processor and cluster proxy in one
process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from deploy.local.gateway.control import Control
from deploy.local.gateway.sources import ClusterSource, FolderSource, Source
from deploy.local.gateway.wiring import Wiring


def arguments() -> argparse.Namespace:
    """Return what the process was told."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.gateway", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--kubeconfig", type=Path, help="the cluster's objects, with this credential"
    )
    where.add_argument("--objects", type=Path, help="a folder of YAML instead of a cluster")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where Envoy's files and the access log are"
    )
    for name in ("envoy", "admin", "processor", "rate-limit", "collector", "gate", "proxy"):
        parser.add_argument(f"--{name}-port", type=int, required=True)
    parser.add_argument("--portal-url", default="", help="where people ask for access")
    parser.add_argument(
        "--gateway", default="ai-gateway/ai-gateway", help="namespace/name of the Gateway to play"
    )
    return parser.parse_args()


def wiring_of(given: argparse.Namespace) -> Wiring:
    """Return the local addresses."""
    return Wiring(
        folder=given.folder,
        envoy_port=given.envoy_port,
        admin_port=given.admin_port,
        processor_port=given.processor_port,
        rate_limit_port=given.rate_limit_port,
        collector_port=given.collector_port,
        gate_port=given.gate_port,
        portal_url=given.portal_url,
    )


async def main() -> None:
    """Run until told to stop."""
    given = arguments()
    wiring = wiring_of(given)
    source: Source = (
        FolderSource(given.objects, wiring.folder / "verdicts.json")
        if given.objects
        else ClusterSource(given.kubeconfig)
    )
    namespace, _, name = given.gateway.partition("/")
    running = asyncio.create_task(Control(source, wiring, (namespace, name)).run(given.proxy_port))
    for wish in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wish, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(main())
