"""Reading what is stored: at flat memory, range by range, on over a broken connection."""

import hashlib
from itertools import pairwise

import pytest

from apps.catalog.verification import reading
from apps.catalog.verification.reading import Untrue, compare_ranges, file_checked, stream
from apps.common import model_manifest
from apps.common.model_manifest import RangeHash
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import NoSuchRange

RANGE = 100


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Have ranges of 100 bytes, and no pauses."""
    monkeypatch.setattr(model_manifest, "RANGE_SIZE", RANGE)
    monkeypatch.setattr(reading, "PAUSE_SECONDS", 0.0)


def body(size: int) -> bytes:
    """Return bytes that differ from range to range."""
    return bytes(number * 7 % 251 for number in range(size))


def digests(content: bytes) -> list[str]:
    return [
        hashlib.sha256(content[start : start + RANGE]).hexdigest()
        for start in range(0, len(content), RANGE)
    ]


class Store:
    """A store with one object. cuts: after how many bytes of each reading the connection breaks."""

    def __init__(self, content: bytes, cuts: tuple[int, ...] = (), chunk: int = 33) -> None:
        self.content, self.cuts, self.chunk = content, list(cuts), chunk
        self.asked: list[int] = []
        self.given = 0

    def read_from(self, key, *, version_id="", first=0):
        self.asked.append(first)
        if first >= len(self.content):
            raise NoSuchRange("it is shorter")
        cut = self.cuts.pop(0) if self.cuts else None
        sent = 0
        for start in range(first, len(self.content), self.chunk):
            piece = self.content[start : start + self.chunk]
            if cut is not None and sent + len(piece) > cut:
                raise TemporaryError("The model registry (S3) cannot be reached.")
            sent += len(piece)
            self.given += len(piece)
            yield piece


def check(store, content, *, first=0, expected=None):
    """Check a stored file of this content; return which ranges passed, and how much was read."""
    passed, read = [], []
    file_checked(
        store,
        "m/v1/model.safetensors",
        name="model.safetensors",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        version_id="1",
        ranges=digests(content) if expected is None else expected,
        first=first,
        read=read.append,
        passed=passed.append,
    )
    return passed, sum(read)


class TestRangeHash:
    @pytest.mark.parametrize("size", [1, 99, 100, 101, 250, 300])
    @pytest.mark.parametrize("chunk", [1, 33, 100, 1000])
    def test_is_of_each_range_whatever_the_chunks(self, size, chunk):
        content, found = body(size), RangeHash()
        for start in range(0, size, chunk):
            found.update(content[start : start + chunk])
        assert found.digests() == digests(content)
        assert len(found.digests()) == model_manifest.range_count(size)


class TestStream:
    def test_goes_on_at_the_byte_where_the_connection_broke(self):
        content = body(1000)
        store = Store(content, cuts=(990, 33, 0))
        assert b"".join(stream(store, "k")) == content
        assert store.asked[0] == 0
        assert all(before <= after for before, after in pairwise(store.asked))
        assert store.given == len(content)

    def test_ends_where_the_connection_broke_behind_the_last_byte(self):
        content = body(66)

        class Breaks(Store):
            def read_from(self, key, *, version_id="", first=0):
                yield from super().read_from(key, first=first)
                raise TemporaryError("The model registry (S3) cannot be reached.")

        store = Breaks(content)
        assert b"".join(stream(store, "k")) == content
        assert store.asked == [0, 66]
        assert check(Breaks(content), content) == ([0], 66)

    def test_gives_up_where_nothing_more_comes(self):
        store = Store(body(100), cuts=(66, 0, 0, 0))
        with pytest.raises(TemporaryError):
            list(stream(store, "k"))
        assert store.asked == [0, 66, 66]

    def test_raises_what_is_no_pause(self):
        class Refuses:
            def read_from(self, key, **_):
                raise PermanentError("AccessDenied")
                yield

        with pytest.raises(PermanentError, match="AccessDenied"):
            list(stream(Refuses(), "k"))

    def test_fetches_a_little_ahead_and_no_more(self):
        store = Store(body(100_000), chunk=10)
        chunks = stream(store, "k")
        next(chunks)
        chunks.close()
        assert store.given <= 10 * (reading.AHEAD + 3)


class TestFileChecked:
    def test_passes_each_range_of_what_is_right(self):
        content = body(250)
        assert check(Store(content), content) == ([0, 1, 2], 250)

    def test_goes_on_at_a_range(self):
        content = body(350)
        store = Store(content)
        assert check(store, content, first=2) == ([2, 3], 150)
        assert store.asked == [200]

    @pytest.mark.parametrize(
        ("at", "first", "last"), [(0, 0, 99), (99, 0, 99), (100, 100, 199), (249, 200, 249)]
    )
    def test_names_the_bytes_of_the_range_that_differs(self, at, first, last):
        content = body(250)
        stored = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(Untrue) as found:
            check(Store(stored), content)
        assert found.value.where == {
            "file": "model.safetensors", "first_byte": first, "last_byte": last,
        }  # fmt: skip
        assert f"model.safetensors: bytes {first} to {last} have sha256" in str(found.value)

    @pytest.mark.parametrize(
        ("stored", "first", "last"), [(body(249), 200, 249), (body(100), 100, 199)]
    )
    def test_sees_a_file_that_ends_early(self, stored, first, last):
        with pytest.raises(Untrue) as found:
            check(Store(stored), body(250))
        assert (found.value.first, found.value.last) == (first, last)

    def test_sees_a_file_that_ends_before_the_range_to_go_on_at(self):
        with pytest.raises(Untrue, match="ends before byte 200"):
            check(Store(body(150)), body(250), first=2)

    def test_sees_what_was_appended(self):
        with pytest.raises(Untrue, match="goes on after its 250 bytes"):
            check(Store(body(251)), body(250))

    def test_compares_a_file_whole_that_has_no_ranges(self):
        content = body(250)
        read = []
        options = {
            "name": "LICENSE", "size": 250, "version_id": "", "ranges": None,
            "read": read.append, "passed": lambda index: None,
        }  # fmt: skip
        digest = hashlib.sha256(content).hexdigest()
        file_checked(Store(content), "k", sha256=digest, **options)
        assert sum(read) == 250
        with pytest.raises(Untrue, match="LICENSE: expected 250 bytes") as found:
            file_checked(Store(content[:-1] + b"x"), "k", sha256=digest, **options)
        assert (found.value.first, found.value.last) == (0, 249)


class TestCompareRanges:
    def test_takes_chunks_that_end_anywhere(self):
        content = body(250)
        for size in (1, 7, 100, 101, 250):
            chunks = iter([content[at : at + size] for at in range(0, 250, size)])
            passed = []
            compare_ranges(
                chunks, name="f", size=250, expected=digests(content), read=lambda size: None,
                passed=passed.append,
            )  # fmt: skip
            assert passed == [0, 1, 2]
