"""`python -m deploy.local.kubelet --kubeconfig FILE --state DIR [--port P]`: runs until SIGTERM;
engines run on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.kubelet.api import connect
from deploy.local.kubelet.kubelet import Kubelet
from deploy.local.kubelet.settings import Settings


async def run(settings: Settings, kubeconfig: Path, port: int) -> None:
    """Run the kubelet until SIGTERM or SIGINT."""
    kubelet = Kubelet(connect(kubeconfig), settings, lambda: datetime.now(UTC))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    life, told = asyncio.ensure_future(kubelet.run()), asyncio.ensure_future(stop.wait())
    async with contextlib.AsyncExitStack() as stack:
        if port:
            await stack.enter_async_context(
                await asyncio.start_server(answers(kubelet), "127.0.0.1", port)
            )
        await asyncio.wait({life, told}, return_when=asyncio.FIRST_COMPLETED)
        await kubelet.leave()
    if life.done():
        life.result()  # raises what ended it
    life.cancel()


def answers(
    kubelet: Kubelet,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a server that answers /healthz (200 once the pods were listed) and /metrics (the GPUs,
    simulated).
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /metrics "):
                    line, body = b"200 OK", (await kubelet.gpu_metrics()).encode()
                else:
                    line, body = b"200 OK" if kubelet.synced else b"503 Service Unavailable", b""
                writer.write(
                    b"HTTP/1.1 %s\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: "
                    b"%d\r\n"
                    b"connection: close\r\n\r\n%s" % (line, len(body), body)
                )
                await writer.drain()
        writer.close()

    return answer


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.kubelet")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument(
        "--state",
        type=Path,
        required=True,
        help="the stack's state folder; ours is kubelet/ below it",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="answers GET /healthz and /metrics here"
    )
    parser.add_argument("--crash-backoff-seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    folder = arguments.state.resolve() / "kubelet"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = Settings(folder, dict(os.environ), crash_base=arguments.crash_backoff_seconds)
    asyncio.run(run(settings, arguments.kubeconfig, arguments.port))


if __name__ == "__main__":
    main()
