"""The tree of RFC 6962, against hashes computed from its definition."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.audit import merkle
from apps.audit.merkle import STEP, WIDTH
from tests.audit.offline import Inconsistent, check_consistency, check_inclusion

ENTRIES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"@ABC",
    b"PQRSTUVW",
    b"`abcdefghijklmno",
]
SIZE = 700  # two whole groups of a kept level, and the beginning of a third


def by_definition(leaves):
    """MTH of RFC 6962, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    left, right = by_definition(leaves[:k]), by_definition(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


class Kept:
    """Leaves, and the nodes that are kept above them; counts what is read."""

    def __init__(self, leaves):
        self.levels = [list(leaves)]
        self.read = 0
        while len(self.levels[-1]) >= WIDTH:
            row = self.levels[-1]
            whole = range(0, len(row) - len(row) % WIDTH, WIDTH)
            self.levels.append([by_definition(row[i : i + WIDTH]) for i in whole])

    def __call__(self, level, first, count):
        self.read += count
        found = self.levels[level][first : first + count]
        assert len(found) == count
        return found


LEAVES = [merkle.leaf_hash(str(n).encode()) for n in range(SIZE)]
SOURCE = Kept(LEAVES)
SIZES = st.integers(min_value=1, max_value=SIZE)


class TestRoot:
    def test_is_that_of_the_reference_implementation(self):
        # certificate-transparency, merkletree test vectors
        source = Kept([merkle.leaf_hash(entry) for entry in ENTRIES])
        assert [merkle.root(n, source).hex() for n in (1, 3, 8)] == [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]

    def test_of_nothing_is_the_hash_of_nothing(self):
        assert merkle.root(0, SOURCE) == hashlib.sha256(b"").digest()

    @given(SIZES)
    def test_is_that_of_the_definition(self, size):
        assert merkle.root(size, SOURCE) == by_definition(LEAVES[:size])

    def test_reads_few_of_many_leaves(self):
        source = Kept(LEAVES)
        merkle.root(SIZE, source)
        assert source.read == 2 + SIZE % WIDTH


class TestInclusion:
    @given(SIZES, st.data())
    def test_proves_that_an_entry_is_there(self, size, data):
        index = data.draw(st.integers(min_value=0, max_value=size - 1))
        path = merkle.inclusion(index, size, SOURCE)
        root = by_definition(LEAVES[:size])
        check_inclusion(leaf=LEAVES[index], index=index, size=size, path=path, expected=root)
        wrong = [
            {"leaf": merkle.leaf_hash(b"another")},
            {"expected": LEAVES[0] if size > 1 else LEAVES[1]},
            {"path": [*path, LEAVES[0]]},
            {"index": size},
            {"index": -1},
        ]
        if path:
            wrong += [
                {"path": path[:-1]},
                {"path": [merkle.leaf_hash(b"x"), *path[1:]]},
                {"index": index ^ 1},
            ]
        for change in wrong:
            proof = {"leaf": LEAVES[index], "index": index, "size": size, "path": path}
            with pytest.raises(Inconsistent):
                check_inclusion(**proof | {"expected": root} | change)

    @pytest.mark.parametrize("index", [-1, 5])
    def test_of_an_entry_that_is_not_there_is_refused(self, index):
        with pytest.raises(ValueError, match="5 entries has none"):
            merkle.inclusion(index, 5, SOURCE)


class TestConsistency:
    @given(SIZES, SIZES)
    @settings(max_examples=200)
    def test_proves_that_one_record_continues_another(self, one, other):
        old, new = sorted((one, other))
        roots = {"old_root": by_definition(LEAVES[:old]), "new_root": by_definition(LEAVES[:new])}
        path = merkle.consistency(old, new, SOURCE)
        check_consistency(old=old, new=new, path=path, **roots)
        forked = by_definition([*LEAVES[: old - 1], LEAVES[-1] if old < SIZE else LEAVES[0]])
        wrong = [{"old_root": forked}, {"new_root": forked}, {"path": [*path, LEAVES[0]]}]
        wrong += [{"path": path[:-1]}] if path else []
        wrong += [{"old": 0}, {"new": old - 1}]
        for change in wrong:
            with pytest.raises(Inconsistent):
                check_consistency(**{"old": old, "new": new, "path": path} | roots | change)

    @pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5)])
    def test_of_what_does_not_continue_is_refused(self, old, new):
        with pytest.raises(ValueError, match="does not continue"):
            merkle.consistency(old, new, SOURCE)


class TestFrontier:
    def test_has_the_same_root_at_every_size_and_the_same_kept_nodes(self):
        tree, kept = merkle.Frontier(), []
        assert tree.root() == by_definition([])
        for size, leaf in enumerate(LEAVES, start=1):
            kept += tree.append(leaf)
            assert tree.size == size
            if size < 20 or size % 97 == 0:
                assert tree.root() == by_definition(LEAVES[:size])
        assert kept == [(1, 0, SOURCE.levels[1][0]), (1, 1, SOURCE.levels[1][1])]

    def test_keeps_the_second_level_too(self):
        tree, kept = merkle.Frontier(), []
        for _ in range(WIDTH * WIDTH):
            kept += tree.append(LEAVES[0])
        same = by_definition([LEAVES[0]] * WIDTH)
        assert len(kept) == WIDTH + 1
        assert kept[-2:] == [(1, WIDTH - 1, same), (2, 0, by_definition([same] * WIDTH))]

    @given(st.integers(min_value=0, max_value=SIZE))
    def test_can_be_gone_on_with_from_any_size(self, size):
        tree = merkle.Frontier()
        for leaf in LEAVES[:size]:
            tree.append(leaf)
        assert merkle.frontier(size, SOURCE) == tree._nodes


def test_two_hundred_and_fifty_six_hashes_make_one_that_is_kept():
    assert WIDTH == 2**STEP
    assert merkle.fold(LEAVES[:WIDTH]) == by_definition(LEAVES[:WIDTH])
