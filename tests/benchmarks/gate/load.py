"""Callers: as many calls as go with CLIENTS connections, or so many a second, whoever is slow.

Times at a rate are taken from when a call was due, not from when a connection was free for it: a
server that stalls is not spared the calls that it kept waiting.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

TIMEOUT = 30.0


@dataclass(frozen=True)
class Target:
    """Where calls go. headers: beside host and length."""

    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def request(self) -> bytes:
        """Return the bytes of one call."""
        lines = [f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["content-type: application/json", f"content-length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass
class Times:
    """Seconds of each call, to its first byte of the answer's body and to its end; and how many
    answered anything but 200.
    """

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Return the calls a second that were answered well."""
        return len(self.whole) / self.seconds


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the time that so many of 100 are not above, in ms: one that was measured."""
    ordered = sorted(seconds)
    return 1000 * ordered[max(0, -(-int(share * len(ordered)) // 100) - 1)]


class Connection:
    """One kept connection; opened at its first call and where the server closed it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, times: Times, due: float) -> None:
        """Make one call and note how long it took from `due` on."""
        try:
            async with asyncio.timeout(TIMEOUT):
                status, first = await self._exchange()
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            status, first = 0, 0.0
            self.close()
        if status != 200:
            times.failed += 1
            return
        times.first.append(first - due)
        times.whole.append(time.perf_counter() - due)

    async def _exchange(self) -> tuple[int, float]:
        if self._writer is None or self._reader is None or self._reader.at_eof():
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._target.port, limit=2**20
            )
        self._writer.write(self._target.request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, lower = int(head.split(b" ", 2)[1]), head.lower()
        if b"transfer-encoding: chunked" in lower:
            return status, await self._chunks(self._reader)
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        await self._reader.readexactly(length)
        return status, time.perf_counter()

    async def _chunks(self, reader: asyncio.StreamReader) -> float:
        first = 0.0
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            first = first or time.perf_counter()
            await reader.readexactly(size + 2)
            if size == 0:
                return first

    def close(self) -> None:
        """Let the connection go."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def as_many_as_go(target: Target, *, clients: int, seconds: float) -> Times:
    """Let so many clients call, each the next one when the last was answered."""
    times, begun = Times(), time.perf_counter()

    async def client() -> None:
        connection = Connection(target)
        while time.perf_counter() - begun < seconds:
            await connection.call(times, time.perf_counter())
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    times.seconds = time.perf_counter() - begun
    return times


async def at_a_rate(target: Target, *, rate: float, seconds: float) -> Times:
    """Make so many calls a second, however long each takes."""
    times, begun = Times(), time.perf_counter()
    free: list[Connection] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        connection = free.pop() if free else Connection(target)
        await connection.call(times, due)
        free.append(connection)

    for number in range(int(rate * seconds)):
        due = begun + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    times.seconds = time.perf_counter() - begun
    for connection in free:
        connection.close()
    return times
