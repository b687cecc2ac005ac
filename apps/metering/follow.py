"""Reading the gateway's file log from where we stopped: the second way of the same records.

A line counts only when it is whole. A file that was rotated is read to its end under its old name
while it is open; one that shrank is read from its start. Counting by event id makes the union of
both ways exact.
"""

import json
import logging
import os
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from django.db import DataError, IntegrityError

from apps.metering.access_log import BadRecord, UsageRecord, read_record
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
            stored += self._store(_read(lines), now)
        return stored

    def _store(self, records: list[UsageRecord], now: datetime) -> int:
        """Store records with the place they end at; one that the database refuses whatever happens
        is left out, so that it does not hold up all that follow.
        """
        position = self._position()
        try:
            return ingest_usage(records=records, via="FILE", now=now, position=position)
        except (DataError, IntegrityError):
            refused = ingest_storable(records=records, via="FILE", now=now)
            ingest_usage(records=[], via="FILE", now=now, position=position)
            return len(records) - len(refused)

    def _whole_lines(self) -> list[bytes]:
        """Read up to CHUNK and step back to the end of its last whole line. A line longer than
        CHUNK is skipped.
        """
        assert self._file is not None  # noqa: S101 - step() opened it
        start = self._file.tell()
        chunk = self._file.read(CHUNK)
        end = chunk.rfind(b"\n") + 1
        if end == 0 and len(chunk) < CHUNK:
            self._file.seek(start)
            return []
        self._file.seek(start + (end or len(chunk)))
        return chunk[:end].splitlines() or [b""]

    def _position(self) -> Position:
        assert self._file is not None  # noqa: S101 - step() opened it
        return Position(
            path=self.path, inode=os.fstat(self._file.fileno()).st_ino, offset=self._file.tell()
        )


def _read(lines: list[bytes]) -> list[UsageRecord]:
    records = []
    for line in lines:
        try:
            values = json.loads(line)
            record = read_record(values) if isinstance(values, dict) else None
        except (ValueError, BadRecord) as error:
            # The line itself is not logged: it may hold what a caller sent.
            log.warning("skipped a line of the gateway's log: %s", type(error).__name__)
            continue
        if record:
            records.append(record)
    return records
