"""Takes a version's files, part by part, into S3.

The command line sends its parts straight to S3, with leave that is signed here for one part of a
length and a SHA-256 and no other; what then counts is what S3 lists, never what a client says. The
page's script and the sample loader send theirs through this process.

Each part is 8 MiB and stands alone, so an upload goes on after an error, a reload or a restart: the
rows know which parts S3 has. Nothing is an object, and nothing can be read by anybody, until the
worker completes the uploads.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from apps.accounts.models import User
from apps.catalog import actions, parts
from apps.catalog.models import ModelFile, ModelVersion, RegisteredModel
from apps.common import model_manifest
from apps.common.counts import counted
from apps.common.errors import DomainError
from apps.common.model_manifest import MIB, FileEntry
from apps.integrations.s3.client import NotThere, RegistryStore
from apps.integrations.s3.types import SignedPart, UploadedPart

LEAVE = timedelta(minutes=15)  # for which a signed address takes its part; then ask for another
AT_ONCE = 4  # parts of a folder's file that are sent at the same time


class BadPart(DomainError):
    """The part is not one of the file's parts, or has another size."""

    code = "bad_part"


@dataclass(frozen=True)
class Announced:
    """A part that a client is about to send. sha256: of its bytes, 64 hexadecimal digits."""

    number: int
    sha256: str


@dataclass(frozen=True)
class Registry:
    """Where objects go and for how long each is locked."""

    store: RegistryStore
    retention: timedelta


def receive_part(
    *, file: ModelFile, number: int, body: bytes, actor: User, registry: Registry, now: datetime
) -> None:
    """Send one part of a file to S3 and remember it. Sending it again is harmless.

    Raises NotPermitted, NotUploading, BadPart, or what the store raises.
    """
    version = file.version
    actions.require_owner(version.registered_model, actor)
    actions.require_uploading(version)
    expected = model_manifest.part_size(file.size, number)
    if not expected or len(body) != expected:
        raise BadPart(
            f"Part {number} of {file.name} has {expected:,} bytes, but {len(body):,} came."
        )
    upload_id = file.upload_id or _begin(file, registry, now)
    part = registry.store.upload_part(
        version.prefix + file.name, upload_id, number=number, body=body
    )
    parts.record_part(file=file, part=part, now=now)


def sign_parts(
    *,
    file: ModelFile,
    announced: Sequence[Announced],
    actor: User,
    registry: Registry,
    now: datetime,
) -> list[SignedPart]:
    """Return leave to send parts of a file straight to S3, for as long as LEAVE.

    Raises NotPermitted, NotUploading, BadPart, or what the store raises.
    """
    version = file.version
    actions.require_owner(version.registered_model, actor)
    actions.require_uploading(version)
    for part in announced:
        if not model_manifest.part_size(file.size, part.number):
            count = counted(model_manifest.part_count(file.size), "part")
            raise BadPart(f"{file.name} has {count}, and no part {part.number}.")
    upload_id = file.upload_id or _begin(file, registry, now)
    return [
        registry.store.sign_part(
            version.prefix + file.name,
            upload_id,
            number=part.number,
            size=model_manifest.part_size(file.size, part.number),
            sha256=part.sha256,
            lifetime=LEAVE,
        )
        for part in announced
    ]


def look_at_parts(*, file: ModelFile, actor: User, registry: Registry, now: datetime) -> ModelFile:
    """Ask S3 which parts of a file it has, and remember those. Returns the file.

    Raises NotPermitted, NotUploading, or what the store raises.
    """
    version = file.version
    actions.require_owner(version.registered_model, actor)
    actions.require_uploading(version)
    if not file.upload_id:
        return file
    try:
        listed = registry.store.list_parts(version.prefix + file.name, file.upload_id)
    except NotThere:
        return parts.record_lost(file=file)
    return parts.record_parts(file=file, parts=listed, now=now)


def finish(
    *, version: ModelVersion, actor: User, registry: Registry, now: datetime
) -> ModelVersion:
    """Close the upload; the lock of every object ends after the retention. S3 is asked about files
    of which some part is not known to have arrived.
    """
    if version.status == ModelVersion.Status.UPLOADING:
        for file in version.files.exclude(upload_id=""):
            if not actions.is_complete(file):
                file.version = version
                look_at_parts(file=file, actor=actor, registry=registry, now=now)
    return actions.finish_upload(
        version=version, actor=actor, locked_until=now + registry.retention, now=now
    )


def publish_folder(
    *,
    registered_model: RegisteredModel,
    folder: Path,
    note: str,
    actor: User,
    registry: Registry,
    now: datetime,
) -> ModelVersion:
    """Upload a folder of this machine as a new version, resuming an unfinished one. Raises BadFiles
    for links.
    """
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    odd = [path.name for path in paths if path.is_symlink() or not path.is_file()]
    if odd:
        raise actions.BadFiles(f"Only plain files are published, not {', '.join(odd)}.")
    files = [FileEntry(path.name, path.stat().st_size, _sha256(path)) for path in paths]
    version = actions.add_version(
        registered_model=registered_model, files=files, note=note, actor=actor, now=now
    )
    for file in version.files.select_related("version__registered_model__owner_team"):
        _send(file, folder / file.name, registry, now)
    return finish(version=version, actor=actor, registry=registry, now=now)


def _send(file: ModelFile, path: Path, registry: Registry, now: datetime) -> None:
    """Send the parts of a file that S3 does not have yet, a few at the same time."""
    there = {part["PartNumber"] for part in file.parts}
    upload_id, key = file.upload_id or _begin(file, registry, now), file.version.prefix + file.name
    sending: deque[Future[UploadedPart]] = deque()

    def record(sent: UploadedPart) -> None:
        parts.record_part(file=file, part=sent, now=now)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, body in enumerate(_blocks(path, model_manifest.PART_SIZE), start=1):
            if number in there:
                continue
            sending.append(
                pool.submit(registry.store.upload_part, key, upload_id, number=number, body=body)
            )
            if len(sending) > AT_ONCE:
                record(sending.popleft().result())
        while sending:
            record(sending.popleft().result())


def _begin(file: ModelFile, registry: Registry, now: datetime) -> str:
    """Begin the file's multipart upload; when another request was first, use its upload."""
    key = file.version.prefix + file.name
    upload_id = registry.store.start_upload(key, locked_until=now + registry.retention)
    if not parts.record_started(file=file, upload_id=upload_id):
        registry.store.abort_upload(key, upload_id)
    file.refresh_from_db(fields=["upload_id"])
    return file.upload_id


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    for block in _blocks(path, MIB):
        found.update(block)
    return found.hexdigest()


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(size):
            yield block
