"""Which identifiers of an answer stood in its prompt: the others are a leak. Pure.

A prompt's identifiers are kept as salted hashes of one form of their values, for one call and no
longer. They are read generously (anything of letters and digits that has a digit, however it is
grouped), since a prompt need not name what an answer then names: "1EG4-TE5-MK73" and "MBI 1EG4 TE5
MK73" are one value, and so are "01/02/1960", "19600102" and "January 2, 1960".
"""

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator

from apps.gateway.guard.detectors.escapes import unescaped
from apps.gateway.guard.detectors.views import PLAIN, View

_WORD = re.compile(r"[a-z0-9]+")
_MAIL = re.compile(r"[a-z0-9][a-z0-9._%+-]{0,63}@[a-z0-9.-]{1,253}")
_MONTH = re.compile(r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}")
_DAY = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MOST_WORDS = 6  # parts of one value: "4111 1111 1111 1111", "+44 20 7946 0958"
_MOST_BETWEEN = 20  # characters between two parts, as many as an identifier may have of dashes
_SIZES = range(4, 1025)  # characters of a value in its one form
_CENTURY = 100


class Known:
    """The identifiers of one call's prompt."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._salt = secrets.token_bytes(16)
        self._hashes = {self._hash(form) for text in texts for form in _forms_in(text)}

    def has(self, value: str) -> bool:
        """Tell whether a value stood in the prompt, in whatever way it is written."""
        return any(self._hash(form) in self._hashes for form in forms(value))

    def _hash(self, form: str) -> bytes:
        return hashlib.blake2b(
            form.encode(errors="replace"), key=self._salt, digest_size=12
        ).digest()


def forms(value: str) -> set[str]:
    """Return the forms that tell whether a value is the same as another."""
    seen = View(unescaped(value), PLAIN).text.lower()
    words = _WORD.findall(seen)
    joined = "".join(words)
    found = {joined, *_dates(words)}
    if joined.isdecimal() and len(joined) == 11 and joined[0] == "1":
        found.add(joined[1:])  # a phone number with its country
    return found


def _forms_in(text: str) -> Iterator[str]:
    for source in dict.fromkeys((text, unescaped(text))):
        seen = View(source, PLAIN).text.lower()
        for mail in _MAIL.finditer(seen):
            yield from _mails(mail.group())
        matches = list(_WORD.finditer(seen))
        for at, first in enumerate(matches):
            yield from _values_at(matches, at, first)


def _mails(found: str) -> Iterator[str]:
    """Yield the forms of an address, and of it with fewer parts at its end: what stands close
    behind it may be taken for one.
    """
    local, _, domain = found.partition("@")
    joined = "".join(_WORD.findall(local))
    for part in _WORD.findall(domain):
        joined += part
        yield joined


def _values_at(matches: list[re.Match[str]], at: int, first: re.Match[str]) -> Iterator[str]:
    """Yield the forms of all values that begin with a word: of it and of those that follow close
    by.
    """
    words: list[str] = []
    size, end, has_digit = 0, first.start(), False
    for match in matches[at : at + _MOST_WORDS]:
        if match.start() - end > _MOST_BETWEEN:
            return
        words.append(match.group())
        size, end = size + len(words[-1]), match.end()
        has_digit = has_digit or any(one.isdecimal() for one in words[-1])
        if size >= _SIZES.stop:
            return
        if has_digit and size in _SIZES:
            joined = "".join(words)
            yield joined
            yield from _dates(words)
            if len(joined) == 11 and joined[0] == "1" and joined.isdecimal():
                yield joined[1:]


def _dates(words: list[str]) -> list[str]:
    """Return the day that three words are, or eight digits, as "60-01-02": both days where it can
    be read in two ways.
    """
    if len(words) == 1 and len(words[0]) == 8 and words[0].isdecimal() and words[0].isascii():
        word = words[0]
        last = _day(word[4:], int(word[:2]), int(word[2:4]))
        return [*_day(word[:4], int(word[4:6]), int(word[6:])), *last]
    words = [one for one in words if one != "of"]
    if len(words) != 3:
        return []
    named = [at for at, one in enumerate(words) if _MONTH.fullmatch(one)]
    if named == [0] or named == [1]:
        month = _MONTHS.index(words[named[0]][:3]) + 1
        day = _DAY.fullmatch(words[1 - named[0]])
        return _day(words[2], month, int(day.group(1))) if day else []
    if named or not all(one.isdecimal() and one.isascii() for one in words):
        return []
    if len(words[0]) == 4:
        return _day(words[0], int(words[1]), int(words[2]))
    first, second = int(words[0]), int(words[1])
    return [*_day(words[2], first, second), *_day(words[2], second, first)]


def _day(year: str, month: int, day: int) -> list[str]:
    if not year.isdecimal() or len(year) not in (2, 4) or not (1 <= month <= 12 and 1 <= day <= 31):
        return []
    return [f"{int(year) % _CENTURY:02}-{month:02}-{day:02}"]
