"""Bytes that an approval is over, kept for good under their digest: the files that steps write, and
the dossiers that were decided over.
"""

from collections.abc import Iterable

from django.db import models

from apps.common.canonical import digest_of_bytes


class KeptBytesQuerySet(models.QuerySet["KeptBytes"]):
    """Bytes by their digests."""

    def keep(self, contents: Iterable[bytes]) -> list[str]:
        """Store what is not stored yet and return each one's digest, in order. One query."""
        rows = [KeptBytes(digest=digest_of_bytes(each), content=each) for each in contents]
        self.bulk_create(rows, ignore_conflicts=True)
        return [row.digest for row in rows]

    def contents(self, digests: Iterable[str]) -> dict[str, bytes]:
        """Return digest → bytes of those that are stored. One query."""
        found = self.filter(digest__in=set(digests))
        return {row.digest: bytes(row.content) for row in found}


class KeptBytes(models.Model):
    """Some bytes, under "sha256:<hex>" of them. A check constraint holds that it is theirs, a
    trigger that they stay (see migrations).
    """

    digest = models.CharField(primary_key=True, max_length=71)
    content = models.BinaryField()

    objects = KeptBytesQuerySet.as_manager()

    def __str__(self) -> str:
        return self.digest
