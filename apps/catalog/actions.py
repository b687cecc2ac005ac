"""Every change of the catalog: registering models, taking uploads, and what the worker finds out
about them.

People call the first half (owners of the model); the registry's process calls the second half
(`record_*`, `quarantine_version`, `fail_version`), and finds by itself what is due. Nothing here
speaks to S3: uploads.py and reconcile.py do, and then call one of these.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.accounts.models import Team, User
from apps.accounts.roles import OWNS_MODELS
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.facts.actions import record_facts
from apps.catalog.facts.reading import Facts
from apps.catalog.models import MODEL_NAME, DataClass, ModelFile, ModelVersion, RegisteredModel
from apps.common import model_manifest
from apps.common.errors import DomainError, NotPermitted, require
from apps.common.leases import change_from, keep_lease
from apps.common.model_manifest import FileEntry

Status = ModelVersion.Status
WORKER = audit.System("catalog.reconcile_version")
ABANDONED_AFTER = timedelta(hours=24)
CHECKED_AGAIN_AFTER = timedelta(hours=24)
SIGNER_REVOKED = "SIGNER_REVOKED"  # a reason
# whatever has objects in the registry can turn out to be something else
CAN_BE_WRONG = (Status.SIGNING, Status.VERIFYING, Status.VERIFIED, Status.FAILED)
RESERVED_NAMES = frozenset({"register", "new-models"})  # pages of the catalog have these addresses


class NameTaken(DomainError):
    """A model of this name is registered already."""

    code = "name_taken"


class BadName(DomainError):
    """The name cannot be a DNS label, which serving needs, or is an address of the portal
    itself.
    """

    code = "bad_name"


class BadFiles(DomainError):
    """The list of files may not be published. The text names each file and why."""

    code = "bad_files"


class VersionExists(DomainError):
    """The version number is taken; a version never changes."""

    code = "version_exists"


class NotUploading(DomainError):
    """The version takes no files any more."""

    code = "not_uploading"


class UploadIncomplete(DomainError):
    """Some parts of some files have not arrived."""

    code = "upload_incomplete"


class WrongState(DomainError):
    """The version is not in the state that this change starts from."""

    code = "wrong_state"


@transaction.atomic
def register_model(
    *,
    name: str,
    title: str,
    description: str,
    task: str,
    family: str,
    parameter_count: int,
    context_length: int,
    license: str,
    data_class: DataClass | str,
    actor: User,
    now: datetime,
    intended_use: str = "",
    forbidden_use: str = "",
) -> RegisteredModel:
    """Register a model; the actor's team owns it. Raises NotPermitted, BadName or NameTaken."""
    require(actor.has_role(*OWNS_MODELS), "Only model owners can register models.")
    if actor.team is None:
        raise NotPermitted("Sign in with a team: it will own the model.")
    return create_model(
        name=name,
        title=title,
        description=description,
        task=task,
        family=family,
        parameter_count=parameter_count,
        context_length=context_length,
        license=license,
        data_class=data_class,
        owner_team=actor.team,
        actor=actor,
        now=now,
        intended_use=intended_use,
        forbidden_use=forbidden_use,
    )


def check_name(name: str) -> None:
    """Raise BadName where no model can have this name."""
    if not MODEL_NAME.match(name):
        raise BadName(
            "Use lower-case letters, digits and dashes for the name: a letter first, at most 36."
        )
    if name in RESERVED_NAMES:
        raise BadName(f"The portal has a page of its own at {name}. Choose another name.")


def create_model(
    *, name: str, owner_team: Team, actor: User, now: datetime, **said: Any
) -> RegisteredModel:
    """Register a model for a team, as somebody decided who may. said: its other fields. Raises
    BadName or NameTaken.
    """
    check_name(name)
    row, created = RegisteredModel.objects.get_or_create(
        name=name,
        defaults={**said, "owner_team": owner_team, "created_by": actor, "created_at": now},
    )
    if not created:
        raise NameTaken(f"A model named {name} is already registered. Choose another name.")
    audit.record(
        action=Action.MODEL_REGISTERED,
        actor=actor,
        target=row,
        now=now,
        data={"owner_team": str(owner_team)},
    )
    return row


