"""Reads what is stored as fast as S3 gives it, at flat memory: one thread fetches while another one
digests, and a connection that breaks is taken up again at the byte it broke at.

Files are compared range by range where the version has digests of ranges, else whole. What differs
is an Untrue that names the file and the bytes.
"""

import hashlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from threading import Event, Thread

from apps.common.model_manifest import range_of
from apps.integrations.errors import TemporaryError
from apps.integrations.s3.client import NoSuchRange, NotThere, RegistryStore

AHEAD = 8  # chunks of 1 MiB that are fetched and not digested yet
TRIES = 3  # in a row, without a byte between them
PAUSE_SECONDS = 1.0
Sleep = Callable[[float], None]
Counter = Callable[[int], None]


class Untrue(Exception):
    """What is stored is not what was declared or signed.

    reason: a short code. file: its name, "" where it is no single one. first, last: the bytes that
    differ, counted from 0, both included; None where no bytes were compared.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        file: str = "",
        first: int | None = None,
        last: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason, self.file, self.first, self.last = reason, file, first, last

    @property
    def where(self) -> dict[str, object]:
        """Return file and bytes, as far as they are known, for the record."""
        named: dict[str, object] = {"file": self.file} if self.file else {}
        if self.first is not None:
            named |= {"first_byte": self.first, "last_byte": self.last}
        return named


def missing(name: str) -> Untrue:
    """Return that the registry has no such file."""
    words = f"{name}: expected in the registry, found nothing."
    return Untrue("MISSING_OBJECT", words, file=name)


def stream(
    store: RegistryStore,
    key: str,
    *,
    version_id: str = "",
    first: int = 0,
    sleep: Sleep = time.sleep,
) -> Generator[bytes, None, None]:
    """Yield a stored file's bytes from `first` on, fetched ahead. Raises NotThere, NoSuchRange,
    PermanentError, or TemporaryError where S3 gave nothing more several times in a row.
    """
    steady = _steady(store, key, version_id=version_id, first=first, sleep=sleep)
    waiting: Queue[bytes | BaseException | None] = Queue(maxsize=AHEAD)
    stopped = Event()
    thread = Thread(target=_fetch, args=(steady, waiting, stopped), daemon=True)
    thread.start()
    try:
        while (got := waiting.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got
    finally:
        stopped.set()
        with suppress(Empty):
            while True:
                waiting.get_nowait()
        thread.join()


def _fetch(
    chunks: Generator[bytes, None, None],
    waiting: "Queue[bytes | BaseException | None]",
    stopped: Event,
) -> None:
    end: BaseException | None = None
    with closing(chunks):
        try:
            for chunk in chunks:
                if not _put(waiting, chunk, stopped):
                    return
        except BaseException as error:  # noqa: BLE001 (it is raised where bytes are awaited)
            end = error
    _put(waiting, end, stopped)


def _put(
    waiting: "Queue[bytes | BaseException | None]",
    item: bytes | BaseException | None,
    stopped: Event,
) -> bool:
    while not stopped.is_set():
        with suppress(Full):
            waiting.put(item, timeout=0.2)
            return True
    return False


def _steady(
    store: RegistryStore, key: str, *, version_id: str, first: int, sleep: Sleep
) -> Generator[bytes, None, None]:
    at, left = first, TRIES
    while True:
        try:
            for chunk in store.read_from(key, version_id=version_id, first=at):
                at, left = at + len(chunk), TRIES
                yield chunk
            return
        except NoSuchRange:
            if at == first:
                raise
            return  # it broke off behind its last byte: whoever reads counts them
        except TemporaryError as error:
            left -= 1
            if not left:
                raise
            sleep(error.retry_after or PAUSE_SECONDS)


def compare_ranges(
    chunks: Iterator[bytes],
    *,
    name: str,
    size: int,
    expected: Sequence[str],
    first: int = 0,
    read: Counter,
    passed: Counter,
) -> None:
    """Compare a file's bytes with the digests of its ranges, from range `first` on.

    chunks: the bytes from that range's first byte on. read: told of each chunk's length; passed: of
    each range that is right. Raises Untrue for the first range that is not, or more bytes.
    """
    left = _Chunks(chunks, read)
    for index in range(first, len(expected)):
        start, length = range_of(size, index)
        found, got = left.digest(length)
        if got != length or found != expected[index]:
            last = start + length - 1
            raise Untrue(
                "DIGEST_MISMATCH",
                f"{name}: bytes {start:,} to {last:,} have sha256 {found}, expected "
                f"{expected[index]}.",
                file=name,
                first=start,
                last=last,
            )
        passed(index)
    if left.more():
        raise Untrue(
            "DIGEST_MISMATCH",
            f"{name}: it goes on after its {size:,} bytes.",
            file=name,
            first=size,
            last=size,
        )


class _Chunks:
    """Bytes that stream by, digested in pieces that chunks do not end with."""

    def __init__(self, chunks: Iterator[bytes], read: Counter) -> None:
        self._chunks, self._read = chunks, read
        self._rest = memoryview(b"")

    def digest(self, length: int) -> tuple[str, int]:
        """Return the SHA-256 of the next bytes, and how many there were: fewer at the end."""
        found, got = hashlib.sha256(), 0
        while got < length and self.more():
            piece, self._rest = self._rest[: length - got], self._rest[length - got :]
            found.update(piece)
            got += len(piece)
        return found.hexdigest(), got

    def more(self) -> bool:
        """Tell whether there are more bytes; fetches where none is at hand."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._read(len(chunk))
            self._rest = memoryview(chunk)
        return True


def compare_whole(
    chunks: Iterator[bytes], *, name: str, size: int, sha256: str, read: Counter
) -> None:
    """Compare a file's bytes with its digest. Raises Untrue."""
    found, got = hashlib.sha256(), 0
    for chunk in chunks:
        found.update(chunk)
        got += len(chunk)
        read(len(chunk))
    if got != size or found.hexdigest() != sha256:
        raise whole_differs(name, size, sha256, got, found.hexdigest())


def whole_differs(name: str, size: int, sha256: str, got: int, found: str) -> Untrue:
    """Return that a file as a whole has other bytes than were declared."""
    words = (
        f"{name}: expected {size:,} bytes with sha256 {sha256}, found {got:,} bytes with sha256 "
        f"{found}."
    )
    last = max(size, got, 1) - 1
    return Untrue("DIGEST_MISMATCH", words, file=name, first=0, last=last)


def file_checked(
    store: RegistryStore,
    key: str,
    *,
    name: str,
    size: int,
    sha256: str,
    version_id: str,
    ranges: Sequence[str] | None,
    first: int = 0,
    read: Counter,
    passed: Counter,
) -> None:
    """Read a stored file and compare it: by its ranges from range `first` on where their digests
    are given, else whole. Raises Untrue, or what the store raises.
    """
    begin = range_of(size, first)[0] if ranges is not None else 0
    try:
        with closing(stream(store, key, version_id=version_id, first=begin)) as chunks:
            if ranges is None:
                compare_whole(chunks, name=name, size=size, sha256=sha256, read=read)
            else:
                compare_ranges(
                    chunks, name=name, size=size, expected=ranges, first=first, read=read,
                    passed=passed,
                )  # fmt: skip
    except NotThere as error:
        raise missing(name) from error
    except NoSuchRange as error:
        words = f"{name}: it ends before byte {begin:,}, expected {size:,} bytes."
        raise Untrue("DIGEST_MISMATCH", words, file=name, first=begin, last=size - 1) from error
