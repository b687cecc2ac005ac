#!/usr/bin/env python3
"""Verifies Quartermaster's audit record without Quartermaster: a part of it, the proof of one
event, or the proof that one checkpoint continues another.

    python verify.py part.qmr --key key.pem [--checkpoint kept.txt ...]
    python verify.py event.tlog-proof --key key.pem
    python verify.py consistency.txt --key key.pem --checkpoint kept.txt

It needs Python 3.11 and the package `cryptography`, and nothing else: no network, no portal. --key
holds the public keys that may have signed, as whoever runs the record handed them to you; take them
from the portal only to compare their fingerprints. --checkpoint names checkpoints that you kept
yourself, or fetched from the bucket where nobody can change them: the record must run through them.

It ends with 0 where everything is as it was signed, with 1 where something is not, and with 2 where
it cannot read what it was given.
"""

import argparse
import base64
import binascii
import gzip
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PART, PROOF = "quartermaster.record@v1", "c2sp.org/tlog-proof@v1"
END = b"-----END PUBLIC KEY-----"


class Wrong(Exception):
    """Something is not as it was signed. The text says what."""


class Unreadable(Exception):
    """A file is not what this program reads. The text says where."""


@dataclass(frozen=True)
class Head:
    """What a checkpoint says, and who signed it."""

    origin: str
    size: int
    root: bytes
    signer: str = ""


@dataclass
class Tree:
    """A Merkle tree (RFC 6962) that grows leaf by leaf."""

    size: int = 0
    nodes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        nodes = self.nodes
        nodes.append(leaf)
        self.size += 1
        rest = self.size
        while not rest & 1:
            right = nodes.pop()
            nodes[-1] = hashlib.sha256(b"\x01" + nodes[-1] + right).digest()
            rest >>= 1

    def root(self) -> bytes:
        """Return the root."""
        if not self.nodes:
            return hashlib.sha256().digest()
        found = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            found = node_hash(node, found)
        return found


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash over two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def read_keys(path: str) -> list[ec.EllipticCurvePublicKey]:
    """Return the public keys of a PEM file."""
    found = []
    for block in Path(path).read_bytes().split(END)[:-1]:
        key = serialization.load_pem_public_key(block.strip() + b"\n" + END + b"\n")
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Unreadable(f"{path}: a key that is no elliptic-curve key.")
        found.append(key)
    if not found:
        raise Unreadable(f"{path}: no public key.")
    return found


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key's bytes."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


def read_checkpoint(note: str, keys: list[ec.EllipticCurvePublicKey]) -> Head:
    """Return what a checkpoint says, if one of the keys signed it under its origin's name."""
    text, separator, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not separator or len(lines) < 3:
        raise Wrong("A checkpoint that is no signed note.")
    message = (text + "\n").encode()
    for line in signatures.splitlines():
        words = line.split(" ")
        if len(words) != 3 or words[:2] != ["\u2014", lines[0]]:
            continue
        signature = unbase64(words[2])
        for key in keys:
            digest = hashlib.sha256(spki(key)).digest()
            if signature[:4] == digest[:4]:
                try:
                    key.verify(signature[4:], message, ec.ECDSA(hashes.SHA256()))
                except InvalidSignature:
                    raise Wrong(f"The checkpoint of {lines[1]} entries was forged.") from None
                return Head(lines[0], int(lines[1]), unbase64(lines[2]), digest.hex())
    raise Wrong(f"None of your keys signed the checkpoint of {lines[1]} entries.")


def unbase64(text: str | bytes) -> bytes:
    """Return what base64 stands for."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Unreadable(f"{text[:40]!r} is not base64.") from error


def lines_of(path: str) -> Iterator[bytes]:
    """Yield a file's lines without their ends; gzip is unpacked on the way."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else open(path, "rb") as file:
        for line in file:
            yield line.rstrip(b"\n")


@dataclass
class Part:
    """A part of the record while it is read."""

    keys: list[ec.EllipticCurvePublicKey]
    kept: dict[int, Head]
    origin: str = ""
    first: int = 0
    tree: Tree = field(default_factory=Tree)
    entries: int = 0
    proven: int = 0  # the size of the last checkpoint that fits
    passed: int = 0  # of the caller's own checkpoints

    def read(self, lines: Iterator[bytes]) -> None:
        """Read it all. Raises Wrong at the first checkpoint that the entries do not lead to."""
        begun, append = False, self.tree.append
        for number, line in enumerate(lines, start=2):
            if line.startswith(b"{"):
                append(hashlib.sha256(b"\x00" + line).digest())
                self.entries += 1
                begun = True
            elif line.startswith(b"leaf "):
                append(unbase64(line[5:]))
                begun = True
            elif line.startswith(b"checkpoint "):
                self.check(read_checkpoint(unbase64(line[11:]).decode(), self.keys))
            elif begun or not self.begins(line):
                raise Unreadable(f"line {number}: {line[:60]!r} does not belong there.")
            if begun and self.tree.size in self.kept:
                self.compare(self.kept.pop(self.tree.size))

    def begins(self, line: bytes) -> bool:
        """Take a line that says where the part begins; tell whether it was one."""
        word, _, value = line.partition(b" ")
        if word == b"origin":
            self.origin = value.decode()
        elif word == b"first":
            self.first = self.tree.size = int(value)
        elif word == b"before":
            self.tree.nodes.append(unbase64(value))
        else:
            return False
        return True

    def check(self, head: Head) -> None:
        """Compare the tree with a checkpoint of the part."""
        if head.origin != self.origin:
            raise Wrong(f"A checkpoint of {head.origin} in a part of {self.origin}.")
        self.compare(head)
        self.proven = head.size

    def compare(self, head: Head) -> None:
        """Compare the tree as it is with what was signed."""
        if head.size != self.tree.size or head.root != self.tree.root():
            raise Wrong(
                f"Entries up to {self.tree.size:,} do not lead to the checkpoint of "
                f"{head.size:,} entries: an entry was changed, added, left out or moved."
            )
        self.passed += 1