@transaction.atomic
def add_version(
    *,
    registered_model: RegisteredModel,
    files: Sequence[FileEntry],
    actor: User,
    now: datetime,
    note: str = "",
    number: int | None = None,
) -> ModelVersion:
    """Open a version for upload, or return the actor's own unfinished upload of exactly these
    files.

    number: the next one when None. Raises NotPermitted, BadFiles, or VersionExists when `number` is
    taken.
    """
    require_owner(registered_model, actor)
    if problems := model_manifest.file_list_problems(files):
        raise BadFiles(" ".join(problems))
    RegisteredModel.objects.select_for_update().get(pk=registered_model.pk)
    if unfinished := _unfinished(registered_model, files, actor, number):
        return unfinished
    last = registered_model.versions.aggregate(last=Max("number"))["last"] or 0
    if number is not None and registered_model.versions.filter(number=number).exists():
        raise VersionExists(
            f"{registered_model.name} v{number} exists; a version never changes. "
            f"Publish v{last + 1}."
        )
    version = ModelVersion.objects.create(
        registered_model=registered_model, number=number or last + 1, note=note, created_by=actor,
        created_at=now,
        next_check_at=now + ABANDONED_AFTER,
    )  # fmt: skip
    ModelFile.objects.bulk_create(
        ModelFile(version=version, name=f.name, size=f.size, sha256=f.sha256) for f in files
    )
    facts = {"files": len(files), "bytes": sum(entry.size for entry in files), "note": note}
    audit.record(action=Action.VERSION_ADDED, actor=actor, target=version, now=now, data=facts)
    return version


def require_owner(registered_model: RegisteredModel, actor: User) -> None:
    """Raise NotPermitted unless `actor` may publish versions of the model."""
    team = registered_model.owner_team
    require(
        registered_model.is_owned_by(actor),
        f"Only model owners of the team {team.name} publish versions of it.",
    )


def require_uploading(version: ModelVersion) -> None:
    """Raise NotUploading unless the version still takes files."""
    if version.status != Status.UPLOADING:
        state = version.get_status_display().lower()
        raise NotUploading(
            f"{version} is {state}, and a version never changes once its files are uploaded. "
            f"Publish a new one."
        )


@transaction.atomic
def finish_upload(
    *, version: ModelVersion, actor: User, locked_until: datetime, now: datetime
) -> ModelVersion:
    """Close the upload: the worker makes the objects, signs and locks them. Does nothing the second
    time.

    locked_until: end of every object's lock. Raises NotPermitted, NotUploading or UploadIncomplete.
    """
    require_owner(version.registered_model, actor)
    row = (
        ModelVersion.objects.select_for_update()
        .select_related("registered_model")
        .get(pk=version.pk)
    )
    if row.status in (Status.SIGNING, Status.VERIFYING, Status.VERIFIED):
        return row
    require_uploading(row)
    missing = [file.name for file in row.files.all() if not is_complete(file)]
    if missing:
        raise UploadIncomplete(
            f"Parts of {', '.join(missing)} are missing. Upload them, then finish again."
        )
    change_from(
        row, (Status.UPLOADING,), now=now,
        status=Status.SIGNING, locked_until=locked_until.replace(microsecond=0), next_check_at=now,
        attempts=0,
        generation=row.generation + 1, message="The worker reads every file back.",
    )  # fmt: skip
    audit.record(action=Action.VERSION_UPLOADED, actor=actor, target=row, now=now)
    return row


def is_complete(file: ModelFile) -> bool:
    """Tell whether all parts of a file have arrived."""
    return bool(sum(part["size"] for part in file.parts) == file.size)


