"""Gives every event its place: the one writer of seals and of the tree's kept nodes.

Events are written without waiting for one another; what was committed is sealed some seconds later,
in the order of ids (which is that of time, but for events that were committed late).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import count
from uuid import UUID

from django.db import connection, transaction

from apps.audit.merkle import STEP, WIDTH, fold
from apps.audit.models import AuditSeal, AuditTile

FIRST = bytes(32)  # what the first seal names as the one before it
AT_ONCE = 50_000  # events that one transaction seals
LOCK = 7_202_611_101  # held while events get their places
WAITING = """
SELECT event.id, event.content_hash
FROM audit_unsealed JOIN audit_auditevent AS event ON event.id = event_id
ORDER BY event.id LIMIT %s
"""
COPY = "COPY audit_auditseal (sequence, event_id, leaf, previous, hash, sealed_at) FROM STDIN"
SETTLED = """
DELETE FROM audit_unsealed USING audit_auditseal AS seal
WHERE seal.event_id = audit_unsealed.event_id AND seal.sequence >= %s
"""


def seal(*, now: datetime, at_once: int = AT_ONCE) -> int:
    """Seal up to `at_once` events that wait; return how many. Several sealers wait for each
    other.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(WAITING, [at_once])
        waiting = [(event, bytes(leaf)) for event, leaf in cursor.fetchall()]
        if waiting:
            size, previous = _end()
            _store(waiting, size=size, previous=previous, now=now)
            cursor.execute(SETTLED, [size])
            _keep_nodes(size, size + len(waiting))
    return len(waiting)


def seal_all(*, now: datetime) -> int:
    """Seal everything that waits; return how much that was."""
    total = 0
    while sealed := seal(now=now):
        total += sealed
    return total


def hashes(level: int, first: int, how_many: int) -> list[bytes]:
    """Return kept hashes of the tree: a `merkle.Source`. One query. Raises LookupError where the
    database lacks one.
    """
    rows: Iterator[bytes | memoryview]
    span = (first, first + how_many - 1)
    if level == 0:
        seals = AuditSeal.objects.filter(sequence__range=span).order_by("sequence")
        rows = seals.values_list("leaf", flat=True).iterator()
    else:
        tiles = AuditTile.objects.filter(level=level, index__range=span).order_by("index")
        rows = tiles.values_list("hash", flat=True).iterator()
    found = [bytes(row) for row in rows]
    if len(found) != how_many:
        raise LookupError(f"The record lacks entries below number {first + how_many:,}.")
    return found


def size() -> int:
    """Return how many entries are sealed."""
    return _end()[0]


def _end() -> tuple[int, bytes]:
    """Return the size of the record, and the hash of its last seal."""
    last = AuditSeal.objects.order_by("-sequence").values_list("sequence", "hash").first()
    return (last[0] + 1, bytes(last[1])) if last else (0, FIRST)


def _store(
    waiting: Sequence[tuple[UUID, bytes]], *, size: int, previous: bytes, now: datetime
) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY) as rows:
        for sequence, (event, leaf) in enumerate(waiting, start=size):
            digest = sha256(previous + leaf).digest()
            rows.write_row((sequence, event, leaf, previous, digest, now))
            previous = digest


def _keep_nodes(old: int, new: int) -> None:
    """Keep the nodes that became whole between two sizes, level by level."""
    for level in count(1):
        width = STEP * level
        first, end = old >> width, new >> width
        if end == 0:
            return
        nodes = [
            AuditTile(level=level, index=index, hash=fold(hashes(level - 1, index * WIDTH, WIDTH)))
            for index in range(first, end)
        ]
        AuditTile.objects.bulk_create(nodes)
