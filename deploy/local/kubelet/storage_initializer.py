"""Loads a model version from the registry, as KServe's init container does, and checks every byte
of it.

`python -m deploy.local.kubelet.storage_initializer s3://BUCKET/MODEL/vN --cache DIR --link FILE
--message FILE`

The prefix must hold manifest.json and exactly the files it lists (model.sig aside), each with the
listed size and SHA-256, and the manifest's digest must be the approved one. Verified files are kept
under DIR/<digest>; they are verified again on each start, and loaded again where the registry's
object is no longer the one they came from. The folder's path is written to --link. Exit code 1,
with a sentence that names the file, when anything differs. S3's address and credentials come from
the environment that boto3 reads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

MANIFEST = "manifest.json"
UNLISTED = frozenset({MANIFEST, "model.sig"})
ORIGINS = ".origins.json"  # in the cache: the ETag each verified file came from
CHUNK = 4 * 1024 * 1024
KEPT_VERSIONS = 6
PROGRESS_SECONDS = 1.0


class LoadFailed(Exception):
    """The model version cannot be loaded; the message names the file and says what is wrong."""


@dataclass(frozen=True, order=True)
class Entry:
    """One file as the manifest lists it."""

    name: str
    sha256: str
    size: int


def load(source: str, cache: Path, expected_digest: str, s3: Any, fault: str = "") -> Path:
    """Return the folder with the verified files of a version. Raises LoadFailed."""
    bucket, prefix = parse_source(source)
    objects = list_objects(s3, bucket, prefix)
    entries = read_manifest(fetch(s3, bucket, prefix + MANIFEST, objects))
    compare_listing(entries, objects)
    digest = manifest_digest(entries)
    check_digest(digest, expected_digest)
    folder = cache / digest.removeprefix("sha256:")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    origins = _read_origins(folder)
    for entry in entries:
        etag = str(objects[entry.name]["ETag"])
        if origins.get(entry.name) == etag and matches(folder / entry.name, entry) and not fault:
            say(f"{entry.name}: {megabytes(entry.size)} in the local cache, SHA-256 verified")
            continue
        origins.pop(entry.name, None)
        download(s3, bucket, prefix, entry, folder, fault)
        origins[entry.name] = etag
        (folder / ORIGINS).write_text(json.dumps(origins))
    os.utime(folder)
    say(f"{len(entries)} files verified, manifest digest {digest}")
    return folder


def parse_source(source: str) -> tuple[str, str]:
    """Return bucket and prefix (with its slash) of an s3:// address. Raises LoadFailed."""
    if not source.startswith("s3://"):
        raise LoadFailed(f"{source}: only s3:// can be loaded on this machine")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket or not prefix.strip("/"):
        raise LoadFailed(f"{source}: not s3://BUCKET/MODEL/VERSION")
    return bucket, prefix.rstrip("/") + "/"


