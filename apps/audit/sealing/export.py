"""What an auditor takes away and verifies without us: a part of the record, the proof of one event,
the proof that one checkpoint continues another. `deploy/verifier` reads all three.

A part is lines of text. `origin`, `first` (its first entry's number) and `before` (the hashes that
the tree consists of before it) say where it begins; then each entry as its canonical JSON, byte for
byte what was hashed; `checkpoint` (base64 of a note) stands where the record had that size; and
from the part's end to its last checkpoint come the `leaf` hashes alone.
"""

import base64
from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet

from apps.audit import merkle
from apps.audit.content import entry
from apps.audit.models import AuditEvent, AuditSeal, Checkpoint
from apps.audit.sealing import seal
from apps.common.errors import DomainError

HEAD = "quartermaster.record@v1"
PROOF = "c2sp.org/tlog-proof@v1"
AT_ONCE = 2_000


class NotAnchored(DomainError):
    """No anchored checkpoint stands over what is asked for yet."""

    code = "not_anchored"


def numbers(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first number that was sealed at or after `since`, and the first at or after
    `until`: the record's beginning and end where they are None. It ends where the last anchored
    checkpoint does, for nothing proves what comes later.
    """
    newest = _anchored().order_by("-size").values_list("size", flat=True).first()
    end = newest or 0
    # the order of the index, which is that of the numbers too
    seals = AuditSeal.objects.filter(sequence__lt=end).order_by("sealed_at", "sequence")
    first = seals.values_list("sequence", flat=True)
    low = first.filter(sealed_at__gte=since).first() if since else 0
    high = first.filter(sealed_at__gte=until).first() if until else end
    return (end if low is None else low), (end if high is None else high)


def part(first: int, end: int, *, origin: str) -> Iterator[str]:
    """Yield the lines of entries `first` to `end` (not included), up to the first anchored
    checkpoint that stands over them all, or to the record's end where there is none yet.
    """
    closing = _closing(end)
    notes = _anchored().filter(size__gt=first, size__lte=closing)
    waiting = iter(notes.order_by("size").values_list("size", "note"))
    coming = next(waiting, None)
    yield f"{HEAD}\n"
    yield f"origin {origin}\n"
    yield f"first {first}\n"
    for node in merkle.frontier(first, seal.hashes):
        yield f"before {_b64(node)}\n"
    for number, line in _lines(first, end, closing):
        yield line
        if coming and coming[0] == number + 1:
            yield f"checkpoint {_b64(coming[1].encode())}\n"
            coming = next(waiting, None)


def proof_of(event: AuditEvent, under: Checkpoint | None = None) -> str:
    """Return the proof that an event is in the record, as C2SP's tlog-proof: its canonical JSON is
    the extra data. under: the anchored checkpoint that it leads to; None: the first one over the
    event. Raises NotAnchored while no checkpoint stands over it.
    """
    own = AuditSeal.objects.filter(event=event).first()
    if own is None:
        raise NotAnchored(
            "The event has no place in the record yet. It gets one within seconds: try again."
        )
    over = _anchored().filter(size__gt=own.sequence).order_by("size")
    checkpoint = under or over.first()
    if checkpoint is None or checkpoint.size <= own.sequence:
        raise NotAnchored(
            "No checkpoint that stands over this event is anchored yet. Try again in some minutes."
        )
    path = merkle.inclusion(own.sequence, checkpoint.size, seal.hashes)
    lines = [PROOF, f"extra {_b64(entry(event))}", f"index {own.sequence}", *map(_b64, path)]
    return "\n".join(lines) + "\n\n" + checkpoint.note


def consistency(old: Checkpoint) -> str:
    """Return the proof that the newest anchored checkpoint continues an older one, as witnesses
    take it: the old size, the hashes, the new checkpoint. Raises NotAnchored where there is none.
    """
    new = _anchored().order_by("-size").first()
    if new is None or new.size < old.size:
        raise NotAnchored(
            "No checkpoint of this size or a larger one is anchored yet. Try again in some minutes."
        )
    path = merkle.consistency(old.size, new.size, seal.hashes)
    return "\n".join([f"old {old.size}", *map(_b64, path)]) + "\n\n" + new.note


def _anchored() -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(anchored_at__isnull=False)


def _closing(end: int) -> int:
    """Return the size of the first anchored checkpoint over `end` entries, or the record's."""
    over = _anchored().filter(size__gte=end).order_by("size").values_list("size", flat=True)
    return over.first() or seal.size()


def _lines(first: int, end: int, closing: int) -> Iterator[tuple[int, str]]:
    whole = AuditSeal.objects.filter(sequence__gte=first, sequence__lt=end).order_by("sequence")
    for one in whole.select_related("event").iterator(chunk_size=AT_ONCE):
        yield one.sequence, entry(one.event).decode() + "\n"
    rest = AuditSeal.objects.filter(sequence__gte=end, sequence__lt=closing).order_by("sequence")
    for number, leaf in rest.values_list("sequence", "leaf").iterator(chunk_size=AT_ONCE):
        yield number, f"leaf {_b64(bytes(leaf))}\n"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
