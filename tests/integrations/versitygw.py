"""A real S3 server for tests: versitygw on a free port, with its own folders, stopped at the
end.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from apps.integrations.s3.client import RegistryStore
from deploy.local import platform
from deploy.local.stack.ports import free_port

BUCKET = "model-registry"
REGION = "us-east-1"


def binary() -> str | None:
    """Return the path of the program, if this machine has it."""
    found = platform.binaries(os.environ) / "versitygw"
    return str(found) if found.exists() else shutil.which("versitygw")


@contextmanager
def running(folder: Path, port: int | None = None) -> Iterator[int]:
    """Run the server over `folder` and give its port; the environment names it while it runs."""
    port = port or free_port()
    for name in ("data", "versions", "iam"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    key = {"ROOT_ACCESS_KEY": "tests", "ROOT_SECRET_KEY": "only-for-tests"}
    store = ["posix", "--versioning-dir", str(folder / "versions"), str(folder / "data")]
    flags = ["--region", REGION, "--port", f"127.0.0.1:{port}", "--health", "/health", "--quiet"]
    command = [str(binary()), *flags, "--iam-dir", str(folder / "iam"), *store]
    process = subprocess.Popen(
        command, env=key, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield port
    finally:
        process.kill()
        process.wait()


def environment(port: int) -> dict[str, str]:
    """Return the variables that boto3 reads."""
    return {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "only-for-tests",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def make_bucket(store: RegistryStore) -> None:
    """Make the bucket as production has it: versioned, with Object Lock."""
    store._s3.create_bucket(Bucket=store.bucket, ObjectLockEnabledForBucket=True)
    store._s3.put_bucket_versioning(
        Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"}
    )


def put_raw(store: RegistryStore, key: str, body: bytes) -> None:
    """Write past the store's own rules, as somebody with the key could."""
    store._s3.put_object(Bucket=store.bucket, Key=key, Body=body)


def refused(store: RegistryStore, key: str, version_id: str) -> bool:
    """Tell whether S3 refuses to delete this version of an object."""
    try:
        store._s3.delete_object(Bucket=store.bucket, Key=key, VersionId=version_id)
    except (ClientError, BotoCoreError):
        return True
    return False


def _wait(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("versitygw did not start")
