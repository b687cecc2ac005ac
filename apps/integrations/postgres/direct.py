"""Connections that lead to the database itself, past a pooler where there is one
(DATABASE_DIRECT_URL), for what needs a session of its own: the gate's event loop, to which Django's
connections cannot belong, processes of which one leads, and locks that outlast a transaction.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, connection
from psycopg.conninfo import make_conninfo

from apps.integrations.postgres.base import DatabaseWrapper

Address = Callable[[], str]
_WHERE = (
    "host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey",
)  # fmt: skip


def use_for_this_process() -> None:
    """Let Django's connections of this process lead past the pooler, too. Before the first one."""
    connection.close()
    connection.settings_dict.update(_direct())


def address(*, seconds: float) -> str:
    """Return psycopg's address of the database itself, with a password of this moment.

    seconds: the longest that somebody waits. The server gives a statement up a little before, so
    that nothing goes on there for which nobody waits any more. Raises OperationalError where the
    password cannot be had.
    """
    ours = _parameters()
    waits = int(seconds * 900)
    return make_conninfo(
        **{name: ours[name] for name in _WHERE if ours.get(name)},
        connect_timeout=max(2, round(seconds)),
        application_name="quartermaster-gate",
        options=f"-c statement_timeout={waits} -c lock_timeout={waits}",
    )


async def connected(where: Address) -> psycopg.AsyncConnection[Any]:
    """Return a new connection for an event loop. where: gives the address; it may take seconds,
    so that it runs in a thread. Raises psycopg's OperationalError.
    """
    try:
        found = await asyncio.to_thread(where)
    except OperationalError as error:
        raise psycopg.OperationalError(str(error)) from error
    return await psycopg.AsyncConnection.connect(found, autocommit=True)


@contextmanager
def held_alone(key: int, *, seconds: float) -> Iterator[None]:
    """Hold a lock of the database without a transaction, on a connection of its own: the lock ends
    with it, whatever happens.

    key: of 64 bits, signed; seconds: the longest wait for it. Raises OperationalError.
    """
    with connection.wrap_database_errors:
        own = psycopg.connect(address(seconds=seconds), autocommit=True)
    with own:
        with connection.wrap_database_errors:
            own.execute("SELECT pg_advisory_lock(%s)", [key])
        yield


def _parameters() -> dict[str, Any]:
    return DatabaseWrapper({**connection.settings_dict, **_direct()}).get_connection_params()


def _direct() -> dict[str, Any]:
    """Return where the database itself is, in Django's words; nothing where DATABASE_URL says it.
    The name stays the connection's own, which tests change.
    """
    return {name: value for name, value in settings.DATABASE_DIRECT.items() if name != "NAME"}
