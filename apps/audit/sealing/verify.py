"""Reads the whole record again and says whether it is what was sealed, signed and anchored.

Nothing that the sealer keeps is believed: leaves are computed from the events, the chain and the
tree from the leaves, and the roots are compared with the checkpoints that lie in S3 under Object
Lock, signed by the key that the portal is told from outside its database.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.db import connection

from apps.audit.content import content_hash
from apps.audit.merkle import STEP, Frontier
from apps.audit.models import Action, AuditEvent, AuditTile, Checkpoint, Verification
from apps.audit.sealing import seal
from apps.audit.sealing.checkpoints import Head, Keys, anchored, key_of, read
from apps.audit.sealing.seal import FIRST
from apps.common.signing import BadNote
from apps.integrations.s3.client import RegistryStore

KEPT = 100  # findings that a verification keeps in words; it counts them all
LATE = timedelta(minutes=15)  # longer than any transaction lasts
AT_ONCE = 2_000
MOMENT = "%Y-%m-%d %H:%M:%S UTC"
FIELDS = [field.attname for field in AuditEvent._meta.concrete_fields]
READ = f"""
SELECT seal.sequence, seal.leaf, seal.previous, seal.hash, seal.sealed_at,
       {", ".join(f"event.{name}" for name in FIELDS)}
FROM audit_auditseal AS seal LEFT JOIN audit_auditevent AS event ON event.id = seal.event_id
WHERE seal.sequence < %s ORDER BY seal.sequence
"""  # noqa: S608 - names of our own columns
OUTSIDE = """
SELECT event.id, event.action, event.occurred_at FROM audit_auditevent AS event
LEFT JOIN audit_auditseal AS seal ON seal.event_id = event.id
LEFT JOIN audit_unsealed AS waits ON waits.event_id = event.id
WHERE seal.sequence IS NULL AND waits.event_id IS NULL ORDER BY event.id
"""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. kind: what was done to the record; sequence: the entry, where it is
    one.
    """

    kind: str
    sequence: int | None
    says: str


@dataclass
class Found:
    """What is wrong, counted; the first of it in words."""

    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, sequence: int | None, says: str) -> None:
        """Add a finding."""
        self.count += 1
        if len(self.findings) < KEPT:
            self.findings.append(Finding(kind, sequence, says))


@dataclass(frozen=True)
class _Row:
    sequence: int
    leaf: bytes
    previous: bytes
    hash: bytes
    sealed_at: datetime
    event: AuditEvent | None


def verify(
    store: RegistryStore,
    *,
    origin: str,
    keys: Keys,
    now: datetime,
) -> Verification:
    """Read the record and its anchor, and keep what was found. keys: those that may have
    signed. Sealing may go on meanwhile.

    Raises TemporaryError or PermanentError where the anchor cannot be read: then nothing is known.
    """
    found = Found()
    heads = _anchored_heads(store, origin, keys, found)
    size = _read_entries(seal.size(), heads, found)
    largest = max(heads, default=0)
    if largest > size:
        found.add(
            "cut",
            None,
            f"A checkpoint of {largest:,} entries was signed and anchored, but the record can be "
            f"followed for {size:,} only: its end was taken away.",
        )
    _find_outsiders(found)
    _compare_checkpoints(heads, found, anchored_before=now)
    return Verification.objects.create(
        verified_at=now,
        size=size,
        anchored_size=largest,
        found=found.count,
        findings=[asdict(one) for one in found.findings],
    )


def _anchored_heads(
    store: RegistryStore,
    origin: str,
    keys: Keys,
    found: Found,
) -> dict[int, Head]:
    heads: dict[int, Head] = {}
    for key, note in anchored(store):
        try:
            head = read(note, origin=origin, keys=keys)
        except BadNote as error:
            found.add("forged", None, f"The checkpoint {key} in S3 was not made here: {error}")
            continue
        if key != key_of(head.size):
            found.add("forged", None, f"{key} in S3 holds the checkpoint of {head.size:,} entries.")
        heads[head.size] = head
    return heads


