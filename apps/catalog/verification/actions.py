"""What becomes of a reading of a version's bytes: asked for, on its way, and its result. What
differs takes the version out of use in the same transaction.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, Sum
from django.db.models.functions import Coalesce

from apps.accounts.models import User
from apps.accounts.roles import VERIFIES_VERSIONS
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog import actions as catalog
from apps.catalog.models import ModelVersion
from apps.catalog.verification.models import BucketState, Verification
from apps.catalog.verification.reading import Untrue
from apps.common.errors import DomainError, require
from apps.common.leases import change_from, keep_lease

WORKER = audit.System("catalog.verify_version")
Status = Verification.Status
# what has a manifest and is not on its way: there is something to compare with
READABLE = (
    ModelVersion.Status.VERIFIED,
    ModelVersion.Status.QUARANTINED,
    ModelVersion.Status.FAILED,
)
MOST_AT_ONCE = 20
TRIED_AGAIN_AFTER = timedelta(days=1)


class CannotVerify(DomainError):
    """The version has no manifest yet, its signer was revoked, or it is being read already."""

    code = "cannot_verify"


def may_ask(version: ModelVersion, person: User) -> bool:
    """Tell whether this person may have the version read again: who owns the model, runs the
    platform, or audits.
    """
    return version.registered_model.is_owned_by(person) or person.has_role(*VERIFIES_VERSIONS)


def can_be_read(version: ModelVersion) -> bool:
    """Tell whether there is something to compare a version's bytes with: a manifest whose signer
    was not revoked.
    """
    is_believed = version.reason != catalog.SIGNER_REVOKED
    return bool(version.manifest_digest) and version.status in READABLE and is_believed


@transaction.atomic
def ask_verification(*, version: ModelVersion, actor: User, now: datetime) -> Verification:
    """Have every byte of a version read again, now. Raises NotPermitted or CannotVerify."""
    require(
        may_ask(version, actor),
        "Only owners of the model, platform engineers and auditors have a version verified.",
    )
    row = _open(version, Verification.Cause.DEMAND, actor, now)
    if row is None:
        raise CannotVerify(
            f"{version} is being read already, is not signed yet, or its signer was revoked."
        )
    audit.record(action=Action.VERIFICATION_ASKED, actor=actor, target=version, now=now)
    return row


def open_due(*, every: timedelta, now: datetime) -> int:
    """Open a reading of each verified version whose bytes were read longer ago than `every`, the
    longest ago first, some at a time; return how many. One that ended without a result is tried
    again a day later.
    """
    has_result = ~Q(verifications__status=Status.ENDED)
    read_at = Coalesce(Max("verifications__requested_at", filter=has_result), F("verified_at"))
    rows = ModelVersion.objects.verified().alias(read_at=read_at).filter(read_at__lte=now - every)
    tried = Verification.objects.filter(
        version=OuterRef("pk"), requested_at__gt=now - TRIED_AGAIN_AFTER
    )
    rows = rows.exclude(Exists(tried))
    due = rows.select_related("registered_model").order_by("read_at", "pk")[:MOST_AT_ONCE]
    opened = [_open(version, Verification.Cause.SCHEDULE, None, now) for version in due]
    return len([row for row in opened if row is not None])


def _open(
    version: ModelVersion, cause: str, actor: User | None, now: datetime
) -> Verification | None:
    if not can_be_read(version):
        return None
    total = version.files.aggregate(total=Sum("size", default=0))["total"]
    try:
        with transaction.atomic():
            return Verification.objects.create(
                version=version,
                cause=cause,
                requested_by=actor,
                requested_at=now,
                bytes_total=total,
                next_check_at=now,
            )
    except IntegrityError:
        return None


# -- What the registry's process found -------------------------------------------------------------


def record_position(*, row: Verification, ranges_done: int, bytes_done: int, now: datetime) -> bool:
    """Keep how far a reading is, and the lease. No audit event: nothing changed. False where
    another process has ended the reading meanwhile.
    """
    rows = Verification.objects.open().filter(pk=row.pk)
    changed = rows.update(
        ranges_done=ranges_done, bytes_done=bytes_done, observed_at=now, reason="", message="",
        attempts=0,
    )  # fmt: skip
    if not changed:
        return False
    keep_lease(row, now=now)
    return True


def record_waiting(*, row: Verification, message: str, at: datetime, now: datetime) -> None:
    """S3 is away: say so, and go on at `at`."""
    Verification.objects.open().filter(pk=row.pk).update(
        reason="WAITING", message=message, observed_at=now, next_check_at=at
    )


def release(*, row: Verification, now: datetime) -> None:
    """Let another one take its turn; this one goes on after it."""
    Verification.objects.open().filter(pk=row.pk).update(next_check_at=now)


@transaction.atomic
def record_passed(*, row: Verification, protection: Mapping[str, object], now: datetime) -> None:
    """Every byte is what was signed, and every object kept as it has to be."""
    done = {"bytes_done": row.bytes_total, "message": "", "reason": ""}
    if not _end(row, Status.PASSED, now, **done):
        return
    ModelVersion.objects.filter(pk=row.version_id).update(protection=dict(protection))
    data = {"bytes": row.bytes_total, "manifest_digest": row.version.manifest_digest}
    audit.record(
        action=Action.VERIFICATION_PASSED, actor=WORKER, target=row.version, now=now, data=data
    )


@transaction.atomic
def record_untrue(*, row: Verification, found: Untrue, now: datetime) -> None:
    """Something is not what was signed: the version is taken out of use, whatever its state, and
    the reading stands in the record also where the version was out of use before. Where its signer
    was revoked, no byte was compared: the reading has no result.
    """
    is_revoked = found.reason == catalog.SIGNER_REVOKED
    status = Status.ENDED if is_revoked else Status.FAILED
    where = {"file": found.file, "first_byte": found.first, "last_byte": found.last}
    if not _end(row, status, now, reason=found.reason, message=str(found), **where):
        return
    action = Action.VERIFICATION_ENDED if is_revoked else Action.VERIFICATION_FAILED
    data = {"reason": found.reason, "message": str(found)} | found.where
    audit.record(action=action, actor=WORKER, target=row.version, now=now, data=data)
    catalog.quarantine_version(
        version=row.version, reason=found.reason, message=str(found), where=found.where, now=now
    )


@transaction.atomic
def record_ended(*, row: Verification, message: str, now: datetime) -> None:
    """S3 refuses to be read: nobody knows, and the next reading tries again."""
    if _end(row, Status.ENDED, now, reason="REGISTRY_REFUSED", message=message):
        data = {"message": message}
        audit.record(
            action=Action.VERIFICATION_ENDED, actor=WORKER, target=row.version, now=now, data=data
        )


def _end(row: Verification, status: str, now: datetime, **facts: object) -> bool:
    return change_from(
        row, (Status.RUNNING,), now=now, status=status, finished_at=now, next_check_at=None,
        **facts,
    )  # fmt: skip


@transaction.atomic
def record_bucket(
    *, bucket: str, settings: list[dict[str, str]], problem: str, now: datetime
) -> None:
    """Keep what S3 says of the bucket's settings. What changed since goes into the record; where S3
    could not be asked, what it said before stays.
    """
    row, is_new = BucketState.objects.get_or_create(
        bucket=bucket, defaults={"checked_at": now, "settings": settings, "problem": problem}
    )
    if is_new:
        return
    before = row.settings
    row.problem = problem
    if not problem:
        row.checked_at, row.settings = now, settings
    row.save(update_fields=("checked_at", "settings", "problem"))
    if not problem and before and before != settings:
        audit.record(
            action=Action.BUCKET_CHANGED, actor=WORKER, target=row, now=now,
            data={"before": before, "after": settings},
        )  # fmt: skip
