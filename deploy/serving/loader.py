"""Loads a model version from the registry into a folder and checks every byte of it: KServe's init
container of the versions that the portal serves.

`python -m deploy.serving.loader s3://BUCKET/MODEL/vN /mnt/models`

Nothing is loaded but the files of a manifest that a trusted key signed and whose digest is the one
that was approved; the prefix must hold exactly those files, and each must have its size and its
SHA-256 when it is read. A file that lies in the folder already, because the container before this
one was stopped halfway, is read and compared instead of being loaded again.

The environment says what it must be: APPROVED_DIGEST (the pod's annotation), TRUSTED_KEYS (public
keys, one PEM after the other); and in another region than the registry's, which bucket there holds
its copy: REGISTRY_COPY. boto3 reads the rest (AWS_*). How it ended goes into the termination
message, where whoever looks after the version reads it: {"digest", "files", "bytes", "seconds",
"signer"}, measured from the bytes that were read, or with exit code 1 a sentence that names the
file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from apps.common.model_manifest import (
    MANIFEST_NAME,
    MIB,
    SIGNATURE_NAME,
    BadSignature,
    FileEntry,
    digest,
    manifest_problems,
    read_manifest,
    signer_name,
    trusted_keys,
    verify,
)

DOCUMENTS = (MANIFEST_NAME, SIGNATURE_NAME)
DOCUMENT_BYTES = MIB  # of a manifest or a signature: more is none
MESSAGE = Path("/dev/termination-log")
DRAFT = ".loading"
CHUNK = 4 * MIB
AT_ONCE = 4  # files that are read at the same time: weights come in shards
PROGRESS_SECONDS = 1.0
Listing = Mapping[str, Mapping[str, Any]]


class LoadFailed(Exception):
    """The version cannot be loaded; the message names the file and says what is wrong."""


class Stopped(Exception):
    """Another file cannot be loaded, so this one need not be read to its end."""


@dataclass(frozen=True)
class Report:
    """What was read: the digest over names, sizes and SHA-256 as measured, and whose signature it
    carries.
    """

    digest: str
    files: int
    bytes: int
    seconds: float
    signer: str


@dataclass
class Progress:
    """How much of the version was read, told at most once a second."""

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    stopped: bool = False
    lock: Lock = field(default_factory=Lock)

    def add(self, size: int) -> None:
        """Count bytes that were read. Raises Stopped where the rest is not wanted any more."""
        with self.lock:
            if self.stopped:
                raise Stopped
            self.done += size
            now = time.monotonic()
            if now - self.told < PROGRESS_SECONDS:
                return
            self.told = now
            percent = 100 * self.done // max(1, self.total)
            pace = readable(int(self.done / (now - self.began)))
            say(f"{readable(self.done)} of {readable(self.total)} ({percent} %), {pace}/s")


@dataclass(frozen=True)
class Version:
    """A prefix of the registry."""

    s3: Any
    bucket: str
    prefix: str

    def listing(self) -> Listing:
        """Return the objects below the prefix by their name below it. Raises LoadFailed."""
        where = {"Bucket": self.bucket, "Prefix": self.prefix}
        try:
            pages = self.s3.get_paginator("list_objects_v2").paginate(**where)
            found = {
                item["Key"].removeprefix(self.prefix): item
                for page in pages
                for item in page.get("Contents", ())
            }
        except (ClientError, BotoCoreError) as error:
            address = f"s3://{self.bucket}/{self.prefix}"
            raise LoadFailed(f"{address}: {describe(error)}") from error
        objects = {name: item for name, item in found.items() if name and not name.endswith("/")}
        if not objects:
            raise LoadFailed(
                f"s3://{self.bucket}/{self.prefix}: there is nothing under this prefix"
            )
        return objects

    def document(self, name: str, listing: Listing) -> bytes:
        """Return the manifest or the signature. Raises LoadFailed."""
        if name not in listing:
            raise LoadFailed(f"{name}: missing in the registry")
        try:
            with closing(self.open(name)) as body:
                content: bytes = body.read(DOCUMENT_BYTES + 1)
        except (ClientError, BotoCoreError) as error:
            raise LoadFailed(f"{name}: {describe(error)}") from error
        if len(content) > DOCUMENT_BYTES:
            raise LoadFailed(f"{name}: it is too large, so it is not a manifest's or a signature")
        return content

    def open(self, name: str) -> Any:
        """Return a file's body, to be read. Raises what boto3 raises."""
        return self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]


