"""Every text of a call, with its place. Pure.

What is not known to be no text counts as text, so that a field that an engine reads and nobody here
has heard of is inspected too: also the names inside tools and schemas, which engines write into the
prompt. Left out are the call's own labels, which reach no prompt, the words of JSON Schema, and the
bytes of pictures and sounds. A place names only words that are known: a key could be anything, and
places are kept where texts must not be.
"""

from dataclasses import dataclass, field
from typing import Any

from apps.gateway.gate import documents, fields, refusals
from apps.gateway.gate.calls import Text
from apps.metering.models import Operation

MOST_TEXTS = 10_000
MOST_VALUES = 20_000  # of lists and objects that could hold text
DEEPEST = 64  # lists and objects in one another
UNKNOWN = "*"  # in the place of a key that could be anything
NAMES = "(names)"  # the place of an object's own keys
# Fields that reach no prompt.
_LABELS = frozenset((
    "cache_salt", "encoding_format", "model", "reasoning_effort", "request_id", "safety_identifier",
    "service_tier", "session_id", "user", "verbosity",
))  # fmt: skip
_STEPS = fields.NAMES | frozenset((
    "additionalProperties", "allOf", "anyOf", "arguments", "audio_url", "choice", "const",
    "content", "data", "default", "definitions", "description", "detail", "enum", "examples",
    "format", "function", "grammar", "id", "image_url", "input_audio", "items", "json",
    "json_schema", "name", "oneOf", "parameters", "pattern", "properties", "reasoning",
    "reasoning_content", "refusal", "regex", "required", "schema", "strict", "text", "title",
    "tool_call_id", "url", "video_url",
))  # fmt: skip
_SCHEMA_WORDS = frozenset((
    "array", "boolean", "function", "integer", "json_object", "json_schema", "null", "number",
    "object", "string", "text",
))  # fmt: skip
_MESSAGE_LABELS = ("role",)  # checked to be one of a few
_PART_LABELS = ("type",)  # so is this


@dataclass
class Texts:
    """What was found in a body. has_media: pictures, sounds or films; has_tokens: tokens in the
    place of text; prompts: how many there are to be answered, each by itself.
    """

    found: list[Text] = field(default_factory=list)
    has_media: bool = False
    has_tokens: bool = False
    prompts: int = 1
    seen: int = 0

    def see(self, values: int) -> None:
        """Count values that were looked at. Raises Refusal beyond the most there may be."""
        self.seen += values
        if self.seen > MOST_VALUES:
            raise documents.too_many_parts()

    def add(self, where: str, role: str, text: str) -> None:
        """Keep one text, unless it is empty. Raises Refusal beyond the most there may be."""
        if not text:
            return
        if len(self.found) >= MOST_TEXTS:
            raise documents.too_many_parts()
        self.found.append(Text(where, role, text))


def texts_of(operation: str, body: dict[str, Any]) -> Texts:
    """Return every text of a body whose fields were checked. Raises Refusal where there are too
    many, or something is nested too deeply.
    """
    texts = Texts()
    texts.see(len(body))
    for key, value in body.items():
        if key in _LABELS or value is None or fields.has_no_text(operation, key):
            continue
        if key == "messages" and operation == Operation.CHAT:
            _read_messages(value, texts)
        elif key in ("prompt", "input") and isinstance(value, list):
            _read_prompts(key, value, texts)
        else:
            _walk(value, key if key in _STEPS else UNKNOWN, "", texts, 1)
    _add_names(body, "", "", texts)
    return texts


def _read_messages(messages: list[dict[str, Any]], texts: Texts) -> None:
    texts.see(len(messages))
    for index, message in enumerate(messages):
        where, role = f"messages[{index}]", message["role"]
        for key, value in message.items():
            place = f"{where}.{key if key in _STEPS else UNKNOWN}"
            if key == "content" and isinstance(value, list):
                _read_parts(value, place, role, texts)
            elif key == "content" and value:
                texts.add(place, role, value)
            elif key not in _MESSAGE_LABELS:
                _walk(value, place, role, texts, 3)
        _add_names(message, where, role, texts)


def _read_parts(parts: list[dict[str, Any]], where: str, role: str, texts: Texts) -> None:
    for index, part in enumerate(parts):
        place = f"{where}[{index}]"
        is_media = part["type"] not in fields.WRITTEN_PARTS
        texts.has_media |= is_media
        for key, value in part.items():
            if key not in _PART_LABELS:
                held = _without_bytes(value) if is_media else value
                _walk(held, f"{place}.{key if key in _STEPS else UNKNOWN}", role, texts, 5)
        _add_names(part, place, role, texts)


def _without_bytes(value: Any) -> Any:
    """Return what a part says of its picture or sound, without the bytes of it."""
    if isinstance(value, dict):
        return {key: held for key, held in value.items() if not _is_bytes(key, held)}
    return None if _is_bytes("", value) else value


def _is_bytes(key: str, value: Any) -> bool:
    return key == "data" or (isinstance(value, str) and value.startswith("data:"))


def _read_prompts(name: str, prompts: list[Any], texts: Texts) -> None:
    """Read several prompts: texts, or tokens, which are one prompt (whole numbers) or several
    (lists of them).
    """
    if all(isinstance(prompt, str) for prompt in prompts):
        texts.prompts = len(prompts)
        for index, prompt in enumerate(prompts):
            texts.add(f"{name}[{index}]", "", prompt)
        return
    texts.has_tokens = True
    if fields.WHOLES.fits(prompts):
        return
    if not all(fields.WHOLES.fits(prompt) for prompt in prompts):
        raise refusals.field_invalid(name, fields.TEXT_OR_LIST.words)
    texts.prompts = len(prompts)


def _walk(value: Any, where: str, role: str, texts: Texts, depth: int) -> None:
    if isinstance(value, str):
        if value not in _SCHEMA_WORDS:
            texts.add(where, role, value)
        return
    if not isinstance(value, dict | list):
        return
    if depth > DEEPEST:
        raise documents.nested_too_deeply()
    texts.see(len(value))
    if isinstance(value, list):
        for index, held in enumerate(value):
            _walk(held, f"{where}[{index}]", role, texts, depth + 1)
        return
    for key, held in value.items():
        step = key if key in _STEPS else UNKNOWN
        _walk(held, f"{where}.{step}", role, texts, depth + 1)
    _add_names(value, where, role, texts)


def _add_names(held: dict[str, Any], where: str, role: str, texts: Texts) -> None:
    """Add an object's unknown keys, as one text."""
    unknown = [key for key in held if key not in _STEPS and key not in _LABELS]
    if unknown:
        texts.add(f"{where} {NAMES}".lstrip(), role, "\n".join(unknown))
