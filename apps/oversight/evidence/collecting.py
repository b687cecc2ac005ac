"""What goes into a pack: files in a folder, what proves them, and what is missing; and the zip that
is made of them. The same files give the same bytes.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apps.common.canonical import canonical

FORMAT = "quartermaster.evidence@v1"
INDEX = "contents.json"
SINCE_EVER = (1980, 1, 1, 0, 0, 0)  # what a zip says of a file whose age is nobody's business
CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Event:
    """An event of the record whose proof is in the pack, at `path`. data: what it says."""

    path: str
    data: Mapping[str, object]


@dataclass
class Collected:
    """A pack while it is put together in a folder of its own.

    about: path → what the file is, in a sentence; ours: files that say nothing about the subject
    and need no proof. The other fields are the index's.
    """

    folder: Path
    about: dict[str, str] = field(default_factory=dict)
    ours: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    proven: list[dict[str, str]] = field(default_factory=list)
    commits: list[dict[str, object]] = field(default_factory=list)
    models: list[dict[str, str]] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)

    def place(self, path: str, about: str) -> Path:
        """Return where to write a file of the pack."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.about[path] = about
        return target

    def add(self, path: str, content: bytes, about: str) -> None:
        """Add a file."""
        self.place(path, about).write_bytes(content)

    def add_facts(self, path: str, facts: object, about: str) -> None:
        """Add what the portal knows, as JSON for people."""
        text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
        self.add(path, text.encode() + b"\n", about)

    def add_ours(self, path: str, content: bytes, about: str) -> None:
        """Add a file that needs no proof."""
        self.add(path, content, about)
        self.ours.append(path)

    def miss(self, what: str, why: str) -> None:
        """Say what is not in the pack, and why."""
        self.missing.append({"what": what, "why": why})

    def prove(self, path: str, digest: str, kind: str = "sha256") -> None:
        """Let every event that names a file's digest prove it. kind: as the verifier calls how the
        digest is made. Where none does, the file stays one that the portal tells.
        """
        for event, name in self.naming(digest):
            claim = {"path": path, "as": kind, "event": event.path, "field": f"data.{name}"}
            self.proven.append(claim)

    def naming(self, value: str) -> list[tuple[Event, str]]:
        """Return the events whose data have a value, and the name under which they do."""
        return [
            (event, name)
            for event in self.events
            for name, said in event.data.items()
            if value and said == value
        ]

    def index(self, subject: Mapping[str, str], checkpoint_size: int) -> bytes:
        """Return contents.json: every file, and what proves which of them."""
        files = [
            {"path": path, "sha256": sha256_of(self.folder / path), "about": self.about[path]}
            for path in sorted(self.about)
        ]
        return canonical(
            {
                "format": FORMAT,
                "subject": dict(subject),
                "checkpoint": checkpoint_size,
                "files": files,
                "ours": sorted(self.ours),
                "events": [event.path for event in self.events],
                "parts": self.parts,
                "proven": self.proven,
                "commits": self.commits,
                "models": self.models,
                "missing": self.missing,
            }
        )


def write_zip(folder: Path, paths: Iterable[str], target: Path) -> None:
    """Write files of a folder as a zip: in the order of their paths, without times and owners."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(paths):
            entry = zipfile.ZipInfo(path, SINCE_EVER)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (folder / path).open("rb") as source, archive.open(entry, "w") as packed:
                while chunk := source.read(CHUNK):
                    packed.write(chunk)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
