"""Counting calls from files of the gateway's access log: one JSON object a line, by command or in
the browser, through the same door as the follower's lines. A file may come any number of times.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.roles import MENDS_USAGE
from apps.audit.actions import Actor, System, record
from apps.audit.models import Action
from apps.common.errors import require
from apps.metering.actions import ingest_storable
from apps.metering.follow import read_lines
from apps.metering.models import UsageImport

BATCH = 5000  # lines stored in one transaction
COMMAND = System("metering.import_usage")


@dataclass
class Came:
    """What came of a file. taken: calls stored for the first time. doubles: stored before, or twice
    in the file, by either way. quarantined: kind of doubt → records kept apart. others: lines that
    are no usage, such as a list of models.
    """

    lines: int = 0
    taken: int = 0
    doubles: int = 0
    others: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    sha256: str = ""


def may_import(person: User) -> bool:
    """Tell whether this person may count calls from files."""
    return person.has_role(*MENDS_USAGE)


def permit(person: User) -> None:
    """Raise NotPermitted unless this person may count calls from files."""
    require(may_import(person), "Only finance and platform engineers count calls from files.")


def upload_usage(*, name: str, file: Iterable[bytes], actor: User, now: datetime) -> UsageImport:
    """Count the calls of a file that somebody chose. Raises NotPermitted unless the actor mends
    usage.
    """
    permit(actor)
    return import_usage(name=name, file=file, actor=actor, now=now)


def import_usage(
    *, name: str, file: Iterable[bytes], now: datetime, actor: Actor = COMMAND
) -> UsageImport:
    """Count the calls of a file, a batch of lines a transaction, and keep what came of it.

    file: its lines. Where it breaks off, what was stored stays, and counts once when it comes
    again.
    """
    came, digest = Came(), hashlib.sha256()
    for batch in _batches(file):
        for line in batch:
            digest.update(line)
            came.size_bytes += len(line)
        _store(batch, came, now)
    came.sha256 = digest.hexdigest()
    return _keep(name, came, actor, now)


def _store(batch: list[bytes], came: Came, now: datetime) -> None:
    entries = read_lines(batch)
    found = ingest_storable(entries=entries, via="FILE", now=now)
    came.lines += len(batch)
    came.taken += found.stored
    came.quarantined += found.quarantined
    came.doubles += len(entries) - found.stored - found.quarantined.total()
    came.others += len(batch) - len(entries)


@transaction.atomic
def _keep(name: str, came: Came, actor: Actor, now: datetime) -> UsageImport:
    kept = UsageImport.objects.create(
        name=name[:200],
        sha256=came.sha256,
        size_bytes=came.size_bytes,
        lines=came.lines,
        taken=came.taken,
        doubles=came.doubles,
        others=came.others,
        quarantined=dict(came.quarantined.most_common()),
        imported_by=actor if isinstance(actor, User) else None,
        imported_at=now,
    )
    data = {
        "sha256": came.sha256, "lines": came.lines, "taken": came.taken, "doubles": came.doubles,
        "quarantined": came.quarantined.total(),
    }  # fmt: skip
    record(action=Action.USAGE_IMPORTED, actor=actor, target=kept, now=now, data=data)
    return kept


def _batches(file: Iterable[bytes]) -> Iterator[list[bytes]]:
    lines = iter(file)
    while batch := list(islice(lines, BATCH)):
        yield batch