def _read_entries(size: int, heads: Mapping[int, Head], found: Found) -> int:
    """Read the first `size` entries in order; return how far they could be followed."""
    tree, previous, sealed_until = Frontier(), FIRST, None
    tiles = _kept_nodes(size)
    for row in _rows(size):
        if row.sequence != tree.size:
            found.add(
                "removed",
                tree.size,
                f"Entries {tree.size:,} to {row.sequence - 1:,} were taken away.",
            )
            break
        _check_event(row, sealed_until, found)
        if row.previous != previous or row.hash != sha256(row.previous + row.leaf).digest():
            found.add(
                "chain", row.sequence, f"Entry {row.sequence:,} does not follow the one before."
            )
        previous, sealed_until = row.hash, row.sealed_at
        _check_tree(tree, row, tiles, heads, found)
    return tree.size


def _check_event(row: _Row, sealed_until: datetime | None, found: Found) -> None:
    if row.event is None:
        found.add("removed", row.sequence, f"The event of entry {row.sequence:,} was taken away.")
    elif content_hash(row.event) != row.leaf:
        found.add(
            "changed",
            row.sequence,
            f"{_named(row.sequence, row.event)} says something other than when it was sealed.",
        )
    elif sealed_until is not None and row.event.recorded_at < sealed_until - LATE:
        found.add(
            "back-dated",
            row.sequence,
            f"{_named(row.sequence, row.event)} says it was recorded on "
            f"{row.event.recorded_at:{MOMENT}}, but what stands before it was sealed on "
            f"{sealed_until:{MOMENT}} already.",
        )


def _check_tree(
    tree: Frontier,
    row: _Row,
    tiles: Iterator[tuple[int, int, bytes]],
    heads: Mapping[int, Head],
    found: Found,
) -> None:
    for node in tree.append(row.leaf):
        if next(tiles, None) != node:
            found.add(
                "tree",
                row.sequence,
                f"A kept node of the tree at entry {row.sequence:,} is not the one that its "
                "entries lead to.",
            )
    head = heads.get(tree.size)
    if head is not None and head.root != tree.root():
        found.add(
            "rewritten",
            None,
            f"The first {tree.size:,} entries are not those that were signed and anchored.",
        )


def _named(sequence: int, event: AuditEvent) -> str:
    label = dict(Action.choices).get(event.action, event.action)
    return f"Entry {sequence:,} ({label}, {event.target_label})"


def _rows(size: int) -> Iterator[_Row]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(READ, [size])
        while chunk := cursor.fetchmany(AT_ONCE):
            for sequence, leaf, previous, digest, sealed_at, *values in chunk:
                hashes = (bytes(leaf), bytes(previous), bytes(digest))
                yield _Row(sequence, *hashes, sealed_at, _event(values))


def _event(values: list[Any]) -> AuditEvent | None:
    fields = dict(zip(FIELDS, values, strict=True))
    if fields["id"] is None:
        return None
    return AuditEvent(**fields | {"data": json.loads(fields["data"])})


def _kept_nodes(size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the kept nodes below a size in the order in which a growing tree makes them."""

    def end(node: tuple[int, int, bytes]) -> int:
        return (node[1] + 1) << STEP * node[0]

    nodes = AuditTile.objects.values_list("level", "index", "hash")
    below = [(level, index, bytes(digest)) for level, index, digest in nodes]
    return iter(sorted((n for n in below if end(n) <= size), key=lambda n: (end(n), n[0])))


def _find_outsiders(found: Found) -> None:
    with connection.cursor() as cursor:
        cursor.execute(OUTSIDE)
        for event, action, at in cursor.fetchall():
            found.add(
                "outside",
                None,
                f"Event {event} ({action}, {at:{MOMENT}}) has no place in the record and waits for "
                "none.",
            )


def _compare_checkpoints(
    heads: Mapping[int, Head], found: Found, *, anchored_before: datetime
) -> None:
    """Compare the database's own account of its checkpoints with what lies in S3."""
    for checkpoint in Checkpoint.objects.filter(anchored_at__lt=anchored_before).order_by("size"):
        head = heads.get(checkpoint.size)
        if head is None:
            found.add("checkpoint", None, f"{checkpoint} was anchored, but is not in S3.")
        elif head.root != bytes(checkpoint.root):
            found.add("checkpoint", None, f"{checkpoint} says another root here than in S3.")
