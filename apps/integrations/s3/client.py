"""S3 for the model registry, the archive of usage, the anchor of the record and the prompts: every
object is written once (`If-None-Match: *`) and locked (Object Lock, COMPLIANCE). The cloud's bill
is read from it too.

boto3 reads AWS_ENDPOINT_URL_S3, AWS_DEFAULT_REGION and the credentials (keys here, IRSA in
production) from the environment. AWS is asked at a host for each bucket, another server by the
bucket in the path (S3_ADDRESSING). Each call has a timeout and few retries of its own; whatever
still fails becomes one of two errors: TemporaryError (away, slow, busy: the reconciler tries again)
or PermanentError (refused: a person must act).
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import IO, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
)
from django.conf import settings

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.buckets import facts_of
from apps.integrations.s3.types import (
    BucketFacts,
    ListedObject,
    SignedPart,
    StoredObject,
    UploadedPart,
)

REGISTRY = "model registry"
CHUNK = 1024 * 1024  # bytes read at once from an object
MD5_LENGTH = 32  # in hexadecimal; the tag of an upload in parts is longer
CHECKSUM = "SHA256"  # of every part: S3 refuses one whose bytes are not those that were announced
BUSY = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "ConditionalRequestConflict",
    }
)
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 3, 30, 3


class AlreadyExists(PermanentError):
    """An object is there already, and nothing in the registry is ever overwritten."""


class NotThere(PermanentError):
    """The object or the upload does not exist."""


class NoSuchRange(PermanentError):
    """The object ends before the bytes that were asked for."""


class Damaged(PermanentError):
    """What was read is not what its checksum tells."""


class RegistryStore:
    """A bucket: the registry's, or one that is called `name` in what people read. kms_key: encrypts
    what is written; "" for what the bucket does by itself. addressing: "virtual", "path", or
    "auto", by which a server with a name is asked at a host for the bucket. One instance may be
    used by several threads.
    """

    def __init__(
        self,
        *,
        bucket: str,
        name: str = REGISTRY,
        kms_key: str = "",
        addressing: str = "auto",
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
    ):
        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            signature_version="s3v4",  # of signed addresses too: by itself boto3 signs those by v2
            s3={"addressing_style": addressing},
            request_checksum_calculation="when_supported",
        )
        self.bucket, self.name = bucket, name
        self._encryption = _encryption(kms_key)
        self._s3: Any = boto3.session.Session().client("s3", config=config)

    def bucket_facts(self) -> BucketFacts:
        """Return the bucket's settings, as far as S3 tells. Raises PermanentError when it is
        missing.
        """
        with self._translated(self.bucket):
            return facts_of(self._s3, self.bucket)

    def start_upload(self, key: str, *, locked_until: datetime) -> str:
        """Begin a multipart upload and return its id. S3 checks the SHA-256 of each part."""
        with self._translated(key):
            answer = self._s3.create_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                ChecksumAlgorithm=CHECKSUM,
                **_lock(locked_until),
                **self._encryption,
            )
        return str(answer["UploadId"])

    def upload_part(self, key: str, upload_id: str, *, number: int, body: bytes) -> UploadedPart:
        """Send one part (5 MiB at least, except the last). Sending a part again replaces it."""
        with self._translated(key):
            answer = self._s3.upload_part(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=body,
                ContentLength=len(body),
                ChecksumAlgorithm=CHECKSUM,
            )
        checksum = str(answer.get("ChecksumSHA256", ""))
        return UploadedPart(number, str(answer["ETag"]), len(body), checksum)

    def sign_part(
        self,
        key: str,
        upload_id: str,
        *,
        number: int,
        size: int,
        sha256: str,
        lifetime: timedelta,
    ) -> SignedPart:
        """Return leave to send one part of `size` bytes with this SHA-256 (hexadecimal) by PUT,
        without credentials. Asks nobody.
        """
        checksum = b64encode(bytes.fromhex(sha256)).decode()
        with self._translated(key):
            url = self._s3.generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self.bucket,
                    "Key": key,
                    "UploadId": upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                    "ChecksumSHA256": checksum,
                },
                ExpiresIn=int(lifetime.total_seconds()),
            )
        headers = {"Content-Length": str(size), "x-amz-checksum-sha256": checksum}
        return SignedPart(number, str(url), headers)

    def list_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """Return the parts that S3 has of an upload, in order. Raises NotThere when it is gone."""
        pages = self._s3.get_paginator("list_parts").paginate(
            Bucket=self.bucket, Key=key, UploadId=upload_id
        )
        with self._translated(key):
            return [
                UploadedPart(
                    int(part["PartNumber"]),
                    str(part["ETag"]),
                    int(part["Size"]),
                    str(part.get("ChecksumSHA256", "")),
                )
                for page in pages
                for part in page.get("Parts", [])
            ]

    def complete_upload(self, key: str, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        """Make the parts one object. Raises AlreadyExists when the key is taken, NotThere when the
        upload is gone.
        """
        pieces = [_piece(part) for part in sorted(parts, key=lambda p: p.number)]
        with self._translated(key):
            self._s3.complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": pieces},
                IfNoneMatch="*",
            )

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Throw the parts of an unfinished upload away. Doing it again does nothing."""
        try:
            with self._translated(key):
                self._s3.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except NotThere:
            return

    def put_new(self, key: str, body: bytes | IO[bytes], *, locked_until: datetime) -> None:
        """Write an object once, locked, in one piece: 5 GiB at most. Raises AlreadyExists when the
        key is taken.
        """
        with self._translated(key):
            self._s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                **_lock(locked_until),
                **self._encryption,
            )

    def lock(self, stored: StoredObject, *, until: datetime) -> None:
        """Lock an object until at least `until`; a longer lock stays. Doing it again does
        nothing.
        """
        if stored.locked_until is not None and stored.locked_until >= until:
            return
        with self._translated(stored.key):
            self._s3.put_object_retention(
                Bucket=self.bucket,
                Key=stored.key,
                Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until},
                **_version(stored.version_id),
            )

    def head(self, key: str) -> StoredObject | None:
        """Return an object's facts, its lock included; None when nothing is there."""
        try:
            with self._translated(key):
                answer = self._s3.head_object(Bucket=self.bucket, Key=key)
        except NotThere:
            return None
        locked = answer.get("ObjectLockMode") == "COMPLIANCE"
        until = answer.get("ObjectLockRetainUntilDate") if locked else None
        return StoredObject(
            key=key,
            size=int(answer["ContentLength"]),
            version_id=str(answer.get("VersionId", "")),
            locked_until=until,
            encryption=str(answer.get("ServerSideEncryption", "")),
            kms_key=str(answer.get("SSEKMSKeyId", "")),
            bucket_key=answer.get("BucketKeyEnabled"),
            replication=str(answer.get("ReplicationStatus", "")),
        )

    def md5_of(self, key: str) -> str:
        """Return the MD5 of an object's bytes in hexadecimal, where S3 tells it; "" where it does
        not: for what was uploaded in parts, or is encrypted with a key of KMS.
        """
        with self._translated(key):
            answer = self._s3.head_object(Bucket=self.bucket, Key=key)
        tag = str(answer["ETag"]).strip('"')
        is_plain = answer.get("ServerSideEncryption", "AES256") == "AES256"
        return tag if is_plain and len(tag) == MD5_LENGTH else ""

    def read(self, key: str, *, version_id: str = "") -> Iterator[bytes]:
        """Yield an object's bytes in chunks of at most 1 MiB."""
        return self._read(key, **_version(version_id))

    def read_from(self, key: str, *, version_id: str = "", first: int = 0) -> Iterator[bytes]:
        """Yield an object's bytes from its byte `first` on, counted from 0, in chunks of at most
        1 MiB. S3's own checksum is not looked at: whoever reads so digests the bytes. Raises
        NoSuchRange where the object ends before.
        """
        return self._read(key, Range=f"bytes={first}-", **_version(version_id))

    def _read(self, key: str, **asked: str) -> Iterator[bytes]:
        with self._translated(key):
            body = self._s3.get_object(Bucket=self.bucket, Key=key, **asked)["Body"]
        try:
            with self._translated(key):
                yield from body.iter_chunks(CHUNK)
        finally:
            body.close()

    def read_start(self, key: str, *, size: int, version_id: str = "") -> bytes:
        """Return an object's first `size` bytes (1 at least), or all of it where it is shorter."""
        with self._translated(key):
            answer = self._s3.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes=0-{size - 1}", **_version(version_id)
            )
            return bytes(answer["Body"].read(size))

    def read_range(self, key: str, *, first: int, size: int, version_id: str = "") -> bytes:
        """Return `size` bytes (1 at least) of an object from its byte `first` on, counted from 0.
        Raises NoSuchRange where the object ends before.
        """
        with self._translated(key):
            answer = self._s3.get_object(
                Bucket=self.bucket,
                Key=key,
                Range=f"bytes={first}-{first + size - 1}",
                **_version(version_id),
            )
            found = bytes(answer["Body"].read())
        if len(found) != size:
            raise NoSuchRange(f"{key} ends before the bytes that were asked for.")
        return found

    def remove(self, key: str, *, version_id: str) -> None:
        """Remove one version of an object for good. Doing it again does nothing. Raises
        PermanentError while it is locked.
        """
        try:
            with self._translated(key):
                self._s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version_id)
        except NotThere:
            return

    def read_small(self, key: str, *, limit: int) -> bytes:
        """Return an object of at most `limit` bytes whole. Raises PermanentError when it is
        larger.
        """
        found = bytearray()
        for chunk in self.read(key):
            found += chunk
            if len(found) > limit:
                raise PermanentError(
                    f"{key} is larger than {limit:,} bytes, which it can never rightly be."
                )
        return bytes(found)

    def list_keys(self, prefix: str) -> list[str]:
        """Return every key under a prefix, in order."""
        return [entry.key for entry in self.list_objects(prefix)]

    def list_objects(self, prefix: str) -> list[ListedObject]:
        """Return every object under a prefix, in the order of their keys."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        with self._translated(prefix):
            return [
                ListedObject(entry["Key"], int(entry["Size"]), str(entry["ETag"]).strip('"'))
                for page in pages
                for entry in page.get("Contents", [])
            ]

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn the SDK's errors into ours. HEAD errors have no body: there the code is the status
        itself.
        """
        try:
            yield
        except ClientError as error:
            raise _refusal(error, key, self.name) from error
        except FlexibleChecksumError as error:
            raise Damaged(
                f"{key} in the {self.name} (S3) is not what its checksum tells."
            ) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            raise TemporaryError(
                f"The {self.name} (S3) cannot be reached: {type(error).__name__}."
            ) from error