def verify_part(
    lines: Iterator[bytes], keys: list[ec.EllipticCurvePublicKey], kept: list[Head]
) -> str:
    """Verify a part of the record; return what holds, in words."""
    part = Part(keys, {head.size: head for head in kept})
    part.read(lines)
    if len(part.tree.nodes) != bin(part.tree.size).count("1"):
        raise Unreadable("What stands before the part is not whole.")
    beyond = [size for size in part.kept if size > part.tree.size]
    if beyond:
        raise Wrong(
            f"You have a checkpoint of {max(beyond):,} entries, but this part ends at "
            f"{part.tree.size:,}: its end is missing, or the record was cut."
        )
    end = part.first + part.entries
    if not part.entries:
        raise Unreadable("The part holds no entries.")
    if part.proven < end:
        raise Wrong(
            f"{part.entries:,} entries ({part.first:,} to {end - 1:,}), but nothing that was "
            f"signed stands over those from {max(part.proven, part.first):,} on."
        )
    unseen = f" {len(part.kept)} of your checkpoints lie before it." if part.kept else ""
    return (
        f"{part.entries:,} entries of {part.origin}, numbers {part.first:,} to {end - 1:,}, are "
        f"what was signed; {part.passed:,} checkpoints passed.{unseen}"
    )


def verify_proof(lines: list[bytes], keys: list[ec.EllipticCurvePublicKey]) -> str:
    """Verify the proof of one event (C2SP tlog-proof); return what holds, in words."""
    extra = unbase64(lines.pop(0)[6:]) if lines and lines[0].startswith(b"extra ") else b""
    if not lines or not lines[0].startswith(b"index "):
        raise Unreadable("The proof names no index.")
    index, gap = int(lines[0][6:]), lines.index(b"")
    path = [unbase64(line) for line in lines[1:gap]]
    head = read_checkpoint(b"\n".join(lines[gap + 1 :]).decode() + "\n", keys)
    if inclusion_root(leaf_hash(extra), index, head.size, path) != head.root:
        raise Wrong("The proof does not lead from this event to the checkpoint that was signed.")
    return (
        f"Entry {index:,} of {head.origin} is what was signed (checkpoint of {head.size:,} "
        f"entries):\n{extra.decode()}"
    )


def verify_consistency(
    lines: list[bytes], keys: list[ec.EllipticCurvePublicKey], kept: list[Head]
) -> str:
    """Verify that a checkpoint continues one that the caller kept; return what holds, in words."""
    size, gap = int(lines[0][4:]), lines.index(b"")
    path = [unbase64(line) for line in lines[1:gap]]
    new = read_checkpoint(b"\n".join(lines[gap + 1 :]).decode() + "\n", keys)
    old = next((head for head in kept if head.size == size), None)
    if old is None:
        raise Unreadable(f"Name your own checkpoint of {size:,} entries with --checkpoint.")
    roots = consistency_roots(old, new.size, path)
    if old.origin != new.origin or roots != (old.root, new.root):
        raise Wrong(f"The record of {new.size:,} entries does not continue yours of {size:,}.")
    return f"The record of {new.size:,} entries continues yours of {size:,}."


def inclusion_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that a proof of inclusion leads to; None where it leads nowhere."""
    if not 0 <= index < size:
        return None
    number, last, found, rest = index, size - 1, leaf, list(path)
    while last and rest:
        if number & 1 or number == last:
            found = node_hash(rest.pop(0), found)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, rest.pop(0))
        number, last = number >> 1, last >> 1
    return None if last or rest else found


def consistency_roots(old: Head, size: int, path: list[bytes]) -> tuple[bytes, bytes] | None:
    """Return the two roots that a proof of consistency leads to; None where it leads nowhere."""
    if old.size == size and not path:
        return (old.root, old.root)
    rest = [old.root, *path] if old.size & (old.size - 1) == 0 else list(path)
    if not 0 < old.size < size or not rest:
        return None
    number, last = old.size - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = rest[0]
    for one in rest[1:]:
        if not last:
            return None
        if number & 1 or number == last:
            first, second = node_hash(one, first), node_hash(one, second)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            second = node_hash(second, one)
        number, last = number >> 1, last >> 1
    return None if last else (first, second)


def run(file: str, key: str, checkpoints: list[str]) -> str:
    """Verify a file, whichever of the three it is; return what holds, in words."""
    keys = read_keys(key)
    kept = [read_checkpoint(Path(path).read_text("utf-8"), keys) for path in checkpoints]
    lines = lines_of(file)
    head = next(lines, b"").decode(errors="replace")
    if head == PART:
        return verify_part(lines, keys, kept)
    if head == PROOF:
        return verify_proof(list(lines), keys)
    if head.startswith("old "):
        return verify_consistency([head.encode(), *lines], keys, kept)
    raise Unreadable(f"{file}: neither a part of the record nor a proof.")


def main(arguments: list[str]) -> int:
    """Verify, and say what holds or what does not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("file")
    parser.add_argument("--key", required=True)
    parser.add_argument("--checkpoint", action="append", default=[])
    named = parser.parse_args(arguments)
    try:
        print(run(named.file, named.key, named.checkpoint))
    except Wrong as error:
        print(f"WRONG: {error}")
        return 1
    except (Unreadable, OSError, ValueError, IndexError, EOFError) as error:
        print(f"Cannot read it: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
