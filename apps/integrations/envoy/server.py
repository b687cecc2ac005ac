"""The server of the protocol, which fails closed.

Envoy lets a call pass, or the rest of an answer, as soon as its stream here ends well. So every way
out of `Process` is an error but one: both halves of the call were answered to their ends. Errors
are told by their kind alone: Envoy writes their words into its access log, and the words of an
error may be a caller's.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as pb_grpc

from apps.common import spans
from apps.integrations.envoy.exchange import Exchange
from apps.integrations.envoy.flow import Flow, State

log = logging.getLogger(__name__)
MESSAGE_BYTES = 64 * 1024 * 1024  # more than the largest body that the gateway takes
CALLS_A_CONNECTION = 100  # beyond that Envoy opens another one, which another process may take
CLOSING_SECONDS = 5.0  # that Envoy may take to end a call which is over


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds: one judgment, which must be less than Envoy waits for
    it; a whole call.
    """

    judgment: float
    call: float


# generated code has no types
class Processor(pb_grpc.ExternalProcessorServicer):  # type: ignore[misc]
    """Serves every call. begin: makes what judges a call."""

    def __init__(self, begin: Callable[[], Exchange], patience: Patience) -> None:
        self._begin = begin
        self._patience = patience
        self._closing: set[asyncio.Task[None]] = set()

    async def Process(self, requests: Any, context: Any) -> None:  # noqa: N802
        """Answer the messages of one call. Raises, unless both halves were answered."""
        exchange = self._begin()
        flow = Flow(exchange, self._patience.judgment)
        step = spans.Step("judge", dict(context.invocation_metadata() or ()))
        problem, is_whole = "the call did not come to its end", False
        try:
            async with asyncio.timeout(self._patience.call):
                is_whole = await _carry(flow, context)
        except Exception as error:
            problem = f"the gate failed ({type(error).__name__})"
            log.error("a call failed: %s", _place(error))
            await _say_so(flow, context)
        finally:
            if is_whole:
                await _close(exchange)  # it ended before its last answer went out
            else:
                self._close(exchange)
            if step.is_told:
                step.tell({"request_id": flow.request_id, **exchange.notes()})
            step.end(failed=not flow.is_over)
        if not is_whole:
            await context.abort(grpc.StatusCode.ABORTED, problem)

    def _close(self, exchange: Exchange) -> None:
        """Close the exchange in a task of its own: a caller who left takes this one along."""
        task = asyncio.create_task(_close(exchange))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def closed(self) -> None:
        """Wait until every exchange that is over is closed."""
        await asyncio.gather(*self._closing)


async def _carry(flow: Flow, context: Any) -> bool:
    """Answer message after message, until the call is over or Envoy ends it. Return whether both
    halves were answered, and the answers sent.
    """
    while not flow.is_over:
        message = await context.read()
        if message is grpc.aio.EOF:
            return False
        for answer in await flow.take(message):
            await context.write(answer)
    if flow.state is not State.WHOLE:
        await _see_off(context)
    return flow.is_whole


async def _see_off(context: Any) -> None:
    """Wait until Envoy has ended a call that is over: what it still sends does not matter, and an
    end of ours could come before it has acted on our last word.
    """
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            while await context.read() is not grpc.aio.EOF:
                pass
    except TimeoutError:
        log.warning("Envoy did not end a call that was over")


async def _say_so(flow: Flow, context: Any) -> None:
    """Tell the caller that the call failed, while that can be told."""
    try:
        for answer in flow.fail():
            await context.write(answer)
            await _see_off(context)
    except Exception as error:
        log.error("a call's failure could not be told: %s", _place(error))


async def _close(exchange: Exchange) -> None:
    try:
        await exchange.close()
    except Exception as error:
        log.error("a call could not be closed: %s", _place(error))


def _place(error: BaseException) -> str:
    """Return an error's kind and where it was raised: its words may be a caller's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + where


async def start(processor: Processor, listen: str, identity: Path | None = None) -> grpc.aio.Server:
    """Serve on "host:port", which other processes may serve on too. identity: a folder with tls.crt
    and tls.key, as Kubernetes mounts a Secret; None: without TLS. Raises RuntimeError where the
    address cannot be had, OSError where the folder cannot be read.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.max_concurrent_streams", CALLS_A_CONNECTION),
            ("grpc.so_reuseport", 1),
        ]
    )
    pb_grpc.add_ExternalProcessorServicer_to_server(processor, server)
    if identity is None:
        server.add_insecure_port(listen)
    else:
        server.add_secure_port(listen, _credentials(identity))
    await server.start()
    return server


def _credentials(folder: Path) -> grpc.ServerCredentials:
    """Return the certificate and its key, which are read anew for each connection: they are renewed
    while the gate runs.
    """

    def read() -> grpc.ServerCertificateConfiguration:
        pair = ((folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes())
        return grpc.ssl_server_certificate_configuration([pair])

    return grpc.dynamic_ssl_server_credentials(read(), read)
