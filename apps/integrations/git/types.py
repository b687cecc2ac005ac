"""What the Git client answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CommitRef:
    """A commit on the branch. created: this call made it; False: it was there already, with the
    same trailers.
    """

    sha: str
    created: bool
    committed_at: datetime


@dataclass(frozen=True)
class CommitObjects:
    """A commit as Git keeps it, so that whoever knows its id can check the files that it changed.

    raw: the commit object; trees: each tree object on the way to a file, by its id; files: path →
    content, None where the commit has no such file; diff: against its first parent.
    """

    raw: bytes
    trees: Mapping[str, bytes]
    files: Mapping[str, bytes | None]
    diff: bytes
