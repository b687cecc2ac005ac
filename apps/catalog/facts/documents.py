"""Reads the small JSON and text files of a version, with limits. Pure.

What has no one meaning or cannot be kept (a key twice, NaN, NUL, half a surrogate, a number beyond
2^53) is no document: it is said, and nothing of it is used.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from apps.common.canonical import canonical

MAX_JSON = 1024 * 1024  # bytes
HIGHEST = (
    10**9
)  # of any figure in a configuration; the longest context and vocabulary are far below
MAX_WORD = 200  # characters of a name


def json_object(name: str, content: bytes | None, problems: list[str]) -> dict[str, Any]:
    """Return a file's JSON object; {} for no file, and with a word in problems for a broken one."""
    if content is None:
        return {}
    if len(content) > MAX_JSON:
        problems.append(f"{name}: larger than 1 MiB, so it was not read.")
        return {}
    try:
        found = json.loads(content, object_pairs_hook=_no_twins, parse_constant=_no_constant)
        kept = canonical(found)
    except (ValueError, RecursionError) as error:
        problems.append(f"{name}: {_why(error)}.")
        return {}
    if b"\\u0000" in kept or not isinstance(found, dict):
        problems.append(f"{name}: it is not a JSON object of plain text.")
        return {}
    return found


def plain_text(name: str, content: bytes, limit: int, problems: list[str]) -> str:
    """Return a file's text; "" with a word in problems where it is too long or no text."""
    if len(content) > limit:
        problems.append(f"{name}: longer than {limit // 1024} KiB, so it was not read.")
        return ""
    try:
        found = content.decode()
    except UnicodeDecodeError:
        problems.append(f"{name}: it is not UTF-8.")
        return ""
    if "\x00" in found:
        problems.append(f"{name}: it is not text.")
        return ""
    return found


def number(
    config: Mapping[str, Any], names: Sequence[str], problems: list[str], *, least: int = 1
) -> int | None:
    """Return the first of these figures that a configuration states; None where it states none, or
    one that cannot be (then with a word in problems).
    """
    for name in names:
        value = config.get(name)
        if value is None or value is False:
            continue
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= HIGHEST:
            return value
        if not (isinstance(value, int) and 0 <= value < least):  # 0 experts: there are none
            problems.append(f"config.json: {name} is {_shown(value)}, which cannot be.")
        return None
    return None


def text(value: Any) -> str:
    """Return a word of a file, shortened; "" for what is no word."""
    return value[:MAX_WORD] if isinstance(value, str) and value.isprintable() else ""


def _shown(value: Any) -> str:
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 40 else f"{shown[:40]}…"


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    return "a key occurs twice" if str(error) == _TWICE else "it is not JSON"


_TWICE = "a key occurs twice"


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(_TWICE)
    return found


def _no_constant(word: str) -> Any:
    """NaN and Infinity are no JSON."""
    raise ValueError(f"{word} is no JSON")
