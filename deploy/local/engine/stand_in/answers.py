"""What the stand-in answers: a pure function of the prompt's text and the served model's name.

A prompt that asks for codes gets codes that are written in its packet, found by pattern, and one
that asks for the JSON of an evaluation suite gets that; both are sometimes wrong (packets.py).
Every other prompt gets a labeled extract of itself. The packet is the part of the last user message
between <packet> tags, or after its last line that begins with "Packet:" (then "Document:", then
"Input:"); without one of these it is the whole message. Codes in instructions and worked examples
before it are therefore not taken for the packet's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deploy.local.engine.stand_in import packets

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
_ASKS_FOR_SUMMARY = re.compile(r'"summary": \[')
_ASKS_FOR_CRITERIA = re.compile(r'"criteria": \{')


def answer(messages: Sequence[tuple[str, str]], model: str = "") -> str:
    """Return the answer to a conversation, given as (role, text) pairs, oldest first. model: the
    name it is served by; "" for one that makes no slips.
    """
    question = next(
        (text for role, text in reversed(messages) if role == "user"),
        messages[-1][1] if messages else "",
    )
    packet = packet_of(question)
    said = " ".join(text for role, text in messages if role != "assistant")
    instructions = said if packet == question.strip() else said.replace(packet, " ")
    if _ASKS_FOR_SUMMARY.search(instructions):
        return packets.summary(packet, model)
    if _ASKS_FOR_CRITERIA.search(instructions):
        return packets.extraction(packet, instructions, model)
    if _ASKS_FOR_CODES.search(instructions):
        return packets.codes(packet, model)
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


def extract(text: str) -> str:
    """Return the text's first sentences, at most sixty words."""
    words = text.split()
    if len(words) <= EXTRACT_WORDS:
        return " ".join(words)
    kept = " ".join(words[:EXTRACT_WORDS])
    sentence_end = max(kept.rfind(mark) for mark in (". ", "! ", "? "))
    return kept[: sentence_end + 1] if sentence_end > len(kept) // 2 else kept + " …"