def list_objects(s3: Any, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the objects below a prefix by their name below it. Raises LoadFailed."""
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = {
            item["Key"].removeprefix(prefix): item
            for page in pages
            for item in page.get("Contents", ())
        }
    except (ClientError, BotoCoreError) as error:
        raise LoadFailed(f"s3://{bucket}/{prefix}: {describe(error)}") from error
    objects = {name: item for name, item in found.items() if name and not name.endswith("/")}
    if not objects:
        raise LoadFailed(f"s3://{bucket}/{prefix}: there is nothing under this prefix")
    return objects


def fetch(s3: Any, bucket: str, key: str, objects: dict[str, Any]) -> bytes:
    """Return a small object's content. Raises LoadFailed."""
    if key.rpartition("/")[2] not in objects:
        raise LoadFailed(f"{MANIFEST}: missing in the registry")
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content
    except (ClientError, BotoCoreError) as error:
        raise LoadFailed(f"{key}: {describe(error)}") from error


def read_manifest(content: bytes) -> list[Entry]:
    """Return a manifest's files, by name. Raises LoadFailed."""
    try:
        files = json.loads(content)["files"]
        entries = sorted(
            Entry(str(item["name"]), str(item["sha256"]), int(item["size"])) for item in files
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LoadFailed(f"{MANIFEST}: not a manifest ({type(error).__name__})") from error
    names = [entry.name for entry in entries]
    odd = [
        name
        for name in names
        if name.startswith((".", "/")) or ".." in name.split("/") or "\\" in name
    ]
    if odd or len(set(names)) != len(names):
        raise LoadFailed(f"{MANIFEST}: a file name is not allowed or is listed twice")
    return entries


def compare_listing(entries: Iterable[Entry], objects: dict[str, Any]) -> None:
    """Raise LoadFailed where the prefix does not hold exactly the listed files with the listed
    sizes.
    """
    listed = {entry.name: entry for entry in entries}
    for name in sorted(listed.keys() - objects.keys()):
        raise LoadFailed(f"{name}: listed in {MANIFEST}, missing in the registry")
    for name in sorted(objects.keys() - listed.keys() - UNLISTED):
        raise LoadFailed(f"{name}: in the registry, not listed in {MANIFEST}")
    for name, entry in listed.items():
        if (size := int(objects[name]["Size"])) != entry.size:
            raise LoadFailed(f"{name}: {size} bytes in the registry, {entry.size} in {MANIFEST}")


def manifest_digest(entries: Iterable[Entry]) -> str:
    """Return the digest by which a version is approved: over the canonical list of name, SHA-256
    and size.
    """
    listed = [asdict(entry) for entry in sorted(entries)]
    canonical = json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def check_digest(digest: str, expected: str) -> None:
    """Raise LoadFailed where the registry's version is not the one that was approved."""
    if not expected:
        say(
            "no approved manifest digest on this pod: checked against the registry's own manifest "
            "only"
        )
    elif digest != expected:
        raise LoadFailed(f"{MANIFEST}: its digest is {digest}, approved was {expected}")


def download(s3: Any, bucket: str, prefix: str, entry: Entry, folder: Path, fault: str) -> None:
    """Load one file into the folder, verified while it streams. Raises LoadFailed and leaves
    nothing behind.
    """
    target = folder / entry.name
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(f"{target.name}.{os.getpid()}.loading")
    key = prefix + entry.name + (".not-there" if fault == "object-missing" else "")
    say(f"{entry.name}: loading {megabytes(entry.size)}")
    try:
        sha256, size = stream(s3.get_object(Bucket=bucket, Key=key)["Body"], draft, entry, fault)
    except (ClientError, BotoCoreError, OSError) as error:
        draft.unlink(missing_ok=True)
        raise LoadFailed(f"{entry.name}: {describe(error)}") from error
    if (sha256, size) != (entry.sha256, entry.size):
        draft.unlink(missing_ok=True)
        raise LoadFailed(
            f"{entry.name}: SHA-256 is {sha256} ({size} bytes), {MANIFEST} says {entry.sha256}"
        )
    draft.replace(target)


def stream(body: Any, draft: Path, entry: Entry, fault: str) -> tuple[str, int]:
    """Write an object to a file; return its SHA-256 and size."""
    sha256, size, told = hashlib.sha256(), 0, time.monotonic()
    with draft.open("wb") as file:
        while chunk := body.read(CHUNK):
            if fault == "checksum" and size == 0:
                chunk = bytes([chunk[0] ^ 1]) + chunk[1:]  # a rehearsal: one bit arrives wrong
            sha256.update(chunk)
            file.write(chunk)
            size += len(chunk)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                percent = 100 * size // max(1, entry.size)
                say(f"{entry.name}: {megabytes(size)} of {megabytes(entry.size)} ({percent} %)")
    return sha256.hexdigest(), size


def matches(path: Path, entry: Entry) -> bool:
    """Return whether a local file is exactly the listed one; reads all of it."""
    if not path.is_file() or path.stat().st_size != entry.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def prune(cache: Path, keep: Path) -> None:
    """Delete the versions that were used longest ago; one that a running engine maps stays readable
    to it.
    """
    folders = sorted(
        (item for item in cache.iterdir() if item.is_dir()), key=lambda item: item.stat().st_mtime
    )
    for folder in folders[:-KEPT_VERSIONS]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)


def describe(error: Exception) -> str:
    """Return an S3 error in words that hold no key and no signature."""
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        return f"S3 answered {status} {code}".strip()
    return type(error).__name__


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"


def say(line: str) -> None:
    """Write a line to the container's log."""
    print(line, flush=True)


def _read_origins(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / ORIGINS).read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def main(arguments: list[str] | None = None) -> int:
    """Load a version; 1 and a termination message where it cannot be."""
    parser = argparse.ArgumentParser(prog="storage-initializer")
    parser.add_argument("source")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--message", type=Path, required=True)
    parser.add_argument("--digest", default="")
    parser.add_argument("--fault", default="")
    settings = parser.parse_args(arguments)
    retries = Config(
        retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=60
    )
    try:
        s3 = boto3.client("s3", config=retries)
        folder = load(settings.source, settings.cache, settings.digest, s3, settings.fault)
    except (LoadFailed, BotoCoreError) as error:
        message = str(error) if isinstance(error, LoadFailed) else describe(error)
        settings.message.write_text(message)
        say(f"ERROR {message}")
        return 1
    settings.link.write_text(str(folder))
    prune(settings.cache, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
