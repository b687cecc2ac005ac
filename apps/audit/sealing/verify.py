"""Reads the record again and says whether it is what was sealed, signed and anchored: all of it, or
at night what `spans` says.

Nothing that the sealer keeps is believed: leaves are computed from the events, the chain and the
tree from the leaves, and the roots are compared with the checkpoints that lie in S3 under Object
Lock, signed by keys that the portal is told from outside its database. Where a reading does not
begin with the first entry, the tree that it begins with is compared with such a checkpoint first.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q

from apps.audit import merkle
from apps.audit.content import content_hash
from apps.audit.merkle import STEP, Frontier
from apps.audit.models import Action, AuditEvent, AuditSeal, AuditTile, Checkpoint, Verification
from apps.audit.sealing import seal
from apps.audit.sealing.checkpoints import Head, Keys, anchored_keys, key_of, notes, read
from apps.audit.sealing.findings import Found
from apps.audit.sealing.keys import keys_from_settings
from apps.audit.sealing.seal import FIRST
from apps.audit.sealing.spans import WHOLE, Plan, plan
from apps.common.signing import BadNote
from apps.integrations.s3.client import RegistryStore, anchor_from_settings

LATE = timedelta(minutes=15)  # longer than any transaction lasts
AT_ONCE = 2_000
MOMENT = "%Y-%m-%d %H:%M:%S UTC"
FIELDS = [field.attname for field in AuditEvent._meta.concrete_fields]
READ = f"""
SELECT seal.sequence, seal.leaf, seal.previous, seal.hash, seal.sealed_at,
       {", ".join(f"event.{name}" for name in FIELDS)}
FROM audit_auditseal AS seal LEFT JOIN audit_auditevent AS event ON event.id = seal.event_id
WHERE seal.sequence >= %s AND seal.sequence < %s ORDER BY seal.sequence
"""  # noqa: S608 - names of our own columns
OUTSIDE = """
SELECT event.id, event.action, event.occurred_at FROM audit_auditevent AS event
LEFT JOIN audit_auditseal AS seal ON seal.event_id = event.id
LEFT JOIN audit_unsealed AS waits ON waits.event_id = event.id
WHERE seal.sequence IS NULL AND waits.event_id IS NULL ORDER BY event.id
"""


@dataclass(frozen=True)
class _Row:
    sequence: int
    leaf: bytes
    previous: bytes
    hash: bytes
    sealed_at: datetime
    event: AuditEvent | None


@dataclass
class _Beginning:
    """Where a reading begins: the tree of what stands before it, and the seal there."""

    tree: Frontier
    previous: bytes = FIRST
    sealed_until: datetime | None = None


@dataclass(frozen=True)
class Anchor:
    """The bucket of the checkpoints, as this record's are told apart and believed.

    held: the key of each checkpoint in it, by the size that the key names.
    """

    store: RegistryStore
    origin: str
    keys: Keys
    held: Mapping[int, str]

    def heads(self, sizes: Iterable[int], found: Found) -> dict[int, Head]:
        """Return what the checkpoints of these sizes say; what was not made here is found."""
        heads: dict[int, Head] = {}
        for key, note in notes(self.store, [self.held[size] for size in sizes]):
            try:
                head = read(note, origin=self.origin, keys=self.keys)
            except BadNote as error:
                says = f"The checkpoint {key} in S3 was not made here: {error}"
                found.add("forged", None, says)
                continue
            if key != key_of(head.size):
                says = f"{key} in S3 holds the checkpoint of {head.size:,} entries."
                found.add("forged", None, says)
            heads[head.size] = head
        return heads


def verify_from_settings(*, now: datetime, whole: bool) -> Verification:
    """Read this deployment's record, whole or as a night does. Raises what verify raises."""
    return verify(
        anchor_from_settings(),
        origin=settings.AUDIT_ORIGIN,
        keys=keys_from_settings(),
        now=now,
        whole=whole,
    )


def verify(
    store: RegistryStore, *, origin: str, keys: Keys, now: datetime, whole: bool = True
) -> Verification:
    """Read the record and its anchor, and keep what was found. keys: those that may have signed;
    whole: all of it, and not only what a night reads. Sealing may go on meanwhile.

    A night's reading whose beginnings are not what was signed becomes one of the whole record.
    Raises TemporaryError or PermanentError where the anchor cannot be read: then nothing is known.
    """
    found = Found()
    anchor = Anchor(store, origin, keys, _held(store, found))
    chosen = WHOLE if whole else _plan(anchor)
    if not all(_begins_as_signed(anchor, size) for size in chosen.beginnings):
        chosen = WHOLE
    if chosen.again_first < chosen.again_end:
        _read_span(anchor, chosen.again_first, chosen.again_end, found, anchored_before=now)
    size, largest = _read_span(anchor, chosen.first, None, found, anchored_before=now)
    if largest > size:
        found.add(
            "cut",
            None,
            f"A checkpoint of {largest:,} entries was signed and anchored, but the record can be "
            f"followed for {size:,} only: its end was taken away.",
        )
    _find_outsiders(found)
    _find_lost_checkpoints(anchor, found, anchored_before=now)
    return Verification.objects.create(
        verified_at=now,
        **asdict(chosen),
        size=size,
        anchored_size=largest,
        found=found.count,
        findings=[asdict(one) for one in found.findings],
    )


