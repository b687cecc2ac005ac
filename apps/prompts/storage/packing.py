"""What a pack looks like: the ciphertext of many texts in one object, each behind a line that says
what it is, so that the object can be read without the index. Pure.

Nothing in it is readable without keys, and nothing names a team, a person or a member.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

FORMAT = b"quartermaster.prompts@v1\n"


@dataclass(frozen=True)
class Piece:
    """A sealed text on its way. id: of its row."""

    id: int
    record_id: UUID
    call_id: UUID
    phase: str
    data_key: UUID
    nonce: bytes
    ciphertext: bytes


@dataclass(frozen=True)
class Packed:
    """An object's bytes. offsets: row's id → where its ciphertext begins."""

    body: bytes
    offsets: dict[int, int]

    @property
    def sha256(self) -> str:
        """Return the digest of the bytes, in hexadecimal."""
        return sha256(self.body).hexdigest()


def pack(pieces: Iterable[Piece]) -> Packed:
    """Return the object of some texts, in their order: the same texts give the same bytes."""
    body, offsets = bytearray(FORMAT), {}
    for piece in pieces:
        head = {
            "record": str(piece.record_id),
            "call": str(piece.call_id),
            "phase": piece.phase,
            "key": str(piece.data_key),
            "nonce": piece.nonce.hex(),
            "size": len(piece.ciphertext),
        }
        body += json.dumps(head, separators=(",", ":")).encode() + b"\n"
        offsets[piece.id] = len(body)
        body += piece.ciphertext + b"\n"
    return Packed(bytes(body), offsets)
