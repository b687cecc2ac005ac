"""KMS as a WSGI application: `KmsDouble()`, with keys that sign (`KmsDouble.add_key`) and keys that
wrap data keys (`add_wrapping_key`).

It keeps AWS's contract where others do not: a DIGEST is signed as it is, never hashed once more,
and has exactly the length of its algorithm's; a RAW message has at most 4,096 bytes; an algorithm
fits the key's curve; a data key opens in its own encryption context alone; a wrong signature is an
error and never `false`; a dry run that would have worked is an error, too; ECDSA is DER. Signed
requests only. `fail_next` makes the next answers errors. Nothing is kept on disk.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .prices import SIGNED, Start

REGION, ACCOUNT = "us-east-1", "111122223333"
MOST_BYTES = 4096
Json = dict[str, Any]


class Refused(Exception):
    """An error of KMS: its status and code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or f"{code}!")
        self.status, self.code = status, code


@dataclass(frozen=True)
class Kind:
    """A key spec: its curve, the one algorithm it signs with, and that one's hash."""

    curve: ec.EllipticCurve
    algorithm: str
    hash: hashes.HashAlgorithm


KINDS = {
    "ECC_NIST_P256": Kind(ec.SECP256R1(), "ECDSA_SHA_256", hashes.SHA256()),
    "ECC_NIST_P384": Kind(ec.SECP384R1(), "ECDSA_SHA_384", hashes.SHA384()),
    "ECC_NIST_P521": Kind(ec.SECP521R1(), "ECDSA_SHA_512", hashes.SHA512()),
}


@dataclass
class Key:
    """A key. state: as KMS names it: Enabled, Disabled, PendingDeletion. usage: SIGN_VERIFY."""

    id: str
    spec: str
    private: ec.EllipticCurvePrivateKey
    state: str = "Enabled"
    usage: str = "SIGN_VERIFY"
    secret: bytes = b""  # of a key that wraps

    @property
    def arn(self) -> str:
        """Return its address."""
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.id}"


