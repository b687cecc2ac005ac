"""What an OpenAI-compatible answer says about itself: tokens, the model's name, when the first
token came. Pure.

The answer's text is looked at and forgotten; only numbers and the model's name leave this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Usage:
    """The tokens of one complete answer."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    total_tokens: int
    reasoning_tokens: int

    def of(self, kind: str) -> int:
        """Return the number that an llmRequestCosts type names; those of expressions are in
        expressions.py.
        """
        return {
            "InputToken": self.input_tokens,
            "CachedInputToken": self.cached_input_tokens,
            "OutputToken": self.output_tokens,
            "TotalToken": self.total_tokens,
            "ReasoningToken": self.reasoning_tokens,
        }[kind]


class Reader(Protocol):
    """Reads one answer as it passes."""

    model: str
    usage: Usage | None

    def feed(self, chunk: bytes, at: float) -> None:
        """Take the next bytes, which came at the time `at` (seconds)."""

    def finish(self) -> None:
        """Take note that the answer is complete."""


class PlainReader:
    """Reads one JSON answer. read: how it tells its usage."""

    def __init__(self, read: Callable[[dict[str, Any]], Usage | None]) -> None:
        self.model, self.usage = "", None  # type: str, Usage | None
        self._read = read
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes, at: float) -> None:
        """Keep the bytes until the answer is complete."""
        self._parts.append(chunk)

    def finish(self) -> None:
        """Read the whole answer."""
        answer = _object(b"".join(self._parts))
        self.model, self.usage = str(answer.get("model") or ""), self._read(answer)


class StreamReader:
    """Reads server-sent events; the last usage wins."""

    def __init__(self) -> None:
        self.model, self.usage = "", None  # type: str, Usage | None
        self.first_at: float | None = None
        self.last_at: float | None = None
        self._rest = b""

    def feed(self, chunk: bytes, at: float) -> None:
        """Read the events that these bytes complete."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), at)

    def finish(self) -> None:
        """Read what came without a last line end."""
        if self._rest.startswith(b"data:"):
            self._event(self._rest[5:].strip(), self.last_at or 0.0)

    def _event(self, data: bytes, at: float) -> None:
        event = {} if data == b"[DONE]" else _object(data)
        self.model = self.model or str(event.get("model") or "")
        self.usage = usage_of(event) or self.usage
        if _has_text(event):
            self.first_at = self.first_at or at
            self.last_at = at


def usage_of(answer: dict[str, Any]) -> Usage | None:
    """Return the answer's usage, or None where it has none that can be read: odd numbers are not
    guessed.
    """
    usage = answer.get("usage")
    if not isinstance(usage, dict) or "prompt_tokens" not in usage:
        return None
    try:
        spent, written = _count(usage["prompt_tokens"]), _count(usage.get("completion_tokens"))
        return Usage(
            input_tokens=spent,
            cached_input_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
            output_tokens=written,
            total_tokens=_count(usage.get("total_tokens")) or spent + written,
            reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        )
    except (TypeError, ValueError):
        return None


def rerank_usage_of(answer: dict[str, Any]) -> Usage | None:
    """Return the usage of an answer to a rerank, which stands under meta.tokens. Where it tells
    none, as vLLM's does, every count is 0, as Envoy AI Gateway writes them.
    """
    meta = answer.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    try:
        found = tokens if isinstance(tokens, dict) else {}
        read, written = _count(found.get("input_tokens")), _count(found.get("output_tokens"))
    except (TypeError, ValueError):
        return None
    return Usage(read, 0, written, read + written, 0)


USAGE_OF = {"OpenAI": usage_of, "Cohere": rerank_usage_of}  # by the backend's schema


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else 0


def _count(value: Any) -> int:
    """Return a count that is not negative. Raises TypeError or ValueError."""
    number = int(value or 0)
    if number < 0:
        raise ValueError(number)
    return number


def _has_text(event: dict[str, Any]) -> bool:
    """Say whether the event carries a piece of the answer, not only its role or its usage."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        pieces = delta.items() if isinstance(delta, dict) else ()
        if choice.get("text") or any(value for key, value in pieces if key != "role"):
            return True
    return False


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
