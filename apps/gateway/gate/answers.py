"""What comes back: whole events of a stream, and what an answer used. Pure.

A stream is cut into events as every reader of server-sent events does it, wherever its pieces are
cut. What an answer used is told by the engine: in one figure at the end, or in each piece so far.
Where it told nothing before the answer was cut, it is estimated from what passed, and says so.

The rule of the estimate: an event that brings text of a choice is at least one token, and an engine
may put several into one event; so a choice has as many tokens as it had such events, or as its
bytes make at BYTES_A_TOKEN, whichever is more. The true figure lies between the number of events
and the number of bytes; tokens that left no trace in the stream are not in it.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.gateway.gate import refusals
from apps.gateway.gate.calls import Call
from apps.gateway.gate.fields import WRITING
from apps.metering.gate.counts import Basis
from apps.metering.models import Completeness, Operation

LONGEST_EVENT = 16 * 1024 * 1024  # bytes; the first event of an echo holds the whole prompt
# English has about 4.4 bytes a token. A little more here, so that an answer that comes token by
# token is not estimated above what it was.
BYTES_A_TOKEN = 5
_MOST = 2**53 - 1  # what a count can be in JSON
# Atomic: the two halves of one CR LF are no two ends of lines.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_MARK = 4  # bytes of a blank line
_BOM = b"\xef\xbb\xbf"
_WRITTEN = ("content", "reasoning", "reasoning_content", "refusal")


class Ending(StrEnum):
    """How an answer ended."""

    WHOLE = "WHOLE"  # as the engine ended it
    LEFT = "LEFT"  # its client left
    STOPPED = "STOPPED"  # the gate ended it
    BROKEN = "BROKEN"  # the engine or a part of the gateway broke it off


_COMPLETENESS = {
    Ending.LEFT: Completeness.ABORTED,
    Ending.STOPPED: Completeness.ENDED_EARLY,
    Ending.BROKEN: Completeness.FAILED,
}


@dataclass(frozen=True)
class Used:
    """What a call used. None: not told, which is not 0. Cached tokens are a part of the input, and
    those of reasoning a part of the output.
    """

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


@dataclass
class Splitter:
    """Cuts a stream into whole events, over pieces of any length. The events' bytes, put together,
    are the stream's. longest: bytes of one event.
    """

    longest: int = LONGEST_EVENT
    _rest: bytearray = field(default_factory=bytearray)
    _is_first: bool = True

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole now. Raises Refusal where one has no end."""
        looked, begins = max(0, len(self._rest) - _LONGEST_MARK), 0
        self._rest += data
        found = []
        while mark := _BLANK_LINE.search(self._rest, max(begins, looked)):
            if mark.end() == len(self._rest) and self._rest.endswith(b"\r"):
                break  # the second half of a CR LF may come yet
            found.append(self._event(bytes(self._rest[begins : mark.end()])))
            begins = mark.end()
        del self._rest[:begins]
        self._check(len(self._rest))
        return found

    def end(self) -> list[Event]:
        """Return what the stream ended with, where no blank line ended it. Raises Refusal."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [self._event(rest)] if rest else []

    def _event(self, raw: bytes) -> Event:
        self._check(len(raw))
        start = len(_BOM) if self._is_first and raw.startswith(_BOM) else 0
        self._is_first = False
        return Event(raw, _document(raw[start:]))

    def _check(self, length: int) -> None:
        if length > self.longest:
            raise refusals.unreadable_answer(
                f"an event of it is longer than {self.longest:,} bytes"
            )


def _document(raw: bytes) -> dict[str, Any] | None:
    """Return the JSON object of an event. Its data may stand on several lines."""
    lines = [line[5:] for line in _LINE_END.split(raw) if line.startswith(b"data:")]
    try:
        document = json.loads(b"\n".join(lines).decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


@dataclass(frozen=True)
class Told:
    """The engine's own figures in an answer, or in a piece of it."""

    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None


