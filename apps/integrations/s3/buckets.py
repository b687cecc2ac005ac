"""A bucket's settings, each asked for by itself: a store that does not know one, or does not let us
ask, says nothing about the others.
"""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from apps.integrations.s3.types import BucketFacts

Json = Mapping[str, Any]
YEAR_DAYS = 365
# what S3 answers where a setting was never made: that is an answer
NEVER_SET: dict[str, Json] = {
    "ObjectLockConfigurationNotFoundError": {},
    "ServerSideEncryptionConfigurationNotFoundError": {},
    "ReplicationConfigurationNotFoundError": {},
    "NoSuchPublicAccessBlockConfiguration": {},
}
# what it answers where it does not have the setting, or we may not ask for it
NOT_TOLD = frozenset(
    {
        "NotImplemented", "MethodNotAllowed", "AccessDenied", "AccessDeniedException",
        "NotSupported", "UnsupportedOperation", "InvalidRequest", "403", "405", "501",
    }
)  # fmt: skip
FOUR = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def facts_of(s3: Any, bucket: str) -> BucketFacts:
    """Return a bucket's settings. Raises what boto3 raises where S3 cannot be asked at all."""
    versioning = _asked(s3.get_bucket_versioning, bucket)
    lock = _inner(_asked(s3.get_object_lock_configuration, bucket), "ObjectLockConfiguration")
    retention = ((lock or {}).get("Rule") or {}).get("DefaultRetention") or {}
    encryption = _encryption(_asked(s3.get_bucket_encryption, bucket))
    block = _inner(_asked(s3.get_public_access_block, bucket), "PublicAccessBlockConfiguration")
    return BucketFacts(
        versioning=None if versioning is None else str(versioning.get("Status", "")),
        object_lock=None if lock is None else lock.get("ObjectLockEnabled") == "Enabled",
        retention_mode=str(retention.get("Mode", "")),
        retention_days=_days(retention),
        encryption=None if encryption is None else str(encryption.get("SSEAlgorithm", "")),
        kms_key=str((encryption or {}).get("KMSMasterKeyID", "")),
        bucket_key=bool((encryption or {}).get("BucketKeyEnabled")),
        replication=_replication(_asked(s3.get_bucket_replication, bucket)),
        public_access_block=None if block is None else {n: bool(block.get(n)) for n in FOUR},
    )


def _asked(call: Callable[..., Json], bucket: str) -> Json | None:
    """Return an answer; {} where the setting was never made, None where S3 does not tell."""
    try:
        return call(Bucket=bucket)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in NEVER_SET:
            return NEVER_SET[code]
        if code in NOT_TOLD:
            return None
        raise


def _inner(answer: Json | None, name: str) -> Json | None:
    return None if answer is None else answer.get(name) or {}


def _days(retention: Json) -> int:
    return int(retention.get("Days") or 0) + YEAR_DAYS * int(retention.get("Years") or 0)


def _encryption(answer: Json | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    rules = (answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
    return dict(default) | {"BucketKeyEnabled": rules[0].get("BucketKeyEnabled")}


def _replication(answer: Json | None) -> tuple[str, ...] | None:
    if answer is None:
        return None
    rules = (answer.get("ReplicationConfiguration") or {}).get("Rules") or []
    on = [rule for rule in rules if rule.get("Status") == "Enabled"]
    return tuple(sorted(str(rule["Destination"]["Bucket"]) for rule in on))
