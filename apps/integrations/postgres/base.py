"""Django's backend for PostgreSQL, with what a managed database needs besides: a password that is
looked up for each connection, a pooler in transaction mode, and a server that takes no writes while
it hands over to another.

Behind a pooler in transaction mode, the statements of one transaction reach one connection of the
server, and two transactions may reach two. So nothing may be left behind in a connection: no
settings at its start, no lock of a session, no cursor outside of a transaction.
"""

from typing import Any

from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg.errors import ReadOnlySqlTransaction

from apps.integrations.postgres import login

POOLED = "is_pooled"
OURS = (login.PASSWORD_FILE, login.ADDRESS_FILE, login.IAM, POOLED)


class TakesNoWrites(OperationalError):
    """The database is there, and reads only: as a rule another server is taking over."""


class _Errors(DatabaseErrorWrapper):
    """Django's, which also knows a server that reads only for one that is away in part."""

    wrapper: Any  # the connection

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_type is not None and issubclass(exc_type, ReadOnlySqlTransaction):
            self.wrapper.errors_occurred = True
            raise TakesNoWrites(str(exc_value)).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of the portal."""

    @property
    def is_pooled(self) -> bool:
        """Tell whether a pooler in transaction mode stands between us and the database."""
        return bool(self.settings_dict["OPTIONS"].get(POOLED))

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        """Translate psycopg's errors into Django's."""
        return _Errors(self)

    def get_connection_params(self) -> dict[str, Any]:
        """Return psycopg's parameters for a new connection, with a password of this moment."""
        params: dict[str, Any] = super().get_connection_params()
        ours = {name: params.pop(name, None) for name in OURS}
        if found := login.password(params, ours):
            params["password"] = found
        return params

    def is_usable(self) -> bool:
        """Tell whether the connection is there and leads to a server that takes writes: one that
        handed over is left, and the next connection finds its successor.
        """
        if self.connection is None:
            return False
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SHOW transaction_read_only")
                row = cursor.fetchone()
        except self.Database.Error:
            return False
        return bool(row == ("off",))

    def chunked_cursor(self) -> Any:
        """Return a cursor whose rows come little by little; all at once where it would outlive a
        transaction behind a pooler.
        """
        if self.is_pooled and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()
