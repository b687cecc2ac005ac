"""The two roles at the database: the owner of the tables, and the portal's own, which owns none.

Everything runs as the portal's role (DATABASE_URL). Only `manage.py migrate` and
`manage.py grant_privileges` connect as the owner (MIGRATIONS_DATABASE_URL): whoever owns a table
can switch off the triggers that keep its history.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection
from psycopg import sql

from apps.integrations.postgres import direct
from portal.stores import LIMITS

LOGIN = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
HAS_OTHERS_RIGHTS = """
SELECT rolsuper, rolreplication OR rolcreaterole, EXISTS (
    SELECT FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
      AND pg_has_role(pg_roles.oid, relowner, 'MEMBER')
)
FROM pg_roles WHERE rolname = %s
"""


@contextmanager
def as_owner() -> Iterator[None]:
    """Connect as the owner for a while, where MIGRATIONS_DATABASE_URL names one.

    For commands alone: every thread of the process connects as the owner meanwhile. Raises
    ImproperlyConfigured where the address names another database than DATABASE_URL.
    """
    owner = settings.MIGRATIONS_DATABASE
    if not owner:
        yield
        return
    login = connection.settings_dict
    if owner["NAME"] != settings.DATABASE_NAME:
        raise ImproperlyConfigured(
            f"MIGRATIONS_DATABASE_URL names the database {owner['NAME']}, "
            f"but DATABASE_URL names {settings.DATABASE_NAME}."
        )
    before = {name: login[name] for name in LOGIN}
    connection.close()
    login.update({name: owner[name] for name in LOGIN})
    try:
        yield
    finally:
        connection.close()
        login.update(before)


def keep_limits() -> None:
    """Make the time limits of statements and locks those that the portal's role begins each session
    with in this database: a pooler's sessions begin with none that a client asks for.

    It connects as that role, past the pooler: a role may set its own defaults, and another's not.
    """
    with psycopg.connect(direct.address(seconds=10), autocommit=True) as own:
        name = sql.Identifier(connection.settings_dict["NAME"])
        for limit, value in LIMITS.items():
            set_it = sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}")
            own.execute(set_it.format(name, sql.Identifier(limit), sql.Literal(value)))


def role_problems(role: str) -> list[str]:
    """Return, in sentences, why the history is not safe from `role`; none for a good one.

    One query on the default connection.
    """
    with connection.cursor() as cursor:
        cursor.execute(HAS_OTHERS_RIGHTS, [role])
        row = cursor.fetchone()
    if row is None:
        return [f"There is no role {role}."]
    words = (
        f"{role} is a superuser, so it can switch off the triggers that keep history.",
        f"{role} may replicate or make roles.",
        f"{role} owns tables, so it can switch off the triggers that keep history.",
    )
    return [text for has, text in zip(row, words, strict=True) if has]


def check_role(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn where the portal's role could switch off the triggers that keep history."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or not settings.DATABASE_ROLE:
        return []
    found: list[CheckMessage] = [
        Warning(
            problem,
            hint="Give the portal a role of its own: README.md, “The database's two roles”.",
            id="portal.W001",
        )
        for problem in role_problems(settings.DATABASE_ROLE)
    ]
    if settings.DATABASE_DIRECT and not _has_limits():
        found.append(
            Warning(
                "No statement ends by itself: behind the pooler, sessions have no time limits.",
                hint="Run manage.py grant_privileges, which makes them the role's own.",
                id="portal.W002",
            )
        )
    return found


def _has_limits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_settings WHERE name = ANY(%s) AND setting <> '0'",
            [list(LIMITS)],
        )
        row = cursor.fetchone()
    return bool(row and row[0] == len(LIMITS))
