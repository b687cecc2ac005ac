"""What becomes of the keys that sign manifests: they are noted when they begin, end when another
one takes their place, and are revoked by two people.

Revoking a key takes every version it signed out of use at once, whatever its state: none is
evaluated, proposed, approved or rolled out any more, and what is rolling out goes back. What serves
already goes on serving until its owners roll back: the page says so.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Min
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.accounts.roles import ASKS_TO_REVOKE_SIGNERS, DECIDES_SIGNERS
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog import actions as catalog
from apps.catalog.models import ModelVersion
from apps.catalog.signers.models import Signer, SignerRevocation
from apps.common import decisions, signing
from apps.common.errors import DomainError, require
from apps.common.model_manifest import signer_name
from apps.common.signing import PublicKey, fingerprint, public_pem

WORKER = audit.System("catalog.record_signer")
Status = SignerRevocation.Status


class CannotRevoke(DomainError):
    """The signer is revoked already, or somebody asked for it."""

    code = "cannot_revoke"


@transaction.atomic
def record_signer(*, signer: signing.Signer, now: datetime) -> Signer:
    """Note the key that signs from now on, once; the one before it ends. Returns it, whatever has
    become of it.
    """
    key = signer.public_key
    known = Signer.objects.filter(fingerprint=fingerprint(key)).first()
    if known is not None and (known.active_to is None or known.revoked_at is not None):
        return known
    for before in Signer.objects.select_for_update().filter(active_to=None):
        _end(before, now)
    if known is not None:
        Signer.objects.filter(pk=known.pk).update(
            active_to=None, kind=signer.kind, key_id=signer.key_id
        )
        known.refresh_from_db()
        row = known
    else:
        row = _unsaved(signer, now)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            # Another process began at the same moment: with this key, and has it in the record; or
            # with another one, which this one now follows.
            return Signer.objects.filter(fingerprint=fingerprint(key)).first() or record_signer(
                signer=signer, now=now
            )
    facts = {"fingerprint": row.fingerprint, "kind": str(row.kind), "key": row.key_id}
    audit.record(action=Action.SIGNER_BEGAN, actor=WORKER, target=row, now=now, data=facts)
    return row


def _unsaved(signer: signing.Signer, now: datetime) -> Signer:
    key = signer.public_key
    return Signer(
        fingerprint=fingerprint(key),
        name=signer_name(key),
        kind=signer.kind,
        key_id=signer.key_id,
        public_key=public_pem(key).decode(),
        active_from=_first_signed(signer_name(key)) or now,
    )


@transaction.atomic
def record_former(*, keys: Sequence[PublicKey], now: datetime) -> None:
    """Note keys that signed before the portal kept such records; those that are known stay as they
    are.
    """
    for key in keys:
        name = signer_name(key)
        row, is_new = Signer.objects.get_or_create(
            fingerprint=fingerprint(key),
            defaults={
                "name": name,
                "kind": Signer.Kind.FORMER,
                "public_key": public_pem(key).decode(),
                "active_from": _first_signed(name) or now,
                "active_to": now,
            },
        )
        if is_new:
            data = {"fingerprint": row.fingerprint, "kind": str(row.kind), "key": ""}
            audit.record(action=Action.SIGNER_BEGAN, actor=WORKER, target=row, now=now, data=data)


def _first_signed(name: str) -> datetime | None:
    """Return since when versions carry a key's name: it signed before it was noted."""
    signed = ModelVersion.objects.filter(signer=name)
    first: datetime | None = signed.aggregate(first=Min("created_at"))["first"]
    return first


def _end(signer: Signer, now: datetime) -> None:
    ended = Signer.objects.filter(pk=signer.pk, active_to=None).update(active_to=now)
    if ended:
        audit.record(action=Action.SIGNER_ENDED, actor=WORKER, target=signer, now=now)


# -- Revoking --------------------------------------------------------------------------------------


def may_ask(person: User) -> bool:
    """Tell whether this person may ask that a key be revoked."""
    return person.has_role(*ASKS_TO_REVOKE_SIGNERS)


@transaction.atomic
def request_revocation(
    *, signer: Signer, justification: str, requester: User, now: datetime
) -> SignerRevocation:
    """Ask that nobody believes a key any more. Raises NotPermitted; CannotRevoke where it is
    revoked, or somebody asked already.
    """
    require(
        may_ask(requester), "Only a platform engineer or an auditor asks for a key to be revoked."
    )
    try:
        with transaction.atomic():
            row = SignerRevocation.objects.create(
                signer=signer,
                justification=justification,
                requested_by=requester,
                requested_at=now,
            )
    except IntegrityError:
        raise CannotRevoke(f"{signer} is revoked, or somebody has asked for it already.") from None
    data = {"justification": justification}
    audit.record(
        action=Action.REVOCATION_REQUESTED, actor=requester, target=row, now=now, data=data
    )
    return row


def question(row: SignerRevocation, person: User) -> decisions.Question:
    """Return who decides about a revocation, as this person meets it."""
    return decisions.Question(
        row,
        person,
        decider="reviewer or platform engineer",
        is_decider=person.has_role(*DECIDES_SIGNERS),
        noun="revocation",
    )


@transaction.atomic
def approve_revocation(
    *, row: SignerRevocation, approver: User, reason: str, now: datetime
) -> SignerRevocation:
    """Revoke a key: it ends, and every version that it signed can never be used again.

    Raises NotPermitted, or AlreadyDecided.
    """
    asks = question(row, approver)
    decisions.permit(asks)
    signed = list(
        ModelVersion.objects.select_for_update(of=("self",))
        .select_related("registered_model")
        .filter(signer=row.signer.name, status__in=catalog.CAN_BE_WRONG)
    )
    decisions.decide(asks, status=Status.APPROVED, reason=reason, now=now, versions=len(signed))
    ended = Coalesce("active_to", now, output_field=DateTimeField())
    Signer.objects.filter(pk=row.signer_id).update(revoked_at=now, active_to=ended)
    words = f"Its signer, {row.signer}, was revoked by {approver.get_full_name()}: {reason}"
    for version in signed:
        catalog.quarantine_version(
            version=version, reason=catalog.SIGNER_REVOKED, message=words, now=now
        )
    facts = {"reason": reason, "versions": len(signed)}
    audit.record(
        action=Action.SIGNER_REVOKED, actor=approver, target=row.signer, now=now, data=facts
    )
    return row


@transaction.atomic
def reject_revocation(
    *, row: SignerRevocation, approver: User, reason: str, now: datetime
) -> SignerRevocation:
    """Leave a key as it is. Raises as approve_revocation does."""
    decisions.reject(question(row, approver), reason=reason, now=now)
    data = {"reason": reason}
    audit.record(action=Action.REVOCATION_REJECTED, actor=approver, target=row, now=now, data=data)
    return row


@transaction.atomic
def withdraw_revocation(*, row: SignerRevocation, actor: User, now: datetime) -> SignerRevocation:
    """Take one's own request back. Raises NotPermitted, or AlreadyDecided."""
    decisions.withdraw(question(row, actor), now=now)
    audit.record(action=Action.REVOCATION_WITHDRAWN, actor=actor, target=row, now=now)
    return row
