"""What a model answered, read by the form that its suite asks for. Pure.

Reading is lenient: a code counts wherever it stands in an answer whose JSON is broken. Whether the
form was kept is a figure of its own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from apps.evals.scoring.codes import parse_codes

# codes: {"diagnosis_codes": [], "procedure_codes": []}
# extraction: {"codes": [], "criteria": {"C1": "met"}, "refusal": ""}
# summary: {"summary": ["One sentence.", …], "codes": [], "refusal": ""}
Form = Literal["codes", "extraction", "summary"]
FORMS: tuple[str, ...] = get_args(Form)
_FENCE = re.compile(r"\A```(?:json)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])|\n+")
_REFUSES = re.compile(
    r"\b(?:cannot|can't|can not|unable to|must not|decline to|won't|will not)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Answer:
    """An answer. is_valid: it is JSON of the form that was asked for, and nothing else.

    codes: normalized, each once; statements: what it claims, sentence by sentence; criteria: the
    criterion's id → what was found; refusal: why it declined, "" where it did not.
    """

    text: str
    is_valid: bool
    codes: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    criteria: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


def read(text: str, form: Form) -> Answer:
    """Return an answer as its form has it."""
    found = _object_of(text)
    if found is None or not _keeps(found, form):
        return _loose(text, form)
    if form == "codes":
        return Answer(text, True, _codes(found["diagnosis_codes"] + found["procedure_codes"]))
    return Answer(
        text,
        True,
        codes=_codes(found["codes"]),
        statements=tuple(one.strip() for one in found.get("summary", ()) if one.strip()),
        criteria={str(name): str(value).lower() for name, value in _criteria(found).items()},
        refusal=str(found["refusal"]).strip(),
    )


def sentences(text: str) -> tuple[str, ...]:
    """Return a text's sentences and lines, without empty ones."""
    return tuple(one.strip() for one in _SENTENCE_END.split(text) if one.strip())


def _object_of(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(_FENCE.sub("", text.strip()).removesuffix("```"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _keeps(found: Mapping[str, Any], form: Form) -> bool:
    """Tell whether an object has the fields of the form, each of its kind."""
    if form == "codes":
        return _are_texts(found.get("diagnosis_codes")) and _are_texts(found.get("procedure_codes"))
    whole = _are_texts(found.get("codes")) and isinstance(found.get("refusal"), str)
    if form == "summary":
        return whole and _are_texts(found.get("summary"))
    return whole and isinstance(found.get("criteria"), dict)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _criteria(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return found.get("criteria", {}) if isinstance(found.get("criteria"), dict) else {}


def _codes(values: list[str]) -> tuple[str, ...]:
    """Return the codes of a list, also where a code comes with its name."""
    return parse_codes("\n".join(values))


def _loose(text: str, form: Form) -> Answer:
    """Return what can be read of an answer that does not keep its form."""
    codes = parse_codes(text)
    told = sentences(text) if form == "summary" else ()
    refusal = text.strip() if not codes and _REFUSES.search(text) else ""
    return Answer(text, False, codes, () if refusal else told, {}, refusal)
