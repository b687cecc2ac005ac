"""Versions that were loaded on this machine before: their files are lent to the next pod, which
then need not load them again.

Lending is a hard link, so nothing is copied; the loader reads and compares every file that it finds
in a pod's folder, lent ones too. FOLDER/<digest> holds one version.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

KEPT_VERSIONS = 6
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")


def lend(cache: Path, digest: str, folder: Path) -> None:
    """Put the files of a version into a pod's folder, where they are kept."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = _place(cache, digest)
    if kept is None or not kept.is_dir():
        return
    for file in kept.iterdir():
        if not (folder / file.name).exists():
            os.link(file, folder / file.name)


def keep(cache: Path, digest: str, folder: Path) -> None:
    """Keep the verified files of a pod's folder; those of the versions used longest ago go. One
    that a running engine maps stays readable to it.
    """
    kept = _place(cache, digest)
    if kept is None:
        return
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.iterdir():
        known = kept / file.name
        if not (known.exists() and known.samefile(file)):
            known.unlink(missing_ok=True)
            os.link(file, known)
    os.utime(kept)
    _prune(cache)


def _prune(cache: Path) -> None:
    folders = (item for item in cache.iterdir() if item.is_dir())
    for folder in sorted(folders, key=lambda item: item.stat().st_mtime)[:-KEPT_VERSIONS]:
        shutil.rmtree(folder, ignore_errors=True)


def _place(cache: Path, digest: str) -> Path | None:
    """Return the folder of a version, None for what is no digest."""
    found = _DIGEST.fullmatch(digest)
    return cache / found.group(1) if found else None
