"""A batch of OTLP in its wire format or in JSON, walked before anything is built of it. Pure.

A few kilobytes of gzip can unpack to millions of empty groups: so what is walked is limited, and
all that nobody asked for is stepped over unread.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_JSON_VALUES = ("stringValue", "boolValue", "intValue", "doubleValue")
_TORN = "The body is not an OTLP request of this kind, or it was cut off."
_NO_JSON = "The body is not an OTLP request of this kind in JSON, or it was cut off."


class BadBatch(ValueError):
    """The body is not a whole OTLP request of the kind that was to come."""


class TooMany(ValueError):
    """The batch holds more than this door takes at once. The text says of what."""


@dataclass
class Steps:
    """Walks messages field by field, and stops where there are more than `most` in all."""

    most: int
    taken: int = 0

    def fields(self, message: memoryview, wanted: int) -> Iterator[memoryview]:
        """Yield the content of each field of that number; step over the others."""
        at, end = 0, len(message)
        while at < end:
            self.taken += 1
            if self.taken > self.most:
                raise TooMany("The batch has too many groups or fields.")
            tag, at = _varint(message, at)
            start, at = _span(message, at, tag & 7)
            if at > end:
                raise BadBatch(_TORN)
            if tag >> 3 == wanted:
                if tag & 7 != _BYTES:
                    raise BadBatch(_TORN)
                yield message[start:at]


def _span(message: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Return where a field's content begins and ends. kind: its wire type."""
    if kind == _BYTES:
        length, at = _varint(message, at)
        return at, at + length
    if kind == _VARINT:
        return at, _varint(message, at)[1]
    if kind in (_FIXED64, _FIXED32):
        return at, at + (8 if kind == _FIXED64 else 4)
    raise BadBatch(_TORN)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that stands there, and where what follows it begins."""
    value = shift = 0
    for byte in message[at : at + 10]:
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise BadBatch(_TORN)


def value_of(value: Any) -> object:
    """Return what an AnyValue holds; None for arrays, maps and bytes."""
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def json_of(body: bytes) -> object:
    """Return what a body in JSON says. Raises BadBatch."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadBatch(_NO_JSON) from None


def json_list(group: object, key: str) -> list[Any]:
    """Return a list of objects; a group without it has none. Raises BadBatch."""
    found = group.get(key, []) if isinstance(group, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadBatch(_NO_JSON)
    return found


def json_pair(pair: dict[str, object]) -> tuple[str, object]:
    """Return one attribute. A 64-bit number comes as text; arrays, maps and bytes read as none."""
    value = pair.get("value")
    if not isinstance(value, dict):
        return str(pair.get("key")), None
    known = (value[kind] for kind in _JSON_VALUES if kind in value)
    return str(pair.get("key")), next(known, None)
