"""The bill of the local machines: our double of AWS Data Exports, which delivers into the local S3.

It runs where both the cluster and S3 are the local ones; a bill of one's own (`CUR_BUCKET`) takes
its place.
"""

from __future__ import annotations

from . import s3
from .part import Context, Part

PREFIX, EXPORT = "exports", "cur2"
REPLACED_BY = ("CUR_BUCKET", "AWS_ENDPOINT_URL_S3", "KUBECONFIG")


def is_ours(context: Context) -> bool:
    """Tell whether the local machines are billed by the double."""
    return not any(context.env.get(name) for name in REPLACED_BY)


def environment() -> dict[str, str]:
    """Return where the bills are."""
    return {"CUR_BUCKET": s3.BILLS_BUCKET, "CUR_PREFIX": PREFIX, "CUR_EXPORT": EXPORT}


def writer_env(context: Context) -> dict[str, str]:
    """Return what whoever plays AWS needs to write bills, and to know of each other's."""
    book = {"CUR_BOOK": str(context.folder("bills") / "machines.json")}
    return s3.client_env(context, "admin") | environment() | book


def parts(context: Context) -> list[Part]:
    """Return the double; nothing where a real bill takes its place."""
    if not is_ours(context):
        return []
    kubeconfig = str(context.folder("cluster") / "kubeconfigs" / "portal")
    env = writer_env(context) | {"KUBECONFIG": kubeconfig}
    return [
        Part(
            name="cloud-bill",
            command=[context.python, "-m", "deploy.local.doubles.cur", "follow"],
            address=f"s3://{s3.BILLS_BUCKET}/{PREFIX}/{EXPORT}",
            ready=lambda: None,
            env=env,
            needs=("registry-bucket", "kube-apiserver"),
            programs=("versitygw", "kube-apiserver"),
        )
    ]
