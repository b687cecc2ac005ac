"""The secrets of one stack: made once under `state/secrets`, readable by their owner only, kept
until `make reset`.

Programs get files or variables from here; nothing is ever printed. The usage-ingest token alone
changes with each start of the stack, as a leased one does in production.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from .part import Context


@dataclass(frozen=True)
class S3Key:
    """One access key of the local S3."""

    access: str
    secret: str


def folder(context: Context) -> Path:
    """Return `state/secrets`."""
    return context.folder("secrets")


def secret(context: Context, name: str) -> str:
    """Return a random secret, the same for each name until `make reset`."""
    return secret_file(context, name).read_text().strip()


def secret_file(context: Context, name: str) -> Path:
    """Return the file that holds a random secret, made where missing."""
    path = folder(context) / name
    if not path.exists():
        write_private(path, secrets.token_urlsafe(36))
    return path


def s3_key(context: Context, user: str) -> S3Key:
    """Return the key of `admin` (owns the server), `portal` (publishes) or `kubelet` (reads
    models).
    """
    return S3Key(access=f"qm{user}", secret=secret(context, f"s3-{user}"))


def usage_ingest_token_file(context: Context) -> Path:
    """Return the file that the Collector and the portal read at each use."""
    return folder(context) / "usage-ingest-token"


def rotate_usage_ingest_token(context: Context) -> None:
    """Put a new token in the file, in one step."""
    write_private(usage_ingest_token_file(context), secrets.token_urlsafe(36))


def scaling_token_file(context: Context) -> Path:
    """Return the file with the credential that KEDA shows the portal, which reads it at each
    use.
    """
    return secret_file(context, "scaling-token")


def engine_key_file(context: Context, namespace: str, which: str = "apiKey") -> Path:
    """Return a key of a namespace's engines, made where missing: the one that is shown to them, or
    `nextKey`. In hexadecimal: in a command line, a key that begins with a dash would be an option.
    """
    path = folder(context) / f"engine-key-{namespace}-{which}"
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path


def wrapping_key_file(context: Context) -> Path:
    """Return a key of 32 bytes in base64, made where missing: it wraps the keys of prompts."""
    path = folder(context) / "prompt-wrapping-key"
    if not path.exists():
        write_private(path, base64.b64encode(secrets.token_bytes(32)).decode())
    return path


def signing_key_file(context: Context, name: str = "signing-key") -> Path:
    """Return an EC P-256 key, PEM, made where missing: that of model manifests, or another."""
    path = folder(context) / f"{name}.pem"
    if not path.exists():
        write_private(path, _new_ec_key())
    return path


def public_key_file(context: Context, name: str) -> Path:
    """Return the public half of a signing key, PEM, made where missing."""
    path = folder(context) / f"{name}.pub.pem"
    if not path.exists():
        write_private(path, public_half(signing_key_file(context, name).read_bytes()))
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _new_ec_key() -> str:
    # needed once: kept out of the supervisor's memory
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_half(private_pem: bytes) -> str:
    """Return the public half of a private key, PEM."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(private_pem, None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()
