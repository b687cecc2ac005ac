r"""Texts as a page or a program would show them: JSON's escapes, percent signs and character
references read, tags left out. Pure.

What a tool returns is often JSON within a string, or a page: "SSN\n219-45-6789" with a backslash,
"<td>Member ID</td>". Each character that is read stands where its escape began, and nothing that is
seen behind it, so that every place stays where it is.
"""

import html
import re
from urllib.parse import unquote

FILLER = "\u2064"  # a character that nobody sees, and few write
_ESCAPE = re.compile(
    r"\\{1,8}(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([nrtbf\"'/]))"
)
_SHORT = {"n": "\n", "r": "\n", "t": "\t", "b": " ", "f": "\n"}
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}){1,64}")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});?")
_COMMENT = re.compile(r"<!--[^<>]{0,300}-->")
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]{0,30})[^<>]{0,300}>")
# tags that stand within a word and leave it one; any other ends it
_WITHIN = frozenset((
    "a", "abbr", "b", "bdi", "bdo", "big", "code", "del", "em", "font", "i", "ins", "mark", "q",
    "s", "small", "span", "strong", "sub", "sup", "tt", "u", "wbr",
))  # fmt: skip


def unescaped(text: str, *, tags: bool = True) -> str:
    """Return a text as it would be shown, of the same length; the text itself where nothing in it
    is escaped. tags: leave out those of a page.
    """
    found = text
    if tags and "<" in found:
        found = _TAG.sub(_tag, _COMMENT.sub(_nothing, found))
    if "&" in found:
        found = _REFERENCE.sub(lambda each: _filled(html.unescape(each[0]), each[0]), found)
    if "%" in found:
        found = _PERCENT.sub(
            lambda each: _filled(unquote(each[0], errors="ignore"), each[0]), found
        )
    if "\\" in found:
        found = _ESCAPE.sub(lambda each: _filled(character(each), each[0]), found)
    return found


def past_escape(text: str, end: int) -> int:
    """Return where the escape ends whose character stands before a place of a text as it is shown;
    the place itself where it was no escape.
    """
    while end < len(text) and text[end] == FILLER:
        end += 1
    return end


def escapes_read(part: str) -> str:
    """Return what the escapes of a part say, without what stands between them."""
    return "".join(character(each) for each in _ESCAPE.finditer(part))


def character(escape: re.Match[str]) -> str:
    """Return what an escape stands for; "" for no character."""
    if escape[4]:
        return _SHORT.get(escape[4], escape[4])
    point = int(escape[1] or escape[2] or escape[3], 16)
    return chr(point) if point < 0x110000 and not 0xD800 <= point < 0xE000 else ""


def _filled(read: str, written: str) -> str:
    return read[: len(written)] + FILLER * (len(written) - len(read))


def _tag(tag: re.Match[str]) -> str:
    return _filled("" if tag[1].lower() in _WITHIN else " ", tag[0])


def _nothing(part: re.Match[str]) -> str:
    return FILLER * len(part[0])
