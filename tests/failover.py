"""What a managed database does while it hands over: it cuts every connection of the portal's role,
and for a while whoever connects anew finds it read-only.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from apps.integrations.postgres import direct

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
"""


def cut() -> None:
    """Cut every connection of the portal's role to this test's database."""
    with _aside() as own:
        own.execute(CUT)


@contextmanager
def begins() -> Iterator[None]:
    """Cut every connection, and take no writes until the end of the block."""
    role = "ALTER ROLE CURRENT_USER IN DATABASE {} {} default_transaction_read_only {}"
    with _aside() as own:
        name = psycopg.sql.Identifier(connection.settings_dict["NAME"])
        own.execute(psycopg.sql.SQL(role.format("{}", "SET", "= on")).format(name))
        try:
            own.execute(CUT)
            yield
        finally:
            own.execute(psycopg.sql.SQL(role.format("{}", "RESET", "")).format(name))
            own.execute(CUT)


def _aside() -> psycopg.Connection:
    """Return a connection that writes all the same."""
    return psycopg.connect(
        direct.address(seconds=20), autocommit=True, options="-c default_transaction_read_only=off"
    )
