"""Whether a version is still what was signed, by all that S3 tells without reading its files: the
list of its objects, manifest and signature, each object's version, size, lock, encryption and
replication.

What differs is Untrue. What S3 does not tell is not known, and never counts as right.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from apps.catalog.actions import SIGNER_REVOKED
from apps.catalog.models import ModelFile, ModelVersion
from apps.catalog.signers.queries import signer_of
from apps.catalog.verification.reading import Untrue, compare_ranges, missing, stream
from apps.common import model_manifest
from apps.common.canonical import digest_of_bytes
from apps.common.model_manifest import (
    MANIFEST_NAME,
    MAX_RANGES_BYTES,
    MIB,
    RANGES_NAME,
    SIGNATURE_NAME,
    BadSignature,
    FileEntry,
    signer_name,
)
from apps.common.signing import PublicKey
from apps.integrations.errors import PermanentError
from apps.integrations.s3.client import NotThere, RegistryStore
from apps.integrations.s3.types import StoredObject

KMS = "aws:kms"
NOT_TOLD = ""


@dataclass
class Look:
    """One look at one version. keys: that may have signed it. kms_key: the key that must encrypt
    it; "" where the settings name none. stored: every object that was looked at, by name.
    """

    version: ModelVersion
    store: RegistryStore
    keys: Sequence[PublicKey]
    kms_key: str = ""
    stored: dict[str, StoredObject] = field(default_factory=dict)

    @property
    def locked_until(self) -> datetime:
        """Return until when every object has to be locked."""
        until = self.version.locked_until
        assert until is not None, "a version is locked once its upload is finished"  # noqa: S101
        return until


def entries_of(files: Iterable[ModelFile]) -> list[FileEntry]:
    """Return a version's files as its manifest lists them."""
    return [FileEntry(file.name, file.size, file.sha256) for file in files]


def check_all(look: Look, files: Sequence[ModelFile]) -> bytes:
    """Check everything but the files' bytes; return the signature. Raises Untrue."""
    entries = entries_of(files)
    signature = check_documents(look, entries)
    check_nothing_else(look, entries)
    for file in files:
        check_file(look, file)
    return signature


def check_documents(look: Look, entries: Sequence[FileEntry]) -> bytes:
    """Check manifest and signature as they are stored; return the signature. Raises Untrue."""
    _check_manifest(look, entries)
    bundle = _small(look, SIGNATURE_NAME)
    expected, found = look.version.signature_digest, digest_of_bytes(bundle)
    if expected and found != expected:
        raise Untrue(
            "SIGNATURE_INVALID",
            f"{SIGNATURE_NAME}: expected {expected}, found {found}.",
            file=SIGNATURE_NAME,
        )
    check_signature(look, bundle, entries)
    check_object(look, SIGNATURE_NAME)
    return bundle


def check_signature(look: Look, bundle: bytes, entries: Sequence[FileEntry]) -> PublicKey:
    """Return the key that signed exactly these files. Raises Untrue, also where that key was
    revoked; PermanentError where the key that the version says it was signed with is not known
    here, so that nobody can tell.
    """
    names = {signer_name(key) for key in look.keys}
    if look.version.signer and look.version.signer not in names:
        signer = signer_of(look.version.signer)
        if signer is not None and signer.revoked_at is not None:
            raise Untrue(SIGNER_REVOKED, f"Its signer, {signer}, was revoked.", file=SIGNATURE_NAME)
        raise PermanentError(
            f"{look.version} was signed by {look.version.signer}, whose public key is not known "
            "here. Name it among the former keys."
        )
    try:
        return model_manifest.verify(bundle=bundle, entries=entries, keys=look.keys)
    except BadSignature as error:
        raise Untrue("SIGNATURE_INVALID", str(error), file=SIGNATURE_NAME) from error


def _check_manifest(look: Look, entries: Sequence[FileEntry]) -> None:
    try:
        listed = model_manifest.read_manifest(_small(look, MANIFEST_NAME))
    except ValueError as error:
        words = f"{MANIFEST_NAME}: {error}."
        raise Untrue("MANIFEST_MISMATCH", words, file=MANIFEST_NAME) from error
    found = model_manifest.digest(listed)
    if found != look.version.manifest_digest or found != model_manifest.digest(entries):
        raise Untrue(
            "MANIFEST_MISMATCH",
            f"{MANIFEST_NAME}: expected {look.version.manifest_digest}, found {found}.",
            file=MANIFEST_NAME,
        )
    check_object(look, MANIFEST_NAME)


def check_nothing_else(look: Look, entries: Iterable[FileEntry]) -> None:
    """Check that the version's prefix holds nothing but its files and documents. Raises Untrue."""
    prefix = look.version.prefix
    expected = {entry.name for entry in entries} | {MANIFEST_NAME, SIGNATURE_NAME}
    found = {key.removeprefix(prefix) for key in look.store.list_keys(prefix)}
    if extra := sorted(found - expected):
        words = f"{', '.join(extra)}: in the registry, but not in the manifest."
        raise Untrue("EXTRA_OBJECT", words, file=extra[0])


