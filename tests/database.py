"""The tests' database: made and migrated by its owner, used as the portal's role.

A test that must bring about what the portal's role may not do says so with `as_owner`; what no
trigger lets anybody do, with `unguarded`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from portal.database import LOGIN

PORTAL = {name: settings.DATABASES["default"].get(name, "") for name in LOGIN}
# tables that nobody empties while their triggers are on
RECORD = ("audit_auditevent", "audit_auditseal", "audit_audittile", "audit_checkpoint",
          "audit_verification")  # fmt: skip
COMMON_DAYS = [date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 3)]
# It runs in the transaction of the test, which no other connection could see into.
ACT_AS_OWNER = """
CREATE OR REPLACE FUNCTION tests_act_as_owner(statement text, unguarded text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE changed bigint;
BEGIN
    IF unguarded <> '' THEN
        SET CONSTRAINTS ALL IMMEDIATE;  -- no table is altered while a check of it waits
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', unguarded);
    END IF;
    EXECUTE statement;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF unguarded <> '' THEN
        SET CONSTRAINTS ALL IMMEDIATE;
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', unguarded);
        SET CONSTRAINTS ALL DEFERRED;
    END IF;
    RETURN changed;
END $$
"""


def has_two_roles() -> bool:
    """Tell whether the owner is somebody else than the portal's role."""
    return bool(settings.MIGRATIONS_DATABASE)


def connect_as_owner() -> None:
    """From here on every connection is the owner's."""
    _connect_as(settings.MIGRATIONS_DATABASE or PORTAL)


def connect_as_portal() -> None:
    """From here on every connection is that of the portal's role."""
    _connect_as(PORTAL)


def _connect_as(login: dict[str, str]) -> None:
    connection.close()
    connection.settings_dict.update({name: login[name] for name in LOGIN})


def hand_over() -> None:
    """Give the portal's role what it may do in the database that its owner has migrated."""
    with connection.cursor() as cursor:
        cursor.execute(ACT_AS_OWNER)
        # as everywhere the portal runs (README): its role makes no table, not even for a moment
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        # the days of most tests' calls, so that not every one of them makes its own
        cursor.execute("SELECT make_usage_day(day) FROM unnest(%s::date[]) AS day", [COMMON_DAYS])
    if has_two_roles():
        call_command("grant_privileges", verbosity=0)
    connect_as_portal()


@contextmanager
def as_owner() -> Iterator[None]:
    """Let the owner make the UPDATEs and DELETEs of this block, in the test's own transaction."""
    with connection.execute_wrapper(_by_owner):
        yield


@contextmanager
def unguarded() -> Iterator[None]:
    """Let the owner make the UPDATEs of this block with their tables' triggers off, in the test's
    own transaction: for a state that a row would need its whole history to be in.
    """
    with connection.execute_wrapper(_unguarded):
        yield


def owner_runs(sql: str) -> int:
    """Let the owner run statements, in the test's own transaction; return the last one's rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tests_act_as_owner(%s, '')", [sql])
        return int(cursor.fetchone()[0])


def _by_owner(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not sql.startswith(("UPDATE", "DELETE")):
        return execute(sql, params, many, context)
    statement = context["cursor"].cursor.mogrify(sql, params)
    return execute("SELECT tests_act_as_owner(%s, '')", [statement], many, context)


def _unguarded(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    if not sql.startswith("UPDATE"):
        return execute(sql, params, many, context)
    statement, table = context["cursor"].cursor.mogrify(sql, params), sql.split('"')[1]
    return execute("SELECT tests_act_as_owner(%s, %s)", [statement, table], many, context)
