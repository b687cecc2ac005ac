"""What the registry store answers: plain facts, never an SDK's dictionaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class UploadedPart:
    """One part of a multipart upload that S3 has. checksum: its SHA-256 as S3 computed it, in
    base64; "" where it did not.
    """

    number: int
    etag: str
    size: int  # bytes
    checksum: str = ""


@dataclass(frozen=True)
class SignedPart:
    """Leave to send one part, and nothing else, straight to S3: the headers are signed too, so that
    other bytes, or another length, are refused.
    """

    number: int
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class StoredObject:
    """The current version of an object. locked_until: end of its COMPLIANCE retention; None: not
    locked.

    encryption: "aws:kms", "AES256" …; kms_key: the key's address; bucket_key: whether S3 uses a key
    of the bucket's own below it; replication: "COMPLETED", "PENDING", "FAILED", "REPLICA". Each is
    "" or None where S3 does not tell.
    """

    key: str
    size: int  # bytes
    version_id: str
    locked_until: datetime | None
    encryption: str = ""
    kms_key: str = ""
    bucket_key: bool | None = None
    replication: str = ""


@dataclass(frozen=True)
class ListedObject:
    """An object as a list tells of it. etag: changes whenever it is written; the MD5 of its bytes
    where it has no "-" and is not encrypted with a key of KMS.
    """

    key: str
    size: int  # bytes
    etag: str


@dataclass(frozen=True)
class BucketFacts:
    """A bucket's settings. None, each: S3 does not tell, or does not let us ask.

    versioning: "Enabled", "Suspended", "" for never. retention_mode, retention_days: of the default
    retention, "" and 0 without one. encryption: "aws:kms", "AES256", "" for none. replication:
    where objects are copied to. public_access_block: each of the four, whether it is set.
    """

    versioning: str | None
    object_lock: bool | None
    retention_mode: str
    retention_days: int
    encryption: str | None
    kms_key: str
    bucket_key: bool
    replication: tuple[str, ...] | None
    public_access_block: Mapping[str, bool] | None
