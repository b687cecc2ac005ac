"""Texts inside a text: base64, hexadecimal, percent signs, character references, escapes, and
letters that stand apart, made readable. Pure.

Each part that decodes to something readable is looked at like the text itself, twice over at most.
What is decoded is bounded by what encoded it, so nothing unfolds.
"""

import base64
import binascii
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from apps.gateway.guard.detectors.escapes import escapes_read
from apps.gateway.guard.detectors.expressions import compiled, spans

SHORTEST = 12  # decoded characters below which nothing is said
_BASE64 = compiled(r"[A-Za-z0-9+/_-]{16,}(?:[\r\n]{1,2}[A-Za-z0-9+/_-]{16,})*={0,2}")
_BASE32 = compiled(r"\b[A-Z2-7]{24,}={0,6}")
_HEX = compiled(r"(?:(?:0x|\\x|%)?[0-9a-fA-F]{2}[\s,:;-]{0,2}){12,}")
_PERCENT = compiled(r"(?:[A-Za-z0-9+._~-]{0,30}%[0-9a-fA-F]{2}){3,}[A-Za-z0-9+._~-]{0,30}")
_REFERENCES = compiled(r"(?:&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,10});?[^&]{0,12}){4,}")
_ESCAPES = compiled(r"(?:\\{1,8}(?:u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}) ?){4,}")
_APART = compiled(r"(?:[^\s]\s{1,4}){12,}[^\s]")
_BINARY = compiled(r"(?:[01]{8}\s{0,2}){8,}")
_SIGNS = re.compile(r"(?:0x|\\x|%|[^0-9a-fA-F])")


@dataclass(frozen=True)
class Decoded:
    """A part of a text that encodes another. start, end: the part; text: what it says."""

    start: int
    end: int
    text: str


def decoded(text: str) -> Iterator[Decoded]:
    """Yield the parts of a text that decode to something readable."""
    ways = (
        (_BASE64, _from_base64), (_BASE32, _from_base32), (_HEX, _from_hex),
        (_PERCENT, _from_percent), (_REFERENCES, html.unescape), (_ESCAPES, escapes_read),
        (_BINARY, _from_binary), (_APART, _together),
    )  # fmt: skip
    for expression, decode in ways:
        for start, end in spans(expression, text):
            found = decode(text[start:end])
            if len(found) >= SHORTEST and found != text[start:end] and _is_readable(found):
                yield Decoded(start, end, found)


def _is_readable(text: str) -> bool:
    """Tell whether nearly all of it are characters that people write."""
    begin = text[:2000]
    written = sum(one.isprintable() or one in "\n\r\t" for one in begin)
    return written >= 0.95 * len(begin) and any(one.isalpha() for one in begin)


def _said(raw: bytes) -> str:
    for encoding in ("utf-8", "utf-16-le"):
        try:
            found = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in found:
            return found
    return raw.decode("utf-8", errors="ignore") if b"\x00" not in raw else ""


def _from_base64(part: str) -> str:
    signs = "".join(part.split()).rstrip("=").replace("-", "+").replace("_", "/")
    signs = signs[: len(signs) - (len(signs) % 4 == 1)]
    try:
        return _said(base64.b64decode(signs + "=" * (-len(signs) % 4)))
    except (binascii.Error, ValueError):
        return ""


def _from_base32(part: str) -> str:
    signs = part.rstrip("=")
    try:
        return _said(base64.b32decode(signs + "=" * (-len(signs) % 8)))
    except (binascii.Error, ValueError):
        return ""


def _from_hex(part: str) -> str:
    signs = _SIGNS.sub("", part)
    return _said(bytes.fromhex(signs[: len(signs) // 2 * 2]))


def _from_percent(part: str) -> str:
    return unquote(part.replace("+", " "), errors="ignore")


def _together(part: str) -> str:
    """Return letters that stand apart as words, where words stand farther apart than letters."""
    return " ".join(re.sub(r"\s", "", word) for word in re.split(r"\s{2,}", part))


def _from_binary(part: str) -> str:
    signs = "".join(part.split())
    whole = len(signs) // 8 * 8
    return _said(bytes(int(signs[at : at + 8], 2) for at in range(0, whole, 8)))
