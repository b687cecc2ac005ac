"""What comes back: whole events of a stream, and what an answer used. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apps.gateway.gate.calls import Call
from apps.metering.models import Completeness

_BLANK_LINE = re.compile(rb"(\r\n\r\n|\n\n|\r\r)")
_WRITTEN = ("content", "reasoning", "reasoning_content", "refusal", "tool_calls")


class Basis(StrEnum):
    """What a figure of use rests on."""

    USAGE = "USAGE"  # the engine's own, of a whole answer
    COUNTED = "COUNTED"  # the engine's own, up to where the answer was cut
    ESTIMATED = "ESTIMATED"  # what the gate saw pass
    NOTHING = "NOTHING"  # nothing was generated


@dataclass(frozen=True)
class Used:
    """What a call used. None: not told, which is not 0."""

    basis: Basis
    completeness: Completeness
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None


NOTHING_USED = Used(Basis.NOTHING, Completeness.COMPLETE, 0, 0, 0)


@dataclass(frozen=True)
class Event:
    """One whole server-sent event: its bytes with the blank line that ends it. document: None for
    the end mark, comments and whatever is no JSON object.
    """

    raw: bytes
    document: dict[str, Any] | None = None


class Splitter:
    """Cuts a stream into whole events, over pieces of any length."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole now."""
        *whole, self._rest = _BLANK_LINE.split(self._rest + data)
        return [_event(raw + mark) for raw, mark in zip(whole[::2], whole[1::2], strict=True)]

    def end(self) -> list[Event]:
        """Return what the stream ended with, where no blank line ended it."""
        rest, self._rest = self._rest, b""
        return [_event(rest)] if rest.strip() else []


class Counter:
    """Counts what an answer used, as far as it came."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._usage: dict[str, Any] | None = None
        self._last: dict[int, int] = {}  # choice → its tokens so far, as the engine tells them
        self._prompt: int | None = None
        self._deltas = 0

    def whole(self, document: Mapping[str, Any]) -> None:
        """Take a plain answer."""
        usage = document.get("usage")
        self._usage = usage if isinstance(usage, dict) else None

    def see(self, event: Event) -> None:
        """Take the next event of a stream."""
        document = event.document or {}
        choices = document.get("choices") or []
        self._deltas += sum(1 for choice in choices if has_text(choice))
        usage = document.get("usage")
        if not isinstance(usage, dict):
            return
        if not choices:
            self._usage = usage
        for choice in choices:
            index, made = choice.get("index", 0), usage.get("completion_tokens", 0)
            self._last[index] = max(self._last.get(index, 0), made)
            self._prompt = usage.get("prompt_tokens")

    def used(self, completeness: Completeness) -> Used:
        """Return what was used so far."""
        if self._usage is not None:
            details = self._usage.get("prompt_tokens_details") or {}
            return Used(
                Basis.USAGE,
                completeness,
                self._usage.get("prompt_tokens"),
                details.get("cached_tokens"),
                self._usage.get("completion_tokens", 0),
            )
        if self._last:
            made = sum(self._last.values())
            return Used(Basis.COUNTED, completeness, self._prompt, None, made)
        return Used(Basis.ESTIMATED, completeness, None, None, self._deltas)


def has_text(choice: Mapping[str, Any]) -> bool:
    """Tell whether a streamed choice brings something that the model wrote."""
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or any(delta.get(key) for key in _WRITTEN))


def _event(raw: bytes) -> Event:
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    try:
        document = json.loads(b"\n".join(lines))
    except ValueError:
        return Event(raw)
    return Event(raw, document if isinstance(document, dict) else None)