@dataclass
class KmsDouble:
    """The application. asked: the operations in order. lies: signatures are of another key."""

    keys: dict[str, Key] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    lies: bool = False

    def add_key(self, spec: str = "ECC_NIST_P256", *, alias: str = "") -> Key:
        """Make a key; return it."""
        made = Key(str(uuid.uuid4()), spec, ec.generate_private_key(KINDS[spec].curve))
        self.keys[made.id] = made
        if alias:
            self.aliases[f"alias/{alias}"] = made.id
        return made

    def add_wrapping_key(self) -> Key:
        """Make a symmetric key (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT); return it."""
        made = self.add_key()
        made.usage, made.secret = "ENCRYPT_DECRYPT", os.urandom(32)
        return made

    def fail_next(self, *failures: tuple[int, str]) -> None:
        """Answer the next requests with these statuses and error codes."""
        self.failures += failures

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        signed = SIGNED.match(environ.get("HTTP_AUTHORIZATION", ""))
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        try:
            if signed is None or signed["service"] != "kms":
                raise Refused(400, "AccessDeniedException")
            if service != "TrentService" or operation not in OPERATIONS:
                raise Refused(400, "UnknownOperationException")
            asked = json.loads(body)
            self.asked.append((operation, asked))
            if self.failures:
                raise Refused(*self.failures.pop(0))
            return _said(start, 200, OPERATIONS[operation](self, asked))
        except Refused as error:
            return _said(start, error.status, {"__type": error.code, "message": str(error)})

    def get_public_key(self, asked: Json) -> Json:
        """Answer GetPublicKey: the SubjectPublicKeyInfo in DER."""
        key = self._key(asked)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public = key.private.public_key().public_bytes(serialization.Encoding.DER, form)
        return {
            "KeyId": key.arn,
            "PublicKey": base64.b64encode(public).decode(),
            "KeySpec": key.spec,
            "CustomerMasterKeySpec": key.spec,
            "KeyUsage": key.usage,
            "SigningAlgorithms": [KINDS[key.spec].algorithm],
        }

    def sign(self, asked: Json) -> Json:
        """Answer Sign."""
        key = self._key(asked)
        digest = _digest(key, asked)
        if asked.get("DryRun"):
            raise Refused(400, "DryRunOperationException")
        kind = KINDS[key.spec]
        private = ec.generate_private_key(kind.curve) if self.lies else key.private
        signature = private.sign(digest, ec.ECDSA(Prehashed(kind.hash)))
        return {
            "KeyId": key.arn,
            "Signature": base64.b64encode(signature).decode(),
            "SigningAlgorithm": kind.algorithm,
        }

    def verify(self, asked: Json) -> Json:
        """Answer Verify: true, or an error."""
        key = self._key(asked)
        digest, signature = _digest(key, asked), _decoded(asked, "Signature")
        if asked.get("DryRun"):
            raise Refused(400, "DryRunOperationException")
        kind = KINDS[key.spec]
        try:
            key.private.public_key().verify(signature, digest, ec.ECDSA(Prehashed(kind.hash)))
        except InvalidSignature:
            raise Refused(400, "KMSInvalidSignatureException") from None
        return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": kind.algorithm}

    def generate_data_key(self, asked: Json) -> Json:
        """Answer GenerateDataKey: a data key in plain, and wrapped."""
        key, plain, nonce = self._wrapping_key(asked), os.urandom(32), os.urandom(12)
        if asked.get("KeySpec") != "AES_256":
            raise Refused(400, "ValidationException")
        sealed = AESGCM(key.secret).encrypt(nonce, plain, _context(asked))
        return {
            "KeyId": key.arn,
            "Plaintext": base64.b64encode(plain).decode(),
            "CiphertextBlob": base64.b64encode(nonce + sealed).decode(),
        }

    def decrypt(self, asked: Json) -> Json:
        """Answer Decrypt."""
        key, blob = self._wrapping_key(asked), _decoded(asked, "CiphertextBlob")
        try:
            plain = AESGCM(key.secret).decrypt(blob[:12], blob[12:], _context(asked))
        except (InvalidTag, ValueError):
            raise Refused(400, "InvalidCiphertextException") from None
        return {"KeyId": key.arn, "Plaintext": base64.b64encode(plain).decode()}

    def _wrapping_key(self, asked: Json) -> Key:
        key = self._key(asked)
        if key.usage != "ENCRYPT_DECRYPT":
            raise Refused(400, "InvalidKeyUsageException")
        return key

    def _key(self, asked: Json) -> Key:
        named = str(asked.get("KeyId", ""))
        name = named.partition(f":{ACCOUNT}:")[2] or named
        key = self.keys.get(self.aliases.get(name, name.removeprefix("key/")))
        if key is None:
            raise Refused(400, "NotFoundException")
        if key.state == "Disabled":
            raise Refused(400, "DisabledException")
        if key.state != "Enabled":
            raise Refused(400, "KMSInvalidStateException")
        return key


OPERATIONS = {
    "GetPublicKey": KmsDouble.get_public_key,
    "Sign": KmsDouble.sign,
    "Verify": KmsDouble.verify,
    "GenerateDataKey": KmsDouble.generate_data_key,
    "Decrypt": KmsDouble.decrypt,
}


def _digest(key: Key, asked: Json) -> bytes:
    """Return what is signed. Raises Refused where message, type and algorithm do not fit."""
    kind, message = KINDS[key.spec], _decoded(asked, "Message")
    if key.usage != "SIGN_VERIFY" or asked.get("SigningAlgorithm") != kind.algorithm:
        raise Refused(400, "InvalidKeyUsageException")
    if not 1 <= len(message) <= MOST_BYTES:
        raise Refused(400, "ValidationException", "A message has 1 to 4096 bytes.")
    if asked.get("MessageType", "RAW") == "RAW":
        return hashlib.new(kind.hash.name, message).digest()
    if asked["MessageType"] != "DIGEST" or len(message) != kind.hash.digest_size:
        words = "The digest has not the length of its algorithm's."
        raise Refused(400, "ValidationException", words)
    return message


def _context(asked: Json) -> bytes:
    """Return the encryption context as KMS binds it: whatever order it came in."""
    return json.dumps(asked.get("EncryptionContext") or {}, sort_keys=True).encode()


def _decoded(asked: Json, name: str) -> bytes:
    try:
        return base64.b64decode(asked[name], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise Refused(400, "SerializationException") from None


def _said(start: Start, status: int, body: Json) -> Iterable[bytes]:
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    start(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [json.dumps(body).encode()]
