"""What becomes of records that are written: packed and moved to S3, and removed when their time is
over and nothing holds them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.common.leases import change_from
from apps.prompts.holds.actions import one_at_a_time
from apps.prompts.holds.queries import free, held
from apps.prompts.models import DataKey, Outcome, Place, PromptPack, PromptRecord, PromptText
from apps.prompts.rules.actions import revision_for
from apps.prompts.storage.packing import Packed

ENOUGH = 200  # records with one end that are worth an object at once
MOST_IN_PACK = 1000
MOST_BYTES = 64 * 1024 * 1024
WAITS_AT_MOST = timedelta(minutes=10)  # in the database, for others with the same end
NO_ANSWER = timedelta(hours=1)  # after which nothing more is expected of a call
AGAIN = timedelta(hours=1)
REMOVED_AT_ONCE = 5000
KEYS_AT_ONCE = 500
STRAGGLERS = timedelta(days=1)  # after a month, in which gates may still write under its keys
MOVER, REMOVER = System("prompts.move_to_s3"), System("prompts.remove_expired")
Status = PromptPack.Status


@transaction.atomic
def make_packs(*, now: datetime) -> int:
    """Gather records of one end into packs, where they are enough or wait long enough; return how
    many packs.
    """
    ended = PromptRecord.objects.filter(
        ~Q(outcome=Outcome.OPEN) | Q(at__lt=now - NO_ANSWER),
        place=Place.POSTGRES,
        pack=None,
        retained_until__gt=now,
    )
    groups = ended.order_by().values("retained_until").annotate(count=Count("pk"), first=Min("at"))
    due = [
        group["retained_until"]
        for group in groups
        if group["count"] >= ENOUGH or group["first"] < now - WAITS_AT_MOST
    ]
    return sum(_make_pack(ended.filter(retained_until=end), end, now) for end in sorted(due))


def _make_pack(records: QuerySet[PromptRecord], end: datetime, now: datetime) -> bool:
    rows = records.order_by("at", "pk").select_for_update(skip_locked=True)[:MOST_IN_PACK]
    chosen: list[UUID] = []
    size = 0
    for row in rows:
        size += (row.request_bytes or 0) + (row.answer_bytes or 0)
        if chosen and size > MOST_BYTES:
            break
        chosen.append(row.pk)
    if not chosen:
        return False
    made = PromptPack.objects.create(made_at=now, retained_until=end, next_check_at=now)
    PromptRecord.objects.filter(pk__in=chosen).update(pack=made)
    return True


@transaction.atomic
def record_stored(
    *,
    pack: PromptPack,
    packed: Packed,
    key: str,
    version_id: str,
    versions: Mapping[UUID, str],
    now: datetime,
) -> bool:
    """Say that a pack lies in S3 as it was made, and let the database keep no ciphertext of it;
    what was erased meanwhile stays so. versions: call's id → what answered, as metered. False where
    it is stored already.
    """
    one_at_a_time()
    done = change_from(
        pack, [Status.WAITING], now=now, status=Status.STORED, object_key=key,
        version_id=version_id, sha256=packed.sha256, size_bytes=len(packed.body), stored_at=now,
        next_check_at=None, attempts=0, reason="", message="",
    )  # fmt: skip
    if not done:
        return False
    texts = list(PromptText.objects.filter(pk__in=packed.offsets, record__pack=pack))
    for text in texts:
        text.ciphertext, text.offset = b"", packed.offsets[text.pk]
    PromptText.objects.bulk_update(texts, ("ciphertext", "offset"), batch_size=200)
    moved = pack.records.filter(place=Place.POSTGRES)
    for version in set(versions.values()) - {""}:
        calls = [call for call, found in versions.items() if found == version]
        moved.filter(call_id__in=calls).update(version=version)
    data = _about(pack) | {"records": moved.update(place=Place.S3)}
    record(action=Action.PROMPTS_MOVED, actor=MOVER, target=pack, now=now, data=data)
    return True


@transaction.atomic
def give_up_pack(*, pack: PromptPack, now: datetime) -> None:
    """Make no object of a pack: its texts were erased, or their time is over. It is looked at again
    at its end, when what a worker may have written of it can be removed.
    """
    pack.records.update(pack=None)
    PromptPack.objects.filter(pk=pack.pk, status=Status.WAITING).update(
        next_check_at=pack.retained_until, reason="", message=""
    )


def record_given_up(*, pack: PromptPack, now: datetime) -> None:
    """Say that nothing of a pack without records is in S3."""
    change_from(
        pack, [Status.WAITING], now=now, status=Status.REMOVED, removed_at=now, next_check_at=None,
        reason="", message="",
    )  # fmt: skip


@transaction.atomic
def remove_from_database(*, now: datetime) -> int:
    """Remove records whose time is over, that lie in no object and that nothing holds; return how
    many.
    """
    one_at_a_time()
    over = free(PromptRecord.objects.over(now).filter(pack=None)).order_by("retained_until")
    chosen = list(over.values_list("pk", "data_class")[:REMOVED_AT_ONCE])
    rows = PromptRecord.objects.filter(pk__in=[pk for pk, _ in chosen])
    PromptText.objects.filter(record__in=rows).delete()
    rows.delete()
    for data_class in sorted({one for _, one in chosen}):
        count = sum(1 for _, one in chosen if one == data_class)
        target = revision_for(data_class, now)
        data = {"data_class": data_class, "records": count, "from": "database"}
        record(action=Action.PROMPTS_REMOVED, actor=REMOVER, target=target, now=now, data=data)
    return len(chosen)


@transaction.atomic
def destroy_idle_keys(*, now: datetime) -> int:
    """Destroy the keys of past months under which no record is left, so that copies of their
    ciphertext in backups and elsewhere end with them; return how many.

    A key is locked before it is asked for the last time whether a record is left: whoever writes
    one under it has it locked until the record is there.
    """
    month = (now - STRAGGLERS).date().replace(day=1)
    idle = DataKey.objects.filter(
        ~Exists(PromptRecord.objects.filter(data_key=OuterRef("pk"))),
        ~Exists(PromptText.objects.filter(data_key=OuterRef("pk"))),
        destroyed_at=None,
        month__lt=month,
    )
    chosen = list(idle.order_by().values_list("pk", flat=True)[:KEYS_AT_ONCE])
    locked = list(DataKey.objects.select_for_update().filter(pk__in=chosen, destroyed_at=None))
    gone = list(idle.filter(pk__in=[key.pk for key in locked]))
    if gone:
        DataKey.objects.filter(pk__in=[key.pk for key in gone]).update(
            wrapped=b"", destroyed_at=now
        )
        data = {"keys_destroyed": [str(key.pk) for key in gone], "records": 0}
        record(action=Action.PROMPTS_REMOVED, actor=REMOVER, target=gone[0], now=now, data=data)
    return len(gone)


def ask_due_removals(*, now: datetime) -> int:
    """Have every pack looked at whose time is over; return how many."""
    due = PromptPack.objects.filter(
        status=Status.STORED, retained_until__lte=now, next_check_at=None
    )
    return due.update(next_check_at=now, attempts=0)


@transaction.atomic
def begin_removal(*, pack: PromptPack, now: datetime) -> bool:
    """Remove a pack's records from the index, after which its object goes. False where a hold
    covers some of them: those and the object stay, and are looked at again; the others go.
    """
    one_at_a_time()
    over = [one.pk for one in free(pack.records.all())]
    PromptText.objects.filter(record__in=over).delete()
    count, _ = pack.records.filter(pk__in=over).delete()
    if count:
        data = _about(pack) | {"records": count, "from": "S3"}
        record(action=Action.PROMPTS_REMOVED, actor=REMOVER, target=pack, now=now, data=data)
    if held(pack.records.all()).exists():
        wait(pack=pack, reason="HELD", message="A legal hold covers it.", at=now + AGAIN, now=now)
        return False
    return True


def record_removed(*, pack: PromptPack, now: datetime) -> None:
    """Say that a pack's object is gone."""
    change_from(
        pack, [Status.STORED], now=now, status=Status.REMOVED, removed_at=now, next_check_at=None,
        reason="", message="",
    )  # fmt: skip


def wait(*, pack: PromptPack, reason: str, message: str, at: datetime, now: datetime) -> None:
    """Say what stands in the way of a pack, and look again at `at`."""
    PromptPack.objects.filter(pk=pack.pk).update(
        reason=reason, message=message, observed_at=now, next_check_at=at
    )


def _about(pack: PromptPack) -> dict[str, object]:
    return {"object": pack.object_key, "version": pack.version_id, "sha256": pack.sha256}
