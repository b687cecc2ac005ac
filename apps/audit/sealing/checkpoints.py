"""Signed checkpoints of the record (C2SP tlog-checkpoint), and their anchor: S3 under Object Lock.

What is anchored is out of reach of whoever owns the database. No checkpoint is signed that does not
continue the one signed before it.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.audit import merkle
from apps.audit.models import Checkpoint
from apps.audit.sealing import seal
from apps.common.signing import BadNote, PublicKey, Signer, open_note, signed_note
from apps.integrations.s3.client import AlreadyExists, RegistryStore

PREFIX = "checkpoints/"
LARGEST = 16 * 1024  # bytes of a checkpoint with all its signatures
AT_ONCE = 8  # checkpoints that are read from S3 beside each other

Keys = Sequence[PublicKey]


class Rewritten(Exception):
    """The record no longer continues a checkpoint that was signed. The text says which."""


@dataclass(frozen=True)
class Head:
    """What a checkpoint says: the root (32 bytes) of the first `size` entries."""

    size: int
    root: bytes


def key_of(size: int) -> str:
    """Return the key of the checkpoint of a size; keys sort as sizes do."""
    return f"{PREFIX}{size:020d}"


def text_of(origin: str, head: Head) -> str:
    """Return a checkpoint's text, which is signed."""
    return f"{origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n"


def read(note: str, *, origin: str, keys: Keys) -> Head:
    """Return what a checkpoint says that a trusted key signed. Raises BadNote."""
    lines = open_note(note, name=origin, keys=keys).splitlines()
    try:
        size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise BadNote("It is no checkpoint.") from error
    head = Head(size, root)
    if "\n".join([*lines, ""]) != text_of(origin, head) or size < 0 or len(root) != 32:
        raise BadNote("It is no checkpoint.")
    return head


def sign(*, origin: str, signer: Signer, now: datetime) -> Checkpoint | None:
    """Sign the record as it is; None where nothing was sealed since the last checkpoint. In no
    transaction: what was sealed does not change, and whoever holds the key may be slow.

    Raises Rewritten, and then signs nothing; TemporaryError or PermanentError where the key cannot
    be used.
    """
    size = seal.size()
    last = Checkpoint.objects.order_by("-size").first()
    if last is not None:
        _require_continued(last, size)
    if size == 0 or (last is not None and last.size == size):
        return None
    head = Head(size, merkle.root(size, seal.hashes))
    note = signed_note(text_of(origin, head), name=origin, signer=signer)
    return Checkpoint.objects.create(size=size, root=head.root, note=note, signed_at=now)


def _require_continued(last: Checkpoint, size: int) -> None:
    if size < last.size:
        raise Rewritten(
            f"The record has {size:,} entries, but {last.size:,} were signed: some were taken away."
        )
    if merkle.root(last.size, seal.hashes) != bytes(last.root):
        raise Rewritten(f"The first {last.size:,} entries are no longer those that were signed.")


def is_due(*, every: timedelta, now: datetime) -> bool:
    """Tell whether enough time went by since the last checkpoint."""
    last = Checkpoint.objects.order_by("-size").first()
    return last is None or last.signed_at + every <= now


def anchor_waiting(store: RegistryStore, *, keep: timedelta, now: datetime) -> int:
    """Put every signed checkpoint that is not anchored into the bucket, oldest first, locked for
    `keep`; return how many.

    Raises Rewritten where another checkpoint of that size lies there. Raises TemporaryError or
    PermanentError where the bucket does not take it; then the rest waits.
    """
    done = 0
    for checkpoint in Checkpoint.objects.filter(anchored_at=None).order_by("size"):
        found = _put(store, key_of(checkpoint.size), checkpoint.note, until=now + keep)
        if not _same_text(found, checkpoint.note):
            raise Rewritten(
                f"Another checkpoint of {checkpoint.size:,} entries is anchored already: the "
                f"record was forked."
            )
        Checkpoint.objects.filter(pk=checkpoint.pk, anchored_at=None).update(
            anchored_at=now, problem=""
        )
        done += 1
    return done


def anchored_keys(store: RegistryStore) -> list[str]:
    """Return the key of everything that lies where checkpoints do, smallest first. Raises
    TemporaryError or PermanentError.
    """
    return store.list_keys(PREFIX)


def notes(store: RegistryStore, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (key, note) of checkpoints in the bucket, in the order of the keys. Raises
    TemporaryError or PermanentError.
    """

    def read_one(key: str) -> tuple[str, str]:
        return key, store.read_small(key, limit=LARGEST).decode(errors="replace")

    with ThreadPoolExecutor(AT_ONCE) as readers:
        yield from readers.map(read_one, keys)


def _put(store: RegistryStore, key: str, note: str, *, until: datetime) -> str:
    """Store a note under a new key; return what lies there: it, or what was there before."""
    try:
        store.put_new(key, note.encode(), locked_until=until)
    except AlreadyExists:
        return store.read_small(key, limit=LARGEST).decode(errors="replace")
    return note


def say_problem(problem: str) -> None:
    """Keep why checkpoints are not anchored, for the page that tells it."""
    Checkpoint.objects.filter(anchored_at=None).exclude(problem=problem).update(problem=problem)


def _same_text(one: str, other: str) -> bool:
    """Tell whether two notes say the same; a signature has a random part."""
    return one.rpartition("\n\n")[0] == other.rpartition("\n\n")[0]
