"""Django's queries on ClickHouse: enough of a database backend to read one table of it.

A QuerySet that `using` the alias of `connection_of` is written in ClickHouse's SQL and read through
our client. It only reads: it knows no transactions, and makes and changes nothing. An expression
that ClickHouse writes in another way has a method `as_clickhouse`.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from django.db import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.client import BaseDatabaseClient
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.backends.base.features import BaseDatabaseFeatures
from django.db.backends.base.introspection import BaseDatabaseIntrospection
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils.connection import ConnectionDoesNotExist

from apps.integrations.clickhouse.client import ClickHouseClient

ERRORS = (DatabaseError, DataError, Error, IntegrityError, InterfaceError, InternalError,
          NotSupportedError, OperationalError, ProgrammingError)  # fmt: skip


def connection_of(client: ClickHouseClient, alias: str) -> str:
    """Have this thread know the client's database under an alias; return the alias."""
    try:
        known: Any = connections[alias]
    except ConnectionDoesNotExist:
        known = None
    if known is None or known.client_of_ours is not client:
        connections[alias] = Connection(client, alias)
    return alias


class Cursor:
    """What Django reads rows from."""

    def __init__(self, client: ClickHouseClient) -> None:
        self._client = client
        self._rows: Iterator[Any] = iter(())
        self.rowcount = -1
        self.description: list[tuple[str]] = []

    def execute(self, sql: str, params: Sequence[object] | None = None) -> None:
        """Ask, and keep the answer."""
        names, rows = self._client.rows(sql, None if params is None else list(params))
        self.description, self.rowcount = [(name,) for name in names], len(rows)
        self._rows = iter(rows)

    def fetchone(self) -> Any:
        """Return the next row; None after the last one."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        """Return the next rows, at most `size`."""
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def close(self) -> None:
        """Forget the rows."""
        self._rows = iter(())


class Features(BaseDatabaseFeatures):
    """What ClickHouse has."""

    has_native_uuid_field = True
    supports_aggregate_filter_clause = True
    supports_timezones = True
    supports_transactions = False
    uses_savepoints = False
    can_use_chunked_reads = True


class Operations(BaseDatabaseOperations):
    """How ClickHouse writes what differs from database to database."""

    compiler_module = "django.db.models.sql.compiler"

    def quote_name(self, name: str) -> str:
        """Return a name in quotes."""
        return name if name.startswith('"') else f'"{name}"'

    def lookup_cast(self, lookup_type: str, internal_type: str | None = None) -> str:
        """Return how a column is read that is compared as text."""
        of_case = ("iexact", "icontains", "istartswith", "iendswith")
        text = ("contains", "startswith", "endswith")
        if lookup_type in of_case:
            return "upperUTF8(toString(%s))"
        return "toString(%s)" if lookup_type in text else "%s"

    def datetime_trunc_sql(  # type: ignore[override]  # the stubs know no params
        self, lookup_type: str, sql: str, params: Any, tzname: str | None
    ) -> tuple[str, Any]:
        """Return how the start of a moment's hour is worked out, in UTC. Raises NotSupportedError
        for others.
        """
        if lookup_type != "hour":
            raise NotSupportedError(lookup_type)
        return f"toStartOfHour({sql}, 'UTC')", params

    def adapt_datetimefield_value(self, value: Any) -> Any:
        """Return a moment as the client takes it."""
        return value

    def no_limit_value(self) -> None:
        """Return that no limit needs no value."""
        return

    def last_executed_query(self, cursor: Any, sql: str, params: Any) -> str:
        """Return what was asked."""
        return sql


class Connection(BaseDatabaseWrapper):
    """One thread's way to the client."""

    vendor = "clickhouse"
    display_name = "ClickHouse"
    data_types = {"FloatField": "Nullable(Float64)"}
    operators = {
        "exact": "= %s",
        "iexact": "= upperUTF8(%s)",
        "contains": "LIKE %s",
        "icontains": "LIKE upperUTF8(%s)",
        "gt": "> %s",
        "gte": ">= %s",
        "lt": "< %s",
        "lte": "<= %s",
        "startswith": "LIKE %s",
        "endswith": "LIKE %s",
        "istartswith": "LIKE upperUTF8(%s)",
        "iendswith": "LIKE upperUTF8(%s)",
    }
    Database = SimpleNamespace(**{error.__name__: error for error in ERRORS})
    SchemaEditorClass = BaseDatabaseSchemaEditor
    client_class = BaseDatabaseClient
    creation_class = BaseDatabaseCreation
    features_class = Features
    introspection_class = BaseDatabaseIntrospection
    ops_class = Operations

    def __init__(self, client: ClickHouseClient, alias: str) -> None:
        settings = {"NAME": alias, "AUTOCOMMIT": True, "TIME_ZONE": None, "OPTIONS": {},
                    "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False, "ATOMIC_REQUESTS": False,
                    "TEST": {}}  # fmt: skip
        super().__init__(settings, alias)
        self.client_of_ours = client

    def get_connection_params(self) -> dict[str, Any]:
        """Return nothing: the client knows where it is."""
        return {}

    def get_new_connection(self, conn_params: dict[str, Any]) -> ClickHouseClient:
        """Return the client itself."""
        return self.client_of_ours

    def create_cursor(self, name: str | None = None) -> Cursor:
        """Return a new cursor."""
        return Cursor(self.client_of_ours)

    def init_connection_state(self) -> None:
        """Nothing is to be said at first."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Nothing is ever held back."""

    def is_usable(self) -> bool:
        """Tell that it can be asked."""
        return True

    def _close(self) -> None:
        """The client stays for the other threads."""
