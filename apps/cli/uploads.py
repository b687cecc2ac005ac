"""Sends the files of a version, those parts that S3 does not have yet, several at once.

The portal is asked twice of each file: before, for what is there already, so that a publication
goes on after any interruption; and after, for what S3 really has. Memory holds as many parts as are
sent at once, whatever the size of the files.
"""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from apps.cli import exits, folder, storage
from apps.cli.folder import Local
from apps.cli.names import VersionName
from apps.cli.portal import Portal
from apps.cli.progress import Progress
from apps.cli.storage import Leave, LeaveOver, OtherBytes, Storage, UploadGone
from apps.common.model_manifest import PART_SIZE, part_count, part_size

AT_ONCE = 4
BATCH = 48  # parts that leave is asked for at once: 384 MiB
ROUNDS = 5  # in which a file's parts must arrive; each begins with what S3 has


class Sender:
    """Sends the files of one version."""

    def __init__(
        self, portal: Portal, s3: Storage, version: VersionName, progress: Progress
    ) -> None:
        self._portal, self._s3 = portal, s3
        self._version, self._progress = version, progress

    def send(self, local: Local) -> None:
        """Send a file, and return once S3 has all of it.

        Raises exits.Refused where the file changed since it was read or S3 will not take it,
        exits.Away.
        """
        counted: set[int] = set()
        for _ in range(ROUNDS):
            missing = self._missing(local, counted)
            if not missing:
                return
            try:
                self._send_parts(local, missing, counted)
            except (LeaveOver, UploadGone):
                continue
        if self._missing(local, counted):
            raise exits.Away(
                f"S3 does not have all of {local.entry.name} yet. Run the command again: it goes "
                "on where it stopped.",
                code="storage_away",
            )

    def _missing(self, local: Local, counted: set[int]) -> list[int]:
        """Return the parts that S3 lacks, and count those that it has."""
        size = local.entry.size
        answer = self._portal.send(f"{self._address(local)}/received", repeatable=True)
        there = set(answer["parts"])
        gone, new = counted - there, there - counted
        self._progress.add(
            sum(part_size(size, one) for one in new) - sum(part_size(size, one) for one in gone)
        )
        counted.clear()
        counted |= there
        return [one for one in range(1, part_count(size) + 1) if one not in there]

    def _send_parts(self, local: Local, missing: list[int], counted: set[int]) -> None:
        with folder.opened(local.path) as (handle, state):
            if state != local.state:
                raise folder.changed(local.entry.name)
            for batch in _batches(missing):
                leaves = self._leaves(local, batch)
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    tasks = [
                        pool.submit(self._put, handle, local, leave, counted) for leave in leaves
                    ]
                    try:
                        wait(tasks, return_when=FIRST_EXCEPTION)
                    finally:  # an interruption too: no part is begun after it
                        for task in tasks:
                            task.cancel()
                for task in tasks:
                    if not task.cancelled():
                        task.result()
            if folder.state_of(handle) != local.state:
                raise folder.changed(local.entry.name)

    def _leaves(self, local: Local, numbers: list[int]) -> list[Leave]:
        digests = {number: local.parts[number - 1] for number in numbers}
        announced = [{"part": number, "sha256": digest} for number, digest in digests.items()]
        answer = self._portal.send(
            f"{self._address(local)}/parts", {"parts": announced}, repeatable=True
        )
        return storage.leaves(answer, digests)

    def _put(self, handle: int, local: Local, leave: Leave, counted: set[int]) -> None:
        size = part_size(local.entry.size, leave.number)
        block = os.pread(handle, size, (leave.number - 1) * PART_SIZE)
        if len(block) != size:
            raise folder.changed(local.entry.name)
        try:
            self._s3.put(leave, block, local.entry.name)
        except OtherBytes:
            raise folder.changed(local.entry.name) from None
        counted.add(leave.number)
        self._progress.add(size)

    def _address(self, local: Local) -> str:
        return f"{self._version.path}/files/{local.entry.name}"


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for at in range(0, len(numbers), BATCH):
        yield numbers[at : at + BATCH]
