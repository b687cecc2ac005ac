"""Brings a version from uploaded to verified: reads back, signs, locks, and reads everything once
more.

One process does it, outside of any task's time limit, so that a file of any size is digested in one
go; it keeps its lease on the version for as long as it works, and several may run. Each side effect
can be repeated: completing an upload that is complete, locking what is locked, writing a manifest
that is there. So the process may die at any line; the next one looks at rows and bucket and goes
on. Nothing is overwritten (`If-None-Match: *`). Progress is written at most once a second.

SIGNING    parts → objects → locks → each file's digest against the declared one, and the digests of
           its ranges → ranges.json → manifest.json → model.sig
VERIFYING  manifest.json and model.sig as stored, no other object, each file's ranges and lock, and
           what the files say of the version (facts/)
VERIFIED   once a day the same but the bytes: no object was replaced, added or unlocked since; the
           bytes are read again by verification/
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.catalog import actions
from apps.catalog.content import Inspector
from apps.catalog.facts.actions import are_known
from apps.catalog.facts.gather import facts_of
from apps.catalog.models import ModelFile, ModelVersion
from apps.catalog.verification import checks, reading
from apps.catalog.verification.checks import Look, entries_of
from apps.catalog.verification.reading import Untrue
from apps.common import model_manifest
from apps.common.canonical import digest_of_bytes
from apps.common.leases import retry_at, take_lease
from apps.common.model_manifest import (
    MANIFEST_NAME,
    MAX_RANGES_BYTES,
    RANGES_NAME,
    SIGNATURE_NAME,
    FileEntry,
    RangeHash,
    signer_name,
)
from apps.common.signing import PublicKey, Signer
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import AlreadyExists, NotThere, RegistryStore
from apps.integrations.s3.types import UploadedPart

PROGRESS_SECONDS = 1.0
Status = ModelVersion.Status


class Left(Exception):
    """The version has left the phase: it was taken out of use, or another process was faster."""


@dataclass
class Pass:
    """One run over one version: its clock and how many bytes of the phase are behind it.

    signer: gives the key when it is needed, for a service that holds it may be away. keys: that may
    have signed. kms_key: the one that must encrypt; "" where the settings name none.
    """

    version: ModelVersion
    store: RegistryStore
    signer: Callable[[], Signer]
    keys: Callable[[], Sequence[PublicKey]]
    kms_key: str
    now: datetime
    clock: Callable[[], float]
    done: int = 0
    started: float = field(init=False)
    shown: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.shown = self.clock()

    @property
    def at(self) -> datetime:
        """Return what time it is by now."""
        return self.now + timedelta(seconds=self.clock() - self.started)

    def look(self, *more: PublicKey) -> Look:
        """Return a look at the version. more: keys that may have signed it beside the known."""
        return Look(self.version, self.store, [*self.keys(), *more], self.kms_key)

    def count(self, name: str, *, verb: str) -> Callable[[int], None]:
        """Return who is told of bytes that were read: they count, and `show` is called."""

        def read(size: int) -> None:
            self.done += size
            self.show(f"{verb} {name}.")

        return read

    def show(self, message: str) -> None:
        """Write the progress and keep the lease, at most once a second. Raises Left."""
        if self.clock() - self.shown < PROGRESS_SECONDS:
            return
        self.shown = self.clock()
        still_there = actions.record_progress(
            version=self.version, bytes_verified=self.done, message=message, now=self.at
        )
        if not still_there:
            raise Left


def reconcile_version(
    *,
    version: ModelVersion,
    store: RegistryStore,
    signer: Callable[[], Signer],
    keys: Callable[[], Sequence[PublicKey]],
    now: datetime,
    kms_key: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do the next step of a version that is due; nothing when it is not."""
    if not take_lease(version, now=now):
        return
    work = Pass(version, store, signer, keys, kms_key, now, clock)
    try:
        if version.status == Status.UPLOADING:
            _abandon(work)
        elif version.status == Status.SIGNING:
            _sign(work)
        elif version.status == Status.VERIFYING:
            _verify(work)
        elif version.status == Status.VERIFIED:
            _check_again(work)
    except Left:
        return
    except Untrue as error:
        actions.quarantine_version(
            version=version, reason=error.reason, message=str(error), where=error.where,
            now=work.at,
        )  # fmt: skip
    except TemporaryError as error:
        at = retry_at(version, now=work.at, retry_after=error.retry_after)
        actions.record_waiting(
            version=version, message=f"{error} Trying again by itself.", at=at, now=work.at
        )
    except PermanentError as error:
        _refused(version, str(error), work.at)


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
    files = [file for file in work.version.files.all() if file.name != RANGES_NAME]
    work.done = sum(file.size for file in files if file.read_back_at and file.range_digests)
    for file in files:
        _store(work, file)
        work.show(f"Storing {file.name}.")
    for file in files:
        if not (file.read_back_at and file.range_digests):
            _read_back(work, file)
    _write_ranges(work, files)
    entries = entries_of(work.version.files.all())
    _write_manifest(work, entries)
    signature, key = _write_signature(work, entries)
    actions.record_signed(
        version=work.version,
        manifest_digest=model_manifest.digest(entries),
        signature_digest=digest_of_bytes(signature),
        signer=signer_name(key),
        now=work.at,
    )


