"""The Merkle tree over the record (RFC 6962, section 2.1): its root at a size, and the proofs that
an entry is in it and that a larger tree continues a smaller one. Pure: hashes come from a `Source`.

Hashes are 32 bytes (SHA-256). Levels: 0 is the leaves, a node of level n stands over 2^n of them.
Of the levels above the leaves every eighth is kept (as tlog-tiles does), so that a root or a proof
reads at most 255 hashes a kept level instead of every leaf. Whoever checks a proof does not ask us:
`deploy/verifier` does it.
"""

import hashlib
from collections.abc import Callable, Sequence

STEP = 8  # levels between two that are kept
WIDTH = 1 << STEP

# (kept level, first index, how many) -> hashes; kept level k is the tree's level k * STEP
Source = Callable[[int, int, int], Sequence[bytes]]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry's leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the node over hashes of one level; their number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def root(size: int, source: Source) -> bytes:
    """Return the root of the first `size` leaves; the hash of nothing for none."""
    return _over(0, size, source) if size else hashlib.sha256().digest()


def inclusion(index: int, size: int, source: Source) -> list[bytes]:
    """Return the proof that leaf `index` is in the tree of `size`, from the leaf's sibling up.
    Raises ValueError where the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"A record of {size:,} entries has none with the number {index:,}.")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_over(middle, high, source))
            high = middle
        else:
            path.append(_over(low, middle, source))
            low = middle
    return path[::-1]


def consistency(old: int, new: int, source: Source) -> list[bytes]:
    """Return the proof that the tree of `new` begins with the tree of `old` leaves. Raises
    ValueError unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"A record of {new:,} entries does not continue one of {old:,}.")
    path: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_over(middle, high, source))
            high = middle
        else:
            path.append(_over(low, middle, source))
            low, whole = middle, False
    return ([] if whole else [_over(low, high, source)]) + path[::-1]


class Frontier:
    """A tree that only grows, leaf by leaf, and keeps no more than a hash a level. It begins with
    nothing, or with a tree of `size` leaves, whose `frontier` the nodes are.
    """

    def __init__(self, size: int = 0, nodes: Sequence[bytes] = ()) -> None:
        self.size = size
        self._nodes = list(nodes)  # over whole powers of two, the largest first

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf; return (kept level, index, hash) of every kept node that became whole."""
        self.size += 1
        self._nodes.append(leaf)
        kept, height, rest = [], 0, self.size
        while rest & 1 == 0:
            right, left = self._nodes.pop(), self._nodes.pop()
            self._nodes.append(node_hash(left, right))
            height, rest = height + 1, rest >> 1
            if height % STEP == 0:
                kept.append((height // STEP, rest - 1, self._nodes[-1]))
        return kept

    def root(self) -> bytes:
        """Return the root of what was added."""
        if not self._nodes:
            return hashlib.sha256().digest()
        found = self._nodes[-1]
        for node in reversed(self._nodes[:-1]):
            found = node_hash(node, found)
        return found


def frontier(size: int, source: Source) -> list[bytes]:
    """Return the hashes over the whole powers of two that the first `size` leaves consist of, the
    largest first: what a tree of that size needs to grow on.
    """
    found, low = [], 0
    for height in reversed(range(size.bit_length())):
        if size >> height & 1:
            found.append(_over(low, low + (1 << height), source))
            low += 1 << height
    return found


def _split(count: int) -> int:
    """Return the largest power of two that is smaller than `count` (2 at least)."""
    return 1 << (count - 1).bit_length() - 1


def _over(low: int, high: int, source: Source) -> bytes:
    """Return the hash over leaves low … high, which the splits of some tree lead to."""
    count = high - low
    if count & (count - 1) == 0:
        kept, rest = divmod(count.bit_length() - 1, STEP)
        return fold(source(kept, low >> kept * STEP, 1 << rest))
    middle = low + _split(count)
    return node_hash(_over(low, middle, source), _over(middle, high, source))
