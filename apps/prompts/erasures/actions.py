"""Erasing a member or a case: one person asks, another decides, and then the keys are gone.

Without its data key a text is noise, wherever its ciphertext lies: in the database, in S3 under a
lock that nobody can lift, in a backup of either. So erasing is destroying the wrapped keys.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q

from apps.accounts.models import User
from apps.accounts.roles import DECIDES_PROMPTS
from apps.audit.actions import record
from apps.audit.models import Action
from apps.common import decisions
from apps.common.canonical import digest_of, plain
from apps.common.errors import DomainError
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.erasures.receipt import (
    DestroyedKey,
    Erased,
    LeftObject,
    NotReached,
    receipt_of,
)
from apps.prompts.holds.actions import one_at_a_time
from apps.prompts.holds.queries import holds_over
from apps.prompts.models import DataKey, Place, PromptPack, PromptRecord, PromptText
from apps.prompts.rules.actions import DECIDER, permit_asking
from apps.prompts.subjects import BadName, SubjectKind, is_named_in, named_subject, secret_id

Status = ErasureRequest.Status


class BadErasure(DomainError):
    """The request names nobody, or somebody asked for the same."""

    code = "bad_erasure"


class IsHeld(DomainError):
    """A legal hold covers records that would be erased."""

    code = "legal_hold"


@transaction.atomic
def ask_erasure(
    *, kind: str, name: str, justification: str, requester: User, now: datetime
) -> ErasureRequest:
    """Ask for the erasure of a member or a case by name, which is hashed here and kept nowhere.

    Raises NotPermitted unless the requester is an auditor; BadErasure, also where the justification
    says the name.
    """
    permit_asking(requester)
    if is_named_in(name, justification):
        raise BadErasure("The justification says the name, and is kept. Say why without it.")
    try:
        subject = named_subject(SubjectKind(kind), name)
        with transaction.atomic():
            request = ErasureRequest.objects.create(
                kind=kind,
                token=subject.token,
                secret=subject.secret,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except BadName as error:
        raise BadErasure(str(error)) from None
    except IntegrityError:
        raise BadErasure("An erasure of the same waits for a decision already.") from None
    data = _facts(request) | {"justification": justification}
    record(action=Action.ERASURE_REQUESTED, actor=requester, target=request, now=now, data=data)
    return request


def keys_of(request: ErasureRequest) -> list[DataKey]:
    """Return the keys that an erasure destroys, by month."""
    return list(DataKey.objects.filter(_of(request), destroyed_at=None))


def question(request: ErasureRequest, person: User) -> decisions.Question:
    """Return who decides about an erasure, as this person meets it."""
    return decisions.Question(
        request,
        person,
        decider=DECIDER,
        is_decider=person.has_role(*DECIDES_PROMPTS),
    )


@transaction.atomic
def approve_erasure(
    *, erasure: ErasureRequest, approver: User, reason: str, now: datetime
) -> ErasureRequest:
    """Destroy the keys of a member or a case, and write the receipt.

    Raises NotPermitted unless the approver is a reviewer or auditor who did not ask for it;
    AlreadyDecided; IsHeld, and then nothing is erased and the request goes on waiting.
    """
    asks = question(erasure, approver)
    decisions.permit(asks)
    # over all records, which may be millions: no gate waits for its keys meanwhile
    missed = _not_reached(erasure)
    one_at_a_time()
    keys = list(DataKey.objects.select_for_update().filter(_of(erasure)))
    if standing := holds_over(keys):
        names = ", ".join(f"{hold} ({hold.matter})" for hold in standing)
        raise IsHeld(f"Held, so nothing is erased: {names}. Two people lift a hold.")
    living = [key for key in keys if key.destroyed_at is None]
    erased = _erase(keys, living, now)
    receipt = plain(
        receipt_of(
            request=erasure.pk,
            environment=settings.ENVIRONMENT_NAME,
            kind=erasure.kind,
            token=erasure.token,
            secret=erasure.secret,
            asked=(erasure.requested_by.username, erasure.requested_at),
            decided=(approver.username, now),
            erased=erased,
            missed=missed,
            backup_days=settings.PROMPT_BACKUP_DAYS,
        )
    )
    digest = digest_of(receipt)
    decisions.decide(
        asks, status=Status.APPROVED, reason=reason, now=now, receipt=receipt, receipt_digest=digest
    )
    data = _facts(erasure) | {
        "reason": reason,
        "asked_by": erasure.requested_by.username,
        "receipt": digest,
        "keys_destroyed": [str(key.pk) for key in living],
        "records": erased.in_postgres + erased.in_s3,
    }
    record(action=Action.PROMPTS_ERASED, actor=approver, target=erasure, now=now, data=data)
    return erasure


def _of(request: ErasureRequest) -> Q:
    return Q(kind=request.kind, token=request.token, secret=request.secret)


def _not_reached(request: ErasureRequest) -> NotReached:
    """Return what an erasure cannot find by its name. Two queries over the whole record."""
    readable = PromptRecord.objects.exclude(place=Place.ERASED)
    others = readable.exclude(
        data_key__kind=request.kind, data_key__token=request.token, data_key__secret=request.secret
    )
    named = others.exclude(data_key__kind=SubjectKind.TEAM)
    return NotReached(
        unnamed=readable.filter(data_key__kind=SubjectKind.TEAM).count(),
        other_secret=named.exclude(data_key__secret=secret_id()).count(),
    )


def _erase(keys: Sequence[DataKey], living: Sequence[DataKey], now: datetime) -> Erased:
    """Destroy keys and overwrite what the database has of their texts; return what was done.

    keys: all that the subject ever had. living: those that are not destroyed.
    """
    records = PromptRecord.objects.filter(data_key__in=keys).exclude(place=Place.ERASED)
    counts = dict(records.order_by().values_list("data_key").annotate(Count("pk")))
    # bytes(): psycopg gives memory views, which have no digest of their own
    destroyed = [
        DestroyedKey(key.pk, f"{key.month:%Y-%m}", key.wrapped_by,
                     hashlib.sha256(bytes(key.wrapped)).hexdigest(), counts.get(key.pk, 0))
        for key in living
    ]  # fmt: skip
    packs = PromptPack.objects.filter(records__in=records, status=PromptPack.Status.STORED)
    left = [
        LeftObject(pack.object_key, pack.version_id, pack.sha256, pack.retained_until)
        for pack in packs.distinct().order_by("object_key")
    ]
    begun = PromptPack.objects.filter(records__in=records, status=PromptPack.Status.WAITING)
    in_s3 = records.filter(place=Place.S3).count()
    in_postgres = records.filter(place=Place.POSTGRES).count()
    written = [(f"{pack.key_prefix}*", pack.retained_until) for pack in begun.distinct()]
    # one after the other: both at once would be looked for in every text there is
    PromptText.objects.filter(record__in=records).update(ciphertext=b"")
    PromptText.objects.filter(data_key__in=keys).update(ciphertext=b"")
    records.update(place=Place.ERASED)
    DataKey.objects.filter(pk__in=[key.pk for key in living]).update(wrapped=b"", destroyed_at=now)
    return Erased(
        keys=destroyed, in_postgres=in_postgres, in_s3=in_s3, objects=left, being_written=written
    )


@transaction.atomic
def reject_erasure(
    *, erasure: ErasureRequest, approver: User, reason: str, now: datetime
) -> ErasureRequest:
    """Erase nothing. Raises NotPermitted as approve_erasure does, AlreadyDecided."""
    decisions.reject(question(erasure, approver), reason=reason, now=now)
    data = _facts(erasure) | {"reason": reason}
    record(action=Action.ERASURE_REJECTED, actor=approver, target=erasure, now=now, data=data)
    return erasure


@transaction.atomic
def withdraw_erasure(*, erasure: ErasureRequest, actor: User, now: datetime) -> ErasureRequest:
    """Take back the request. Raises NotPermitted unless actor asked for it; AlreadyDecided."""
    decisions.withdraw(question(erasure, actor), now=now)
    data = _facts(erasure)
    record(action=Action.ERASURE_WITHDRAWN, actor=actor, target=erasure, now=now, data=data)
    return erasure


def _facts(request: ErasureRequest) -> dict[str, object]:
    """Return what the audit record says of a request: a token says nothing without the secret."""
    return {"kind": request.kind, "token": request.token}