# -- What it must be -------------------------------------------------------------------------------


def load(source: str, folder: Path, *, approved: str, keys: bytes, s3: Any) -> Report:
    """Bring the files of a version into a folder, every byte checked; say what was measured.

    approved: its manifest digest, "sha256:…". keys: the trusted public keys, PEM. Raises
    LoadFailed; then no file with other bytes than the manifest's has its name in the folder.
    """
    began = time.monotonic()
    version = Version(s3, *parse_source(source))
    listing = version.listing()
    entries = listed_files(version.document(MANIFEST_NAME, listing))
    compare_listing(entries, listing)
    if (found := digest(entries)) != approved:
        raise LoadFailed(f"{MANIFEST_NAME}: its digest is {found}, approved was {approved}")
    signer = signed_by(version.document(SIGNATURE_NAME, listing), entries, keys)
    clear(folder, entries)
    measured = read_all(version, entries, folder)
    if (found := digest(measured)) != approved:
        raise LoadFailed(f"{folder}: the digest of what was read is {found}, approved {approved}")
    size = sum(entry.size for entry in measured)
    return Report(found, len(measured), size, round(time.monotonic() - began, 1), signer)


def parse_source(source: str) -> tuple[str, str]:
    """Return bucket and prefix (with its slash) of an s3:// address. Raises LoadFailed."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not source.startswith("s3://") or not bucket or not prefix.strip("/"):
        raise LoadFailed(f"{source}: not s3://BUCKET/MODEL/VERSION")
    return bucket, prefix.rstrip("/") + "/"


def in_copy(source: str, bucket: str) -> str:
    """Return where a version's copy is: under the same prefix of another region's bucket; the
    source itself where that is "". Which of them is read proves nothing: each byte is checked.
    Raises LoadFailed.
    """
    if not bucket:
        return source
    _, prefix = parse_source(source)
    return f"s3://{bucket}/{prefix}"


def listed_files(manifest: bytes) -> list[FileEntry]:
    """Return a manifest's files. Raises LoadFailed where it lists what may not be served."""
    try:
        entries = read_manifest(manifest)
    except ValueError as error:
        raise LoadFailed(f"{MANIFEST_NAME}: not a manifest ({type(error).__name__})") from error
    if problems := manifest_problems(entries):
        raise LoadFailed(f"{MANIFEST_NAME} lists what may not be served. {problems[0]}")
    return entries


def compare_listing(entries: Sequence[FileEntry], listing: Listing) -> None:
    """Raise LoadFailed where the prefix does not hold exactly the listed files with their sizes."""
    listed = {entry.name: entry for entry in entries}
    for name in sorted(listed.keys() - listing.keys()):
        raise LoadFailed(f"{name}: listed in {MANIFEST_NAME}, missing in the registry")
    for name in sorted(listing.keys() - listed.keys() - {*DOCUMENTS}):
        raise LoadFailed(f"{name}: in the registry, not listed in {MANIFEST_NAME}")
    for name, entry in listed.items():
        if (size := int(listing[name]["Size"])) != entry.size:
            raise LoadFailed(
                f"{name}: {size} bytes in the registry, {entry.size} in {MANIFEST_NAME}"
            )


def signed_by(bundle: bytes, entries: Sequence[FileEntry], keys: bytes) -> str:
    """Return the name of the trusted key that signed these files. Raises LoadFailed."""
    try:
        trusted = trusted_keys(keys)
    except ValueError as error:
        raise LoadFailed(f"TRUSTED_KEYS: {error}; nothing is loaded without one") from error
    try:
        return signer_name(verify(bundle=bundle, entries=entries, keys=trusted))
    except BadSignature as error:
        raise LoadFailed(str(error).rstrip(".")) from error


# -- The files -------------------------------------------------------------------------------------