# -- What the worker found out ---------------------------------------------------------------------


def record_stored(*, file: ModelFile, object_version: str, now: datetime) -> None:
    """The file's parts became one locked object."""
    ModelFile.objects.filter(pk=file.pk).update(object_version=object_version, uploaded_at=now)


def record_read_back(*, file: ModelFile, range_digests: Sequence[str], now: datetime) -> None:
    """The stored file has the declared digest, and its ranges these."""
    rows = ModelFile.objects.filter(pk=file.pk)
    rows.filter(range_digests=[]).update(read_back_at=now, range_digests=list(range_digests))
    file.range_digests = list(range_digests)


def record_ranges(
    *, version: ModelVersion, entry: FileEntry, object_version: str, now: datetime
) -> None:
    """The digests of the ranges were written as a file of the version. Doing it again does
    nothing.
    """
    ModelFile.objects.get_or_create(
        version=version,
        name=entry.name,
        defaults={
            "size": entry.size, "sha256": entry.sha256, "object_version": object_version,
            "uploaded_at": now, "read_back_at": now,
        },
    )  # fmt: skip


def record_file_verified(*, file: ModelFile, now: datetime) -> None:
    """The file was read once more after signing."""
    ModelFile.objects.filter(pk=file.pk, verified_at=None).update(verified_at=now)


def record_progress(
    *, version: ModelVersion, bytes_verified: int, message: str, now: datetime
) -> bool:
    """Show how far the present phase is, and keep the lease. No audit event: nothing changed. False
    where the version has left the phase meanwhile: it was taken out of use, or another process was
    faster.
    """
    rows = ModelVersion.objects.filter(pk=version.pk, status=version.status)
    if not rows.update(bytes_verified=bytes_verified, message=message, reason="", observed_at=now):
        return False
    keep_lease(version, now=now)
    return True


def record_waiting(*, version: ModelVersion, message: str, at: datetime, now: datetime) -> None:
    """Something outside is away: say so, and try again at `at`. Nothing where the version was taken
    out of use meanwhile: why stays.
    """
    rows = ModelVersion.objects.filter(
        pk=version.pk, generation=version.generation, status=version.status
    )
    rows.update(reason="WAITING", message=message, observed_at=now, next_check_at=at)


@transaction.atomic
def record_signed(
    *,
    version: ModelVersion,
    manifest_digest: str,
    signature_digest: str,
    signer: str,
    now: datetime,
) -> None:
    """Manifest and signature are written and every object is locked: from here on nothing of it can
    change.
    """
    changed = change_from(
        version, (Status.SIGNING,), now=now,
        status=Status.VERIFYING, manifest_digest=manifest_digest,
        signature_digest=signature_digest, signer=signer, bytes_verified=0, attempts=0,
        next_check_at=now, reason="", message="Everything is read once more, as it is stored.",
    )  # fmt: skip
    if changed:
        facts = {
            "manifest_digest": manifest_digest,
            "signature_digest": signature_digest,
            "signer": signer,
        }
        audit.record(
            action=Action.VERSION_PUBLISHED, actor=WORKER, target=version, now=now, data=facts
        )


@transaction.atomic
def record_verified(
    *,
    version: ModelVersion,
    bytes_verified: int,
    now: datetime,
    protection: Mapping[str, object] | None = None,
    facts: Facts | None = None,
) -> None:
    """Manifest, signature, every digest and every lock are right: the version may be evaluated and
    proposed. protection: what S3 tells of how its objects are kept. facts: what its files say;
    None where they were not read.
    """
    changed = change_from(
        version, (Status.VERIFYING,), now=now,
        status=Status.VERIFIED, verified_at=now, bytes_verified=bytes_verified, attempts=0,
        next_check_at=now + CHECKED_AGAIN_AFTER,
        reason="", message="", protection=dict(protection or {}),
    )  # fmt: skip
    if changed:
        said = {"manifest_digest": version.manifest_digest, "bytes": bytes_verified}
        audit.record(
            action=Action.VERSION_VERIFIED, actor=WORKER, target=version, now=now, data=said
        )
        if facts is not None:
            record_facts(version=version, facts=facts, now=now)


