"""Reads every byte of a version again, in turns of half a minute, so that what somebody waits for
is never behind a large one. Each turn begins at the range that the last one ended with.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.catalog.models import ModelFile
from apps.catalog.verification import actions, checks
from apps.catalog.verification.checks import Look, entries_of
from apps.catalog.verification.models import Verification
from apps.catalog.verification.reading import Untrue, file_checked
from apps.common.leases import retry_at, take_lease
from apps.common.model_manifest import range_count, range_of
from apps.common.signing import PublicKey
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore

TURN_SECONDS = 30.0
PROGRESS_SECONDS = 1.0


class TurnOver(Exception):
    """The turn has used its time."""


@dataclass
class Turn:
    """One turn of a reading: where it is, in ranges and bytes."""

    row: Verification
    now: datetime
    clock: Callable[[], float]
    started: float
    shown: float
    ranges: int = 0
    bytes: int = 0

    @property
    def at(self) -> datetime:
        """Return what time it is by now."""
        return self.now + timedelta(seconds=self.clock() - self.started)

    def passed(self, size: int) -> None:
        """A range is right. Raises TurnOver once the time is used, or the reading was ended."""
        self.ranges, self.bytes = self.ranges + 1, self.bytes + size
        over = self.clock() - self.started > TURN_SECONDS
        if over or self.clock() - self.shown >= PROGRESS_SECONDS:
            self.shown = self.clock()
            is_open = actions.record_position(
                row=self.row, ranges_done=self.ranges, bytes_done=self.bytes, now=self.at
            )
            over = over or not is_open
        if over:
            raise TurnOver


def reconcile_verification(
    *,
    row: Verification,
    store: RegistryStore,
    keys: Callable[[], Sequence[PublicKey]],
    now: datetime,
    kms_key: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Read on for one turn; nothing where the reading is not due."""
    if not take_lease(row, now=now):
        return
    turn = Turn(row, now, clock, clock(), clock())
    try:
        look = Look(row.version, store, keys(), kms_key)
        _read(turn, look)
        actions.record_passed(
            row=row, protection=checks.protection(look.stored.values()), now=turn.at
        )
    except TurnOver:
        actions.release(row=row, now=turn.at)
    except Untrue as found:
        actions.record_untrue(row=row, found=found, now=turn.at)
    except TemporaryError as error:
        at = retry_at(row, now=turn.at, retry_after=error.retry_after)
        words = f"{error} Trying again by itself."
        actions.record_waiting(row=row, message=words, at=at, now=turn.at)
    except PermanentError as error:
        actions.record_ended(row=row, message=str(error), now=turn.at)


@dataclass(frozen=True)
class Unread:
    """A file of which something is still to be read, from its range `first` on. ranges: their
    digests; None where the version has none of it, and it is read whole.
    """

    file: ModelFile
    ranges: list[str] | None
    first: int


def _read(turn: Turn, look: Look) -> None:
    files = sorted(look.version.files.all(), key=lambda file: file.name)
    checks.check_all(look, files)
    digests = checks.ranges_of(look, entries_of(files))
    for unread in _unread(turn, files, digests, behind=turn.row.ranges_done):
        _read_file(turn, look, unread)


def _unread(
    turn: Turn, files: Sequence[ModelFile], digests: dict[str, list[str]], *, behind: int
) -> Iterator[Unread]:
    """Yield what is still to be read. What is behind is counted into the turn."""
    for file in files:
        ranges = digests.get(file.name)
        count = range_count(file.size) if ranges is not None else 1
        done = min(count, max(0, behind - turn.ranges))
        if done == count:
            turn.ranges, turn.bytes = turn.ranges + count, turn.bytes + file.size
            continue
        turn.ranges += done
        turn.bytes += range_of(file.size, done)[0] if done else 0
        yield Unread(file, ranges, done)


def _read_file(turn: Turn, look: Look, unread: Unread) -> None:
    file = unread.file
    file_checked(
        look.store,
        look.version.prefix + file.name,
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        version_id=file.object_version,
        ranges=unread.ranges,
        first=unread.first,
        read=lambda size: None,
        passed=lambda index: turn.passed(range_of(file.size, index)[1]),
    )
    if unread.ranges is None:
        turn.passed(file.size)
