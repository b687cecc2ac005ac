"""What the stand-in answers: a pure function of the prompt's text.

A prompt that asks for codes gets the codes that are written in its packet, found by pattern; every
other prompt gets a labeled extract of itself. The packet is the part of the last user message
between <packet> tags, or after its last line that begins with "Packet:" (then "Document:", then
"Input:"); without one of these it is the whole message. Codes in instructions and worked examples
before it are therefore not taken for the packet's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

LABEL = "Stand-in answer (no model is loaded): "
EXTRACT_WORDS = 60

_TAGGED = re.compile(r"<packet>(.*?)(?:</packet>|\Z)", re.IGNORECASE | re.DOTALL)
_MARKERS = [
    re.compile(rf"^[ \t#*]*{word}\b[^\n:]{{0,24}}:", re.IGNORECASE | re.MULTILINE)
    for word in ("packet", "document", "input")
]
_ANSWER_CUE = re.compile(
    r"\n[ \t#*]*(answer|json|codes|output|result)\b[^\n]{0,40}:[ "
    r"\t]*\Z",
    re.IGNORECASE,
)
_ASKS_FOR_CODES = re.compile(
    r"diagnosis_codes|procedure_codes|"
    r"\b(extract|list|return|find|give|name|identify|write)\b[^.\n]{0,120}\b(codes?|icd-?10|cpt|hcpcs)\b",
    re.IGNORECASE,
)
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


def answer(messages: Sequence[tuple[str, str]]) -> str:
    """Return the answer to a conversation, given as (role, text) pairs, oldest first."""
    question = next(
        (text for role, text in reversed(messages) if role == "user"),
        messages[-1][1] if messages else "",
    )
    packet = packet_of(question)
    said = " ".join(text for role, text in messages if role != "assistant")
    instructions = said if packet == question.strip() else said.replace(packet, " ")
    if _ASKS_FOR_CODES.search(instructions):
        return json.dumps(codes_in(packet))
    return LABEL + extract(packet)


def packet_of(text: str) -> str:
    """Return the part of a message that is to be read, without the instructions and examples before
    it.
    """
    tagged = _TAGGED.findall(text)
    if tagged:
        return str(tagged[-1]).strip()
    for marker in _MARKERS:
        found = list(marker.finditer(text))
        if found:
            return _ANSWER_CUE.sub("", text[found[-1].end() :].rstrip()).strip()
    return text.strip()


def codes_in(text: str) -> dict[str, list[str]]:
    """Return the ICD-10 and the CPT or HCPCS codes written in a text, each once, in the text's
    order.
    """
    diagnoses = [match.group() for match in _DIAGNOSIS.finditer(text)]
    procedures = [
        match.group()
        for match in _PROCEDURE.finditer(text)
        if not _NOT_A_CODE.search(text[max(0, match.start() - 24) : match.start()])
    ]
    return {
        "diagnosis_codes": list(dict.fromkeys(diagnoses)),
        "procedure_codes": list(dict.fromkeys(procedures)),
    }


def extract(text: str) -> str:
    """Return the text's first sentences, at most sixty words."""
    words = text.split()
    if len(words) <= EXTRACT_WORDS:
        return " ".join(words)
    kept = " ".join(words[:EXTRACT_WORDS])
    sentence_end = max(kept.rfind(mark) for mark in (". ", "! ", "? "))
    return kept[: sentence_end + 1] if sentence_end > len(kept) // 2 else kept + " …"
