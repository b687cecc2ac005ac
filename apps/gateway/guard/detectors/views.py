"""Texts as a reader sees them, whatever characters they are made of: without what is invisible, and
with one letter for all that look like it. Pure.

A view is made character by character, so that each place in it leads back to the text it came from.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

_KEPT_CHARACTERS = 70_000  # a table forgets nothing, so a text of all characters must not fill it
_LOOKALIKES = dict(
    zip(
        "аеорсухіјѕԁɡһӏոսԛԝьᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢαβεικνορτυχηωγıſøłđħаАВЕКМНОРСТХІЈЅҮΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "aeopcyxijsdghlnuqwbabcdefghijklmnoprstuvwyzabeikvoptuxnwyisoldhaabekmhopctxijsyabezhikmnoptyx",
        strict=True,
    )
)
_PUNCTUATION = {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2044": "/"}
_LEET = dict(zip("013457@$!|l€£", "oieastasiiiel", strict=True))  # 1, l, ! and | are one letter
_TAGS, _INDICATORS = 0xE0000, 0x1F1E6  # ASCII that nobody sees; letters of flags
_WHITE_ON_BLACK = (0x1F150, 0x1F170)  # letters in discs and in squares, which have no other form
_UNSEEN = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5"  # letters by their kind, but blank
SENTENCE_ENDS, SENTENCE_END = ".!?;", "."


def plain_character(character: str) -> str:
    """Return a character as a reader takes it, in ASCII where there is such a one; "" for one that
    is not seen. Case stays.
    """
    point = ord(character)
    if point < 128:
        return character if point >= 32 or character in "\t\n\r" else ""
    if _TAGS + 32 <= point < _TAGS + 127:
        return chr(point - _TAGS)
    if _INDICATORS <= point < _INDICATORS + 26:
        return chr(ord("a") + point - _INDICATORS)
    for first in _WHITE_ON_BLACK:
        if first <= point < first + 26:
            return chr(ord("a") + point - first)
    kind = unicodedata.category(character)
    if kind in ("Cf", "Mn", "Me", "Cc", "Co", "Cn") or character in _UNSEEN:
        return ""
    if kind == "Cs":
        return "?"
    if kind in ("Zs", "Zl", "Zp"):
        return " "
    if kind == "Pd":
        return "-"
    folded = unicodedata.normalize("NFKD", _PUNCTUATION.get(character, character))
    seen = (one for one in folded if unicodedata.category(one) not in ("Mn", "Me", "Cf"))
    return "".join(_LOOKALIKES.get(one, one) for one in seen)


def _word_characters(character: str) -> str:
    plain = plain_character(character).lower()
    return "".join(
        one if one.isalnum() else SENTENCE_END if one in SENTENCE_ENDS else " " for one in plain
    )


def _squeezed_characters(character: str) -> str:
    return "".join(one for one in _word_characters(character) if one.isalnum())


def _leet_characters(character: str) -> str:
    plain = plain_character(character).lower()
    read = (_LEET.get(one, one) for one in plain)
    return "".join(one if one.isalnum() else " " for one in read)


class Table(dict[int, str | None]):
    """What each character becomes, found out when it is first met. None: it goes."""

    def __init__(self, of: Callable[[str], str]) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, point: int) -> str | None:
        made = self._of(chr(point)) or None
        if len(self) < _KEPT_CHARACTERS:
            self[point] = made
        return made


PLAIN = Table(plain_character)
WORDS = Table(_word_characters)  # lower case, a blank between words, a point where a sentence ends
SQUEEZED = Table(_squeezed_characters)  # letters and digits alone
LEET = Table(_leet_characters)  # words whose digits and signs are read as letters


@dataclass(frozen=True)
class View:
    """A text as a table makes it."""

    source: str
    table: Table

    @cached_property
    def text(self) -> str:
        """Return the text as it is looked at."""
        if self.table is PLAIN and self.source.isascii() and self.source.isprintable():
            return self.source
        return self.source.translate(self.table)

    @cached_property
    def _origins(self) -> list[int]:
        found: list[int] = []
        for at, character in enumerate(self.source):
            found.extend([at] * len(self.table[ord(character)] or ""))
        return found

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the source a part of the view stands. start < end."""
        if len(self.text) == len(self.source) and self.source.isascii():
            return start, end
        origins = self._origins
        return origins[start], origins[end - 1] + 1
