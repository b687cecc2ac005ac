"""Files that a worker makes and keeps in the archive: what a row says once its file is there."""

from datetime import datetime


def made(
    *, key: str, version_id: str, sha256: str, size_bytes: int, now: datetime
) -> dict[str, object]:
    """Return the columns of a row whose file was stored, and read back as it was made: where it
    lies, what it is, and that nothing is left to do.
    """
    return {
        "object_key": key,
        "version_id": version_id,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "made_at": now,
        "next_check_at": None,
        "reason": "",
        "message": "",
    }