def clear(folder: Path, entries: Sequence[FileEntry]) -> None:
    """Make the folder; take away what an earlier run left half done. Raises LoadFailed for what no
    run of this program put there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in entries}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(DRAFT):
            path.unlink()
        elif path.name not in names or path.is_symlink() or not path.is_file():
            raise LoadFailed(f"{path.name}: in {folder}, not listed in {MANIFEST_NAME}")


def read_all(version: Version, entries: Sequence[FileEntry], folder: Path) -> list[FileEntry]:
    """Read every file, the largest first, a few at a time; return them as measured. Raises
    LoadFailed for the first that differs.
    """
    progress = Progress(sum(entry.size for entry in entries))
    ordered = sorted(entries, key=lambda entry: entry.size, reverse=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reading = [pool.submit(read_file, version, entry, folder, progress) for entry in ordered]
        done, _ = wait(reading, return_when=FIRST_EXCEPTION)
        for one in done:
            if error := one.exception():
                progress.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise error
    return [one.result() for one in reading]


def read_file(version: Version, entry: FileEntry, folder: Path, progress: Progress) -> FileEntry:
    """Return a file as measured: where it lies in the folder already, else while it is loaded.
    Raises LoadFailed.
    """
    target = folder / entry.name
    if target.exists() and (found := measure(target, progress)) == entry:
        say(f"{entry.name}: {readable(entry.size)} were there already, SHA-256 verified")
        return found
    say(f"{entry.name}: loading {readable(entry.size)}")
    draft = target.with_name(entry.name + DRAFT)
    try:
        with closing(version.open(entry.name)) as body:
            found = stream(body, draft, entry.name, progress)
        if found == entry:
            draft.chmod(0o644)  # the engine runs as somebody else
            draft.replace(target)
            return found
    except (ClientError, BotoCoreError, OSError) as error:
        raise LoadFailed(f"{entry.name}: {describe(error)}") from error
    finally:
        draft.unlink(missing_ok=True)
    raise LoadFailed(
        f"{entry.name}: SHA-256 is {found.sha256} ({found.size} bytes), {MANIFEST_NAME} says "
        f"{entry.sha256}"
    )


def measure(path: Path, progress: Progress) -> FileEntry:
    """Return a file of the folder as its bytes are; reads all of it."""
    sha256, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            size += len(chunk)
            progress.add(len(chunk))
    return FileEntry(path.name, size, sha256.hexdigest())


def stream(body: Any, draft: Path, name: str, progress: Progress) -> FileEntry:
    """Write an object to a file; return it as its bytes were."""
    sha256, size = hashlib.sha256(), 0
    with draft.open("wb") as file:
        while chunk := body.read(CHUNK):
            sha256.update(chunk)
            file.write(chunk)
            size += len(chunk)
            progress.add(len(chunk))
    return FileEntry(name, size, sha256.hexdigest())


# -- The program -----------------------------------------------------------------------------------


def describe(error: Exception) -> str:
    """Return an error in words that hold no key and no signature."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return f"S3 answered {status} {code}".strip()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def readable(size: int) -> str:
    """Return a size for people."""
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if size >= 0.1 * length:
            return f"{size / length:.1f} {unit}"
    return f"{size} bytes"


def say(line: str) -> None:
    """Write a line to the container's log, whole."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def connect() -> Any:
    """Return the client of the registry."""
    retries: dict[str, Any] = {"max_attempts": 5, "mode": "standard"}
    # AWS is asked at a host for each bucket, a server of one's own by the bucket in the path
    own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    settings = Config(
        retries=retries,
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=2 * AT_ONCE,
        s3={"addressing_style": "path" if own else "auto"},
    )
    return boto3.client("s3", config=settings)


def main(arguments: Sequence[str] | None = None, connect: Callable[[], Any] = connect) -> int:
    """Load a version as the command line and the environment say; leave the termination message.

    Returns the exit code. connect: makes the client; a rehearsal gives one that fails.
    """
    parser = argparse.ArgumentParser(prog="model-loader")
    parser.add_argument("source", help="s3://BUCKET/MODEL/VERSION")
    parser.add_argument("folder", type=Path, help="where the engine finds the files")
    parser.add_argument("--message", type=Path, default=MESSAGE, help="the termination message")
    given = parser.parse_args(arguments)
    try:
        approved = os.environ.get("APPROVED_DIGEST", "")
        if not approved:
            raise LoadFailed("APPROVED_DIGEST: this pod does not say what was approved")
        keys = os.environ.get("TRUSTED_KEYS", "").encode()
        source = in_copy(given.source, os.environ.get("REGISTRY_COPY", ""))
        report = load(source, given.folder, approved=approved, keys=keys, s3=connect())
    except (LoadFailed, BotoCoreError, OSError) as error:
        words = str(error) if isinstance(error, LoadFailed) else describe(error)
        given.message.write_text(words)
        say(f"ERROR {words}")
        return 1
    given.message.write_text(json.dumps(asdict(report)))
    say(
        f"{report.files} files, {readable(report.bytes)} in {report.seconds} s: {report.digest}, "
        f"signed by {report.signer}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
