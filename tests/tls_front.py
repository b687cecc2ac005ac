"""A TLS server in front of a real one that has none (the wheels of PostgreSQL and Valkey are built
without): who connects must trust its certificate, and speaks to the real server behind it.

For PostgreSQL it answers the request for TLS that comes first, and may ask for the password itself
in clear text, as RDS does where AWS IAM decides.
"""

import asyncio
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from deploy.local.cluster.pki import Pair

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Backend = Callable[[], Awaitable[Streams]]
ASKS_FOR_TLS = struct.pack("!ii", 8, 80877103)
CLEAR_TEXT = b"R" + struct.pack("!ii", 8, 3)


@dataclass
class Front:
    """One front. backend: connects to the real server; pair: its certificate, None without TLS.

    passwords: those that were shown, where it asks for them; it lets everybody in who shows one.
    """

    backend: Backend
    pair: Pair | None
    is_postgres: bool = False
    asks_for_passwords: bool = False
    passwords: list[str] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, started: threading.Event, ending: asyncio.Event) -> None:
        """Answer until told to end."""
        first = None if self.is_postgres else self._context()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=first)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await ending.wait()
        server.close()
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.02)  # for transports to close

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        opened = [writer]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._pass(reader, writer, opened)
        finally:
            self._tasks.discard(task)
            for each in opened:
                each.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        opened: list[asyncio.StreamWriter],
    ) -> None:
        startup = b""
        if self.is_postgres:
            await self._begin(reader, writer)
            startup = await self._startup(reader)
            await self._ask(reader, writer)
        behind, to = await self.backend()
        opened.append(to)
        to.write(startup)
        await asyncio.gather(_pipe(reader, to), _pipe(behind, writer))

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin TLS for who asks for it; without it nothing is said."""
        if await reader.readexactly(8) != ASKS_FOR_TLS:
            raise ConnectionRefusedError
        writer.write(b"S" if self.pair else b"N")
        await writer.drain()
        if self.pair:
            await writer.start_tls(self._context())

    def _context(self) -> ssl.SSLContext:
        assert self.pair
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pair.certificate, self.pair.key)
        return context

    async def _startup(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(4)
        return head + await reader.readexactly(struct.unpack("!i", head)[0] - 4)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.asks_for_passwords:
            return
        writer.write(CLEAR_TEXT)
        await writer.drain()
        kind, size = struct.unpack("!ci", await reader.readexactly(5))
        text = await reader.readexactly(size - 4)
        assert kind == b"p"
        self.passwords.append(text.rstrip(b"\0").decode())


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@contextmanager
def fronted(front: Front) -> Iterator[Front]:
    """Run a front in a thread of its own."""
    started, loop, ending = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(front.serve(started, ending))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield front
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(5)
