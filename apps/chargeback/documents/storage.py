"""Where statements' PDFs are kept: in the archive, written once, locked, and read back before
anybody is told that they are there.
"""

import hashlib
from contextlib import suppress
from datetime import datetime

from django.conf import settings

from apps.chargeback.closing.models import Statement, StatementDocument
from apps.common.errors import DomainError
from apps.common.periods import DAY
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, RegistryStore

YEAR = 366 * DAY
LARGEST = 64 * 1024 * 1024  # bytes of a PDF; a line takes less than two thousand


class CannotRead(DomainError):
    """The file cannot be given out: it is away, or it is not what was made."""

    code = "document_unavailable"


def keep(archive: RegistryStore, statement: Statement, body: bytes) -> tuple[str, str]:
    """Store a statement's PDF, locked, and read it back; return its key and its version.

    It may be there already, where a worker died: the key names the bytes. Raises PermanentError
    where it is not what was written.
    """
    sha256 = hashlib.sha256(body).hexdigest()
    key = f"statements/{statement.close.month:%Y/%m}/{statement.number}-{sha256[:16]}.pdf"
    until = kept_until(statement.issued_at)
    with suppress(AlreadyExists):
        archive.put_new(key, body, locked_until=until)
    stored = archive.head(key)
    if stored is None or _read(archive, key, stored.version_id) != body:
        raise PermanentError(f"{key} cannot be read back as it was written.")
    archive.lock(stored, until=until)
    return key, stored.version_id


def kept_until(issued_at: datetime) -> datetime:
    """Return until when nobody can delete the PDF of a statement."""
    return issued_at + settings.STATEMENTS_KEPT_YEARS * YEAR


def stored(archive: RegistryStore, document: StatementDocument) -> bytes:
    """Return the very bytes that were made. Raises CannotRead where they are not made yet, cannot
    be read now, or are others by now.
    """
    if document.status != StatementDocument.Status.MADE:
        raise CannotRead("The PDF of this statement is not made yet.")
    try:
        body = _read(archive, document.object_key, document.version_id)
    except TemporaryError as error:
        raise CannotRead(f"{error} The PDF is kept there: try again in a minute.") from error
    except PermanentError as error:
        raise CannotRead(f"{error} Tell your platform team.") from error
    if hashlib.sha256(body).hexdigest() != document.sha256:
        raise CannotRead(
            "The file in the archive is not the one that was made: its digest differs. Nothing "
            "was sent. Tell your platform team."
        )
    return body


def _read(archive: RegistryStore, key: str, version_id: str) -> bytes:
    found = bytearray()
    for chunk in archive.read(key, version_id=version_id):
        found += chunk
        if len(found) > LARGEST:
            raise PermanentError(f"{key} is larger than a statement can be.")
    return bytes(found)
