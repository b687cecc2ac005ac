"""What the provider remembers, in one SQLite file: sessions, codes, refresh tokens, device codes.

Every row has a kind, a key, JSON and an end. `take` reads and removes in one statement, so what may
be used once is used once, however many requests come together.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists record (
  kind text not null, key text not null, data text not null, family text not null default '',
  expires_at real not null,
  primary key (kind, key)
) without rowid
"""


class Store:
    """The file. Keys are kept as digests: reading the file does not give a usable token."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as database:
            database.execute("pragma journal_mode = wal")
            database.execute(SCHEMA)
        path.chmod(0o600)

    def put(
        self, kind: str, key: str, data: dict[str, Any], *, seconds: float, family: str = ""
    ) -> None:
        """Remember something for a time; what ended is forgotten on the way."""
        now = time.time()
        with self._open() as database:
            database.execute("delete from record where expires_at < ?", (now,))
            database.execute(
                "insert or replace into record values (?, ?, ?, ?, ?)",
                (kind, _digest(key), json.dumps(data), family, now + seconds),
            )

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return what is remembered, None where it never was or has ended."""
        with self._open() as database:
            row = database.execute(
                "select data from record where kind = ? and key = ? and expires_at >= ?",
                (kind, _digest(key), time.time()),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def take(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return what is remembered and forget it."""
        with self._open() as database:
            row = database.execute(
                "delete from record where kind = ? and key = ? returning data, expires_at",
                (kind, _digest(key)),
            ).fetchone()
        return json.loads(row[0]) if row and row[1] >= time.time() else None

    def forget_family(self, family: str) -> None:
        """Forget everything that came from one sign-in."""
        with self._open() as database:
            database.execute("delete from record where family = ? and family <> ''", (family,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=10)
        try:
            with database:
                yield database
        finally:
            database.close()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