@lru_cache(maxsize=1)
def client_from_settings() -> RegistryStore:
    """Return this process's store of the configured bucket."""
    return _store(bucket=settings.REGISTRY_BUCKET, kms_key=settings.REGISTRY_KMS_KEY)


@lru_cache(maxsize=1)
def archive_from_settings() -> RegistryStore:
    """Return this process's archive of usage."""
    return _store(bucket=settings.USAGE_ARCHIVE_BUCKET, name="archive of usage")


@lru_cache(maxsize=1)
def bills_from_settings() -> RegistryStore | None:
    """Return this process's bucket of the cloud's bills; None where none is configured."""
    if not settings.CUR_BUCKET:
        return None
    return _store(bucket=settings.CUR_BUCKET, name="bucket of the bills")


@lru_cache(maxsize=1)
def prompts_from_settings() -> RegistryStore:
    """Return this process's bucket of prompts."""
    return _store(bucket=settings.PROMPTS_BUCKET, name="bucket of prompts")


@lru_cache(maxsize=1)
def anchor_from_settings() -> RegistryStore:
    """Return this process's store of the record's checkpoints."""
    return _store(bucket=settings.AUDIT_BUCKET, name="anchor of the record")


def _store(*, bucket: str, name: str = REGISTRY, kms_key: str = "") -> RegistryStore:
    return RegistryStore(
        bucket=bucket, name=name, kms_key=kms_key, addressing=settings.S3_ADDRESSING
    )


