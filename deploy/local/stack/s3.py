"""versitygw: a real S3 server on this machine's disk, and the buckets of published models, of
archived usage, of the anchored record, of prompts and of the cloud's bills.

Three keys: `admin` owns the server, `portal` publishes, `kubelet` can only read models. The buckets
of models, usage, the record and prompts are made with Object Lock and versioning, as the production
ones.
"""

from __future__ import annotations

from . import credentials, probes
from .part import Context, Part

REGION = "us-east-1"
BUCKET = "model-registry"
USAGE_BUCKET = "usage-archive"  # which the portal alone may read
BILLS_BUCKET = "cloud-bills"  # which our double of AWS Data Exports delivers to
AUDIT_BUCKET = "audit-record"
PROMPTS_BUCKET = "prompt-record"  # ciphertext alone
USERS = ("portal", "kubelet")


def endpoint(context: Context) -> str:
    """Return the address that S3 clients take."""
    return (
        context.env.get("AWS_ENDPOINT_URL_S3")
        or f"http://127.0.0.1:{context.ports('versitygw', 17070)}"
    )


def client_env(context: Context, user: str) -> dict[str, str]:
    """Return the variables that boto3 reads itself, for one of the three keys (the caller's own
    where S3 is theirs).
    """
    if context.env.get("AWS_ENDPOINT_URL_S3"):
        return {name: value for name, value in context.env.items() if name.startswith("AWS_")}
    key = credentials.s3_key(context, user)
    return {
        "AWS_ENDPOINT_URL_S3": endpoint(context),
        "AWS_ACCESS_KEY_ID": key.access,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": REGION,
    }


def parts(context: Context) -> list[Part]:
    """Return the server and the job that makes its users and bucket."""
    port = context.ports("versitygw", 17070)
    home = context.folder("s3")
    for name in ("data", "versions", "iam"):
        (home / name).mkdir(exist_ok=True, mode=0o700)
    admin = credentials.s3_key(context, "admin")
    flags = ["--region", REGION, "--port", f"127.0.0.1:{port}", "--health", "/health", "--quiet"]
    store = [
        "--iam-dir",
        str(home / "iam"),
        "posix",
        "--versioning-dir",
        str(home / "versions"),
        str(home / "data"),
    ]
    server = Part(
        name="versitygw",
        command=[str(context.binaries / "versitygw"), *flags, *store],
        env={"ROOT_ACCESS_KEY": admin.access, "ROOT_SECRET_KEY": admin.secret, "GOGC": "50"},
        address=f"http://127.0.0.1:{port}",
        ready=lambda: probes.http_ok(port, "/health"),
        programs=("versitygw",),
        replaced_by="AWS_ENDPOINT_URL_S3",
    )
    keys = {f"S3_{user.upper()}": credentials.s3_key(context, user).secret for user in USERS}
    bucket = Part(
        name="registry-bucket",
        command=[context.python, "-m", "deploy.local.stack.registry_bucket"],
        env=client_env(context, "admin") | keys | {"PATH": str(context.binaries)},
        address=f"s3://{BUCKET}",
        ready=lambda: None,
        needs=("versitygw",),
        programs=("versitygw",),
        replaced_by="AWS_ENDPOINT_URL_S3",
        once=True,
    )
    return [server, bucket]
