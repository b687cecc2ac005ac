"""Brings a version from uploaded to verified: reads back, signs, locks, and reads everything once
more.

Each side effect can be repeated: completing an upload that is complete, locking what is locked,
writing a manifest that is there. So a worker may die at any line; the next pass looks at rows and
bucket and goes on. Nothing is overwritten (`If-None-Match: *`). A pass takes at most about a minute
and then hands over to the next one; progress is written at most once a second.

SIGNING    parts → objects → locks → each file's digest against the declared one → manifest.json
           → model.sig
VERIFYING  manifest.json and model.sig as stored, no other object, each file's digest and lock
VERIFIED   once a day the same but the digests: no object was replaced, added or unlocked since
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from apps.catalog import actions
from apps.catalog.content import Inspector
from apps.catalog.models import ModelFile, ModelVersion
from apps.common import model_manifest
from apps.common.canonical import digest_of_bytes
from apps.common.leases import retry_at, take_lease
from apps.common.model_manifest import (
    MANIFEST_NAME,
    MIB,
    SIGNATURE_NAME,
    BadSignature,
    FileEntry,
    signer_name,
)
from apps.common.signing import Signer
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, NotThere, RegistryStore
from apps.integrations.s3.types import UploadedPart

PASS_SECONDS = 45.0
PROGRESS_SECONDS = 1.0
Status = ModelVersion.Status


class Untrue(Exception):
    """What is stored is not what was declared or signed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OutOfTime(Exception):
    """The pass has used its time; the next one goes on."""


@dataclass
class Pass:
    """One run over one version: its clock and how many bytes of the phase are behind it."""

    version: ModelVersion
    store: RegistryStore
    signer: Signer
    now: datetime
    clock: Callable[[], float]
    done: int = 0
    started: float = field(init=False)
    shown: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.shown = self.clock()

    def check_time(self) -> None:
        """Raise OutOfTime between two files when the pass is over."""
        if self.clock() - self.started > PASS_SECONDS:
            raise OutOfTime

    def show(self, name: str, *, verb: str) -> None:
        """Write the progress, at most once a second."""
        if self.clock() - self.shown >= PROGRESS_SECONDS:
            self.shown = self.clock()
            actions.record_progress(
                version=self.version,
                bytes_verified=self.done,
                message=f"{verb} {name}.",
                now=self.now,
            )


