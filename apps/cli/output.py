"""What a command says: on standard output its result, as text or as one JSON document; on standard
error everything else.

Names and messages of others are among it, of files that somebody sent too: what could move the
cursor, or have text read in another order, is written as its code.
"""

import json
import sys
import unicodedata
from typing import Any, TextIO

from apps.cli.exits import Stop

CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # categories of Unicode


def answer(document: Any, text: str, *, as_json: bool) -> None:
    """Print a command's result: the document, or its text for people."""
    print(json.dumps(document, indent=2) if as_json else plain(text))


def note(text: str) -> None:
    """Say something on the way."""
    print(plain(text), file=sys.stderr, flush=True)


def complain(error: Stop, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Say why the command ends: in words, or as a document."""
    stream = stream or sys.stderr
    if as_json:
        found = {"code": error.code, "detail": str(error), "exit": int(error.exit)}
        print(json.dumps({"error": found}), file=stream)
    else:
        print(f"quartermaster: {plain(str(error))}", file=stream)


def plain(text: str) -> str:
    """Return a text as a terminal may be given it: its lines, and no other control."""
    return "".join(_shown(one) for one in text)


def _shown(one: str) -> str:
    if one == "\n" or unicodedata.category(one) not in CONTROLS:
        return one
    return one.encode("unicode_escape").decode()


def table(rows: list[list[str]]) -> str:
    """Return rows in columns, the first row being their heads; figures stand to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    figures = [_is_figures(rows, at) for at in range(len(widths))]
    return "\n".join(_line(row, widths, figures) for row in rows)


def _is_figures(rows: list[list[str]], at: int) -> bool:
    cells = [row[at] for row in rows[1:] if row[at]]
    return bool(cells) and all(cell.strip("$").replace(",", "")[:1].isdigit() for cell in cells)


def _line(row: list[str], widths: list[int], figures: list[bool]) -> str:
    cells = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row, widths, figures, strict=True)
    ]
    return "  ".join(cells).rstrip()


def size(count: float) -> str:
    """Return a number of bytes as people read it: "512 B", "8.0 MiB", "12.3 GiB"."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def span(seconds: float) -> str:
    """Return a length of time: "45 s", "12 min", "3 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
