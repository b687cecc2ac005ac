"""What Envoy AI Gateway makes of a call's body: the fields that it reads, with the types they must
have. Pure.

The real one reads a body into Go structs, and answers 400 where a field has another type, before it
asks an engine: a `stream` of "true" is no stream to it. An engine may be more forgiving, and would
then answer in a way whose usage nobody reads. A field that the gateway does not know is the
engine's to judge; null is the same as a field that is not there.

The gate has a table like it (apps/gateway/gate/fields.py). That one is the product's rule, and must
hold whatever stands in front of it; this one plays what a vendor's program does, and knows no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RERANK = "/cohere/v2/rerank"
SERVED = (CHAT, COMPLETIONS, EMBEDDINGS, RERANK)
ROLES = ("user", "assistant", "system", "developer", "tool")
_HIGHEST = 2**63

Check = tuple[str, Callable[[Any], bool]]  # what it must be, in words, and whether it is


class BadCall(Exception):
    """The call cannot be routed. code: for programs; the message is for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _is_whole(value: Any) -> bool:
    return type(value) is int and -_HIGHEST <= value < _HIGHEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(one is None or _is_text(one) for one in value)


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(one is None or _is_whole(one) for one in value.values())


FLAG: Check = ("true or false", lambda value: isinstance(value, bool))
TEXT: Check = ("a string", _is_text)
WHOLE: Check = ("a whole number", _is_whole)
NUMBER: Check = ("a number", _is_number)
OBJECT: Check = ("an object", lambda value: isinstance(value, dict))
OBJECTS: Check = (
    "an array of objects",
    lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
)
TEXTS: Check = ("an array of strings", _is_texts)
COUNTS: Check = ("an object of whole numbers", _is_counts)
TEXT_OR_TEXTS: Check = (
    "a string or an array of strings",
    lambda value: _is_text(value) or _is_texts(value),
)
TEXT_OR_OBJECT: Check = (
    "a string or an object",
    lambda value: isinstance(value, str | dict),
)
TEXT_OR_PARTS: Check = (
    "a string or an array",
    lambda value: isinstance(value, str | list),
)

_SAMPLING: dict[str, Check] = {
    "frequency_penalty": NUMBER,
    "logit_bias": COUNTS,
    "max_tokens": WHOLE,
    "n": WHOLE,
    "presence_penalty": NUMBER,
    "seed": WHOLE,
    "stop": TEXT_OR_TEXTS,
    "stream": FLAG,
    "stream_options": OBJECT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "user": TEXT,
}
FIELDS: dict[str, dict[str, Check]] = {
    CHAT: _SAMPLING
    | {
        "audio": OBJECT,
        "guided_choice": TEXTS,
        "guided_regex": TEXT,
        "logprobs": FLAG,
        "max_completion_tokens": WHOLE,
        "messages": OBJECTS,
        "modalities": TEXTS,
        "parallel_tool_calls": FLAG,
        "prediction": OBJECT,
        "reasoning_effort": TEXT,
        "response_format": OBJECT,
        "service_tier": TEXT,
        "structured_outputs": OBJECT,
        "thinking": OBJECT,
        "tool_choice": TEXT_OR_OBJECT,
        "tools": OBJECTS,
        "top_logprobs": WHOLE,
        "verbosity": TEXT,
        "web_search_options": OBJECT,
    },
    COMPLETIONS: _SAMPLING
    | {
        "best_of": WHOLE,
        "echo": FLAG,
        "logprobs": WHOLE,
        "prompt": TEXT_OR_PARTS,
        "suffix": TEXT,
    },
    EMBEDDINGS: {
        "dimensions": WHOLE,
        "encoding_format": TEXT,
        "user": TEXT,
    },
    RERANK: {
        "documents": TEXTS,
        "max_tokens_per_doc": WHOLE,
        "query": TEXT,
        "top_n": WHOLE,
    },
}
STREAM_OPTIONS: dict[str, Check] = {"include_usage": FLAG}
MESSAGE: dict[str, Check] = {"content": TEXT_OR_PARTS, "name": TEXT}


def read(path: str, raw: bytes) -> dict[str, Any]:
    """Return the body of a call to a served path. Raises BadCall where it is no JSON object, names
    no model, or has a field of a type that the gateway's own parser does not take.
    """
    body = _object(raw)
    _check_model(body.get("model"))
    _check_fields(body, FIELDS[path])
    _check_fields(body.get("stream_options") or {}, STREAM_OPTIONS, "stream_options.")
    if path == CHAT:
        _check_messages(body.get("messages") or [])
    return body


def with_usage(raw: bytes) -> bytes:
    """Return the body of a streamed chat that asks for its usage. As Envoy AI Gateway does it, in
    the text: what else stands there stays, and a key that stands there twice too.
    """
    body = json.loads(raw, object_pairs_hook=_Pairs)
    options = body.get("stream_options") or _Pairs([])
    others = [(key, value) for key, value in options.items() if key != "include_usage"]
    asked = _Pairs([*others, ("include_usage", True)])
    if "stream_options" in body:
        found = [(key, asked if key == "stream_options" else value) for key, value in body.items()]
    else:
        found = [*body.items(), ("stream_options", asked)]
    return json.dumps(_Pairs(found), separators=(",", ":")).encode()  # in ASCII: see processor


class _Pairs(dict[str, Any]):
    """An object with all its keys, in their order, also those that stand there twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs

    def items(self) -> Any:
        """Return all of them: what is written as JSON."""
        return self._pairs


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except RecursionError:
        raise BadCall(400, "invalid_json", "The body is nested too deeply.") from None
    except ValueError as problem:
        where = (
            f"line {problem.lineno}, column {problem.colno}"
            if isinstance(problem, json.JSONDecodeError)
            else "start"
        )
        raise BadCall(400, "invalid_json", f"The body is not valid JSON ({where}).") from None
    if not isinstance(body, dict):
        raise BadCall(400, "invalid_json", "The body must be a JSON object.")
    return body


def _check_model(model: object) -> None:
    if not isinstance(model, str) or not model.strip():
        raise BadCall(
            400,
            "model_missing",
            'The body must name a model: {"model": "…"}. GET /v1/models lists them.',
        )
    if not model.isprintable() or not model.isascii() or model != model.strip():
        raise BadCall(
            400, "model_invalid", "The model's name has characters that no model's name has."
        )


def _check_fields(body: dict[str, Any], fields: dict[str, Check], where: str = "") -> None:
    for name, (words, fits) in fields.items():
        value = body.get(name)
        if value is not None and not fits(value):
            raise BadCall(400, "field_invalid", f"The field {where}{name} must be {words}.")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    for index, message in enumerate(messages):
        where = f"messages[{index}]."
        if message.get("role") not in ROLES:
            one_of = ", ".join(ROLES[:-1])
            raise BadCall(
                400, "field_invalid", f"The field {where}role must be {one_of} or {ROLES[-1]}."
            )
        _check_fields(message, MESSAGE, where)
