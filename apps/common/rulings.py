"""Rules that two people change: which are in force, and since when.

Each app keeps them as revisions, rows that never change. The first one is what ships or what the
settings say; it is written down when something first rests on it, and has been in force ever since.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from apps.common.canonical import digest_of

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of a first revision: before any call


class Rules(Protocol):
    """What a revision says."""

    def as_json(self) -> dict[str, Any]:
        """Return the rules as they are kept."""


class Revision(Protocol):
    """A row that has them. number: from 1; digest: over the rules' canonical JSON."""

    number: Any
    digest: Any


Said = TypeVar("Said", bound=Rules)
Row = TypeVar("Row", bound=Revision)


@dataclass(frozen=True)
class Ruling(Generic[Said, Row]):
    """The rules in force. revision: the row that has them; None while nothing rests on the first
    ones yet.
    """

    rules: Said
    revision: Row | None

    @property
    def number(self) -> int:
        """Return the revision's number."""
        return int(self.revision.number) if self.revision else 1

    @property
    def digest(self) -> str:
        """Return the digest of the rules, as a revision has it."""
        return str(self.revision.digest) if self.revision else digest_of(self.rules.as_json())
