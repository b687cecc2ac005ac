"""A job: makes the S3 users and the buckets of models, of archived usage, of the record, of prompts
and of the cloud's bills, with what each user may do. Safe to run again.

Environment: AWS_* of the server's owner; S3_PORTAL and S3_KUBELET, the secrets of the two users.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from .s3 import (
    AUDIT_BUCKET,
    BILLS_BUCKET,
    BUCKET,
    PROMPTS_BUCKET,
    REGION,
    USAGE_BUCKET,
    USERS,
)

READ = [
    "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
    "s3:GetObjectTagging", "s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
]  # fmt: skip
WRITE = [
    "s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads",
]  # fmt: skip
# checkpoints are written once, and nobody takes them away
ONCE = ["s3:PutObject", "s3:PutObjectRetention"]
# prompts go for good once their time is over, which their lock holds until then
REMOVE = [*ONCE, "s3:DeleteObject", "s3:DeleteObjectVersion"]
ON_BUCKET = frozenset(action for action in READ + WRITE if "Bucket" in action)


def main() -> None:
    """Make users, buckets and policies where they are missing."""
    for user in USERS:
        make_user(f"qm{user}", os.environ[f"S3_{user.upper()}"])
    make_bucket(BUCKET, {"portal": READ + WRITE, "kubelet": READ})
    make_bucket(USAGE_BUCKET, {"portal": READ + WRITE})
    make_bucket(BILLS_BUCKET, {"portal": READ}, locks=False)
    make_bucket(AUDIT_BUCKET, {"portal": READ + ONCE})
    make_bucket(PROMPTS_BUCKET, {"portal": READ + REMOVE})


def make_bucket(name: str, users: Mapping[str, list[str]], *, locks: bool = True) -> None:
    """Make a bucket, with Object Lock and versions where it `locks`. users: what each of them may
    do with it.
    """
    client = boto3.client("s3")
    try:
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locks)
        print(f"made bucket {name}{' with Object Lock' if locks else ''}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in (
            "BucketAlreadyOwnedByYou",
            "BucketAlreadyExists",
        ):
            raise
    if locks:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy(name, users)))


def policy(name: str, users: Mapping[str, list[str]]) -> dict[str, object]:
    """Return who may do what with a bucket."""
    bucket = f"arn:aws:s3:::{name}"

    def allow(user: str, actions: list[str]) -> list[dict[str, object]]:
        on_bucket = [action for action in actions if action in ON_BUCKET]
        on_objects = [action for action in actions if action not in ON_BUCKET]
        principal = {"AWS": [f"qm{user}"]}
        return [
            {"Effect": "Allow", "Principal": principal, "Action": on_bucket, "Resource": [bucket]},
            {
                "Effect": "Allow",
                "Principal": principal,
                "Action": on_objects,
                "Resource": [f"{bucket}/*"],
            },
        ]

    return {
        "Version": "2012-10-17",
        "Statement": [rule for user, may in users.items() for rule in allow(user, may)],
    }


def make_user(access: str, secret: str) -> None:
    """Add a user to the server's own accounts; one that exists stays as it is."""
    body = f"<Account><Access>{access}</Access><Secret>{secret}</Secret><Role>user</Role></Account>"
    url = f"{os.environ['AWS_ENDPOINT_URL_S3']}/create-user"
    request = AWSRequest("PATCH", url, data=body, headers={"Content-Type": "application/xml"})
    S3SigV4Auth(boto3.Session().get_credentials(), "s3", REGION).add_auth(request)
    headers = dict(request.headers.items())
    signed = urllib.request.Request(url, body.encode(), headers, method="PATCH")  # noqa: S310
    try:
        urllib.request.urlopen(signed, timeout=10).close()  # noqa: S310 (our own address)
        print(f"made user {access}")
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise SystemExit(f"user {access}: {error.code} {error.read().decode()[:300]}") from None


if __name__ == "__main__":
    main()
