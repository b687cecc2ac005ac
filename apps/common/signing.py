"""Who signs what auditors rely on, and the signed note that carries it (C2SP signed-note). Pure: a
signer that asks a service lives in `integrations`.

A signature is ECDSA with SHA-256 on P-256 over the note's text, the note's type 0x02: its key id is
the first four bytes of the SHA-256 of the public key's SubjectPublicKeyInfo.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DASH = "\u2014"


class BadNote(Exception):
    """A text is no signed note, or no trusted key signed it. The text says which."""


class Signer(Protocol):
    """Signs for one key: a file, a key service."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the key that whoever checks a signature needs."""

    def sign(self, message: bytes) -> bytes:
        """Return the ECDSA signature over SHA-256 of the message, in DER."""


@dataclass(frozen=True)
class FileSigner:
    """A private key that is a file."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, path: str | Path) -> "FileSigner":
        """Return the key in a PEM file. Raises ValueError unless it is an EC key on P-256."""
        key = serialization.load_pem_private_key(Path(path).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError(f"{path} must hold an elliptic-curve private key on P-256")
        return cls(key)

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return its public half."""
        return self.private.public_key()

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def read_public_keys(pem: bytes) -> list[ec.EllipticCurvePublicKey]:
    """Return the public keys of a text that has one PEM after the other. Raises ValueError for a
    key that is not on P-256.
    """
    end = b"-----END PUBLIC KEY-----"
    found = []
    for block in pem.split(end)[:-1]:
        key = serialization.load_pem_public_key(block.strip() + b"\n" + end + b"\n")
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise ValueError("A key of the record must be an elliptic-curve key on P-256")
        found.append(key)
    return found


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as people and programs take it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of a key's SubjectPublicKeyInfo, in hexadecimal digits."""
    return hashlib.sha256(_spki(key)).hexdigest()


def signed_note(text: str, *, name: str, signer: Signer) -> str:
    """Return a note: the text (it ends in a new line), an empty line, the signature under `name`.
    Raises ValueError where a note cannot hold them.
    """
    if not text.endswith("\n") or "\n\n" in text or any(c.isspace() or c == "+" for c in name):
        raise ValueError("A note's text ends in a new line, and its key's name has no space or +.")
    signature = _key_id(signer.public_key) + signer.sign(text.encode())
    return f"{text}\n{DASH} {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, *, name: str, keys: Sequence[ec.EllipticCurvePublicKey]) -> str:
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


def _check(line: str, text: str, name: str, keys: Sequence[ec.EllipticCurvePublicKey]) -> bool:
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
        try:
            key.verify(signature[4:], text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise BadNote(f"It was not signed by {name}, though it says so.") from error
    return bool(known)


def _key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()[:4]


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)
