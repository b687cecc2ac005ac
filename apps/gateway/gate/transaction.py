"""The order in which a call meets the gate's steps: the only place that knows it.

    read → reserve → inspect → record → pass, or refuse
    → inspect the answer → settle → record → end

Held here, whatever fails and wherever a call is broken off: what may have been reserved is settled
once; no byte of an answer leaves that the guard has not let go; of a call that was let through both
halves go to the record; and an answer that must be recorded and is not, does not end well.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.gateway.gate import refusals
from apps.gateway.gate.answers import NOTHING_USED, Counter, Ending, Event, Splitter, Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import AnswerGuard, Away, Blocked, Guard, Purse, Record, Verdict

DONE = b"data: [DONE]\n\n"
# The numbers of an embedding: millions of them at times, which hold no words and are not read.
_VECTOR = re.compile(rb'"embedding"\s*:\s*\[[-+0-9.eE,\s]*+\]')


@dataclass(frozen=True)
class Steps:
    """The steps of this gate, shared by its calls."""

    purse: Purse
    guard: Guard
    record: Record

    def load(self, now: datetime) -> None:
        """Let each step read what people decided, whatever becomes of the others. In a thread,
        every few seconds. Raises ExceptionGroup of what failed.
        """
        problems: list[Exception] = []
        for step in (self.purse, self.guard, self.record):
            try:
                step.load(now)
            except Exception as problem:
                problems.append(problem)
        if problems:
            raise ExceptionGroup("not every step could read what it must know", problems)


@dataclass(frozen=True)
class Piece:
    """What goes to the caller next; is_last: nothing follows, whatever the engine still says.
    refusal: why the gate ends the answer here, where it does.
    """

    data: bytes
    is_last: bool = False
    refusal: Refusal | None = None


@dataclass
class Transaction:
    """One call's way through the steps. `close` must be called in every case, and is safe to call
    again.
    """

    steps: Steps
    now: Callable[[], datetime]
    call: Call | None = None
    _verdict: Verdict = Verdict()
    _is_reserved: bool = False  # or may be: whether it is, was not told
    is_admitted: bool = False  # it was let through
    _status: int | None = None  # of the answer, once it is there
    _is_answer: bool = False  # and whether it is a model's
    _splitter: Splitter = field(default_factory=Splitter)
    _sent: bytearray = field(default_factory=bytearray)
    _counter: Counter = field(init=False)
    _guard: AnswerGuard = field(init=False)
    _used: Used | None = None  # once it is over
    _end: asyncio.Task[None] | None = None  # settles and records, once
    _ending: Ending = Ending.LEFT  # where it does not end by itself

    async def request(self, call: Call) -> None:
        """Reserve, inspect and record a call that could be read. Raises Refusal."""
        self._counter, self.call = Counter(call), call
        try:
            await self._reserve(call)
            self._verdict = await self.steps.guard.request(call)
            self._guard = self.steps.guard.answer(call)
        except Refusal as refusal:
            await self._keep_refused(call, refusal)
            raise
        except Away as problem:
            away = refusals.unavailable(str(problem))
            await self._keep_refused(call, away)
            raise away from problem
        await self._keep_request(call, None)
        self.is_admitted = True

    async def _reserve(self, call: Call) -> None:
        """Reserve. Only a refusal says that nothing is held: whatever else ends it may have come
        after the database had done it.
        """
        self._is_reserved = True
        try:
            await self.steps.purse.reserve(call)
        except Refusal:
            self._is_reserved = False
            raise

    async def _keep_refused(self, call: Call, refusal: Refusal) -> None:
        if isinstance(refusal, Blocked):
            self._verdict = refusal.verdict
        await self._keep_request(call, refusal)

    async def _keep_request(self, call: Call, refusal: Refusal | None) -> None:
        try:
            await self.steps.record.request(call, self._verdict, refusal)
        except Away as problem:
            raise refusals.unavailable(str(problem)) from problem

    def begins(self, status: int) -> None:
        """Take the answer's status. Only a success is a model's answer; all else generated nothing:
        what an engine or a filter behind the gate says was wrong. That passes as it is. It can hold
        words of the request, which go back to whoever sent them, and it is recorded like an answer.
        """
        self._status = status
        self._is_answer = 200 <= status < 300

    async def whole(self, body: bytes) -> bytes:
        """Inspect, settle and record a plain answer, and return what the caller gets. Raises
        Refusal, which then takes the answer's place.
        """
        if not self._is_answer:
            await self._ends(body, None, NOTHING_USED)
            return body
        try:
            body = await self._inspected(body)
        except Refusal as refusal:
            await self._ends(refusal.body(), refusal, self._counter.used(Ending.WHOLE))
            raise
        except Exception:
            self._ending = Ending.BROKEN
            raise
        await self._ends(body, None, self._counter.used(Ending.WHOLE))
        return body

    async def _inspected(self, body: bytes) -> bytes:
        document = _read(_VECTOR.sub(b'"embedding":[]', body))
        self._counter.whole(document)
        try:
            if not await self._guard.whole(document):
                return body
        except Away as problem:
            raise refusals.unreadable_answer(str(problem)) from problem
        if _VECTOR.search(body):
            raise refusals.unreadable_answer("words stand among its vectors")
        return json.dumps(document).encode()

    async def piece(self, data: bytes, *, is_end: bool) -> Piece:
        """Take the next bytes of a streamed answer, and return what may go to the caller now. A
        rule that blocks ends the stream well: with what was used, the reason and the end mark.
        Raises Refusal where the answer must be recorded and is not.
        """
        if self._end is not None:
            return Piece(b"", is_last=True)
        released: list[Event] = []
        try:
            await self._release(data, released, is_end=is_end)
        except Refusal as refusal:
            return await self._stop(released, refusal)
        except Away as problem:
            return await self._stop(released, refusals.unreadable_answer(str(problem)))
        except Exception:
            self._ending = Ending.BROKEN
            raise
        sent = b"".join([event.raw for event in released])
        self._sent += sent
        if is_end:
            await self._ends(bytes(self._sent), None, self._counter.used(Ending.WHOLE))
        return Piece(sent, is_end)

    async def _release(self, data: bytes, released: list[Event], *, is_end: bool) -> None:
        """Add the events that the guard lets go, also where a later one of them is refused. All
        that came was made, so it is counted before any of it is looked at.
        """
        events = self._splitter.feed(data)
        if is_end:
            events += self._splitter.end()
        for event in events:
            self._counter.see(event)
        last = len(events) - 1
        for number, event in enumerate(events):
            released += await self._guard.feed(event, more=number < last)
        if is_end:
            released += await self._guard.end()

    async def _stop(self, released: Sequence[Event], refusal: Refusal) -> Piece:
        used = self._counter.used(Ending.STOPPED)
        last = b"".join([event.raw for event in released])
        last += _said({"choices": [], "usage": _usage(used)}) + _said({"error": refusal.error()})
        self._sent += last + DONE
        await self._ends(bytes(self._sent), refusal, used)
        return Piece(last + DONE, is_last=True, refusal=refusal)

    async def _ends(self, body: bytes, refusal: Refusal | None, used: Used) -> None:
        """Settle and record. Raises Refusal where the record must be kept and is not."""
        try:
            await self._ended(body, refusal, used)
        except Away as problem:
            raise refusals.unrecorded(str(problem)) from problem

    async def _ended(self, body: bytes, refusal: Refusal | None, used: Used) -> None:
        """Settle and record once, to the end, whoever is broken off while they wait for it."""
        if self._end is None:
            self._used = used
            self._end = asyncio.create_task(self._settle_and_record(body, refusal, used))
        await asyncio.shield(self._end)

    async def _settle_and_record(self, body: bytes, refusal: Refusal | None, used: Used) -> None:
        if self.call is None:
            return
        try:
            if self._is_reserved:
                await self.steps.purse.settle(self.call, used, self.now())
        except Away:
            pass  # the lease ends by itself, and the ledger tells what was used
        finally:
            if self.is_admitted:
                verdict = self._guard.verdict()
                await self.steps.record.answer(self.call, body, verdict, refusal, used)

    def so_far(self) -> Used | None:
        """Return what the call has used as far as it came; None where nobody can know yet."""
        if self._used is not None:
            return self._used
        is_known = self.is_admitted and self._is_answer
        return self._counter.used(Ending.LEFT) if is_known else None

    async def close(self) -> None:
        """End a call that did not end by itself: its client left, a part of the gateway failed, or
        it was refused. What was made is paid, also where its client did not wait for the answer.
        Raises Away.
        """
        if self.call is None:
            return
        is_asked = self.is_admitted and (self._status is None or self._is_answer)
        used = self._counter.used(self._ending) if is_asked else NOTHING_USED
        await self._ended(bytes(self._sent), None, used)


def _read(body: bytes) -> dict[str, Any]:
    """Return an answer's document. Raises Refusal: what cannot be read cannot be inspected."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    raise refusals.unreadable_answer("it is no JSON object")


def _said(document: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _usage(used: Used) -> dict[str, int]:
    """Return the usage as an engine tells it; what nobody knows is left out."""
    counts = {"prompt_tokens": used.input_tokens, "completion_tokens": used.output_tokens}
    known = {name: count for name, count in counts.items() if count is not None}
    return known | {"total_tokens": sum(known.values())}
