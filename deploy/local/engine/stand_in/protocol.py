"""The OpenAI protocol as vLLM speaks it: checking requests, the shape of answers, chunks and
errors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

FINGERPRINT = "quartermaster-stand-in"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"


class ApiError(Exception):
    """A request that is refused, in vLLM's error shape."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.param = status, kind, message, param

    def body(self) -> dict[str, Any]:
        """Return the error's JSON."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.status,
            }
        }


@dataclass(frozen=True)
class Question:
    """A checked request."""

    chat: bool
    messages: tuple[dict[str, Any], ...]  # a plain prompt is one user message
    max_tokens: int | None
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    priority: int = 0  # the lower value is taken first

    def turns(self) -> list[tuple[str, str]]:
        """Return (role, text) pairs, oldest first."""
        return [(str(message["role"]), str(message["content"])) for message in self.messages]


@dataclass(frozen=True)
class Usage:
    """What a request is charged for, in tokens."""

    prompt: int
    cached: int
    completion: int

    def body(self) -> dict[str, Any]:
        """Return the usage as JSON."""
        return {
            "prompt_tokens": self.prompt,
            "total_tokens": self.prompt + self.completion,
            "completion_tokens": self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


def read_call(raw: bytes, served_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the body of a call to a model that is served. Raises ApiError."""
    body = _json_object(raw)
    model = body.get("model") or served_names[0]
    if model not in served_names:
        aliases = ", ".join(served_names)
        message = f"The model `{model}` does not exist. Valid aliases: {aliases}."
        raise ApiError(404, "NotFoundError", message, "model")
    return body


def parse_question(
    path: str, raw: bytes, served_names: tuple[str, ...], *, by_priority: bool = False
) -> Question:
    """Check a request's body. Raises ApiError as vLLM would answer. by_priority: calls are taken in
    the order of their priority.
    """
    body = read_call(raw, served_names)
    chat = path == CHAT
    _refuse_unplayed(body)
    priority = _priority(body)
    if priority and not by_priority:
        message = f"Got priority {priority} but Priority scheduling is not enabled."
        raise ApiError(400, "BadRequestError", message, "priority")
    options = body.get("stream_options") or {}
    return Question(
        chat=chat,
        messages=_messages(body) if chat else _prompt(body),
        max_tokens=_max_tokens(body, chat),
        stop=_stop(body),
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")) if isinstance(options, dict) else False,
        priority=priority,
    )


def allowed_tokens(
    question: Question, prompt_tokens: int, context_length: int, server_limit: int | None
) -> int:
    """Return how many tokens the answer may have. Raises ApiError where the request does not fit
    the context.
    """
    wanted = question.max_tokens
    if wanted is not None and wanted > context_length:
        raise ApiError(
            400,
            "BadRequestError",
            f"max_tokens={wanted} cannot be greater than "
            f"max_model_len="
            f"{context_length}. Please request fewer output tokens.",
            "max_tokens",
        )
    if prompt_tokens + (wanted or 1) > context_length:
        raise ApiError(
            400,
            "BadRequestError",
            f"This model's maximum context length is "
            f"{context_length} tokens. "
            f"However, you requested {wanted or 1} output tokens and your prompt "
            f"contains {prompt_tokens} "
            "input tokens. Please reduce the length of the input "
            "prompt.",
            "input_tokens",
        )
    room = context_length - prompt_tokens
    return min(value for value in (wanted, server_limit, room) if value is not None)


def answer_body(
    question: Question, identity: dict[str, Any], text: str, reason: str, usage: Usage
) -> dict[str, Any]:
    """Return a whole answer."""
    choice: dict[str, Any] = {
        "index": 0,
        "logprobs": None,
        "finish_reason": reason,
        "stop_reason": None,
    }
    choice |= (
        {"message": {"role": "assistant", "content": text}} if question.chat else {"text": text}
    )
    kind = "chat.completion" if question.chat else "text_completion"
    return {
        **identity,
        "object": kind,
        "choices": [choice],
        "system_fingerprint": FINGERPRINT,
        "usage": usage.body(),
    }


def chunk_body(
    question: Question, identity: dict[str, Any], text: str, reason: str | None
) -> dict[str, Any]:
    """Return one piece of a streamed answer."""
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": reason}
    choice |= {"delta": {"content": text}} if question.chat else {"text": text}
    kind = "chat.completion.chunk" if question.chat else "text_completion"
    return {**identity, "object": kind, "choices": [choice], "system_fingerprint": FINGERPRINT}


def opening_chunk(identity: dict[str, Any]) -> dict[str, Any]:
    """Return a chat stream's first piece: whose turn it is."""
    choice = {
        "index": 0,
        "logprobs": None,
        "finish_reason": None,
        "delta": {"role": "assistant", "content": ""},
    }
    return {
        **identity,
        "object": "chat.completion.chunk",
        "choices": [choice],
        "system_fingerprint": FINGERPRINT,
    }


def usage_chunk(question: Question, identity: dict[str, Any], usage: Usage) -> dict[str, Any]:
    """Return a stream's last piece, asked for by stream_options.include_usage."""
    kind = "chat.completion.chunk" if question.chat else "text_completion"
    return {
        **identity,
        "object": kind,
        "choices": [],
        "usage": usage.body(),
        "system_fingerprint": FINGERPRINT,
    }


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ApiError(
            400, "Bad Request", "1 validation error: JSON decode error", "body"
        ) from error
    if not isinstance(body, dict):
        raise ApiError(
            400, "Bad Request", "1 validation error: Input should be a JSON object", "body"
        )
    return body


def _refuse_unplayed(body: dict[str, Any]) -> None:
    if body.get("n") not in (None, 1):
        raise ApiError(
            400, "BadRequestError", "the stand-in gives one answer a request: n must be 1", "n"
        )
    temperature = body.get("temperature")
    if temperature is not None and (not isinstance(temperature, int | float) or temperature < 0):
        message = f"temperature must be non-negative, got {temperature}."
        raise ApiError(400, "BadRequestError", message, "temperature")


def _messages(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ApiError(
            400, "Bad Request", "1 validation error: body.messages: Field required", "body.messages"
        )
    if not messages:
        message = (
            "Cannot apply chat template to an empty conversation. Provide at least one message."
        )
        raise ApiError(400, "BadRequestError", message)
    if not all(isinstance(message.get("role"), str) for message in messages):
        raise ApiError(
            400,
            "Bad Request",
            "1 validation error: body.messages.role: Field required",
            "body.messages",
        )
    return tuple({**message, "content": _text(message.get("content"))} for message in messages)


def _text(content: Any) -> str:
    """Return a message's text; content may be a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _prompt(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise ApiError(400, "BadRequestError", "the stand-in takes one prompt, as text", "prompt")
    return ({"role": "user", "content": prompt},)


def _max_tokens(body: dict[str, Any], chat: bool) -> int | None:
    value = body.get("max_completion_tokens") if chat else None
    value = body.get("max_tokens") if value is None else value
    if value is None:
        return None if chat else 16  # the protocol's default for plain completions
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError(
            400,
            "Bad Request",
            "1 validation error: body.max_tokens: not an integer",
            "body.max_tokens",
        )
    if value < 1:
        raise ApiError(
            400, "BadRequestError", f"max_tokens must be at least 1, got {value}.", "max_tokens"
        )
    return value


def _priority(body: dict[str, Any]) -> int:
    value = body.get("priority")
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        words = "1 validation error: body.priority: not an integer of 64 bits"
        raise ApiError(400, "Bad Request", words, "body.priority")
    return value


def _stop(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(str(item) for item in stop)
