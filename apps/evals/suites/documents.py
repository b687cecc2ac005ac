"""Reads JSON and JSON Lines so that whatever is wrong can be named with its line. Pure.

A suite is one JSON object with the list "packets", or JSON Lines: the suite without its packets
first, then one packet a line.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json import decoder, scanner
from typing import Any


@dataclass(frozen=True)
class Problem:
    """What is wrong with a document. line: from 1."""

    line: int
    words: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.words}"


class BadDocument(Exception):
    """A document that cannot be taken, with every problem that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class Placed(dict[str, Any]):
    """A JSON object that knows in which line it begins."""

    line = 1


class _Refused(ValueError):
    def __init__(self, at: int, words: str) -> None:
        super().__init__(words)
        self.at, self.words = at, words


class _Decoder(json.JSONDecoder):
    """Keeps where each object begins, and refuses a name that stands twice in one object."""

    def __init__(self) -> None:
        super().__init__(parse_constant=_no_constant)
        self.parse_object: Callable[..., Any] = self._object
        self.scan_once = scanner.py_make_scanner(self)  # type: ignore[attr-defined]
        self._breaks: list[int] = []

    def decode(self, s: str, *rest: Any) -> Any:
        """Return what a text says."""
        self._breaks = [match.start() for match in re.finditer("\n", s)]
        return super().decode(s, *rest)

    def _object(self, text_and_end: tuple[str, int], *rest: Any) -> tuple[Any, int]:
        begun = text_and_end[1]
        strict, scan_once, _, _, memo = rest
        pairs, end = decoder.JSONObject(  # type: ignore[attr-defined]
            text_and_end, strict, scan_once, None, list, memo
        )
        found = Placed(pairs)
        found.line = bisect_left(self._breaks, begun) + 1
        if len(found) != len(pairs):
            raise _Refused(begun, "a name stands twice in one object.")
        return found, end


def _no_constant(name: str) -> Any:
    raise _Refused(0, f"{name} is no number.")


def read(content: bytes) -> tuple[Placed, list[Any]]:
    """Return a suite without its packets, and its packets; None for packets where it has none.
    Raises BadDocument.
    """
    text = _text(content)
    lines = list(_lines(text.rstrip()))
    if len(lines) > 1 and lines[0].lstrip().startswith("{") and _is_whole(lines[0]):
        return _of_lines(lines)
    header = _parsed(text, 1)
    if not isinstance(header, Placed):
        raise BadDocument([Problem(1, "a suite is a JSON object.")])
    packets = header.pop("packets", [])
    if not isinstance(packets, list):
        raise BadDocument([Problem(header.line, "packets is a list.")])
    return header, packets


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadDocument([Problem(line, "this is no UTF-8.")]) from error


def _lines(text: str) -> Iterator[str]:
    """Yield the lines; only a line feed ends one, whatever else a text holds."""
    yield from text.split("\n")


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _of_lines(lines: list[str]) -> tuple[Placed, list[Any]]:
    header, packets, problems = _parsed(lines[0], 1), [], []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            packet = _parsed(line, number)
            if not isinstance(packet, Placed):
                raise BadDocument([Problem(number, "a packet is an object.")])
            packets.append(packet)
        except BadDocument as error:
            problems += error.problems
    if problems:
        raise BadDocument(problems)
    if "packets" in header:
        raise BadDocument(
            [Problem(1, "packets stand in the first line or in their own, not both.")]
        )
    return header, packets


def _parsed(text: str, first: int) -> Any:
    """Return what a text says. first: the line that it begins in."""
    try:
        found = _Decoder().decode(text)
    except json.JSONDecodeError as error:
        raise BadDocument([Problem(first + error.lineno - 1, f"{error.msg}.")]) from error
    except _Refused as error:
        line = first + text.count("\n", 0, error.at)
        raise BadDocument([Problem(line, error.words)]) from error
    except RecursionError as error:
        raise BadDocument([Problem(first, "this is nested too deeply.")]) from error
    except ValueError as error:  # a number of thousands of digits
        raise BadDocument([Problem(first, "a number is too long.")]) from error
    if first > 1 and isinstance(found, Placed):
        found.line = first
    return found
