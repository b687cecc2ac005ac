"""Checks a version's files on this machine: against the signature that lies beside them, without
asking anybody; or against what the portal says the version consists of.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apps.cli import folder
from apps.cli.exits import BadUse
from apps.cli.progress import Progress
from apps.common.model_manifest import (
    MANIFEST_NAME,
    MIB,
    RANGES_NAME,
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


@dataclass
class Report:
    """What was checked. digest: over the files as they were listed. signer: whose signature it is;
    "" where none was checked. problems: each names a file.
    """

    name: str
    digest: str
    signer: str
    files: int
    bytes: int
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"verified": not self.problems, **vars(self)}


def keys_in(path: Path) -> list[Any]:
    """Return the public keys of a PEM file. Raises BadUse."""
    try:
        return list(trusted_keys(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise BadUse(f"{path}: {error}") from error


def check_copy(path: Path, keys: Sequence[Any], *, quiet: bool) -> Report:
    """Check a downloaded version: its manifest, its signature by one of the keys, every byte, and
    that nothing else lies beside it, hidden files neither. Asks nobody. Raises BadUse where it is
    no folder.
    """
    problems: list[str] = []
    found = _plain_files(path, problems, hidden=True)
    if problems:
        return Report(path.name, "", "", 0, 0, problems)
    try:
        content = _document(path, MANIFEST_NAME)
        listed = read_manifest(content)
        said = json.loads(content)
        name = f"{said['model']}-v{said['version']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Report(path.name, "", "", 0, 0, [f"{MANIFEST_NAME}: {error}."])
    problems += manifest_problems(listed)
    signer = _signer(path, name, listed, keys, problems)
    report = Report(
        name, digest(listed), signer, len(listed), sum(one.size for one in listed), problems
    )
    if not problems:
        problems += _compare(path, found, listed, quiet=quiet)
    return report


def check_files(path: Path, name: str, listed: list[FileEntry], *, quiet: bool) -> Report:
    """Check a folder against a list of files, every byte of it. What the portal added to the files
    need not be there: the folder may be the one that was published.
    """
    problems: list[str] = []
    found = _plain_files(path, problems)
    expected = [one for one in listed if one.name != RANGES_NAME or one.name in found]
    problems += manifest_problems(listed)
    if not problems:
        problems += _compare(path, found, expected, quiet=quiet)
    total = sum(one.size for one in listed)
    return Report(name, digest(listed), "", len(listed), total, problems)


def _plain_files(path: Path, problems: list[str], *, hidden: bool = False) -> dict[str, Path]:
    """Return a folder's files by name; the two documents are none of them. What is no plain file is
    a problem.
    """
    paths = folder.paths_in(path, hidden=hidden)
    if odd := folder.odd_among(paths):
        problems.append(f"{path.name} holds more than plain files: {', '.join(odd)}.")
    return {one.name: one for one in paths if one.name not in DOCUMENTS}


def _document(path: Path, name: str) -> bytes:
    with (path / name).open("rb") as stream:
        content = stream.read(MIB + 1)
    if len(content) > MIB:
        raise ValueError(f"it has more than {MIB:,} bytes, which it can never rightly have")
    return content


def _signer(
    path: Path, name: str, listed: list[FileEntry], keys: Sequence[Any], problems: list[str]
) -> str:
    """Return whose signature it is; "" with the problem where it is none, or of a version of
    another name: manifest.json, which says the name, is not signed itself.
    """
    try:
        bundle = _document(path, SIGNATURE_NAME)
        return signer_name(verify(bundle=bundle, entries=listed, keys=keys, name=name))
    except (OSError, ValueError) as error:
        problems.append(f"{SIGNATURE_NAME}: {error}.")
    except BadSignature as error:
        problems.append(str(error))
    return ""


def _compare(
    path: Path, found: dict[str, Path], listed: list[FileEntry], *, quiet: bool
) -> list[str]:
    """Return what differs between the files of a folder and a list, in the list's order."""
    problems = [
        f"{name}: it lies in {path.name}, but is no file of the version."
        for name in sorted(found.keys() - {entry.name for entry in listed})
    ]
    there = sum(entry.size for entry in listed if entry.name in found)
    with Progress("Verifying", there, quiet=quiet) as progress:
        for entry in listed:
            if problem := _difference(entry, found.get(entry.name), progress):
                problems.append(problem)
    return problems


def _difference(entry: FileEntry, path: Path | None, progress: Progress) -> str:
    if path is None:
        return f"{entry.name}: it is missing."
    size = path.stat().st_size
    if size != entry.size:
        return f"{entry.name}: expected {entry.size:,} bytes, found {size:,}."
    read = folder.read_file(path, tell=progress.add)
    if read.entry.sha256 != entry.sha256:
        return f"{entry.name}: expected sha256 {entry.sha256}, found {read.entry.sha256}."
    return ""
