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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.catalog.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
_HASHES: dict[int, type[hashes.HashAlgorithm]] = {
    256: hashes.SHA256,
    384: hashes.SHA384,
    521: hashes.SHA512,
}


class BadSignature(Exception):
    """The bundle does not say what it should, or another key made it. The text says which."""


@dataclass(frozen=True)
class SigningKey:
    """The registry's private key; its fingerprint names the signer."""

    private: ec.EllipticCurvePrivateKey

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the public key's PEM: the bundle's key hint."""
        return hashlib.sha256(self.public_pem).hexdigest()

    @property
    def public_pem(self) -> bytes:
        """Return the public key, as a verifier takes it."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)

    @property
    def signer(self) -> str:
        """Return the name under which people see this key."""
        return f"Registry key {self.fingerprint[:16]}"


def load_key(path: str | Path) -> SigningKey:
    """Return the key in a PEM file. Raises ValueError when it is no elliptic-curve key that
    model-signing knows.
    """
    key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.key_size not in _HASHES:
        raise ValueError(
            "SIGNING_KEY_FILE must hold an elliptic-curve private key (P-256, P-384 or P-521)"
        )
    return SigningKey(key)


def sign(*, name: str, entries: Iterable[FileEntry], key: SigningKey) -> bytes:
    """Return the signature bundle over `entries`; name: the version's, `<model>-v<number>`."""
    payload = json.dumps(_statement(name, sorted(entries, key=lambda entry: entry.name))).encode()
    signature = key.private.sign(_envelope_bytes(payload), _algorithm(key.private.curve))
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.fingerprint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": _base64(signature), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def verify(*, bundle: bytes, entries: Iterable[FileEntry], key: SigningKey) -> None:
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


def _signed_statement(bundle: bytes, key: SigningKey) -> dict[str, Any]:
    envelope = json.loads(bundle)["dsseEnvelope"]
    if envelope["payloadType"] != PAYLOAD:
        raise BadSignature(
            f"{SIGNATURE_NAME} holds {envelope['payloadType']}, not an in-toto statement."
        )
    payload = base64.b64decode(envelope["payload"], validate=True)
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    try:
        key.private.public_key().verify(
            signature, _envelope_bytes(payload), _algorithm(key.private.curve)
        )
    except InvalidSignature as error:
        raise BadSignature(f"{SIGNATURE_NAME} was not made by {key.signer}.") from error
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


def _algorithm(curve: ec.EllipticCurve) -> ec.ECDSA:
    return ec.ECDSA(_HASHES[curve.key_size]())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