def _store(work: Pass, file: ModelFile) -> None:
    """Make the file's parts one locked object; look first, because a former pass may have done
    it.
    """
    if file.uploaded_at is not None:
        return
    key = work.version.prefix + file.name
    parts = [
        UploadedPart(part["PartNumber"], part["ETag"], part["size"], part.get("checksum", ""))
        for part in file.parts
    ]
    try:
        if work.store.head(key) is None:
            work.store.complete_upload(key, file.upload_id, parts)
    except (AlreadyExists, NotThere):
        pass  # completed by another pass; whose bytes they are, the digest will tell
    stored = work.store.head(key)
    if stored is None:
        words = f"{file.name}: its upload was thrown away before it was complete."
        raise Untrue("MISSING_OBJECT", words, file=file.name)
    work.store.lock(stored, until=work.look().locked_until)
    actions.record_stored(file=file, object_version=stored.version_id, now=work.at)


def _read_back(work: Pass, file: ModelFile) -> None:
    """Read a stored file whole, once: compare it with what its publisher declared, digest its
    ranges, and look whether it is what its name says.
    """
    seen, ranges = Inspector(file.name), RangeHash()
    read = work.count(file.name, verb="Reading back")
    key, version = work.version.prefix + file.name, file.object_version
    try:
        with (
            closing(reading.stream(work.store, key, version_id=version)) as chunks,
            ThreadPoolExecutor(1) as beside,  # digesting leaves Python to others
        ):
            for chunk in chunks:
                digesting = beside.submit(ranges.update, chunk)
                seen.update(chunk)
                digesting.result()
                read(len(chunk))
    except NotThere as error:
        raise reading.missing(file.name) from error
    if (seen.size, seen.sha256) != (file.size, file.sha256):
        raise reading.whole_differs(file.name, file.size, file.sha256, seen.size, seen.sha256)
    if problem := seen.problem():
        raise Untrue("BAD_CONTENT", f"{file.name}: {problem}.", file=file.name)
    actions.record_read_back(file=file, range_digests=ranges.digests(), now=work.at)


def _write_ranges(work: Pass, files: Sequence[ModelFile]) -> None:
    content = model_manifest.ranges({file.name: file.range_digests for file in files})
    if _write_once(work, RANGES_NAME, content) != content:
        words = f"{RANGES_NAME}: the registry holds another one for this version."
        raise Untrue("MANIFEST_MISMATCH", words, file=RANGES_NAME)
    stored = work.store.head(work.version.prefix + RANGES_NAME)
    if stored is None:
        raise reading.missing(RANGES_NAME)
    entry = FileEntry(RANGES_NAME, len(content), hashlib.sha256(content).hexdigest())
    actions.record_ranges(
        version=work.version, entry=entry, object_version=stored.version_id, now=work.at
    )


def _write_manifest(work: Pass, entries: Sequence[FileEntry]) -> None:
    version = work.version
    content = model_manifest.manifest(
        model=version.registered_model.name, number=version.number, entries=entries
    )
    if _write_once(work, MANIFEST_NAME, content) != content:
        words = f"{MANIFEST_NAME}: the registry holds another one for this version."
        raise Untrue("MANIFEST_MISMATCH", words, file=MANIFEST_NAME)


def _write_signature(work: Pass, entries: Sequence[FileEntry]) -> tuple[bytes, PublicKey]:
    """Sign once; return what is stored, and whose it is. A signature differs each time it is made,
    so one that a former pass wrote is checked and kept.
    """
    try:
        signer = work.signer()
        bundle = model_manifest.sign(name=work.version.name, entries=entries, signer=signer)
    except PermanentError as error:
        # a key that is refused or disabled is no fault of the version, whose files are all right:
        # it is signed once somebody has mended that
        raise TemporaryError(f"It cannot be signed. {error}") from error
    stored = _write_once(work, SIGNATURE_NAME, bundle)
    return stored, checks.check_signature(work.look(signer.public_key), stored, entries)


def _write_once(work: Pass, name: str, content: bytes) -> bytes:
    """Write a small object unless it is there; return what is there."""
    key = work.version.prefix + name
    try:
        work.store.put_new(key, content, locked_until=work.look().locked_until)
    except AlreadyExists:
        return work.store.read_small(key, limit=MAX_RANGES_BYTES)
    return content


# -- Verifying -------------------------------------------------------------------------------------


def _verify(work: Pass) -> None:
    look, files = work.look(), list(work.version.files.all())
    checks.check_all(look, files)
    ranges = checks.ranges_of(look, entries_of(files))
    work.done = sum(file.size for file in files if file.verified_at)
    for file in files:
        if file.verified_at is None:
            reading.file_checked(
                work.store,
                work.version.prefix + file.name,
                name=file.name,
                size=file.size,
                sha256=file.sha256,
                version_id=file.object_version,
                ranges=ranges.get(file.name),
                read=work.count(file.name, verb="Verifying"),
                passed=lambda index: None,
            )
            actions.record_file_verified(file=file, now=work.at)
    facts = facts_of(work.version, files, work.store)
    actions.record_verified(
        version=work.version,
        bytes_verified=work.done,
        facts=facts,
        protection=checks.protection(look.stored.values()),
        now=work.at,
    )


def _check_again(work: Pass) -> None:
    """Look whether a verified version is still what was signed: an object that was replaced has
    another version, so no file is read.
    """
    look = work.look()
    files = list(work.version.files.all())
    signature = checks.check_all(look, files)
    known = are_known(work.version)
    actions.record_checked_again(
        version=work.version,
        signature_digest=digest_of_bytes(signature),
        facts=None if known else facts_of(work.version, files, work.store),
        protection=checks.protection(look.stored.values()),
        now=work.at,
    )
