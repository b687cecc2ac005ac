"""Signs a version's list of files as an OpenSSF model-signing bundle, and checks such a bundle.

The `model-signing` library signs folders on disk; here the files are in S3 and were digested while
they were read back, so the in-toto statement and its DSSE envelope are built from the digests
(Sigstore bundle v0.3, predicate `https://model_signing/signature/v1.0`, ECDSA with a P-256, P-384
or P-521 key). The library's own verifier accepts the result on a downloaded folder that holds the
version's files, manifest.json and model.sig; tests hold both ways.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from apps.catalog.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry
from apps.common.signing import PublicKey, Signer, is_signed, public_pem

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"


class BadSignature(Exception):
    """The bundle does not say what it should, or another key made it. The text says which."""


def hint(key: PublicKey) -> str:
    """Return what a bundle calls the key that made it: the SHA-256 of its PEM."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def signer_name(key: PublicKey) -> str:
    """Return the name under which people see a registry's key."""
    return f"Registry key {hint(key)[:16]}"


def sign(*, name: str, entries: Iterable[FileEntry], signer: Signer) -> bytes:
    """Return the signature bundle over `entries`; name: the version's, `<model>-v<number>`."""
    payload = json.dumps(_statement(name, sorted(entries, key=lambda entry: entry.name))).encode()
    signature = signer.sign(_envelope_bytes(payload))
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint(signer.public_key)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": _base64(signature), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def verify(*, bundle: bytes, entries: Iterable[FileEntry], key: PublicKey) -> None:
    """Check that `key` signed exactly these files. Raises BadSignature."""
    try:
        statement = _signed_statement(bundle, key)
        predicate = statement["predicate"]
        signed = {resource["name"]: resource["digest"] for resource in predicate["resources"]}
        method = predicate["serialization"]["method"]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise BadSignature(
            f"{SIGNATURE_NAME} is not a model-signing bundle ({type(error).__name__})."
        ) from error
    if statement.get("predicateType") != PREDICATE or method != "files":
        raise BadSignature(f"{SIGNATURE_NAME} describes something other than a list of files.")
    expected = {entry.name: entry.sha256 for entry in entries}
    for name in sorted(signed.keys() | expected.keys()):
        if signed.get(name) != expected.get(name):
            raise BadSignature(f"{SIGNATURE_NAME} was made for another {name}.")


def _signed_statement(bundle: bytes, key: PublicKey) -> dict[str, Any]:
    envelope = json.loads(bundle)["dsseEnvelope"]
    if envelope["payloadType"] != PAYLOAD:
        raise BadSignature(
            f"{SIGNATURE_NAME} holds {envelope['payloadType']}, not an in-toto statement."
        )
    payload = base64.b64decode(envelope["payload"], validate=True)
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    if not is_signed(key=key, signature=signature, message=_envelope_bytes(payload)):
        raise BadSignature(f"{SIGNATURE_NAME} was not made by {signer_name(key)}.")
    statement: dict[str, Any] = json.loads(payload)
    return statement


def _statement(name: str, entries: list[FileEntry]) -> dict[str, Any]:
    root = hashlib.sha256(b"".join(bytes.fromhex(entry.sha256) for entry in entries)).hexdigest()
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [MANIFEST_NAME, SIGNATURE_NAME],
            },
            "resources": [
                {"name": e.name, "algorithm": "sha256", "digest": e.sha256} for e in entries
            ],
        },
    }


def _envelope_bytes(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: what is really signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
