"""A gate's own connection to the database: asynchronous, bounded in time, made anew when it broke.

Django's connections belong to threads; this one belongs to an event loop, and one caller has it at
a time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from apps.integrations.postgres.direct import Address, connected

SECONDS = 2.0  # the longest that one use takes
REFUSED = (psycopg.IntegrityError, psycopg.DataError)
Made = TypeVar("Made")
Connection = psycopg.AsyncConnection[Any]


class Away(Exception):
    """The database or the key service does not answer. The text says which, for the caller."""


class Link:
    """One connection. address: tells where the database is, for psycopg, at each connection;
    where: what people read of it when it is away.
    """

    def __init__(
        self,
        address: Address,
        *,
        where: str = "the prompt record's database does not answer",
        seconds: float = SECONDS,
    ) -> None:
        self._address, self._where, self._seconds = address, where, seconds
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()

    async def run(self, do: Callable[[Connection], Awaitable[Made]]) -> Made:
        """Return what `do` gives; each of its statements is a transaction of its own. Raises Away,
        and where the database refuses a value, psycopg's IntegrityError or DataError.
        """
        try:
            async with asyncio.timeout(self._seconds), self._lock:
                return await self._do(do)
        except REFUSED:
            raise
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self.close()
            raise Away(self._where) from error

    async def _do(self, do: Callable[[Connection], Awaitable[Made]]) -> Made:
        if self._connection is None or self._connection.closed:
            self._connection = await connected(self._address)
        return await do(self._connection)

    async def close(self) -> None:
        """Close the connection; the next use makes another."""
        found, self._connection = self._connection, None
        if found is not None:
            await found.close()
