"""Unified diffs as pages show them: side by side or as one column, with what did not change folded.

How to use:

    context["diff"] = diffs.files(text)                   # of what `git diff` prints
    context["diff"] = diffs.between(path, before, after)  # of two texts
    {% include "components/_diff.html" with diff=diff only %}

Unchanged lines are folded: three stand above and below each change, the rest opens with a click.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

Kind = Literal["add", "del", "hunk", "same"]
AROUND = 3
WHOLE = 1_000_000  # lines of context: all of them, what did not change is folded
KINDS: dict[str, Kind] = {"+": "add", "-": "del", "@": "hunk"}
HEADS = ("index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new m")
NO_NEWLINE = "\\ No newline"


@dataclass(frozen=True)
class Line:
    """One line as the diff has it, with its sign."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Row:
    """A line before beside the line after; the kinds are empty where nothing changed."""

    left: str
    right: str
    left_kind: str = ""
    right_kind: str = ""


@dataclass(frozen=True)
class Part:
    """A stretch of a file. is_folded: nothing changed here; a click opens it."""

    lines: list[Line]
    is_folded: bool

    @property
    def rows(self) -> list[Row]:
        """Return the stretch side by side."""
        return side_by_side(self.lines)


@dataclass(frozen=True)
class File:
    """A file with its changes."""

    path: str
    lines: list[Line]

    @property
    def added(self) -> int:
        """Return how many lines came."""
        return sum(line.kind == "add" for line in self.lines)

    @property
    def removed(self) -> int:
        """Return how many lines went."""
        return sum(line.kind == "del" for line in self.lines)

    @property
    def has_two_sides(self) -> bool:
        """Return whether there is anything to compare: a new file has one side."""
        return bool(self.added and self.removed)

    def plain(self) -> dict[str, Any]:
        """Return the file as JSON takes it, to be kept: {path, lines: [{kind, text}]}."""
        return {"path": self.path, "lines": [vars(line) for line in self.lines]}

    @property
    def parts(self) -> list[Part]:
        """Return the file in stretches that are shown and folded."""
        return fold(self.lines)


def files(text: str) -> list[File]:
    """Return the files of a unified diff, in its order."""
    found: list[File] = []
    for line in text.splitlines():
        if line.startswith("diff --git "):
            found.append(File(line.rpartition(" b/")[2], []))
        elif found and not _is_head(line, found[-1]):
            found[-1].lines.append(Line(KINDS.get(line[:1], "same"), line))
    return found


def _is_head(line: str, file: File) -> bool:
    """Tell whether a line is about the file; below a hunk's head "--- x" is a line "-- x" that
    went.
    """
    return line.startswith(NO_NEWLINE) or (not file.lines and line.startswith(HEADS))


def from_plain(kept: Iterable[Mapping[str, Any]]) -> list[File]:
    """Return files that were kept as `File.plain` gives them."""
    return [
        File(file["path"], [Line(line["kind"], line["text"]) for line in file["lines"]])
        for file in kept
    ]


def between(path: str, before: str, after: str) -> list[File]:
    """Return what changes from one text to another; nothing where they are the same."""
    changed = difflib.unified_diff(before.splitlines(), after.splitlines(), n=WHOLE)
    lines = [Line(KINDS.get(line[:1], "same"), line) for line in list(changed)[3:]]
    return [File(path, lines)] if lines else []


def fold(lines: Sequence[Line]) -> list[Part]:
    """Return the lines in stretches: all that changed with three lines around it, the rest
    folded.
    """
    near: set[int] = set()
    for place, line in enumerate(lines):
        if line.kind != "same":
            near.update(range(place - AROUND, place + AROUND + 1))
    runs = groupby(enumerate(lines), key=lambda each: each[0] in near)
    parts = [Part([line for _, line in run], not shown) for shown, run in runs]
    # A fold that hides a line or two costs more than it saves.
    return [Part(part.lines, part.is_folded and len(part.lines) > 2) for part in parts]


def side_by_side(lines: Sequence[Line]) -> list[Row]:
    """Return removed lines beside the added ones; the head of a hunk stands on both sides."""
    rows: list[Row] = []
    removed: list[str] = []
    added: list[str] = []

    def flush() -> None:
        for place in range(max(len(removed), len(added))):
            left = removed[place] if place < len(removed) else ""
            right = added[place] if place < len(added) else ""
            rows.append(Row(left[1:], right[1:], "del" if left else "", "add" if right else ""))
        removed.clear()
        added.clear()

    for line in lines:
        if line.kind == "del":
            removed.append(line.text)
        elif line.kind == "add":
            added.append(line.text)
        else:
            flush()
            text, kind = (line.text, "hunk") if line.kind == "hunk" else (line.text[1:], "")
            rows.append(Row(text, text, kind, kind))
    flush()
    return rows