def reconcile_version(
    *,
    version: ModelVersion,
    store: RegistryStore,
    signer: Signer,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do the next step of a version that is due; nothing when it is not."""
    if not take_lease(version, now=now):
        return
    work = Pass(version, store, signer, now, clock)
    try:
        if version.status == Status.UPLOADING:
            _abandon(work)
        elif version.status == Status.SIGNING:
            _sign(work)
        elif version.status == Status.VERIFYING:
            _verify(work)
        elif version.status == Status.VERIFIED:
            _check_again(work)
    except OutOfTime:
        actions.continue_soon(version=version, now=now)
    except Untrue as error:
        actions.quarantine_version(
            version=version, reason=error.reason, message=str(error), now=now
        )
    except TemporaryError as error:
        at = retry_at(version, now=now, retry_after=error.retry_after)
        actions.record_waiting(
            version=version, message=f"{error} Trying again by itself.", at=at, now=now
        )
    except PermanentError as error:
        _refused(version, str(error), now)


def _refused(version: ModelVersion, message: str, now: datetime) -> None:
    """The registry refuses to be read: a verified version stays so, and is looked at tomorrow."""
    if version.status == Status.VERIFIED:
        at = now + actions.CHECKED_AGAIN_AFTER
        actions.record_waiting(version=version, message=message, at=at, now=now)
    else:
        actions.fail_version(version=version, reason="REGISTRY_REFUSED", message=message, now=now)


def _abandon(work: Pass) -> None:
    """Nothing has arrived for a day: give the parts up."""
    for file in work.version.files.exclude(upload_id=""):
        work.store.abort_upload(work.version.prefix + file.name, file.upload_id)
    message = (
        "No part arrived for 24 hours, so the upload was abandoned. Publish the files as a new "
        "version."
    )
    actions.fail_version(version=work.version, reason="ABANDONED", message=message, now=work.now)


# -- Signing ---------------------------------------------------------------------------------------


def _sign(work: Pass) -> None:
    files = list(work.version.files.all())
    for file in files:
        _store(work, file)
    work.done = sum(file.size for file in files if file.read_back_at)
    for file in files:
        if file.read_back_at is None:
            work.check_time()
            _compare(work, file, verb="Reading back")
            actions.record_read_back(file=file, now=work.now)
    entries = _entries(files)
    _write_manifest(work, entries)
    signature = _write_signature(work, entries)
    actions.record_signed(
        version=work.version,
        manifest_digest=model_manifest.digest(entries),
        signature_digest=digest_of_bytes(signature),
        signer=signer_name(work.signer.public_key),
        now=work.now,
    )


def _store(work: Pass, file: ModelFile) -> None:
    """Make the file's parts one locked object; look first, because a former pass may have done
    it.
    """
    if file.uploaded_at is not None:
        return
    key = work.version.prefix + file.name
    parts = [UploadedPart(part["PartNumber"], part["ETag"], part["size"]) for part in file.parts]
    try:
        if work.store.head(key) is None:
            work.store.complete_upload(key, file.upload_id, parts)
    except (AlreadyExists, NotThere):
        pass  # completed by another pass; whose bytes they are, the digest will tell
    stored = work.store.head(key)
    if stored is None:
        raise Untrue(
            "MISSING_OBJECT", f"{file.name}: its upload was thrown away before it was complete."
        )
    work.store.lock(stored, until=_locked_until(work))
    actions.record_stored(file=file, object_version=stored.version_id, now=work.now)


def _write_manifest(work: Pass, entries: list[FileEntry]) -> None:
    version = work.version
    content = model_manifest.manifest(
        model=version.registered_model.name, number=version.number, entries=entries
    )
    if _write_once(work, MANIFEST_NAME, content) != content:
        raise Untrue(
            "MANIFEST_MISMATCH",
            f"{MANIFEST_NAME}: the registry holds another one for this version.",
        )


def _write_signature(work: Pass, entries: list[FileEntry]) -> bytes:
    """Sign once, and return what is stored. A signature differs each time it is made, so one that a
    former pass wrote is checked and kept.
    """
    bundle = model_manifest.sign(name=work.version.name, entries=entries, signer=work.signer)
    stored = _write_once(work, SIGNATURE_NAME, bundle)
    _check_signature(work, stored, entries)
    return stored


def _write_once(work: Pass, name: str, content: bytes) -> bytes:
    """Write a small object unless it is there; return what is there."""
    key = work.version.prefix + name
    try:
        work.store.put_new(key, content, locked_until=_locked_until(work))
    except AlreadyExists:
        return work.store.read_small(key, limit=MIB)
    return content


# -- Verifying -------------------------------------------------------------------------------------


def _verify(work: Pass) -> None:
    files = list(work.version.files.all())
    entries = _entries(files)
    _check_documents(work, entries)
    _check_nothing_else(work, entries)
    work.done = sum(file.size for file in files if file.verified_at)
    for file in files:
        _check_lock(work, file.name, file.object_version)
        if file.verified_at is None:
            work.check_time()
            _compare(work, file, verb="Verifying")
            actions.record_file_verified(file=file, now=work.now)
    actions.record_verified(version=work.version, bytes_verified=work.done, now=work.now)


def _check_again(work: Pass) -> None:
    """Look whether a verified version is still what was signed: an object that was replaced has
    another version, so no file is read.
    """
    files = list(work.version.files.all())
    entries = _entries(files)
    _check_manifest(work, entries)
    signature = _signature(work)
    if work.version.signer == signer_name(work.signer.public_key):  # not after a change of the key
        _check_signature(work, signature, entries)
    _check_lock(work, SIGNATURE_NAME)
    _check_nothing_else(work, entries)
    for file in files:
        _check_lock(work, file.name, file.object_version)
    actions.record_checked_again(
        version=work.version, signature_digest=digest_of_bytes(signature), now=work.now
    )


def _check_documents(work: Pass, entries: list[FileEntry]) -> None:
    _check_manifest(work, entries)
    _check_signature(work, _signature(work), entries)
    _check_lock(work, SIGNATURE_NAME)


def _check_manifest(work: Pass, entries: list[FileEntry]) -> None:
    try:
        listed = model_manifest.read_manifest(_small(work, MANIFEST_NAME))
    except ValueError as error:
        raise Untrue("MANIFEST_MISMATCH", f"{MANIFEST_NAME}: {error}.") from error
    found = model_manifest.digest(listed)
    if found != work.version.manifest_digest or found != model_manifest.digest(entries):
        raise Untrue(
            "MANIFEST_MISMATCH",
            f"{MANIFEST_NAME}: expected {work.version.manifest_digest}, found {found}.",
        )
    _check_lock(work, MANIFEST_NAME)


def _check_nothing_else(work: Pass, entries: list[FileEntry]) -> None:
    prefix = work.version.prefix
    expected = {entry.name for entry in entries} | {MANIFEST_NAME, SIGNATURE_NAME}
    extra = sorted({key.removeprefix(prefix) for key in work.store.list_keys(prefix)} - expected)
    if extra:
        raise Untrue(
            "EXTRA_OBJECT", f"{', '.join(extra)}: in the registry, but not in the manifest."
        )


def _check_lock(work: Pass, name: str, object_version: str = "") -> None:
    stored = work.store.head(work.version.prefix + name)
    if stored is None:
        raise Untrue("MISSING_OBJECT", f"{name}: expected in the registry, found nothing.")
    if object_version and stored.version_id != object_version:
        raise Untrue(
            "REPLACED",
            f"{name}: expected object version {object_version}, found {stored.version_id}.",
        )
    if stored.locked_until is None or stored.locked_until < _locked_until(work):
        raise Untrue(
            "NOT_LOCKED",
            f"{name}: expected a lock until {_locked_until(work):%Y-%m-%d}, found none that long.",
        )


# -- Both ------------------------------------------------------------------------------------------


def _compare(work: Pass, file: ModelFile, *, verb: str) -> None:
    """Read a stored file whole and compare it with what its publisher declared."""
    seen = Inspector(file.name)
    try:
        for chunk in work.store.read(
            work.version.prefix + file.name, version_id=file.object_version
        ):
            seen.update(chunk)
            work.done += len(chunk)
            work.show(file.name, verb=verb)
    except NotThere as error:
        raise Untrue(
            "MISSING_OBJECT", f"{file.name}: expected in the registry, found nothing."
        ) from error
    if seen.sha256 != file.sha256:
        found = f"{seen.size:,} bytes with sha256 {seen.sha256}"
        expected = f"{file.size:,} bytes with sha256 {file.sha256}"
        raise Untrue("DIGEST_MISMATCH", f"{file.name}: expected {expected}, found {found}.")
    if problem := seen.problem():
        raise Untrue("BAD_CONTENT", f"{file.name}: {problem}.")


def _signature(work: Pass) -> bytes:
    """Return the signature as it is stored: the very one that was written, where that is known."""
    bundle, expected = _small(work, SIGNATURE_NAME), work.version.signature_digest
    found = digest_of_bytes(bundle)
    if expected and found != expected:
        raise Untrue("SIGNATURE_INVALID", f"{SIGNATURE_NAME}: expected {expected}, found {found}.")
    return bundle


def _check_signature(work: Pass, bundle: bytes, entries: list[FileEntry]) -> None:
    try:
        model_manifest.verify(bundle=bundle, entries=entries, keys=[work.signer.public_key])
    except BadSignature as error:
        raise Untrue("SIGNATURE_INVALID", str(error)) from error


def _small(work: Pass, name: str) -> bytes:
    try:
        return work.store.read_small(work.version.prefix + name, limit=MIB)
    except NotThere as error:
        raise Untrue(
            "MISSING_OBJECT", f"{name}: expected in the registry, found nothing."
        ) from error


def _entries(files: list[ModelFile]) -> list[FileEntry]:
    return [FileEntry(file.name, file.size, file.sha256) for file in files]


def _locked_until(work: Pass) -> datetime:
    until = work.version.locked_until
    assert until is not None, "a version is locked from the moment its upload is finished"  # noqa: S101
    return until
