"""Who signs what others rely on, manifests and the record, and the signed note that carries the
record's checkpoints (C2SP signed-note). Pure: a signer that asks a service lives in `integrations`.

A signature is ECDSA with the hash that belongs to the key's curve. A note's is on P-256 over its
text, the note's type 0x02: its key id is the first four bytes of the SHA-256 of the public key's
SubjectPublicKeyInfo.
"""

import base64
import binascii
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DASH = "\u2014"
P256 = "secp256r1"
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    P256: hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
CURVES = tuple(_HASHES)

PublicKey = ec.EllipticCurvePublicKey


class BadNote(Exception):
    """A text is no signed note, or no trusted key signed it. The text says which."""


class Kind(StrEnum):
    """Where a private key is."""

    FILE = "FILE"
    KMS = "KMS"
    TRANSIT = "TRANSIT"


class Signer(Protocol):
    """Signs for one key on P-256, P-384 or P-521: a file, a key service."""

    @property
    def kind(self) -> str:
        """Return where the private key is, a Kind."""

    @property
    def key_id(self) -> str:
        """Return what the key is called there."""

    @property
    def public_key(self) -> PublicKey:
        """Return the key that whoever checks a signature needs."""

    def sign(self, message: bytes) -> bytes:
        """Return the ECDSA signature over the message, in DER."""


@dataclass(frozen=True)
class FileSigner:
    """A private key that is a file."""

    private: ec.EllipticCurvePrivateKey
    key_id: str = ""
    kind: str = Kind.FILE

    @classmethod
    def load(cls, path: str | Path, *, curves: Collection[str] = CURVES) -> "FileSigner":
        """Return the key in a PEM file. Raises ValueError unless it is an elliptic-curve key on one
        of the curves.
        """
        key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in curves:
            raise ValueError(
                f"{path} must hold an elliptic-curve private key on {_curve_words(curves)}"
            )
        return cls(key, Path(path).name)

    @property
    def public_key(self) -> PublicKey:
        """Return its public half."""
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self.private.sign(message, _algorithm(self.private.curve))


def is_signed(*, key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell whether a key made a signature, in DER, over a message."""
    try:
        key.verify(signature, message, _algorithm(key.curve))
    except InvalidSignature:
        return False
    return True


def prehashed(*, curve: str, message: bytes) -> tuple[str, bytes]:
    """Return the name of the hash that belongs to a curve ("SHA256") and the digest of a message by
    it: what a key service is given to sign.
    """
    algorithm = _HASHES[curve]()
    return algorithm.name.upper(), hashlib.new(algorithm.name, message).digest()


def public_key_of(content: bytes) -> PublicKey:
    """Return a public key from its SubjectPublicKeyInfo, PEM or DER. Raises ValueError unless it is
    an elliptic-curve key on a known curve.
    """
    load = serialization.load_pem_public_key
    if not content.startswith(b"-----BEGIN"):
        load = serialization.load_der_public_key
    key = load(content)
    if not isinstance(key, PublicKey) or key.curve.name not in CURVES:
        raise ValueError(f"A public key must be on {_curve_words(CURVES)}")
    return key


def read_public_keys(pem: bytes, *, curves: Collection[str] = CURVES) -> list[PublicKey]:
    """Return the public keys of a text that has one PEM after the other. Raises ValueError for a
    key that is on none of the curves.
    """
    end = b"-----END PUBLIC KEY-----"
    found = []
    for block in pem.split(end)[:-1]:
        key = serialization.load_pem_public_key(block.strip() + b"\n" + end + b"\n")
        if not isinstance(key, PublicKey) or key.curve.name not in curves:
            raise ValueError(f"A public key must be on {_curve_words(curves)}")
        found.append(key)
    return found


def public_pem(key: PublicKey) -> bytes:
    """Return a public key as people and programs take it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


def fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, in hexadecimal digits."""
    return hashlib.sha256(_spki(key)).hexdigest()


def signed_note(text: str, *, name: str, signer: Signer) -> str:
    """Return a note: the text (it ends in a new line), an empty line, the signature under `name`.
    Raises ValueError where a note cannot hold them.
    """
    if signer.public_key.curve.name != P256:
        raise ValueError("A note is signed by a key on P-256.")
    if not text.endswith("\n") or "\n\n" in text or any(c.isspace() or c == "+" for c in name):
        raise ValueError("A note's text ends in a new line, and its key's name has no space or +.")
    signature = _key_id(signer.public_key) + signer.sign(text.encode())
    return f"{text}\n{DASH} {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, *, name: str, keys: Sequence[PublicKey]) -> str:
    """Return the text of a note that one of the trusted keys signed under `name`.

    Signatures of unknown keys are ignored, as the format wants it. Raises BadNote.
    """
    text, separator, rest = note.rpartition("\n\n")
    if not separator or not rest.endswith("\n"):
        raise BadNote("It is no signed note.")
    text += "\n"
    verified = [_check(line, text, name, keys) for line in rest.splitlines()]
    if not any(verified):
        raise BadNote("No trusted key signed it.")
    return text


def _check(line: str, text: str, name: str, keys: Sequence[PublicKey]) -> bool:
    """Tell whether a signature line is that of a known key. Raises BadNote where a known key did
    not sign this text.
    """
    try:
        dash, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote("A signature of it cannot be read.") from error
    if dash != DASH or len(signature) <= 4:
        raise BadNote("A signature of it cannot be read.")
    known = [key for key in keys if signer == name and signature[:4] == _key_id(key)]
    for key in known:
        if not is_signed(key=key, signature=signature[4:], message=text.encode()):
            raise BadNote(f"It was not signed by {name}, though it says so.")
    return bool(known)


def _algorithm(curve: ec.EllipticCurve) -> ec.ECDSA:
    return ec.ECDSA(_HASHES[curve.name]())


def _curve_words(curves: Collection[str]) -> str:
    return " or ".join(f"P-{name[4:7]}" for name in curves)


def _key_id(key: PublicKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()[:4]


def _spki(key: PublicKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)
