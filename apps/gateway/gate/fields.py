"""What each field of a call must be, and which no caller may send. Pure.

This is the product's own rule: the gate refuses what the programs behind it may read in different
ways, such as a `stream` of "true", which one takes for a stream and another does not. The local
stack has a table like it (deploy/local/gateway/bodies.py), which is not this rule: it plays what a
vendor's gateway refuses, and the product must hold without it. null is a field that is not there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.gateway.gate import refusals
from apps.metering.models import Operation

WRITING = (Operation.CHAT, Operation.COMPLETION)  # whose answers are written token by token
ROLES = ("user", "assistant", "system", "developer", "tool")
PARTS = (  # what a message's content may be made of; all but the first two are no text
    "text", "refusal", "image_url", "audio_url", "input_audio", "video_url",
)  # fmt: skip
WRITTEN_PARTS = PARTS[:2]
_LINKED_PARTS = ("image_url", "audio_url", "video_url")  # engines fetch what these lead to
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Kind:
    """What a field must be, in words, and whether a value is."""

    words: str
    fits: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return type(value) is int and _SMALLEST <= value <= _LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_numbers(value: Any) -> bool:
    return _is_object(value) and all(map(_is_number, value.values()))


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("a string", _is_text)
WHOLE = Kind("a whole number", _is_whole)
NUMBER = Kind("a number", _is_number)
OBJECT = Kind("an object", _is_object)
OBJECTS = Kind("an array of objects", _is_list_of(_is_object))
TEXTS = Kind("an array of strings", _is_list_of(_is_text))
WHOLES = Kind("an array of whole numbers", _is_list_of(_is_whole))
NUMBERS = Kind("an object of numbers", _is_numbers)
TEXT_OR_TEXTS = Kind(
    "a string or an array of strings", lambda value: _is_text(value) or TEXTS.fits(value)
)
TEXT_OR_OBJECT = Kind("a string or an object", lambda value: _is_text(value) or _is_object(value))
TEXT_OR_LIST = Kind(
    "a string, an array of strings or tokens", lambda value: isinstance(value, str | list)
)
CONTENT = Kind("a string or an array of parts", lambda value: isinstance(value, str | list))

_WITHOUT_TEXT = (FLAG, WHOLE, NUMBER, WHOLES, NUMBERS)
_EVERY: dict[str, Kind] = {"model": TEXT, "priority": WHOLE, "stream": FLAG, "user": TEXT}
_GENERATING = _EVERY | {
    "add_special_tokens": FLAG,
    "allowed_token_ids": WHOLES,
    "bad_words": TEXTS,
    "best_of": WHOLE,
    "echo": FLAG,
    "frequency_penalty": NUMBER,
    "ignore_eos": FLAG,
    "include_stop_str_in_output": FLAG,
    "length_penalty": NUMBER,
    "logit_bias": NUMBERS,
    "max_tokens": WHOLE,
    "min_p": NUMBER,
    "min_tokens": WHOLE,
    "n": WHOLE,
    "presence_penalty": NUMBER,
    "prompt_logprobs": WHOLE,
    "repetition_penalty": NUMBER,
    "response_format": OBJECT,
    "seed": WHOLE,
    "skip_special_tokens": FLAG,
    "stop": TEXT_OR_TEXTS,
    "stop_token_ids": WHOLES,
    "stream_interval": WHOLE,
    "stream_options": OBJECT,
    "structured_outputs": OBJECT,
    "temperature": NUMBER,
    "thinking_token_budget": WHOLE,
    "top_k": WHOLE,
    "top_p": NUMBER,
    "truncate_prompt_tokens": WHOLE,
    "use_beam_search": FLAG,
}
_OF: dict[str, dict[str, Kind]] = {
    Operation.CHAT: _GENERATING
    | {
        "add_generation_prompt": FLAG,
        "audio": OBJECT,
        "chat_template_kwargs": OBJECT,
        "continue_final_message": FLAG,
        "documents": OBJECTS,
        "include_reasoning": FLAG,
        "logprobs": FLAG,
        "max_completion_tokens": WHOLE,
        "messages": OBJECTS,
        "modalities": TEXTS,
        "parallel_tool_calls": FLAG,
        "prediction": OBJECT,
        "reasoning_effort": TEXT,
        "service_tier": TEXT,
        "thinking": OBJECT,
        "tool_choice": TEXT_OR_OBJECT,
        "tools": OBJECTS,
        "top_logprobs": WHOLE,
        "verbosity": TEXT,
        "web_search_options": OBJECT,
    },
    Operation.COMPLETION: _GENERATING | {"logprobs": WHOLE, "prompt": TEXT_OR_LIST, "suffix": TEXT},
    Operation.EMBEDDING: _EVERY
    | {
        "dimensions": WHOLE,
        "encoding_format": TEXT,
        "input": TEXT_OR_LIST,
        "truncate_prompt_tokens": WHOLE,
    },
    Operation.RERANK: _EVERY
    | {
        "documents": TEXTS,
        "max_tokens_per_doc": WHOLE,
        "query": TEXT,
        "top_n": WHOLE,
        "truncate_prompt_tokens": WHOLE,
    },
}
_NEEDED: dict[str, tuple[str, ...]] = {
    Operation.CHAT: ("messages",),
    Operation.COMPLETION: ("prompt",),
    Operation.EMBEDDING: ("input",),
    Operation.RERANK: ("query", "documents"),
}
CONTINUOUS = ("include_usage", "continuous_usage_stats")
_STREAM_OPTIONS = dict.fromkeys(CONTINUOUS, FLAG)
_MESSAGE = {"content": CONTENT, "name": TEXT, "tool_calls": OBJECTS, "tool_call_id": TEXT}
# Why no caller may send a field, whatever it holds.
_NOBODYS = {
    "chat_template": "It would replace the frame that the model was approved with.",
    "ec_transfer_params": "It tells an engine where to fetch what another one computed.",
    "kv_transfer_params": "It tells an engine where to fetch what another one computed.",
    "prompt_embeds": "It holds vectors in the place of text, which no rule can read.",
    "return_token_ids": "The answer would hold tokens beside its text, which no rule can read.",
    "return_tokens_as_token_ids": "The answer would hold tokens, which no rule can read.",
    "vllm_xargs": "It reaches what extends an engine, and says there what no caller may say here.",
}
NAMES = frozenset().union(*_OF.values(), _STREAM_OPTIONS, _MESSAGE, _NOBODYS, ("role", "type"))


def has_no_text(operation: str, name: str) -> bool:
    """Tell whether a field, once checked, can hold nothing but numbers, and true or false."""
    return _OF[operation].get(name) in _WITHOUT_TEXT


def check(operation: str, body: Mapping[str, Any]) -> None:
    """Refuse a field of another type, one that is missing, and one that no caller may send."""
    kinds = _OF[operation]
    _check_spelling(body)
    for name, why in _NOBODYS.items():
        if (value := body.get(name)) is not None and value is not False:
            raise refusals.not_supported(name, why)
    _check_kinds(body, kinds)
    for name in _NEEDED[operation]:
        if not body.get(name):
            raise refusals.field_invalid(name, f"{kinds[name].words}, and not be empty")
    if operation not in WRITING and body.get("stream"):
        raise refusals.field_invalid("stream", "left out, for these answers come whole")
    if operation == Operation.EMBEDDING and body.get("messages") is not None:
        # engines embed a chat too, and of the two some would take this one, with its pictures
        raise refusals.not_supported("messages", "What is embedded is the input.")
    if operation in WRITING:
        options = body.get("stream_options") or {}
        _check_spelling(options)
        _check_kinds(options, _STREAM_OPTIONS, "stream_options.")
    if operation == Operation.CHAT:
        for index, message in enumerate(body["messages"]):
            _check_message(message, f"messages[{index}].")


def _check_spelling(body: Mapping[str, Any]) -> None:
    """Refuse a known name in other letters: some programs read "Stream" as stream, others do
    not.
    """
    for name in body:
        if name not in NAMES and (folded := name.casefold()) in NAMES:
            raise refusals.malformed(
                f"The field {folded} is written in other letters.",
                f"Write it as {folded}.",
                "field_invalid",
            )


def _check_kinds(body: Mapping[str, Any], kinds: Mapping[str, Kind], where: str = "") -> None:
    for name, value in body.items():
        kind = kinds.get(name)
        if kind is not None and value is not None and not kind.fits(value):
            raise refusals.field_invalid(where + name, kind.words)


def _check_message(message: Mapping[str, Any], where: str) -> None:
    if message.get("role") not in ROLES:
        raise refusals.field_invalid(f"{where}role", f"{', '.join(ROLES[:-1])} or {ROLES[-1]}")
    _check_spelling(message)
    _check_kinds(message, _MESSAGE, where)
    content = message.get("content")
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(part, f"{where}content[{index}]")


def _check_part(part: Any, where: str) -> None:
    if not isinstance(part, dict):
        raise refusals.field_invalid(where, "an object with a type")
    kind = part.get("type")
    if kind not in PARTS:
        raise refusals.field_invalid(f"{where}.type", f"{', '.join(PARTS[:-1])} or {PARTS[-1]}")
    if kind in WRITTEN_PARTS and not isinstance(part.get(kind), str):
        raise refusals.field_invalid(f"{where}.{kind}", TEXT.words)
    if part.get("uuid") is not None:
        raise refusals.not_supported(
            f"{where}.uuid",
            "Engines then read another field than the part's type says, or what another call left.",
        )
    if kind in _LINKED_PARTS:
        _check_link(part.get(kind), f"{where}.{kind}")


def _check_link(link: Any, where: str) -> None:
    """Refuse a picture, sound or film that is not in the body itself: an engine would fetch it from
    wherever a caller says, within the cluster too, and no rule would see what came.
    """
    if isinstance(link, dict):
        _check_spelling(link)
        link, where = link.get("url"), f"{where}.url"
    if not isinstance(link, str) or not link.startswith("data:"):
        raise refusals.field_invalid(where, "a data: URI, for engines fetch nothing from elsewhere")
