"""Where the platform keeps what it builds and downloads: the user's cache, shared by all checkouts
and stacks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path


def cache_folder(env: Mapping[str, str]) -> Path:
    """Return the user's cache folder of this project, made where missing.

    QUARTERMASTER_CACHE, else XDG_CACHE_HOME/quartermaster, else ~/.cache/quartermaster.
    """
    given = env.get("QUARTERMASTER_CACHE")
    base = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or Path.home()) / ".cache")
    path = (Path(given) if given else base / "quartermaster").absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(parts: Iterable[str | bytes]) -> str:
    """Return a short name for these inputs: the same inputs give the same name. 16 hex digits."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:16]
