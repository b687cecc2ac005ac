"""A folder on this machine whose files are published or checked: which they are, and the digests of
each, read once and at flat memory.

A file is named, measured and read through one opened descriptor, and its size and time are looked
at again whenever it is read: what changes meanwhile is told by name.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apps.cli.exits import BadUse, Refused
from apps.common.model_manifest import PART_SIZE, FileEntry, file_list_problems

UNREAD = "0" * 64  # stands for a digest while only names and sizes are judged


@dataclass(frozen=True)
class State:
    """What tells that a file is still the one that was read."""

    size: int
    modified_ns: int
    inode: int


@dataclass(frozen=True)
class Local:
    """A file that was read whole. parts: the SHA-256 of each of its parts, in order."""

    path: Path
    entry: FileEntry
    parts: tuple[str, ...]
    state: State


def paths_in(folder: Path, *, hidden: bool = False) -> list[Path]:
    """Return what lies in a folder, in order; hidden: hidden files too. Raises BadUse where it is
    no folder.
    """
    if not folder.is_dir():
        raise BadUse(f"{folder} is not a folder.")
    return sorted(path for path in folder.iterdir() if hidden or not path.name.startswith("."))


def odd_among(paths: list[Path]) -> list[str]:
    """Return the names of those that are no plain files: links, folders, devices."""
    return [path.name for path in paths if path.is_symlink() or not path.is_file()]


def check_names(paths: list[Path]) -> int:
    """Return how many bytes the files have together. Raises Refused for anything that is no plain
    file, and for names and sizes that may not be published, with every reason, before anything is
    read.
    """
    if odd := odd_among(paths):
        raise Refused(f"Only plain files are published, not {', '.join(odd)}.", code="bad_files")
    listed = [FileEntry(path.name, path.stat().st_size, UNREAD) for path in paths]
    if problems := file_list_problems(listed):
        raise Refused(" ".join(problems), code="bad_files")
    return sum(entry.size for entry in listed)


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, State]]:
    """Open a file and say in which state it is. A link that took its place is not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        yield handle, state_of(handle)
    finally:
        os.close(handle)


def state_of(handle: int) -> State:
    """Return the state of an opened file."""
    found = os.fstat(handle)
    return State(found.st_size, found.st_mtime_ns, found.st_ino)


def blocks(handle: int) -> Iterator[bytes]:
    """Yield a file's bytes, a part at a time."""
    at = 0
    while block := os.pread(handle, PART_SIZE, at):
        at += len(block)
        yield block


def changed(name: str) -> Refused:
    """Return the error for a file that is not the one that was read before."""
    return Refused(
        f"{name} changed while it was published. Nothing of it counts: run the command again when "
        "the folder is at rest.",
        code="file_changed",
    )


def read_file(path: Path, *, tell: Callable[[int], None]) -> Local:
    """Read a file whole and return its digests. tell: is called with the bytes of each block.

    Raises Refused where it changed meanwhile.
    """
    whole, parts = hashlib.sha256(), []
    with opened(path) as (handle, before), ThreadPoolExecutor(1) as beside:
        for block in blocks(handle):
            part = beside.submit(_digest, block)  # both at once: hashing lets other threads run
            whole.update(block)
            parts.append(part.result())
            tell(len(block))
        if state_of(handle) != before:
            raise changed(path.name)
    entry = FileEntry(path.name, before.size, whole.hexdigest())
    return Local(path, entry, tuple(parts), before)


def _digest(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()
