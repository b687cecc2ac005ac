"""Envelope encryption: a text is sealed with a data key, and the data key is wrapped by a key that
never leaves its service. Pure; who asks a service lives in `integrations`.

AES-256-GCM with a random nonce of 96 bits. What a sealed text belongs to is bound to it: moved to
another place, it opens no more. Whoever destroys the wrapped data key destroys every text under it.
"""

import base64
import binascii
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16


class NotOpened(Exception):
    """A text does not open: another key or place sealed it, or it was changed. Says no more."""


@dataclass(frozen=True)
class Sealed:
    """A text that nobody reads without its key. ciphertext: TAG_BYTES longer than the text."""

    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True)
class MadeKey:
    """A new data key: as it is, for the memory of one process; and wrapped, to be kept."""

    plain: bytes
    wrapped: bytes


class Wrapper(Protocol):
    """Wraps data keys with a key of its own. Calls may take seconds, and may be made from several
    threads. bound: what a key is for; unwrapping it for something else is refused where the service
    can.
    """

    @property
    def key_id(self) -> str:
        """Return where the wrapping key is and what it is called there."""

    def make_key(self, bound: str) -> MadeKey:
        """Return a new data key. Raises TemporaryError, PermanentError."""

    def unwrap(self, wrapped: bytes, bound: str) -> bytes:
        """Return a data key of KEY_BYTES. Raises TemporaryError, PermanentError."""


def seal(key: bytes, text: bytes, *, bound: str) -> Sealed:
    """Seal a text with a data key. bound: what it belongs to."""
    nonce = os.urandom(NONCE_BYTES)
    return Sealed(nonce, AESGCM(key).encrypt(nonce, text, bound.encode()))


def open_sealed(key: bytes, sealed: Sealed, *, bound: str) -> bytes:
    """Return a sealed text. Raises NotOpened."""
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, bound.encode())
    except (InvalidTag, ValueError) as error:
        raise NotOpened("This text does not open with this key in this place.") from error


class FileWrapper:
    """Wraps with a key in a file: for a deployment that has neither Vault nor KMS. Whoever reads
    the file and the database reads every text.
    """

    def __init__(self, key: bytes, name: str) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"A key that wraps has {KEY_BYTES} bytes, not {len(key)}.")
        self._key, self.key_id = key, f"file/{name}"

    @classmethod
    def load(cls, path: str | Path) -> "FileWrapper":
        """Return the key in a file: 32 bytes in base64. Raises ValueError for anything else."""
        try:
            key = base64.b64decode(Path(path).read_text().strip(), validate=True)
        except (OSError, binascii.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} must hold {KEY_BYTES} bytes in base64") from error
        return cls(key, Path(path).name)

    def make_key(self, bound: str) -> MadeKey:
        """Make a data key and wrap it."""
        plain = os.urandom(KEY_BYTES)
        sealed = seal(self._key, plain, bound=bound)
        return MadeKey(plain, sealed.nonce + sealed.ciphertext)

    def unwrap(self, wrapped: bytes, bound: str) -> bytes:
        """Unwrap a data key. Raises NotOpened where this key did not wrap it for that."""
        sealed = Sealed(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:])
        return open_sealed(self._key, sealed, bound=bound)