@transaction.atomic
def record_checked_again(
    *,
    version: ModelVersion,
    signature_digest: str,
    now: datetime,
    protection: Mapping[str, object] | None = None,
    facts: Facts | None = None,
) -> None:
    """A verified version is still what was signed. No audit event for that: nothing changed. The
    digest of its signature and the facts of its files are kept where they were not known yet, and
    what S3 tells of how its objects are kept.
    """
    rows = ModelVersion.objects.filter(pk=version.pk, status=Status.VERIFIED)
    rows.filter(signature_digest="").update(signature_digest=signature_digest)
    if facts is not None:
        record_facts(version=version, facts=facts, now=now)
    rows.update(
        observed_at=now,
        attempts=0,
        next_check_at=now + CHECKED_AGAIN_AFTER,
        reason="",
        message="",
        protection=dict(protection or {}),
    )


@transaction.atomic
def quarantine_version(
    *,
    version: ModelVersion,
    reason: str,
    message: str,
    now: datetime,
    where: Mapping[str, object] | None = None,
) -> None:
    """What is stored is not what was declared or signed, or nobody believes its signer any more:
    the version can never be used again, whatever its state. message names the file; where: file
    and bytes, for the record.
    """
    ended = (Status.QUARANTINED, Action.VERSION_QUARANTINED)
    _end(version, CAN_BE_WRONG, *ended, reason=reason, message=message, now=now, where=where)


@transaction.atomic
def fail_version(*, version: ModelVersion, reason: str, message: str, now: datetime) -> None:
    """The version cannot be finished, for a reason outside of its files."""
    ended = (Status.FAILED, Action.VERSION_FAILED)
    _end(version, ModelVersion.MOVING, *ended, reason=reason, message=message, now=now)


def _end(
    version: ModelVersion,
    starts: Sequence[str],
    status: str,
    action: Action,
    *,
    reason: str,
    message: str,
    now: datetime,
    where: Mapping[str, object] | None = None,
) -> None:
    """End what the worker does about a version, with why in the row and in the record."""
    facts = {"reason": reason, "message": message}
    if change_from(version, starts, now=now, status=status, next_check_at=None, **facts):
        data = facts | dict(where or {})
        audit.record(action=action, actor=WORKER, target=version, now=now, data=data)


@transaction.atomic
def retry_version(*, version: ModelVersion, actor: User, now: datetime) -> None:
    """Let the worker try a failed version again, from where it stopped. Raises NotPermitted or
    WrongState.
    """
    require_owner(version.registered_model, actor)
    if version.locked_until is None:
        raise WrongState("The upload was never finished. Upload the files as a new version.")
    target = Status.VERIFYING if version.manifest_digest else Status.SIGNING
    changed = change_from(
        version, (Status.FAILED,), now=now,
        status=target, reason="", message="", next_check_at=now, attempts=0,
        generation=version.generation + 1,
    )  # fmt: skip
    if not changed:
        raise WrongState(f"{version} has not failed, so there is nothing to try again.")
    audit.record(action=Action.VERSION_RETRIED, actor=actor, target=version, now=now)


def _unfinished(
    registered_model: RegisteredModel, files: Sequence[FileEntry], actor: User, number: int | None
) -> ModelVersion | None:
    rows = registered_model.versions.filter(
        status=Status.UPLOADING, created_by=actor
    ).prefetch_related("files")
    if number is not None:
        rows = rows.filter(number=number)
    wanted = set(files)
    return next(
        (
            row
            for row in rows
            if {FileEntry(f.name, f.size, f.sha256) for f in row.files.all()} == wanted
        ),
        None,
    )
