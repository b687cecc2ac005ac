"""ICD-10-CM, CPT and HCPCS codes in free text: read leniently, compared in one form. Pure."""

import re
from collections.abc import Iterator

from apps.evals.packets.packet import System

_CANDIDATE = re.compile(
    r"(?<![A-Za-z0-9.])(?:[A-TV-Za-tv-z]\d[0-9A-Za-z](?:\.?[0-9A-Za-z]{1,4})?|\d{5})(?![A-Za-z0-9])"
)
_DIAGNOSIS = re.compile(r"[A-TV-Z]\d[0-9AB](?:\.[0-9A-Z]{1,4})?")
_CPT = re.compile(r"\d{5}")
_HCPCS = re.compile(r"[A-V]\d{4}")


def parse_codes(answer: str) -> tuple[str, ...]:
    """Return the ICD-10, CPT and HCPCS codes in an answer, normalized, each once, in their
    order.
    """
    return tuple(dict.fromkeys(code for code, _, _ in mentions(answer)))


def mentions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each code that stands in a text, normalized, with where it begins and ends."""
    for match in _CANDIDATE.finditer(text):
        if code := normalized(match.group()):
            yield code, match.start(), match.end()


def normalized(code: str) -> str:
    """Return a code in the way it is compared (upper case, ICD-10 with its dot); "" when it is
    none.

    A letter and four digits is HCPCS; other ICD-10 codes may come without their dot.
    """
    code = code.strip().upper()
    if _CPT.fullmatch(code) or _HCPCS.fullmatch(code):
        return code
    if len(code) > 3 and "." not in code:
        code = f"{code[:3]}.{code[3:]}"
    return code if _DIAGNOSIS.fullmatch(code) else ""


def system_of(code: str) -> System:
    """Return which code system a normalized code belongs to."""
    if _CPT.fullmatch(code):
        return "CPT"
    return "HCPCS" if _HCPCS.fullmatch(code) else "ICD-10-CM"