def _held(store: RegistryStore, found: Found) -> dict[int, str]:
    """Return the keys in the bucket by their sizes; a key that names no size is found."""
    held: dict[int, str] = {}
    for key in anchored_keys(store):
        digits = key.rpartition("/")[2]
        if digits.isdecimal() and key == key_of(int(digits)):
            held[int(digits)] = key
        else:
            found.add("forged", None, f"{key} in S3 is no checkpoint's key.")
    return held


def _plan(anchor: Anchor) -> Plan:
    return plan(last=Verification.objects.first(), sizes=sorted(anchor.held))


def _begins_as_signed(anchor: Anchor, size: int) -> bool:
    """Tell whether the tree of the first `size` entries, as the database keeps it, is the one that
    was signed and anchored.
    """
    heads = anchor.heads([size], Found())
    try:
        tree = _beginning(size).tree
    except LookupError:
        return False
    return size in heads and heads[size].root == tree.root()


def _beginning(size: int) -> _Beginning:
    """Return where a reading begins that follows `size` entries. Raises LookupError where the
    database lacks what it takes.
    """
    if size == 0:
        return _Beginning(Frontier())
    tree = Frontier(size, merkle.frontier(size, seal.hashes))
    before = AuditSeal.objects.filter(sequence=size - 1).first()
    if before is None:
        raise LookupError(f"The record lacks entry {size - 1:,}.")
    return _Beginning(tree, bytes(before.hash), before.sealed_at)


def _read_span(
    anchor: Anchor, first: int, end: int | None, found: Found, *, anchored_before: datetime
) -> tuple[int, int]:
    """Read entries `first` to `end` (not included), to the record's end for None, and the
    checkpoints over them; return how far they could be followed, and the largest checkpoint's size.
    """
    sizes = [size for size in sorted(anchor.held) if first < size <= (end or size)]
    heads = anchor.heads(sizes, found)
    if first:
        # it was compared when the reading began, and is the largest where nothing came since
        heads |= anchor.heads([first], Found())
    size = read_entries(first, end or seal.size(), heads, found)
    _compare_checkpoints(heads, found, first=first, end=end, anchored_before=anchored_before)
    return size, max(heads, default=0)


def read_entries(first: int, end: int, heads: Mapping[int, Head], found: Found) -> int:
    """Read entries `first` to `end` (not included) in order, and compare the tree with the
    checkpoints of these sizes; return how far they could be followed. Raises LookupError where the
    database lacks what stands before them.
    """
    begun = _beginning(first)
    tree, previous, sealed_until = begun.tree, begun.previous, begun.sealed_until
    tiles = _kept_nodes(first, end)
    for row in _rows(first, end):
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


def _rows(first: int, end: int) -> Iterator[_Row]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(READ, [first, end])
        while chunk := cursor.fetchmany(AT_ONCE):
            for sequence, leaf, previous, digest, sealed_at, *values in chunk:
                hashes = (bytes(leaf), bytes(previous), bytes(digest))
                yield _Row(sequence, *hashes, sealed_at, _event(values))


def _event(values: list[Any]) -> AuditEvent | None:
    fields = dict(zip(FIELDS, values, strict=True))
    if fields["id"] is None:
        return None
    return AuditEvent(**fields | {"data": json.loads(fields["data"])})


def _kept_nodes(first: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the kept nodes that become whole between two sizes, in the order in which a growing
    tree makes them.
    """

    def whole_at(node: tuple[int, int, bytes]) -> int:
        return (node[1] + 1) << STEP * node[0]

    wanted, level = Q(pk__in=[]), 1
    while end >> STEP * level:
        span = (first >> STEP * level, (end >> STEP * level) - 1)
        wanted |= Q(level=level, index__range=span)
        level += 1
    nodes = AuditTile.objects.filter(wanted).values_list("level", "index", "hash")
    found = [(level, index, bytes(digest)) for level, index, digest in nodes]
    return iter(sorted(found, key=lambda node: (whole_at(node), node[0])))


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


def _find_lost_checkpoints(anchor: Anchor, found: Found, *, anchored_before: datetime) -> None:
    """Find what the database says is anchored, and S3 does not hold."""
    said = Checkpoint.objects.filter(anchored_at__lt=anchored_before).order_by("size")
    for size in said.values_list("size", flat=True):
        if size not in anchor.held:
            says = f"{Checkpoint(size=size)} was anchored, but is not in S3."
            found.add("checkpoint", None, says)


def _compare_checkpoints(
    heads: Mapping[int, Head],
    found: Found,
    *,
    first: int,
    end: int | None,
    anchored_before: datetime,
) -> None:
    """Compare the database's own account of the checkpoints that were read with what S3 says."""
    said = Checkpoint.objects.filter(anchored_at__lt=anchored_before, size__gt=first)
    if end is not None:
        said = said.filter(size__lte=end)
    for size, root in said.order_by("size").values_list("size", "root"):
        head = heads.get(size)
        if head is not None and head.root != bytes(root):
            says = f"{Checkpoint(size=size)} says another root here than in S3."
            found.add("checkpoint", None, says)