def told_by(document: Mapping[str, Any]) -> Told | None:
    """Return what an answer says that it used; None where it says nothing that can be read: odd
    figures are not guessed. An answer to a rerank may tell it under meta.tokens.
    """
    usage = document.get("usage")
    if not isinstance(usage, dict):
        meta = document.get("meta")
        usage = meta.get("tokens") if isinstance(meta, dict) else None
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    return Told(
        _count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        _count(details.get("cached_tokens")) if isinstance(details, dict) else None,
        _count(usage.get("completion_tokens", usage.get("output_tokens"))),
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None


@dataclass
class _Choice:
    """One choice as far as it came."""

    events: int = 0  # those that brought text
    size: int = 0  # bytes of text
    made: int | None = None  # its tokens, as the engine told them
    is_told: bool = False  # with all that came of it

    @property
    def estimate(self) -> int:
        return max(self.events, math.ceil(self.size / BYTES_A_TOKEN))


@dataclass
class Counter:
    """Counts what a call's answer used, as far as it came."""

    call: Call
    _last: Told | None = None  # of the whole answer
    _input: int | None = None
    _cached: int | None = None
    _choices: dict[int, _Choice] = field(default_factory=dict)
    _is_broken: bool = False
    _read: int | None = None  # bytes of the request's texts, once they were counted

    def whole(self, document: Mapping[str, Any]) -> None:
        """Take a plain answer."""
        self._last = self._complete(told_by(document))
        self._see_text(document)

    def see(self, event: Event) -> None:
        """Take the next event of a stream, as the engine sent it."""
        if event.document is None:
            return
        self._is_broken |= "error" in event.document
        told = told_by(event.document)
        choices = self._see_text(event.document)
        if told is None:
            return
        if not choices:
            self._last = self._complete(told) or self._last
        elif told.output_tokens is not None:
            self._see_told(told, told.output_tokens, choices)

    def _see_told(self, told: Told, made: int, choices: list[_Choice]) -> None:
        """Take what an engine tells with a piece: of the piece's own choice alone."""
        self._input, self._cached = told.input_tokens, told.cached_input_tokens
        for choice in choices:
            choice.made, choice.is_told = max(choice.made or 0, made), True

    def _complete(self, told: Told | None) -> Told | None:
        """Return figures that stand for the whole answer, or None."""
        if told is None or self.call.operation == Operation.RERANK:
            return told
        if self.call.operation == Operation.EMBEDDING:
            told = Told(told.input_tokens, told.cached_input_tokens, told.output_tokens or 0)
        return None if None in (told.input_tokens, told.output_tokens) else told

    def _see_text(self, document: Mapping[str, Any]) -> list[_Choice]:
        """Count what each choice brings; return the choices that the document has."""
        found = []
        for index, choice in choices_of(document):
            seen = self._choices.setdefault(index, _Choice())
            found.append(seen)
            if size := sum(len(text.encode(errors="replace")) for text in _texts(choice)):
                seen.events, seen.size, seen.is_told = seen.events + 1, seen.size + size, False
        return found

    def used(self, ending: Ending) -> Used:
        """Return what was used so far, if it ends in this way now."""
        if self._last is not None:
            last = self._last
            return Used(
                Basis.USAGE,
                Completeness.COMPLETE,
                last.input_tokens,
                last.cached_input_tokens,
                last.output_tokens,
            )
        told = [choice.made for choice in self._choices.values() if choice.made is not None]
        if told:
            completeness = self._completeness(ending)
            return Used(Basis.COUNTED, completeness, self._input, self._cached, sum(told))
        output = self._estimated_output(ending)
        return Used(
            Basis.ESTIMATED, self._completeness(ending), self._estimated_input(), None, output
        )

    def _completeness(self, ending: Ending) -> Completeness:
        if ending != Ending.WHOLE:
            return _COMPLETENESS[ending]
        if self._is_broken:
            return Completeness.FAILED
        is_all_told = bool(self._choices) and all(c.is_told for c in self._choices.values())
        return Completeness.COMPLETE if is_all_told else Completeness.ENDED_EARLY

    def _estimated_input(self) -> int | None:
        """Return how many tokens the request's texts make; None where pictures do."""
        if self.call.has_images or not self.call.texts:
            return None
        if self._read is None:  # a stream asks with each of its pieces
            self._read = sum(len(text.text.encode(errors="replace")) for text in self.call.texts)
        return math.ceil(self._read / BYTES_A_TOKEN)

    def _estimated_output(self, ending: Ending) -> int | None:
        """Return how many tokens the answer had; None where it would have come whole and did not
        come: it was being made, and nobody saw how much of it.
        """
        if self.call.operation not in WRITING:
            return 0
        if not self.call.stream and not self._choices and ending != Ending.WHOLE:
            return None
        found = sum(choice.estimate for choice in self._choices.values())
        most = self.call.max_tokens
        return found if most is None else min(found, most * self.call.n)


def choices_of(document: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the choices of an answer, or of a piece of it, with their numbers."""
    found = document.get("choices")
    for position, choice in enumerate(found if isinstance(found, list) else ()):
        if isinstance(choice, dict):
            index = _count(choice.get("index"))
            yield position if index is None else index, choice


def _texts(choice: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the model wrote in a choice. That is all that is counted; the guard looks at all
    that stands in it.
    """
    text = choice.get("text")
    if isinstance(text, str):
        yield text
    for holder in (choice.get("delta"), choice.get("message")):
        if not isinstance(holder, dict):
            continue
        yield from (holder[key] for key in _WRITTEN if isinstance(holder.get(key), str))
        yield from _arguments(holder.get("tool_calls"))


def _arguments(calls: Any) -> Iterator[str]:
    for call in calls if isinstance(calls, Sequence) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield from (
                function[key] for key in ("name", "arguments") if isinstance(function.get(key), str)
            )
