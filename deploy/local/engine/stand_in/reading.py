"""The codes that stand in a text, by their shape, as the stand-in finds them."""

from __future__ import annotations

import re

_DIAGNOSIS = re.compile(r"(?<![\w.])[A-TV-Z][0-9][0-9AB](?:\.[0-9A-TV-Z]{1,4})?(?![\w]|\.\d)")
_PROCEDURE = re.compile(
    r"(?<![\w$#.,/:-])(?:\d{5}|\d{4}[FTU]|[A-CEGHJ-MP-V]\d{4})(?![\w]|[-/.,:]\d)"
)
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    "OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
# Five digits after one of these are a place or a number of something, not a procedure.
_NOT_A_CODE = re.compile(
    rf"(?:\b(?:{_STATES})|(?i:\b(?:zip(?: "
    rf"code)?|id|mrn|npi|no|number|acct|account|suite|box|phone|fax|ref|case|claim|"
    r"order|room|extension|ext)))[\s:.#]*$"
)


def codes_in(text: str) -> dict[str, list[str]]:
    """Return the ICD-10 and the CPT or HCPCS codes written in a text, each once, in the text's
    order.
    """
    found = codes_of(text)
    return {
        "diagnosis_codes": [code for code in found if is_code_of_diagnosis(code)],
        "procedure_codes": [code for code in found if not is_code_of_diagnosis(code)],
    }


def codes_of(text: str) -> list[str]:
    """Return the codes written in a text, each once, in the text's order."""
    found = [(match.start(), match.group()) for match in _DIAGNOSIS.finditer(text)]
    found += [
        (match.start(), match.group())
        for match in _PROCEDURE.finditer(text)
        if not _NOT_A_CODE.search(text[max(0, match.start() - 24) : match.start()])
    ]
    return list(dict.fromkeys(code for _, code in sorted(found)))


def is_code_of_diagnosis(code: str) -> bool:
    """Tell whether a code is one of ICD-10, and not of a procedure."""
    return _DIAGNOSIS.fullmatch(code) is not None
