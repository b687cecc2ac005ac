"""What is kept of a span: the one list of what may be known of it. Pure.

All else that a program says of its span is dropped: an address with its query, a statement, an
exception's text, whatever a later release of a library adds. A fact that is text must look like a
name, for a name that a caller made up may be a sentence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

# how programs name what is kept -> the name it is kept by, whole numbers or decimals
NUMBERS = {
    "http.status_code": "status",
    "http.response.status_code": "status",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.prompt_tokens": "input_tokens",
    "gen_ai.usage.cached_input_tokens": "cached_input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.completion_tokens": "output_tokens",
    "gen_ai.latency.time_in_queue": "queue_seconds",
    "gen_ai.latency.time_to_first_token": "first_token_seconds",
    "gen_ai.latency.time_in_model_prefill": "prefill_seconds",
    "gen_ai.latency.time_in_model_decode": "decode_seconds",
    "gen_ai.latency.ttft_ms": "first_token_ms",
    "quartermaster.retries": "retries",
}
# and those that are a name
NAMES = {
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "answered_by",
    "upstream_cluster": "cluster",
    "response_flags": "flags",
    "quartermaster.verdict": "verdict",
    "quartermaster.basis": "basis",
    "quartermaster.stand_in": "stand_in",
    "celery.task_name": "task",
    "celery.state": "state",
    "http.route": "route",
    "db.system": "database",
    "db.system.name": "database",
    "error.type": "error",
}
# which attribute tells whose request a span is of; the first that is one
REQUEST_IDS = ("quartermaster.request_id", "guid:x-request-id", "gen_ai.request.id")
_NAME = re.compile(r"[\w.:/<>@{}\-]{1,120}")
_TITLE = re.compile(r"[\w.:/<>@{}*()\[\]' \-]{1,120}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST = 10**15  # no honest figure is larger
UNNAMED = "(no name)"


@dataclass(frozen=True)
class Known:
    """What is kept of a span's attributes. request_id: None where none is told."""

    request_id: UUID | None
    facts: dict[str, str | int | float]


def known_of(attributes: Mapping[str, object]) -> Known:
    """Return what is kept of a span's attributes."""
    found: dict[str, str | int | float] = {}
    for key, value in attributes.items():
        if (name := NUMBERS.get(key)) and (number := _number(value)) is not None:
            found[name] = number
        elif (name := NAMES.get(key)) and (text := _text(value)):
            found[name] = text
    ids = (_request_id(attributes.get(key)) for key in REQUEST_IDS)
    return Known(next((one for one in ids if one), None), found)


def leaving(attributes: Mapping[str, object]) -> dict[str, str | int | float]:
    """Return what of a span's attributes may leave the portal's own processes, by the same names:
    what would be kept of them, and nothing else.
    """
    found: dict[str, str | int | float] = {}
    for key, value in attributes.items():
        if key in REQUEST_IDS and (one := _request_id(value)):
            found[key] = str(one)
        elif key in NUMBERS and (number := _number(value)) is not None:
            found[key] = number
        elif key in NAMES and (text := _text(value)):
            found[key] = text
    return found


def title(name: object) -> str:
    """Return a span's or service's name, as far as it is one."""
    text = name if isinstance(name, str) else ""
    return text if _TITLE.fullmatch(text) else UNNAMED


def _number(value: object) -> int | float | None:
    """Return a number that is not below 0; Envoy tells all of them as text."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", value):
            return None
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < MOST else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    text = value if isinstance(value, str) else ""
    return text if text != "-" and _NAME.fullmatch(text) else ""


def _request_id(value: object) -> UUID | None:
    """Return the id at the end of a text: engines put the kind of call before it."""
    found = _UUID.search(value) if isinstance(value, str) and len(value) < 100 else None
    return UUID(found[0]) if found else None
