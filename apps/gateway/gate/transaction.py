"""The order in which a call meets the gate's steps: the only place that knows it.

    read → reserve → inspect → record → pass, or refuse
    → inspect the answer → settle → record → end

What was reserved is settled once, whatever happens. No byte of an answer leaves that the guard has
not seen, and an answer that could not be recorded where it must be does not end well.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.gateway.gate import refusals
from apps.gateway.gate.answers import NOTHING_USED, Counter, Event, Splitter, Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import AnswerGuard, Away, Blocked, Guard, Purse, Record, Verdict
from apps.metering.models import Completeness

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Steps:
    """The steps of this gate, shared by its calls."""

    purse: Purse
    guard: Guard
    record: Record

    def load(self, now: datetime) -> None:
        """Let each step read what people decided. In a thread, every few seconds."""
        for step in (self.purse, self.guard, self.record):
            step.load(now)


@dataclass(frozen=True)
class Piece:
    """What goes to the caller next; is_last: nothing follows, whatever the engine still says."""

    data: bytes
    is_last: bool = False


@dataclass
class Transaction:
    """One call's way through the steps. `close` must be called in every case, and is safe to call
    again.
    """

    steps: Steps
    now: Callable[[], datetime]
    call: Call | None = None
    _verdict: Verdict = Verdict()
    _is_reserved: bool = False
    _is_over: bool = False  # settled and recorded
    _is_success: bool = False
    _splitter: Splitter = field(default_factory=Splitter)
    _sent: bytearray = field(default_factory=bytearray)
    _counter: Counter = field(init=False)
    _guard: AnswerGuard = field(init=False)

    async def request(self, call: Call) -> None:
        """Reserve, inspect and record a call that could be read. Raises Refusal."""
        self._counter, self.call = Counter(call), call
        try:
            await self.steps.purse.reserve(call)
            self._is_reserved = True
            self._verdict = await self.steps.guard.request(call)
            await self.steps.record.request(call, self._verdict, None)
            self._guard = self.steps.guard.answer(call)
        except Away as problem:
            raise refusals.unavailable(str(problem)) from problem
        except Refusal as refusal:
            await self._keep_refused(call, refusal)
            raise

    async def _keep_refused(self, call: Call, refusal: Refusal) -> None:
        verdict = refusal.verdict if isinstance(refusal, Blocked) else self._verdict
        try:
            await self.steps.record.request(call, verdict, refusal)
        except Away as problem:
            raise refusals.unavailable(str(problem)) from problem

    def begins(self, status: int) -> None:
        """Take the answer's status. Only 200 is a model's answer; all else generated nothing."""
        self._is_success = status == 200

    async def whole(self, body: bytes) -> bytes:
        """Inspect, settle and record a plain answer, and return what the caller gets. Raises
        Refusal, which then takes the answer's place.
        """
        if not self._is_success:
            await self._end(body, None, NOTHING_USED)
            return body
        document = _read(body)
        self._counter.whole(document)
        used = self._counter.used(Completeness.COMPLETE)
        try:
            if await self._guard.whole(document):
                body = json.dumps(document).encode()
        except Refusal as refusal:
            await self._end(refusal.body(), refusal, used)
            raise
        await self._end(body, None, used)
        return body

    async def piece(self, data: bytes, *, is_end: bool) -> Piece:
        """Take the next bytes of a streamed answer, and return what may go to the caller now. A
        rule that blocks ends the stream well: with what was used, the reason and the end mark.
        """
        try:
            events = await self._released(data, is_end=is_end)
        except Refusal as refusal:
            return await self._cut(refusal)
        sent = b"".join(event.raw for event in events)
        self._sent += sent
        if is_end:
            await self._end(bytes(self._sent), None, self._counter.used(Completeness.COMPLETE))
        return Piece(sent, is_end)

    async def _released(self, data: bytes, *, is_end: bool) -> list[Event]:
        events = self._splitter.feed(data)
        if is_end:
            events += self._splitter.end()
        for event in events:
            self._counter.see(event)
        found = [released for event in events for released in await self._guard.feed(event)]
        if is_end:
            found += await self._guard.end()
        return found

    async def _cut(self, refusal: Refusal) -> Piece:
        used = self._counter.used(Completeness.COMPLETE)
        last = _said({"choices": [], "usage": _usage(used)}) + _said({"error": refusal.error()})
        self._sent += last + DONE
        await self._end(bytes(self._sent), refusal, used)
        return Piece(last + DONE, is_last=True)

    async def _end(self, body: bytes, refusal: Refusal | None, used: Used) -> None:
        """Settle and record. Where the record must be kept and is not, the answer does not end."""
        await self._settle(used)
        if self.call is not None:
            verdict = self._guard.verdict()
            await self.steps.record.answer(self.call, body, verdict, refusal, used)

    async def _settle(self, used: Used) -> None:
        self._is_over = True
        if self._is_reserved and self.call is not None:
            self._is_reserved = False
            await self.steps.purse.settle(self.call, used, self.now())

    async def close(self) -> None:
        """End a call that did not end by itself: its client left, a part of the gateway failed, or
        it was refused. What was made is paid.
        """
        if self._is_over or self.call is None:
            return
        used = self._counter.used(Completeness.ABORTED) if self._is_success else NOTHING_USED
        await self._settle(used)
        if self._is_success:
            verdict = self._guard.verdict()
            await self.steps.record.answer(self.call, bytes(self._sent), verdict, None, used)


def _read(body: bytes) -> dict[str, Any]:
    """Return an answer's document. Raises Refusal: what cannot be read cannot be inspected."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    raise refusals.unavailable("the model's answer is no JSON object")


def _said(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _usage(used: Used) -> dict[str, int | None]:
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": (used.input_tokens or 0) + (used.output_tokens or 0),
    }
