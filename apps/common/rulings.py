"""Rules that two people change: which are in force, and since when.

Each app keeps them as revisions, rows that never change. The first one is what ships or what the
settings say; it is written down when something first rests on it, and has been in force ever since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from django.db import models
from django.db.models import Q

from apps.common.canonical import digest_of

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of a first revision: before any call


class Rules(Protocol):
    """What a revision says."""

    def as_json(self) -> dict[str, Any]:
        """Return the rules as they are kept."""


class Revision(models.Model):
    """What two people put in force, from a moment on. number: from 1, for each thing that has rules
    of its own; body: the rules as they are kept; digest: over its canonical JSON.

    Beside these a row says whose rules it has, and by `change` what put it in force: NULL for the
    first.
    """

    number = models.PositiveIntegerField()
    body = models.JSONField()
    digest = models.CharField(max_length=71)
    active_from = models.DateTimeField()

    class Meta:
        abstract = True


def of_a_change(name: str) -> models.CheckConstraint:
    """Return what the database holds of revisions: each has its change, but the first.

    name: what the constraint's name begins with.
    """
    return models.CheckConstraint(
        condition=Q(number=1, change__isnull=True) | Q(number__gt=1, change__isnull=False),
        name=f"{name}_of_a_change_but_the_first",
    )


class Change(Protocol):
    """An approved change. before: the revision that it was made on; body: what it says."""

    before: Any
    body: Any


Said = TypeVar("Said", bound=Rules)
Row = TypeVar("Row", bound=Revision)
Each = TypeVar("Each")


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

    def as_json(self) -> dict[str, Any]:
        """Return what the API answers of it. active_from: None while nothing rests on it yet."""
        return {
            "number": self.number,
            "digest": self.digest,
            "active_from": self.revision.active_from if self.revision else None,
            "rules": self.rules.as_json(),
        }


def first_revision(rows: models.Manager[Row], rules: Rules, **of: object) -> Row:
    """Write down the first revision, in force ever since, unless somebody has; return it.

    of: whose rules they are, by column.
    """
    body = rules.as_json()
    values = {"body": body, "digest": digest_of(body), "active_from": BEGINNING}
    made, _ = rows.get_or_create(**of, number=1, defaults=values)
    return made


def next_revision(rows: models.Manager[Row], change: Change, *, now: datetime, **of: object) -> Row:
    """Put what an approved change says in force from now on; return the revision.

    of: whose rules they are, by column.
    """
    return rows.create(
        **of,
        number=change.before.number + 1,
        body=change.body,
        digest=digest_of(change.body),
        active_from=now,
        change=change,
    )


def beside_former(revisions: Sequence[Each]) -> list[tuple[Each, Each | None]]:
    """Return each revision with the one before it, None for the first. revisions: newest first."""
    return list(zip(revisions, [*revisions, None][1:], strict=True))
