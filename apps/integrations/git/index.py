"""Which commit of the branch carries which trailers, in a file beside the mirror.

A branch grows with every change of every model, and a commit has to be looked for before each new
one: with this file only what came since the last look is read of the history. It is made of the
mirror and can be made again at any time, so a file that is missing or broken is begun anew.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apps.integrations.git.types import CommitRef

TABLES = """
    CREATE TABLE IF NOT EXISTS carried (trailers TEXT PRIMARY KEY, sha TEXT, seconds INTEGER);
    CREATE TABLE IF NOT EXISTS head (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), sha TEXT);
"""


@dataclass(frozen=True)
class Carrier:
    """A commit with trailers. seconds: when it was committed, since 1970."""

    sha: str
    seconds: int
    trailers: Mapping[str, str]


class CommitIndex:
    """The file. Whoever uses it holds the mirror's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> str:
        """Return the commit up to which the branch was read; "" where it was not read."""
        try:
            with closing(self._open()) as file:
                found = file.execute("SELECT sha FROM head").fetchone()
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            return ""
        return str(found[0]) if found else ""

    def add(self, head: str, commits: Iterable[Carrier], *, anew: bool) -> None:
        """Take in commits, the oldest first, after which the branch was read up to `head`. anew:
        forget what was read before. Of two with the same trailers the newer one is kept.
        """
        rows = [(_key(each.trailers), each.sha, each.seconds) for each in commits]
        with closing(self._open()) as file, file:
            if anew:
                file.execute("DELETE FROM carried")
            file.executemany("INSERT OR REPLACE INTO carried VALUES (?, ?, ?)", rows)
            file.execute("INSERT OR REPLACE INTO head VALUES (1, ?)", (head,))

    def find(self, trailers: Mapping[str, str]) -> CommitRef | None:
        """Return the commit with exactly these trailers."""
        with closing(self._open()) as file:
            asked = "SELECT sha, seconds FROM carried WHERE trailers = ?"
            found = file.execute(asked, (_key(trailers),)).fetchone()
        if found is None:
            return None
        at = datetime.fromtimestamp(found[1], UTC)
        return CommitRef(sha=found[0], created=False, committed_at=at)

    def _open(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path)
        file.executescript(TABLES)
        return file


def _key(trailers: Mapping[str, str]) -> str:
    return json.dumps(dict(trailers), sort_keys=True)
