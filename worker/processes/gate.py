"""The long-lived process that every call passes: the gate. Its copies know nothing of each other,
and share one address.

A gate takes calls once its steps have read what people decided, and reads it again every two
seconds; while that fails, what was read last holds. Told to end, it takes no new call and lets
those under way end. One whose loop stands still ends itself: Envoy waits for a stream's next piece
for ever, and refuses whatever an ended gate held.
"""

import asyncio
import contextlib
import faulthandler
import gc
import json
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections, connection
from django.utils.timezone import now

from apps.gateway.gate.passage import Passage
from apps.gateway.gate.steps import Purse, Record
from apps.gateway.gate.transaction import Steps
from apps.gateway.guard.step import RulesGuard
from apps.gateway.purse import purse
from apps.gateway.recording import PromptRecording
from apps.integrations.envoy.exchange import Exchange
from apps.integrations.envoy.server import Patience, Processor, start
from worker.processes import many

log = logging.getLogger(__name__)
LOAD_SECONDS = 2.0
STALE_SECONDS = 60.0  # what was read last holds on, and the health answer says how old it is
BEAT_SECONDS = 1.0
STALLED_SECONDS = 20  # without a beat; longer than Envoy waits for a judgment


@dataclass(frozen=True)
class Place:
    """Where a gate listens, as "host:port", and how long it lets calls end, in seconds. identity:
    the folder of its certificate and key, None without TLS.
    """

    listen: str
    health: str
    drain: float
    identity: Path | None = None


class Gate:
    """One gate: its steps, what they know, and its doors."""

    def __init__(self, steps: Steps, begin: Callable[[], Exchange], patience: Patience) -> None:
        self._steps = steps
        self._processor = Processor(begin, patience)
        self._loader = ThreadPoolExecutor(1, "load")  # with a database connection of its own
        self._takes_calls = False
        self.loaded_at: datetime | None = None

    async def run(self, place: Place, ending: asyncio.Event) -> None:
        """Serve until told to end, and until the calls under way have ended then."""
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(_beat())
            doors = await _listen(place.health, self._say_health)
            loading = group.create_task(self._keep_loaded())
            serving = group.create_task(self._serve(place, ending))
            await serving
            loading.cancel()
            beating.cancel()
            doors.close()
        self._loader.shutdown()

    async def _serve(self, place: Place, ending: asyncio.Event) -> None:
        while self.loaded_at is None and not ending.is_set():
            await _either(ending, 0.05)
        if ending.is_set():
            return
        # What is loaded by now stays: were it gone through for garbage, calls would wait for that,
        # up to 60 ms at a time.
        gc.collect()
        gc.freeze()
        server = await start(self._processor, place.listen, place.identity)
        self._takes_calls = True
        log.info("the gate takes calls on %s", place.listen)
        await ending.wait()
        self._takes_calls = False
        await server.stop(grace=place.drain)
        await self._processor.closed()
        await self._load()  # what the steps noted since they read last is kept then

    async def _keep_loaded(self) -> None:
        while True:
            await self._load()
            await asyncio.sleep(LOAD_SECONDS)

    async def _load(self) -> None:
        """Read once what people decided. What fails is told, and tried again."""
        at = now()
        try:
            await asyncio.get_running_loop().run_in_executor(self._loader, self._load_now, at)
        except Exception as failed:
            problems = failed.exceptions if isinstance(failed, ExceptionGroup) else [failed]
            kinds = ", ".join(type(problem).__name__ for problem in problems)
            log.warning("the gate could not read all that it must know: %s", kinds)
            return
        self.loaded_at = at

    def _load_now(self, at: datetime) -> None:
        close_old_connections()
        try:
            self._steps.load(at)
        except Exception:
            connection.close()
            raise

    def _say_health(self) -> tuple[int, dict[str, object]]:
        """Return 200 while it takes calls, else 503, and since when it knows what it knows."""
        age = (now() - self.loaded_at).total_seconds() if self.loaded_at else None
        said: dict[str, object] = {
            "ready": self._takes_calls,
            "loaded_at": self.loaded_at.isoformat() if self.loaded_at else None,
            "stale": age is not None and age > STALE_SECONDS,
        }
        return (200 if self._takes_calls else 503), said


async def _either(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _beat() -> None:
    """Put off the process's end, which comes by itself where the loop stands still: it is written
    then where it stood, and nothing of what it held. It needs no help of the interpreter, which may
    be what does not go on.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(STALLED_SECONDS, exit=True)
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        faulthandler.cancel_dump_traceback_later()


async def _listen(
    address: str, say: Callable[[], tuple[int, dict[str, object]]]
) -> asyncio.AbstractServer:
    """Answer every HTTP request on the address with what `say` returns: a status and a JSON
    object.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(2.0):
                await reader.readuntil(b"\r\n\r\n")
                status, said = say()
                body = json.dumps(said).encode()
                head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Service Unavailable'}\r\n"
                head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
                writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
                await writer.drain()
        writer.close()

    host, _, port = address.rpartition(":")
    return await asyncio.start_server(answer, host.strip("[]"), int(port), reuse_port=True)


def steps(held_in: Purse, record: Record) -> Steps:
    """Return the steps that calls meet at this deployment's gates."""
    return Steps(purse=held_in, guard=RulesGuard.from_settings(), record=record)


async def _run() -> None:
    ending = asyncio.Event()
    for wish in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wish, ending.set)
    budgets, record = purse.from_settings(), PromptRecording.from_settings()
    all_steps = steps(budgets, record)
    patience = Patience(settings.GATE_JUDGMENT_SECONDS, settings.GATE_CALL_SECONDS)
    gate = Gate(all_steps, lambda: Passage(all_steps, budgets.bounds_of, now), patience)
    place = Place(
        settings.GATE_LISTEN,
        settings.GATE_HEALTH_LISTEN,
        settings.GATE_DRAIN_SECONDS,
        Path(settings.GATE_TLS_FOLDER) if settings.GATE_TLS_FOLDER else None,
    )
    async with contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(record.close)
        closing.push_async_callback(budgets.close)
        await gate.run(place, ending)


def run_from_settings() -> None:
    """Run this deployment's gates: GATE_PROCESSES copies on GATE_LISTEN."""
    many.run(settings.GATE_PROCESSES, lambda: asyncio.run(_run()))
