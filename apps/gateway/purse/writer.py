"""A gate's one connection to the database, and its turns: what came in while one was under way goes
into the next, so that many calls share a transaction, a round trip and a write to disk.

A turn that does not come back in time, or whose connection breaks, may or may not have been
committed. What it was to reserve is refused as Away and given back by the next turn; what it was to
settle is tried again until it is told, which counts once whatever happened. While the database is
away nothing is reserved: Away, never a budget that is spent.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from uuid import UUID

import psycopg
from psycopg.errors import (
    DeadlockDetected,
    ReadOnlySqlTransaction,
    SerializationFailure,
    UniqueViolation,
)

from apps.gateway.gate.steps import Away
from apps.gateway.purse.turns import LEASE, SQL, Answer, Settled, Turn, Wanted, answers, parameters
from apps.integrations.postgres.direct import Address, connected

TIMEOUT = 2.0  # seconds that a caller waits for the database, at most
SETTLED_WITHIN = 0.005  # seconds: a turn that only settles waits so long for calls to reserve
PAUSE = 0.25  # seconds between two tries to reach it
EXTENDED_EVERY = LEASE / 4
LONGEST_HELD = timedelta(minutes=61)  # longer than a gate lets any call last
AT_ONCE = 400  # calls of a turn
MOST_WAITING = 20_000  # of each kind: a gate that cannot tell what it settled takes no more calls
TRIES = 3  # of a turn that the database refused because of another one
AWAY = "its budgets' database does not answer"
# a database that reads only is handing over: what it did not take, its successor takes
AWAY_ERRORS = (
    psycopg.OperationalError, psycopg.InterfaceError, OSError, ReadOnlySqlTransaction,
)  # fmt: skip
log = logging.getLogger(__name__)


class Impossible(Exception):
    """The database does not take a turn, and would not take it a second time either."""


@dataclass
class _Waiting:
    """A call that waits to be reserved."""

    wanted: Wanted
    told: asyncio.Future[Answer]


@dataclass
class Writer:
    """Reserves and settles for one process. address: tells where the database is, for psycopg, at
    each connection; now: tells the time; longest: for so long the lease of a call goes on at most.

    It lives in one event loop: `reserve` starts it there, `close` ends it.
    """

    address: Address
    now: Callable[[], datetime]
    timeout: float = TIMEOUT
    longest: timedelta = LONGEST_HELD
    turns: int = 0  # how many were committed, for whoever measures
    tried_again: int = 0  # and how many were not, because another one was in their way
    _waiting: list[_Waiting] = field(default_factory=list)
    _settled: dict[UUID, Settled] = field(default_factory=dict)
    _held: dict[UUID, datetime] = field(default_factory=dict)  # call → when it was reserved
    _extended_at: datetime | None = None
    _connection: psycopg.AsyncConnection | None = None
    _away_until: float = 0.0
    _comes: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _soon: asyncio.TimerHandle | None = None  # a turn that only settles

    async def reserve(self, wanted: Wanted) -> Answer:
        """Return whether a call is held, and if not, why. Raises Away."""
        if len(self._settled) >= MOST_WAITING or len(self._waiting) >= MOST_WAITING:
            raise Away(AWAY)
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(wanted, told)
        self._waiting.append(waiting)
        self._wake()
        try:
            async with asyncio.timeout(self.timeout):
                return await told
        except TimeoutError:
            self._give_up(waiting)
            raise Away(AWAY) from None
        except asyncio.CancelledError:
            self._give_up(waiting)
            raise

    def _give_up(self, waiting: _Waiting) -> None:
        """Let nothing stay reserved of a call that nobody waits for any more."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        else:
            self._cancel(waiting.wanted)

    def _cancel(self, wanted: Wanted) -> None:
        self._held.pop(wanted.id, None)
        back = Settled(wanted.id, wanted.whose, None, 0, counts=False)
        self._settled.setdefault(wanted.id, back)
        self._wake()

    def settle(self, settled: Settled) -> None:
        """Take what a call used: into the next turn, and while the database is away into memory."""
        self._held.pop(settled.id, None)
        self._settled[settled.id] = settled
        self._wake_soon()

    async def flushed(self) -> None:
        """Wait until everything that was settled so far is told."""
        while self._settled or self._waiting:
            self._wake()
            self._idle.clear()
            await self._idle.wait()

    async def close(self) -> None:
        """Tell what was settled, for as long as a caller would wait, and end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.timeout):
                await self.flushed()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._disconnect()

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._comes.set()

    def _wake_soon(self) -> None:
        """Let what is settled wait a moment for calls that are to be reserved, which take it along:
        nobody waits for it.
        """
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SETTLED_WITHIN, self._wake_now)

    def _wake_now(self) -> None:
        self._soon = None
        if self._settled:
            self._wake()

    # -- Turns -------------------------------------------------------------------------------------
    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EXTENDED_EVERY.total_seconds() / 4):
                    await self._comes.wait()
            self._comes.clear()
            extended = self._to_extend()
            if self._waiting or self._settled or extended:
                await self._turn(extended)
            if self._waiting:
                self._comes.set()
            elif self._settled:
                self._wake_soon()
            else:
                self._idle.set()

    def _to_extend(self) -> list[UUID]:
        """Return the calls whose lease goes on with the next turn: all that last, now and then."""
        now = self.now()
        if self._extended_at is not None and now - self._extended_at < EXTENDED_EVERY:
            return []
        self._extended_at = now
        for call, since in list(self._held.items()):
            if now - since > self.longest:
                log.error("the call %s was never settled: its lease ends", call)
                del self._held[call]
        return [call for call, since in self._held.items() if now - since >= EXTENDED_EVERY]

    async def _turn(self, extended: list[UUID]) -> None:
        waiting = self._waiting[:AT_ONCE]
        del self._waiting[:AT_ONCE]
        settled = list(islice(self._settled.values(), AT_ONCE))
        try:
            await self._do(waiting, settled, extended)
        except Away as problem:
            self._extended_at = None
            self._refuse(waiting, problem)

    async def _do(
        self, waiting: list[_Waiting], settled: list[Settled], extended: list[UUID]
    ) -> None:
        """Do a turn, and tell what became of it. What the database does not take at all, whatever
        happens, is found by halving: it must not hold up the rest. Raises Away.
        """
        wanted = [each.wanted for each in waiting]
        try:
            found = await self._take(Turn(wanted=wanted, settled=settled, extended=extended))
        except Impossible as problem:
            await self._do_halves(waiting, settled, extended, problem)
            return
        self._forget(settled)
        for each, answer in zip(waiting, found, strict=True):
            self._tell(each, answer)

    async def _do_halves(
        self,
        waiting: list[_Waiting],
        settled: list[Settled],
        extended: list[UUID],
        problem: Exception,
    ) -> None:
        if len(waiting) + len(settled) > 1:
            half, rest = len(waiting) // 2, len(settled) // 2
            if half + rest == 0:
                half = len(waiting)
            await self._do(waiting[:half], settled[:rest], extended)
            await self._do(waiting[half:], settled[rest:], [])
            return
        ids = [*(each.wanted.id for each in waiting), *(one.id for one in settled), *extended]
        log.error("the purse's database does not take the call %s: %s", ids[0], problem)
        for each in waiting:
            if not each.told.done():
                each.told.set_exception(Away(AWAY))
        self._forget(settled)
        for one in settled:
            if one.counts:
                self._settled[one.id] = replace(one, usd=None, tokens=0, counts=False)

    def _forget(self, settled: list[Settled]) -> None:
        """Forget what is told, but what was settled once more meanwhile."""
        for one in settled:
            if self._settled.get(one.id) is one:
                del self._settled[one.id]

    def _refuse(self, waiting: list[_Waiting], problem: Away) -> None:
        """Refuse what a turn was to reserve, and give back what it may have reserved all the same.
        Who does not wait any more gave it back already.
        """
        for each in waiting:
            if not each.told.done():
                self._cancel(each.wanted)
                each.told.set_exception(problem)

    def _tell(self, waiting: _Waiting, answer: Answer) -> None:
        if waiting.told.done():  # nobody waits for it any more
            if answer.is_held:
                self._cancel(waiting.wanted)
            return
        if answer.is_held:
            self._held[waiting.wanted.id] = self.now()
        waiting.told.set_result(answer)

    async def _take(self, turn: Turn) -> list[Answer]:
        """Return what the database says to a turn. Raises Away, Impossible."""
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(self.timeout):
                    return await self._execute(turn)
            except (DeadlockDetected, SerializationFailure, UniqueViolation):
                self.tried_again += 1  # rolled back: another turn was in its way
            except AWAY_ERRORS as problem:
                log.warning("the purse's database: %s", problem or "no answer in time")
                self._away_until = monotonic() + PAUSE
                await self._disconnect()
                raise Away(AWAY) from None
            except (psycopg.Error, OverflowError) as problem:
                raise Impossible(str(problem)) from problem
        raise Away(AWAY)

    async def _execute(self, turn: Turn) -> list[Answer]:
        connection = await self._connected()
        cursor = await connection.execute(SQL, parameters(turn, now=self.now()), prepare=True)
        found, _ = answers(turn, await cursor.fetchall())
        self.turns += 1
        return found

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            await asyncio.sleep(max(0.0, self._away_until - monotonic()))
            self._connection = await connected(self.address)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError, TimeoutError):
                async with asyncio.timeout(self.timeout):
                    await connection.close()
