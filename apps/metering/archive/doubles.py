"""Ids of calls that are in the archive alone, held against the stored days that changed since.

A day goes into the archive after its ids were looked for among all others. What a stored day gets
later is looked for here, in the very files of the archive: a file is read once for all days that
changed, its ids alone, while half of each id of those days is in memory, sorted. Where a file seems
to hold one of them, its day is brought back, and the search among stored days (quarantine/doubles)
settles which of the two calls counts. So nothing is decided here, and a day that is brought back in
vain goes again.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from tempfile import TemporaryFile
from typing import IO, Any

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore
from apps.metering import days
from apps.metering.archive import parquet
from apps.metering.archive.actions import NotWhole
from apps.metering.archive.models import ArchivedDay
from apps.metering.archive.parquet import NotParquet
from apps.metering.archive.queries import MOMENT, held_against
from apps.metering.stores.sql import patience

PASS_SECONDS = 400.0
MOST_IDS = 8_000_000  # in memory at once, eight bytes each; of one day, however many it has
Status = ArchivedDay.Status
log = logging.getLogger(__name__)


def search_archive(
    *, archive: RegistryStore, now: datetime, clock: Callable[[], float] = time.monotonic
) -> int:
    """Hold the archive against the stored days that changed since it was, until the pass is over;
    return how many days are to be brought back. What is not done is done in the next pass.
    """
    changed = days.changed_days(days.stored_days())
    started, found = clock(), 0
    ids = _Ids()
    for row, since in held_against():
        part, until = _part(ids, changed, since, now)
        if not part:
            continue
        if clock() - started > PASS_SECONDS:
            break
        try:
            found += _hold(row, ids, part, until, archive, now)
        except TemporaryError as error:
            log.warning("the archive cannot be searched now: %s", error)
            break
        except (PermanentError, NotWhole, NotParquet) as error:
            ArchivedDay.objects.filter(pk=row.pk).update(
                reason="SEARCH", message=f"Its ids cannot be read: {error}", observed_at=now
            )
    return found


class _Ids:
    """The second half of each id of some stored days, sorted, as they are asked for."""

    def __init__(self) -> None:
        self.by_day: dict[date, Any] = {}

    def of(self, day: date) -> Any:
        """Return those of a day, read once."""
        import numpy

        if day not in self.by_day:
            with patience():
                read = days.rows_of(day, ("event_id",), parquet.GROUP)
                halves = (int.from_bytes(row[0].bytes[8:]) for row in read)  # type: ignore[attr-defined]
                self.by_day[day] = numpy.sort(numpy.fromiter(halves, dtype=numpy.uint64))
        return self.by_day[day]

    def keep(self, part: list[date]) -> None:
        """Forget all other days."""
        self.by_day = {day: ids for day, ids in self.by_day.items() if day in part}


def _part(
    ids: _Ids, changed: Mapping[date, datetime], since: datetime, now: datetime
) -> tuple[list[date], datetime]:
    """Return the days that changed after a moment, those first that changed first, as many as there
    is memory for, one at least; and until when no other one changed.
    """
    wanted = sorted((at, day) for day, at in changed.items() if at > since)
    ids.keep([day for _, day in wanted])
    part: list[date] = []
    until, count = since, 0
    for at, day in wanted:
        count += len(ids.of(day))
        if part and count > MOST_IDS:
            return part, until
        part.append(day)
        until = at
    return part, now - MOMENT


def _hold(
    row: ArchivedDay,
    ids: _Ids,
    part: list[date],
    until: datetime,
    archive: RegistryStore,
    now: datetime,
) -> bool:
    """Hold one file against some days; tell whether its day is to be brought back."""
    own = ArchivedDay.objects.filter(pk=row.pk, status=Status.DROPPED)
    with TemporaryFile() as file:
        _fetch(row, archive, file)
        if any(_shares(halves, ids, part) for halves in _halves(file)):
            log.info("%s holds an id of another day: it is brought back", row)
            return bool(own.filter(next_check_at=None).update(next_check_at=now, attempts=0))
    own.update(searched_until=until, reason="", message="")
    return False


def _fetch(row: ArchivedDay, archive: RegistryStore, file: IO[bytes]) -> None:
    """Write an object into a file. Raises NotWhole where it is not what was written there."""
    digest = hashlib.sha256()
    for chunk in archive.read(row.object_key, version_id=row.version_id):
        digest.update(chunk)
        file.write(chunk)
    if digest.hexdigest() != row.sha256:
        raise NotWhole(f"{row.object_key} is not what was written there.")
    file.seek(0)


def _halves(file: IO[bytes]) -> Iterator[Any]:
    """Yield the second half of each id of a file, a row group at a time."""
    import numpy

    for batch in parquet.batches(file, ("event_id",), days.DEFAULTS):
        stored = batch.column(0).storage
        both = numpy.frombuffer(stored.buffers()[1], dtype=">u8").reshape(-1, 2)
        yield both[stored.offset : stored.offset + len(stored), 1].astype(numpy.uint64)


def _shares(halves: Any, ids: _Ids, part: list[date]) -> bool:
    """Tell whether some of these halves are in one of the days."""
    import numpy

    for day in part:
        known = ids.of(day)
        places = numpy.searchsorted(known, halves)
        inside = places < len(known)
        if bool((known[places[inside]] == halves[inside]).any()):
            return True
    return False
