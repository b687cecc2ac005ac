"""The record: a part of it, the proof of one event, and the proof that one checkpoint continues
another.

Hashes are those of RFC 6962, checkpoints C2SP's tlog-checkpoint, proofs C2SP's tlog-proof.
"""

import base64
import binascii
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from keys import Key, Unreadable, Wrong

LONGEST_LINE = 16 * 1024 * 1024  # bytes; an event carries at most some hundred kilobytes
PART, PROOF = "quartermaster.record@v1", "c2sp.org/tlog-proof@v1"


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


def read_checkpoint(note: str, keys: list[Key]) -> Head:
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
            if signature[:4] == bytes.fromhex(key.fingerprint)[:4]:
                if not key.signed(signature[4:], message):
                    raise Wrong(f"The checkpoint of {lines[1]} entries was forged.")
                return Head(lines[0], int(lines[1]), unbase64(lines[2]), key.fingerprint)
    raise Wrong(f"None of your keys signed the checkpoint of {lines[1]} entries.")


def unbase64(text: str | bytes) -> bytes:
    """Return what base64 stands for."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Unreadable(f"{text[:40]!r} is not base64.") from error


def lines_of(path: str) -> Iterator[bytes]:
    """Yield a file's lines without their ends; gzip is unpacked on the way. Raises Unreadable for a
    line that is longer than any of the record's.
    """
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise Unreadable(f"Line {number} is longer than {LONGEST_LINE:,} bytes.")
            yield line.rstrip(b"\n")


@dataclass
class Part:
    """A part of the record while it is read."""

    keys: list[Key]
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


def verify_part(lines: Iterator[bytes], keys: list[Key], kept: list[Head]) -> str:
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


def proven_entry(lines: list[bytes], keys: list[Key]) -> tuple[bytes, int, Head]:
    """Return the entry, its number and the checkpoint of a proof (C2SP tlog-proof), with or without
    its first line, if it leads where it should.
    """
    rest = [line for line in lines if line != PROOF.encode()]
    extra = unbase64(rest.pop(0)[6:]) if rest and rest[0].startswith(b"extra ") else b""
    if not rest or not rest[0].startswith(b"index "):
        raise Unreadable("The proof names no index.")
    index, gap = int(rest[0][6:]), rest.index(b"")
    path = [unbase64(line) for line in rest[1:gap]]
    head = read_checkpoint(b"\n".join(rest[gap + 1 :]).decode() + "\n", keys)
    if inclusion_root(leaf_hash(extra), index, head.size, path) != head.root:
        raise Wrong("The proof does not lead from this event to the checkpoint that was signed.")
    return extra, index, head


def verify_proof(lines: list[bytes], keys: list[Key]) -> str:
    """Verify the proof of one event; return what holds, in words."""
    entry, index, head = proven_entry(lines, keys)
    return (
        f"Entry {index:,} of {head.origin} is what was signed (checkpoint of {head.size:,} "
        f"entries):\n{entry.decode()}"
    )


def verify_consistency(lines: list[bytes], keys: list[Key], kept: list[Head]) -> str:
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
