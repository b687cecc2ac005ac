"""The bucket that bills are delivered to."""

from __future__ import annotations

import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .delivery import Put

WAIT_SECONDS = 120.0
CONFIG = Config(connect_timeout=3, read_timeout=30, s3={"addressing_style": "path"})


def put_into(bucket: str) -> Put:
    """Return what writes an object into a bucket, over whatever is there."""
    client = boto3.session.Session().client("s3", config=CONFIG)

    def put(key: str, body: bytes) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=body)

    return put


def wait_for_bucket(bucket: str) -> None:
    """Return once the bucket is there. Raises SystemExit after two minutes."""
    client = boto3.session.Session().client("s3", config=CONFIG)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.head_bucket(Bucket=bucket)
        except (ClientError, BotoCoreError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"bucket {bucket}: {error}") from None
            time.sleep(1)
        else:
            return
