"""Reading the gateway's file log from where we stopped: the second way of the same records.

A line counts only when it is whole. A file that was rotated is read to its end under its old name
while it is open; one that shrank is read from its start. Counting by event id makes the union of
both ways exact.
"""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from django.db import DataError, IntegrityError

from apps.metering.access_log import Entry, read_entry, unreadable
from apps.metering.actions import Position, ingest_storable, ingest_usage
from apps.metering.models import LogPosition

CHUNK = 1024 * 1024  # bytes read, and at most stored, at a time
log = logging.getLogger(__name__)


@dataclass
class Follower:
    """One file being followed. Keeps it open, so that a rotation loses nothing."""

    path: str
    _file: BinaryIO | None = None

    def step(self, *, now: datetime) -> int:
        """Store what was appended since the last step; return how many calls were new. Cheap when
        nothing was.
        """
        if self._file is None and not self._open():
            return 0
        stored = self._drain(now)
        if self._was_replaced():
            self.close()
        return stored

    def close(self) -> None:
        """Let go of the file; the next step opens what then stands at the path."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self) -> bool:
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - kept open between steps
        except FileNotFoundError:
            return False
        known = LogPosition.objects.filter(
            path=self.path, inode=os.fstat(file.fileno()).st_ino
        ).first()
        if known and known.offset <= os.fstat(file.fileno()).st_size:
            file.seek(known.offset)
        self._file = file
        return True

    def _was_replaced(self) -> bool:
        assert self._file is not None  # noqa: S101 - step() opened it
        try:
            here = os.stat(self.path)
        except FileNotFoundError:
            return True
        return (
            here.st_ino != os.fstat(self._file.fileno()).st_ino or here.st_size < self._file.tell()
        )

    def _drain(self, now: datetime) -> int:
        stored = 0
        while lines := self._whole_lines():
            stored += self._store(read_lines(lines), now)
        return stored

    def _store(self, entries: list[Entry], now: datetime) -> int:
        """Store calls with the place they end at. What the database refuses whatever happens goes
        into quarantine, so that it does not hold up all that follow.
        """
        position = self._position()
        try:
            came = ingest_usage(entries=entries, via="FILE", now=now, position=position)
        except (DataError, IntegrityError):
            came = ingest_storable(entries=entries, via="FILE", now=now)
            ingest_usage(entries=[], via="FILE", now=now, position=position)
        if came.quarantined:
            log.warning("put %d lines into quarantine", came.quarantined.total())
        return came.stored

    def _whole_lines(self) -> list[bytes]:
        """Read up to CHUNK and step back to the end of its last whole line. A line longer than
        CHUNK comes in pieces, none of which can be read.
        """
        assert self._file is not None  # noqa: S101 - step() opened it
        start = self._file.tell()
        chunk = self._file.read(CHUNK)
        end = chunk.rfind(b"\n") + 1
        if end == 0 and len(chunk) < CHUNK:
            self._file.seek(start)
            return []
        self._file.seek(start + (end or len(chunk)))
        return chunk[: end or len(chunk)].splitlines()

    def _position(self) -> Position:
        assert self._file is not None  # noqa: S101 - step() opened it
        return Position(
            path=self.path, inode=os.fstat(self._file.fileno()).st_ino, offset=self._file.tell()
        )


def read_lines(lines: Iterable[bytes]) -> list[Entry]:
    """Return the calls that lines of the log tell of. A line that is no record is kept as one that
    cannot be read; nothing of it is, for it may hold what a caller sent. Empty lines are skipped.
    """
    found = [_read(line) for line in lines if line.strip()]
    return [entry for entry in found if entry]


def _read(line: bytes) -> Entry | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return unreadable(line, "a line is not JSON")
    if not isinstance(values, dict):
        return unreadable(line, "a line is not an object in JSON")
    return read_entry(values)
