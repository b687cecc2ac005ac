"""ClickHouse: statements, rows in, rows out. One client a process; its threads share its
connections.

What goes wrong is told as Django tells it of a database, because that is what callers of a store
handle: OperationalError where it is away, IntegrityError where a row breaks a rule of its table,
DataError where a value is none of its column's type, ProgrammingError for everything else.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from clickhouse_connect.driver.exceptions import OperationalError as Away
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError

PORTS = {False: 8123, True: 8443}
CONNECT_SECONDS, ANSWER_SECONDS = 5, 60
VIOLATED_CONSTRAINT = "VIOLATED_CONSTRAINT"
SETTINGS = {
    "final": 1,  # of rows with one key the newest counts, whether they are merged yet or not
    "do_not_merge_across_partitions_select_final": 1,  # a key is a key of its day
    "aggregate_functions_null_for_empty": 1,  # as SQL has it: nothing has no sum and no maximum
    "mutations_sync": 1,
}


@dataclass(frozen=True)
class Server:
    """Where a server is, as its address says."""

    host: str
    port: int
    user: str
    password: str
    database: str
    is_secure: bool

    @classmethod
    def of(cls, url: str) -> "Server":
        """Return the server of clickhouse://user:password@host:port/database?secure=true."""
        parts = urlsplit(url)
        is_secure = dict(parse_qsl(parts.query)).get("secure", "false") == "true"
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or PORTS[is_secure],
            user=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or "default",
            is_secure=is_secure,
        )


class ClickHouseClient:
    """One ClickHouse database."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opened: tuple[int, Any] | None = None

    @property
    def _client(self) -> Any:
        """Return this process's client: connections that were open before a fork are not its."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), self._open()
        return self._opened[1]

    def _open(self) -> Any:
        with _told_as_django_does():
            return clickhouse_connect.get_client(
                host=self._server.host,
                port=self._server.port,
                username=self._server.user,
                password=self._server.password,
                database=self._server.database,
                secure=self._server.is_secure,
                compress=self._server.is_secure,  # within a cluster's network it costs more
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=ANSWER_SECONDS,
                autogenerate_session_id=False,  # threads ask at once
                settings=SETTINGS,
                tz_mode="aware",
            )

    def command(self, sql: str) -> None:
        """Do what a statement says."""
        with _told_as_django_does():
            self._client.command(sql)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Store rows. All of one day are stored, or none."""
        with _told_as_django_does():
            self._client.insert(table, rows, column_names=columns)

    def rows(self, sql: str, values: Sequence[object] | None = None) -> tuple[list[str], list[Any]]:
        """Return the names of the columns and the rows of a query. values: for its `%s`."""
        with _told_as_django_does():
            found = self._client.query(filled(sql, values))
            return list(found.column_names), found.result_rows

    def blocks(self, sql: str, values: Sequence[object]) -> Iterator[list[Any]]:
        """Yield the rows of a query in blocks, one of which is in memory at a time."""
        with (
            _told_as_django_does(),
            self._client.query_row_block_stream(filled(sql, values)) as stream,
        ):
            yield from stream


def filled(sql: str, values: Sequence[object] | None) -> str:
    """Return a statement with its values in the places of `%s`, each as a literal of its own type.
    None: there are no places, and a per cent sign is one.
    """
    return sql if values is None else sql % tuple(literal(value) for value in values)


def literal(value: object) -> str:
    """Return a value as ClickHouse reads it. Raises TypeError for what it cannot be told."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case UUID():
            return f"toUUID('{value}')"
        case datetime():
            utc = value.astimezone(UTC).replace(tzinfo=None)
            return f"toDateTime64('{utc.isoformat(sep=' ', timespec='microseconds')}', 6, 'UTC')"
        case date():
            return f"toDate('{value.isoformat()}')"
        case str():
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case list() | tuple():
            return f"({', '.join(literal(each) for each in value)})"
    raise TypeError(f"{type(value).__name__} is no value for ClickHouse")


@contextmanager
def _told_as_django_does() -> Iterator[None]:
    try:
        yield
    except Away as error:
        raise OperationalError("ClickHouse is away.") from error
    except DatabaseError as error:
        refused = VIOLATED_CONSTRAINT in str(error)
        raise (IntegrityError if refused else ProgrammingError)(str(error)[:500]) from error
    except ClickHouseError as error:
        raise DataError(str(error)[:500]) from error
