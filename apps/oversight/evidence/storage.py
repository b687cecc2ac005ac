"""Where packs are kept: in the archive, written once, locked, and read back before anybody is told
that they are there.
"""

import hashlib
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from django.conf import settings

from apps.common.errors import DomainError
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, RegistryStore
from apps.oversight.evidence.collecting import sha256_of
from apps.oversight.evidence.models import EvidencePack


class CannotRead(DomainError):
    """The file cannot be given out: it is not made, it is away, or it is not what was made."""

    code = "evidence_unavailable"


def keep(archive: RegistryStore, pack: EvidencePack, file: Path) -> tuple[str, str, str]:
    """Store a pack's zip, locked, and read it back; return its key, its version and its digest.

    It may be there already, where a worker died: the key names the bytes. Raises PermanentError
    where it is not what was written, TemporaryError where the archive is away.
    """
    sha256 = sha256_of(file)
    key = f"evidence/{pack.asked_at:%Y/%m}/{pack.pk}-{sha256[:16]}.zip"
    until = kept_until(pack.asked_at)
    with suppress(AlreadyExists), file.open("rb") as body:
        archive.put_new(key, body, locked_until=until)
    stored = archive.head(key)
    if stored is None or _digest(archive, key, stored.version_id) != sha256:
        raise PermanentError(f"{key} cannot be read back as it was written.")
    archive.lock(stored, until=until)
    return key, stored.version_id, sha256


def kept_until(asked_at: datetime) -> datetime:
    """Return until when nobody can delete a pack: as long as the record is kept."""
    return asked_at + timedelta(days=settings.AUDIT_RETENTION_DAYS)


def stored(archive: RegistryStore, pack: EvidencePack) -> IO[bytes]:
    """Return the very file that was made, in a file of our own that goes away when it is closed.
    Raises CannotRead where it is not made yet, cannot be read now, or is another by now.
    """
    if pack.status != EvidencePack.Status.MADE:
        raise CannotRead("This evidence pack is not made yet.")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    digest = hashlib.sha256()
    try:
        for chunk in archive.read(pack.object_key, version_id=pack.version_id):
            digest.update(chunk)
            file.write(chunk)
    except (TemporaryError, PermanentError) as error:
        file.close()
        is_away = isinstance(error, TemporaryError)
        advice = "Try again in a minute." if is_away else "Tell your platform team."
        raise CannotRead(f"{error} {advice}") from error
    if digest.hexdigest() != pack.sha256:
        file.close()
        raise CannotRead(
            "The file in the archive is not the one that was made: its digest differs. Nothing "
            "was sent. Tell your platform team."
        )
    file.seek(0)
    return file


def _digest(archive: RegistryStore, key: str, version_id: str) -> str:
    digest = hashlib.sha256()
    for chunk in archive.read(key, version_id=version_id):
        digest.update(chunk)
    return digest.hexdigest()
