"""A gate's own connection to the database: asynchronous, bounded in time, made anew when it broke.

Django's connections belong to threads; this one belongs to an event loop, and one caller has it at
a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import psycopg
from django.db import connection

SECONDS = 2.0  # the longest that one use takes; the database gives up before
OPTIONS = "-c statement_timeout=1800 -c lock_timeout=1500"
REFUSED = (psycopg.IntegrityError, psycopg.DataError)
Made = TypeVar("Made")
Connection = psycopg.AsyncConnection[Any]


class Away(Exception):
    """The database or the key service does not answer. The text says which, for the caller."""


def parameters() -> Mapping[str, Any]:
    """Return how the portal's database is reached, as Django's settings say."""
    ours = connection.get_connection_params()
    named = ("host", "port", "user", "password", "dbname", "sslmode", "sslrootcert")
    found = {name: ours[name] for name in named if ours.get(name)}
    return found | {"connect_timeout": int(SECONDS), "options": OPTIONS}


class Link:
    """One connection. where: what people read of it when it is away."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        *,
        where: str = "the prompt record's database does not answer",
        seconds: float = SECONDS,
    ) -> None:
        self._parameters, self._where, self._seconds = parameters, where, seconds
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
            self._connection = await psycopg.AsyncConnection.connect(
                **self._parameters, autocommit=True
            )
        return await do(self._connection)

    async def close(self) -> None:
        """Close the connection; the next use makes another."""
        found, self._connection = self._connection, None
        if found is not None:
            await found.close()
