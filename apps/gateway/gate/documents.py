"""A body's bytes, read as JSON in the one way that every program behind the gate reads it too.
Pure.

Three programs read a call: Envoy AI Gateway (Go), the gate, and the engine (Python). What they
might read differently is refused: a key that stands twice in an object, another encoding than
UTF-8, numbers that are none in JSON or too long for 64 bits, half a surrogate pair, nesting without
end. No refusal repeats a word of the body.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from apps.gateway.gate import refusals
from apps.gateway.gate.refusals import Refusal

MOST_OBJECTS = 10_000
MOST_MARKS = 100_000  # commas and opening brackets: bounds how long the reading can take
_LONGEST_WHOLE = 20  # characters of a 64-bit number with its sign
_LONGEST_REAL = 40
# What may begin half a pair: \ud8… to \udf…, in either case.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_MARKS = (b",", b"[", b"{")
# A string of JSON, or what begins like one and never ends: so each byte is looked at once.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BOM = "\ufeff"


class _Odd(ValueError):
    """The JSON is well formed, but programs would read it differently. The text says what."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse a body that the headers declare to be anything but plain JSON in UTF-8."""
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise refusals.malformed(
            "The body is compressed (it has a content-encoding), so it cannot be inspected.",
            "Send it plain.",
            "content_encoding",
        )
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]*)", parameters)
    if kind.strip() != "application/json" or (
        charset and charset.group(1) not in ("utf-8", "utf8", "us-ascii")
    ):
        raise refusals.malformed(
            "The header content-type must be application/json, in UTF-8.", code="content_type"
        )


def read(raw: bytes, *, most_bytes: int) -> dict[str, Any]:
    """Return the object that a body holds. Raises Refusal: 413 above `most_bytes`, 400 where it is
    no object that everybody reads alike.
    """
    if len(raw) > most_bytes:
        raise refusals.too_large(most_bytes)
    # texts are full of commas: they are taken out only where there are many
    if _marks(raw) > MOST_MARKS and _marks(_STRING.sub(b"", raw)) > MOST_MARKS:
        raise too_many_parts()
    text = _text(raw)
    try:
        document = json.loads(
            text,
            object_pairs_hook=_Objects().read,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_constant,
        )
    except RecursionError:
        raise nested_too_deeply() from None
    except _Odd as problem:
        raise refusals.malformed(str(problem), code="json_ambiguous") from None
    except json.JSONDecodeError as problem:
        where = f"line {problem.lineno}, column {problem.colno}"
        raise _not_json(f"The body is not valid JSON ({where}).") from None
    if not isinstance(document, dict):
        raise _not_json("The body must be a JSON object.")
    if _HALF.search(raw):
        _check_halves(document)
    return document


def nested_too_deeply() -> Refusal:
    """Return the refusal of a body whose lists and objects stand in one another too deeply."""
    return _not_json("The body is nested too deeply.")


def _marks(raw: bytes) -> int:
    return sum(raw.count(mark) for mark in _MARKS)


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as problem:
        raise _not_json(f"The body is not UTF-8 (at byte {problem.start + 1}).") from None
    if text.startswith(_BOM):
        raise _not_json("The body begins with a byte order mark, which JSON does not have.")
    return text


def _not_json(message: str) -> Refusal:
    return refusals.malformed(message, "Send one JSON object.", "invalid_json")


def too_many_parts() -> Refusal:
    return refusals.malformed(
        "The body has more parts than the gateway reads.", "Send fewer at a time.", "too_many_parts"
    )


class _Objects:
    """Makes the objects of one body, and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Return an object whose keys all differ. Raises _Odd, Refusal."""
        self._count += 1
        if self._count > MOST_OBJECTS:
            raise too_many_parts()
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _Odd(
                "A key stands twice in one object of the body, and programs on the way may each "
                "read another one. Send each key once."
            )
        return found


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_WHOLE:
        raise _Odd("A whole number in the body has more than 64 bits. Send a smaller one.")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if len(digits) > _LONGEST_REAL or not math.isfinite(number):
        raise _Odd("A number in the body is too large or too long. Send a shorter one.")
    return number


def _constant(word: str) -> float:
    raise _Odd(f"The body holds {word}, which is no number in JSON. Leave the field out.")


def _check_halves(document: dict[str, Any]) -> None:
    """Refuse half a surrogate pair: it has no UTF-8, and each program puts something else in its
    place.
    """
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise refusals.malformed(
            "A text in the body holds half of a surrogate pair (\\ud800 to \\udfff without its "
            "other half), which is no character.",
            "Send whole characters.",
            "not_unicode",
        ) from None
