"""What an erasure says of itself, so that an auditor can check it: which keys were destroyed, how
many records nobody reads any more, and, as plainly, what is left and until when. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from apps.prompts.capture import KEY_SECONDS

FORMAT = "quartermaster.erasure@v1"
ITSELF_SECONDS = 60  # that an erasure takes at most, from its beginning to its commit


@dataclass(frozen=True)
class DestroyedKey:
    """A key whose wrapped form was destroyed. sha256: of what was destroyed."""

    id: UUID
    month: str
    wrapped_by: str
    sha256: str
    records: int


@dataclass(frozen=True)
class LeftObject:
    """An object in S3 that holds ciphertext of these records, among others'."""

    key: str
    version: str
    sha256: str
    locked_until: datetime


@dataclass(frozen=True)
class Erased:
    """What was done. being_written: how the keys of objects begin that were on their way to S3, so
    that they may hold ciphertext too, and until when each is locked.
    """

    keys: Sequence[DestroyedKey]
    in_postgres: int
    in_s3: int
    objects: Sequence[LeftObject]
    being_written: Sequence[tuple[str, datetime]]


@dataclass(frozen=True)
class NotReached:
    """What no name finds. unnamed: records in the whole store that were sent without a member or
    case, under their team's key; other_secret: those whose member or case was hashed with another
    secret. So nobody knows whether some are this member's.
    """

    unnamed: int
    other_secret: int


def receipt_of(
    *,
    request: UUID,
    environment: str,
    kind: str,
    token: str,
    secret: str,
    asked: tuple[str, datetime],
    decided: tuple[str, datetime],
    erased: Erased,
    missed: NotReached,
    backup_days: int,
) -> dict[str, object]:
    """Return the receipt as JSON. asked, decided: by whom and when. backup_days: for how long
    backups of the database are kept; 0: nobody said.
    """
    at = decided[1]
    return {
        "format": FORMAT,
        "request": str(request),
        "environment": environment,
        "subject": {"kind": kind, "token": token, "hashed_with": secret},
        "asked": {"by": asked[0], "at": _time(asked[1])},
        "decided": {"by": decided[0], "at": _time(at)},
        "keys_destroyed": [
            {
                "id": str(key.id),
                "month": key.month,
                "wrapped_by": key.wrapped_by,
                "wrapped_sha256": key.sha256,
                "records": key.records,
            }
            for key in erased.keys
        ],
        "records": {
            "unreadable": erased.in_postgres + erased.in_s3,
            "ciphertext_overwritten_in_the_database": erased.in_postgres,
            "ciphertext_left_in_s3": erased.in_s3,
        },
        "left": {
            "objects": [
                {
                    "key": one.key,
                    "version": one.version,
                    "sha256": one.sha256,
                    "locked_until": _time(one.locked_until),
                }
                for one in erased.objects
            ],
            "objects_being_written": [
                {"key": key, "locked_until": _time(until)} for key, until in erased.being_written
            ],
            "keys_in_memory_of_gates_until": _time(
                at + timedelta(seconds=ITSELF_SECONDS + KEY_SECONDS)
            ),
            "wrapped_keys_in_backups_until": (
                _time(at + timedelta(days=backup_days)) if backup_days else "unknown"
            ),
            "index_without_text": "kept until each record's time is over",
        },
        "not_reached": {
            "sent_without_a_member_or_case": missed.unnamed,
            "hashed_with_another_secret": missed.other_secret,
        },
        "means": (
            "The data keys of this subject were destroyed as they were kept: wrapped, in the "
            "portal's database. The key that wrapped them still exists in its service, and wraps "
            "those of others. Whoever has a backup of the database from before, and may use that "
            "key, can still unwrap them until the backup is gone. The same holds for the files of "
            "the database itself, its archived log among them, until what was overwritten there "
            "is gone too. What a gate had not written yet at that moment is kept under a new key. "
            "The receipt is the portal's word, which nobody changed since: that no other copy of "
            "a key exists, it cannot prove."
        ),
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
