"""Moves ciphertext to S3, and removes objects whose time is over.

Each step can be repeated: an object that is there with the same bytes is taken as written, and the
database gives up its copy only for one that was read back. So a worker may die at any line. Where
one died and the texts are others since (one was erased, an answer came late), the pack has two
objects: all that were ever written for it go at its end.

WAITING   texts → one object, locked until their end → read back → the database's copy goes
STORED    its time is over and nothing holds it: the index goes, then its objects; held: locked anew
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from apps.common.leases import retry_at, take_lease
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, RegistryStore
from apps.metering.stores.base import store as calls_store
from apps.prompts.models import PromptPack, PromptRecord, PromptText
from apps.prompts.storage import actions
from apps.prompts.storage.packing import Piece, pack

PASS_SECONDS = 50.0
REFUSED_AGAIN = timedelta(hours=1)
HELD_LOCK = timedelta(hours=6)  # beyond each look at a pack that is held, which comes every hour
AROUND = timedelta(hours=1)  # by which the gate's clock and the access log's may differ
Status = PromptPack.Status


def move_and_remove(
    *, bucket: RegistryStore, now: datetime, clock: Callable[[], float] = time.monotonic
) -> int:
    """Make packs of what may move, ask for the removal of what is over, and do the next step of
    packs until the pass is over. Returns how many packs it looked at.
    """
    actions.make_packs(now=now)
    actions.ask_due_removals(now=now)
    started, looked_at = clock(), 0
    for row in PromptPack.objects.filter(next_check_at__lte=now).order_by("next_check_at"):
        if clock() - started > PASS_SECONDS:
            break
        looked_at += reconcile_pack(row=row, bucket=bucket, now=now)
    return looked_at


def reconcile_pack(*, row: PromptPack, bucket: RegistryStore, now: datetime) -> bool:
    """Do the next step of a pack that is due; False when it is not."""
    if not take_lease(row, now=now):
        return False
    try:
        if row.status == Status.WAITING:
            _write(row, bucket, now)
        elif row.status == Status.STORED:
            _end(row, bucket, now)
    except TemporaryError as error:
        at = retry_at(row, now=now, retry_after=error.retry_after)
        actions.wait(pack=row, reason="WAITING", message=str(error), at=at, now=now)
    except PermanentError as error:
        at = now + REFUSED_AGAIN
        actions.wait(pack=row, reason="REFUSED", message=str(error), at=at, now=now)
    return True


def _write(row: PromptPack, bucket: RegistryStore, now: datetime) -> None:
    """Write a pack, read it back, and say so."""
    packed = pack(_pieces(row))
    if not packed.offsets or row.retained_until <= now:
        actions.give_up_pack(pack=row, now=now)
        if row.retained_until <= now:
            _sweep(row, bucket, now)
            actions.record_given_up(pack=row, now=now)
        return
    key = f"{row.key_prefix}{packed.sha256[:32]}"
    with suppress(AlreadyExists):  # a worker died after it had written it
        bucket.put_new(key, packed.body, locked_until=row.retained_until)
    stored = bucket.head(key)
    if stored is None or _digest(bucket, key, stored.version_id) != packed.sha256:
        raise PermanentError(f"{key} cannot be read back as it was written.")
    actions.record_stored(
        pack=row, packed=packed, key=key, version_id=stored.version_id,
        versions=_versions(row.records.all()), now=now,
    )  # fmt: skip


def _end(row: PromptPack, bucket: RegistryStore, now: datetime) -> None:
    """Remove a pack whose time is over. Where a hold covers some of it, its object is locked for
    some hours more, at each look: so nobody removes it past the portal either.
    """
    if actions.begin_removal(pack=row, now=now):
        _sweep(row, bucket, now)
        actions.record_removed(pack=row, now=now)
    elif stored := bucket.head(row.object_key):
        bucket.lock(stored, until=now.replace(microsecond=0) + HELD_LOCK)


def _sweep(row: PromptPack, bucket: RegistryStore, now: datetime) -> None:
    """Remove every object that was ever written for a pack, also by a worker that died before it
    said so. Raises TemporaryError while one is locked, as it is for a while after a hold.
    """
    for key in bucket.list_keys(row.key_prefix):
        stored = bucket.head(key)
        if stored is None:
            continue
        if stored.locked_until and stored.locked_until > now:
            raise TemporaryError(f"{key} is locked until {stored.locked_until:%d %b %H:%M} UTC.")
        bucket.remove(key, version_id=stored.version_id)


def _pieces(row: PromptPack) -> Iterable[Piece]:
    texts = PromptText.objects.filter(record__pack=row).exclude(ciphertext=b"")
    for text in texts.select_related("record").order_by("record__at", "record_id", "phase"):
        yield Piece(
            id=text.pk,
            record_id=text.record_id,
            call_id=text.record.call_id,
            phase=text.phase,
            data_key=text.data_key_id,
            nonce=bytes(text.nonce),
            ciphertext=bytes(text.ciphertext),
        )


def _digest(bucket: RegistryStore, key: str, version_id: str) -> str:
    digest = sha256()
    for chunk in bucket.read(key, version_id=version_id):
        digest.update(chunk)
    return digest.hexdigest()


def _versions(records: Iterable[PromptRecord]) -> dict[UUID, str]:
    """Return call's id → the version that answered it, where its usage has been metered."""
    found = list(records)
    times = [record.at for record in found]
    calls = (
        calls_store()
        .calls()
        .filter(
            occurred_at__gte=min(times) - AROUND,
            occurred_at__lt=max(times) + AROUND,
            event_id__in=[record.call_id for record in found],
        )
    )
    return dict(calls.values_list("event_id", "version"))
