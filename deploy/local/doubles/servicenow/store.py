"""What the instance remembers, in one SQLite file: records of its tables, and notes of its own
(tokens, calls counted, what it was told to answer).

Values are text, as in ServiceNow. Each write is one transaction, however many requests come
together.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists record (
  position integer primary key, kind text not null, sys_id text not null unique, data text not null
);
create table if not exists note (name text primary key, data text not null);
"""
NUMBERS = {"change_request": ("CHG", 31000), "incident": ("INC", 10000)}
Row = dict[str, str]


def stamp() -> str:
    """Return the time now as ServiceNow writes it: UTC, "2026-11-02 09:00:00"."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


class Store:
    """The file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as database:
            database.execute("pragma journal_mode = wal")
            database.executescript(SCHEMA)
        path.chmod(0o600)

    def rows(self, table: str) -> list[Row]:
        """Return a table's records, oldest first."""
        with self._open() as database:
            found = database.execute(
                "select data from record where kind = ? order by position", (table,)
            )
            return [json.loads(data) for (data,) in found]

    def get(self, table: str, sys_id: str) -> Row | None:
        """Return a record, None where there is none."""
        with self._open() as database:
            found = database.execute(
                "select data from record where kind = ? and sys_id = ?", (table, sys_id)
            ).fetchone()
        return json.loads(found[0]) if found else None

    def insert(self, table: str, data: Row) -> Row:
        """Add a record; it gets its sys_id, its number and its times."""
        sys_id = secrets.token_hex(16)
        with self._writing() as database:
            (count,) = database.execute(
                "select count(*) from record where kind = ?", (table,)
            ).fetchone()
            prefix, first = NUMBERS.get(table, ("REC", 0))
            now = stamp()
            row = data | {
                "sys_id": sys_id,
                "number": f"{prefix}{first + count + 1:07d}",
                "sys_created_on": now,
                "sys_updated_on": now,
            }
            database.execute(
                "insert into record (kind, sys_id, data) values (?, ?, ?)",
                (table, sys_id, json.dumps(row)),
            )
        return row

    def update(self, table: str, sys_id: str, changes: Row) -> Row:
        """Change a record, and return it. Raises KeyError where there is none."""
        with self._writing() as database:
            found = database.execute(
                "select data from record where kind = ? and sys_id = ?", (table, sys_id)
            ).fetchone()
            if found is None:
                raise KeyError(sys_id)
            row: Row = json.loads(found[0]) | changes | {"sys_updated_on": stamp()}
            database.execute(
                "update record set data = ? where sys_id = ?", (json.dumps(row), sys_id)
            )
        return row

    def delete(self, table: str, sys_id: str) -> bool:
        """Remove a record; tell whether there was one."""
        with self._writing() as database:
            gone = database.execute(
                "delete from record where kind = ? and sys_id = ?", (table, sys_id)
            )
            return gone.rowcount == 1

    def note(self, name: str) -> Any:
        """Return a note; None where there is none."""
        with self._open() as database:
            found = database.execute("select data from note where name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def set_note(self, name: str, data: Any) -> None:
        """Write a note over."""
        with self._writing() as database:
            database.execute("insert or replace into note values (?, ?)", (name, json.dumps(data)))

    def add_to_note(self, name: str, amount: int) -> int:
        """Add to a note that is a whole number, never below 0; return what it was before."""
        with self._writing() as database:
            found = database.execute("select data from note where name = ?", (name,)).fetchone()
            before = int(json.loads(found[0])) if found else 0
            after = json.dumps(max(0, before + amount))
            database.execute("insert or replace into note values (?, ?)", (name, after))
        return before

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("begin immediate")
            try:
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")