def check_file(look: Look, file: ModelFile) -> None:
    """Check one file's object but for its bytes. Raises Untrue; where another object has taken its
    place, that is read, so that it is known which bytes differ.
    """
    stored = _stored(look, file.name)
    if file.object_version and stored.version_id != file.object_version:
        raise _replaced(look, file, stored)
    if stored.size != file.size:
        words = f"{file.name}: expected {file.size:,} bytes, found {stored.size:,}."
        first, last = sorted((file.size, stored.size))
        raise Untrue("DIGEST_MISMATCH", words, file=file.name, first=first, last=last - 1)
    _check_kept(look, file.name, stored)


def check_object(look: Look, name: str) -> None:
    """Check that a document is locked and encrypted as it has to be. Raises Untrue."""
    _check_kept(look, name, _stored(look, name))


def _stored(look: Look, name: str) -> StoredObject:
    stored = look.store.head(look.version.prefix + name)
    if stored is None:
        raise missing(name)
    look.stored[name] = stored
    return stored


def _check_kept(look: Look, name: str, stored: StoredObject) -> None:
    until = look.locked_until
    if stored.locked_until is None or stored.locked_until < until:
        words = f"{name}: expected a lock until {until:%Y-%m-%d}, found none that long."
        raise Untrue("NOT_LOCKED", words, file=name)
    # What was verified stays so where the settings ask for another key since: an object whose
    # encryption was changed is another object, which is found without this.
    wanted = look.kms_key if look.version.verified_at is None else ""
    if problem := encryption_problem(stored, wanted):
        raise Untrue("NOT_ENCRYPTED", f"{name}: {problem}.", file=name)


def encryption_problem(stored: StoredObject, kms_key: str) -> str:
    """Return what is wrong with an object's encryption, by what S3 tells; "" where nothing is, or
    nothing is told. kms_key: "" where none has to be used.
    """
    if not kms_key or stored.encryption == NOT_TOLD:
        return ""
    if stored.encryption != KMS:
        return f"expected encryption with {kms_key}, found {stored.encryption}"
    if stored.kms_key and not is_key(stored.kms_key, kms_key):
        return f"expected encryption with {kms_key}, found {stored.kms_key}"
    if stored.bucket_key is False:
        return "expected a bucket key below the key of KMS, found none"
    return ""


def is_key(address: str, wanted: str) -> bool:
    """Tell whether the address (ARN) of a key is the wanted one, named by address or id. An alias
    says nothing of which key it is, so no other key is wrong.
    """
    return wanted in (address, address.rpartition("/")[2]) or "alias/" in wanted


def _replaced(look: Look, file: ModelFile, stored: StoredObject) -> Untrue:
    """Return that another object has a file's name, with the first bytes that differ where the
    version has digests of its ranges.
    """
    words = (
        f"{file.name}: expected object version {file.object_version}, found {stored.version_id}."
    )
    digests = file.range_digests
    if not digests:
        last = max(file.size, stored.size) - 1
        return Untrue("REPLACED", words, file=file.name, first=0, last=last)
    chunks = stream(look.store, look.version.prefix + file.name, version_id=stored.version_id)
    try:
        compare_ranges(
            chunks, name=file.name, size=file.size, expected=digests,
            read=lambda size: None, passed=lambda index: None,
        )  # fmt: skip
    except Untrue as found:
        words += f" Of what lies there now, bytes {found.first:,} to {found.last:,} differ."
        return Untrue("REPLACED", words, file=file.name, first=found.first, last=found.last)
    finally:
        chunks.close()
    words += " Its bytes are the same; somebody wrote it anew."
    return Untrue("REPLACED", words, file=file.name)


def ranges_of(look: Look, entries: Sequence[FileEntry]) -> dict[str, list[str]]:
    """Return the digests of each file's ranges, as the version's ranges.json has them; {} where it
    has none. Raises Untrue where that file is not the listed one.
    """
    listed = next((entry for entry in entries if entry.name == RANGES_NAME), None)
    if listed is None:
        return {}
    content = _small(look, RANGES_NAME, limit=MAX_RANGES_BYTES)
    found = digest_of_bytes(content)
    if found != f"sha256:{listed.sha256}":
        words = f"{RANGES_NAME}: expected sha256:{listed.sha256}, found {found}."
        raise Untrue("DIGEST_MISMATCH", words, file=RANGES_NAME)
    try:
        return model_manifest.read_ranges(content, entries)
    except ValueError as error:
        raise Untrue("MANIFEST_MISMATCH", f"{error}.", file=RANGES_NAME) from error


def _small(look: Look, name: str, limit: int = MIB) -> bytes:
    try:
        return look.store.read_small(look.version.prefix + name, limit=limit)
    except NotThere as error:
        raise missing(name) from error


def protection(stored: Iterable[StoredObject]) -> dict[str, object]:
    """Return how a version's objects are kept, for its row: each word that S3 told of any of them,
    "" among them where it told nothing of one.
    """
    objects = list(stored)
    return {
        "encryption": sorted({one.encryption for one in objects}),
        "kms_keys": sorted({one.kms_key for one in objects if one.kms_key}),
        "bucket_key": sorted({str(one.bucket_key) for one in objects}),
        "replication": sorted({one.replication for one in objects}),
    }
