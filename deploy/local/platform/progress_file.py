"""How far the build is: one small file in the cache, written by the builder and read by everybody
else.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from deploy.local.platform.cache import cache_folder

State = Literal["waiting", "downloading", "building", "ready", "failed"]


@dataclass(frozen=True)
class Progress:
    """How far one program is. Packages that were already in Go's build cache count as done."""

    program: str
    state: State
    packages_done: int = 0
    packages_total: int = 0  # 0 until its modules are downloaded
    # of this program alone; an estimate. None where nothing is to be waited for
    seconds_left: int | None = None
    error: str = ""  # why it failed, the end of the output, and what to do
    key: str = ""  # which build this is about

    def sentence(self) -> str:
        """Return the row in words, for one line of `make status`."""
        linking = ", linking" if self.packages_done == self.packages_total else ""
        packages = f"{self.packages_done} of {self.packages_total} packages built{linking}"
        left = (
            f", about {max(1, round(self.seconds_left / 60))} min left"
            if self.seconds_left is not None
            else ""
        )
        return {
            "waiting": f"{self.program}: waiting to be built{left}",
            "downloading": f"{self.program}: downloading its modules{left}",
            "building": f"{self.program}: {packages}{left}",
            "ready": f"{self.program}: ready",
            "failed": f"{self.program}: {self.error}",
        }[self.state]


def progress_file(env: Mapping[str, str]) -> Path:
    """Return where the builder writes its progress."""
    return cache_folder(env) / "progress.json"


def write_progress(path: Path, rows: Iterable[Progress]) -> None:
    """Replace the file in one step: a reader sees the old rows or the new ones."""
    handle, part = tempfile.mkstemp(prefix=".progress-", dir=path.parent)
    with os.fdopen(handle, "w") as file:
        json.dump([asdict(row) for row in rows], file)
    os.replace(part, path)


def read_progress(path: Path) -> list[Progress]:
    """Return the rows of the file; none where it does not exist or is from another version."""
    try:
        return [Progress(**row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []
