"""Finds what looks like data of a real member, so that no suite holds any. Pure.

What was found is named by its kind and place, never repeated: the answer to an upload goes where
the data must not.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LETTER = "[AC-HJKMNP-RT-Y]"
_EITHER = "[AC-HJKMNP-RT-Y0-9]"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
KINDS = {
    "a Social Security number": re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    "a Medicare beneficiary identifier": re.compile(
        rf"(?<!\w)[1-9]{_LETTER}{_EITHER}\d-?{_LETTER}{_EITHER}\d-?{_LETTER}{{2}}\d\d(?!\w)"
    ),
    "a phone number": re.compile(
        r"(?<![\w.-])(?:\+?1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-. ])\d{3}[-. ]\d{4}(?![\w-])"
    ),
    "a date of birth": re.compile(
        r"\b(?:DOB|D\.O\.B\.|date of birth|birth ?date|born)(?: on| is|:|\s){0,6}"
        rf"(?:\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}|{_MONTH}\.? \d{{1,2}},? \d{{4}}|"
        rf"\d{{1,2}} {_MONTH} \d{{4}})",
        re.IGNORECASE,
    ),
    "an e-mail address": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"),
    "a medical record number": re.compile(r"\bMRN\b[\s:#]{0,5}[A-Z]{0,6}-?\d{4,20}", re.IGNORECASE),
    "a member id": re.compile(
        r"\b(?:member|subscriber|policy) ?(?:id|no\.?|number)[\s:#]{0,5}(?!SYN-)"
        r"[A-Z-]{0,8}\d{4,20}",
        re.IGNORECASE,
    ),
}


@dataclass(frozen=True)
class Found:
    """What looks like member data. line, column: of the text that it stands in, from 1."""

    kind: str
    line: int
    column: int


def find(text: str) -> Iterator[Found]:
    """Yield what looks like member data in a text."""
    for kind, pattern in KINDS.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Found(kind, line, match.start() - text.rfind("\n", 0, match.start()))