def _piece(part: UploadedPart) -> dict[str, object]:
    """Return a part as S3 wants it told when the upload is completed."""
    told: dict[str, object] = {"PartNumber": part.number, "ETag": part.etag}
    return told | {"ChecksumSHA256": part.checksum} if part.checksum else told


def _lock(until: datetime) -> dict[str, object]:
    return {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}


def _encryption(kms_key: str) -> dict[str, object]:
    """Return what a write asks for, beside what the bucket does by itself: a key of the bucket's
    own below the key of KMS, so that not every part is a call to it.
    """
    if not kms_key:
        return {}
    return {
        "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key, "BucketKeyEnabled": True,
    }  # fmt: skip


def _version(version_id: str) -> dict[str, str]:
    return {"VersionId": version_id} if version_id else {}


def _refusal(error: ClientError, key: str, name: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 412 or code in ("412", "PreconditionFailed"):
        return AlreadyExists(
            f"{key} exists already in the {name}, and nothing there is ever overwritten."
        )
    if code in BUSY or status in (409, 429) or status >= 500:
        return TemporaryError(f"The {name} (S3) is busy: {code or status}.")
    if status == 416 or code == "InvalidRange":
        return NoSuchRange(f"{key} in the {name} is shorter than it was.")
    if status == 404 or code in ("404", "NoSuchKey", "NoSuchUpload"):
        return NotThere(f"{key} is not in the {name} ({code or status}).")
    message = error.response.get("Error", {}).get("Message", "")
    return PermanentError(f"The {name} (S3) refused {key}: {code or status}. {message}".strip())
