"""Inspects one call's answer, plain or streamed: nothing of it leaves that the rules have not seen.

A rule blocks (the answer ends with the reason), masks (other words take a find's place, in the
events that hold it before they leave) or monitors (all passes as it came). A rule about leaks
counts what the prompt did not hold. What cannot be read, and a rule that cannot look and is closed,
end the answer too. Who is told what was found hears the rule and the place, never the words.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from apps.gateway.gate import refusals
from apps.gateway.gate.answers import Event
from apps.gateway.gate.calls import Call, Text
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Blocked, Does, Finding, Verdict
from apps.gateway.guard import inspection, streams
from apps.gateway.guard.detectors.hits import Hit
from apps.gateway.guard.inspection import NotInspected, ReadyRule
from apps.gateway.guard.leaks import Known
from apps.gateway.guard.masks import Mask, masked
from apps.gateway.guard.places import (
    Lane,
    Part,
    Unreadable,
    choices_of,
    drop_logprobs,
    index_of,
    parts,
)
from apps.gateway.guard.providers import threads
from apps.gateway.guard.streams import Flow, Queue, Waiting
from apps.gateway.guard.window import Look, Reach, Span, Written

PHASE = "answer"
LONGEST_WORD = 1_024
MOST_FINDINGS = 100  # of one answer; the rest of a long list says nothing new


class InspectedAnswer:
    """The AnswerGuard of one call. rules: those in force for its answers; digest: of the whole
    set; found: what the request's half found, which the verdict begins with; note: told of each
    find, and of what a rule could not look at.
    """

    def __init__(
        self,
        call: Call,
        rules: Sequence[ReadyRule],
        digest: str,
        found: Iterable[Finding] = (),
        note: Callable[[Finding], None] | None = None,
    ) -> None:
        self._call = call
        self._tell = note
        self._rules = list(rules)
        self._digest = digest
        self._findings = list(found)
        self._reaches = [rule.provider.reach for rule in rules]
        self._holds = [n for n, rule in enumerate(rules) if rule.does is not Does.MONITOR]
        self._flows: dict[Lane, Flow] = {}
        self._new: dict[int, Flow] = {}  # texts that came further since the rules looked
        self._queue = Queue()
        self._ended: set[int] = set()
        self._known: Known | None = None

    def verdict(self) -> Verdict:
        """Return what was found so far."""
        return Verdict(self._digest, tuple(self._findings))

    async def whole(self, document: dict[str, Any]) -> bool:
        """Inspect a plain answer. True: something in it was masked. Raises Refusal."""
        if not self._rules:
            return False
        pieces = [self._placed(part, Flow.of) for part in self._parts(document)]
        flows = list({id(flow): flow for flow, _, _ in pieces}.values())
        await self._finish(flows)
        changed = [piece for piece in pieces if self._write(piece)]
        for position, choice in enumerate(choices_of(document)):
            index = index_of(choice, position)
            if isinstance(choice, dict) and any(flow.choice == index for flow, _, _ in changed):
                drop_logprobs(choice)
        return bool(changed)

    async def feed(self, event: Event, *, more: bool = False) -> list[Event]:
        """Take the next event of a stream, and return those that may go on. more: the next one is
        there already, so that the rules look at both together. Raises Refusal.
        """
        if not self._rules:
            return [event]
        found = self._parts(event.document or {})
        several = streams.apart(event, found) if self._holds else [event]
        for one in several:
            again = found if one is event else self._parts(one.document or {})
            await self._take(one, again)
        if more:
            return []
        await self._look_at_new()
        return self._released()

    async def end(self) -> list[Event]:
        """Return what is left of a stream that ended. Raises Refusal."""
        await self._finish(list(self._flows.values()))
        return self._released()

    def _released(self) -> list[Event]:
        """Return the events that may go. Those that wait are gone through only where a text has
        come further: a find that goes on can hold thousands.
        """
        if not self._queue.may_release([flow.released for flow in self._flows.values()]):
            return []
        events = self._queue.released()
        for flow in self._flows.values():
            flow.forget(self._queue.gone(flow))
        return events

    async def _take(self, event: Event, found: Sequence[Part]) -> None:
        beside = streams.beside(event)
        alone = [part for part in found if part.lane is None]
        if beside:
            alone.append(Part("the stream", beside, _unwritable(event)))
        pieces = [self._placed(part, Flow.of) for part in alone]
        if pieces:
            await self._finish([flow for flow, _, _ in pieces])
        is_changed = any([self._write(piece) for piece in pieces])
        waiting = self._waiting(event, [part for part in found if part.lane and part.text])
        waiting.is_changed = is_changed
        self._queue.add(waiting)
        self._new |= {id(flow): flow for flow, _, _ in waiting.pieces}
        await self._close(waiting, is_end=streams.is_end(event))

    def _waiting(self, event: Event, found: Sequence[Part]) -> Waiting:
        """Return an event with the texts that its parts belong to."""
        late = next((part for part in found if part.choice in self._ended), None)
        if late is not None and self._holds:
            raise self._unreadable(f"{late.where} after its end")
        document = event.document or {}
        choices = choices_of(document)
        indexes = [index_of(choice, position) for position, choice in enumerate(choices)]
        ends = {
            index
            for index, choice in zip(indexes, choices, strict=True)
            if choice.get("finish_reason") is not None
        }
        lanes = {part.lane for part in found if part.lane is not None}
        if calls := streams.tool_calls(document):
            begun = streams.tool_calls(document, only_new=True)
            # a tool call comes after those before it, and its arguments after it
            lanes |= {*calls, *(lane[:2] for lane in begun)}
        return Waiting(
            event,
            [self._placed(part, self._flow) for part in found],
            frozenset(lanes),
            frozenset(indexes),
            frozenset(ends),
            is_last=not choices and not streams.is_comment(event),
        )

    def _flow(self, part: Part, reaches: Iterable[Reach], holds: Sequence[int]) -> Flow:
        """Return the text that a part of a stream belongs to."""
        lane = part.lane or ()
        if lane not in self._flows:
            self._flows[lane] = Flow.of(part, reaches, holds)
        return self._flows[lane]

    def _placed(self, part: Part, flow_of: Any) -> tuple[Flow, Part, Span]:
        flow: Flow = flow_of(part, self._reaches, self._holds)
        return flow, part, flow.written.add(part.text)

    async def _close(self, waiting: Waiting, *, is_end: bool) -> None:
        """Let the texts end that an event ends."""
        if not waiting.closes and not is_end:
            return
        self._ended |= waiting.closes
        await self._finish(
            [flow for flow in self._flows.values() if is_end or flow.choice in waiting.closes]
        )

    async def _finish(self, flows: Sequence[Flow]) -> None:
        for flow in flows:
            flow.written.is_whole = True
        await self._look(flows)

    async def _look_at_new(self) -> None:
        flows, self._new = list(self._new.values()), {}
        await self._look(flows)

    async def _look(self, flows: Sequence[Flow]) -> None:
        """Let each rule see what is new: first those of this process, which cost least, then all
        others at once.
        """
        far = []
        for number, rule in enumerate(self._rules):
            if rule.provider.is_near:
                while shown := _to_see(number, rule, flows):
                    await self._see(rule, shown)
            else:
                far.append(self._rule_looks(number, rule, flows))
        if len(far) == 1:
            await far[0]
        elif far:
            await _all(far)

    async def _rule_looks(self, number: int, rule: ReadyRule, flows: Sequence[Flow]) -> None:
        while shown := _to_see(number, rule, flows):
            await self._see(rule, shown)

    async def _see(self, rule: ReadyRule, shown: Sequence[tuple[Flow, Look, Span]]) -> None:
        texts = [Text(flow.where, "assistant", flow.written.part(span)) for flow, _, span in shown]
        try:
            looked = await inspection.look(rule, texts)
        except NotInspected as problem:
            self._note(
                replace(inspection.not_inspected(rule, PHASE, texts[0].where), does=Does.BLOCK)
            )
            raise Blocked.by(refusals.unreadable_answer(str(problem)), self.verdict()) from None
        if looked.is_open:
            self._note(inspection.not_inspected(rule, PHASE, texts[0].where))
        for (flow, look, span), hits in zip(shown, looked.hits, strict=True):
            for hit in look.take(flow.written, span, hits):
                await self._meet(rule, flow, hit)

    async def _meet(self, rule: ReadyRule, flow: Flow, hit: Hit) -> None:
        """Do what a rule says about a find."""
        if rule.is_leak and await self._is_known(flow.written, hit):
            return
        self._note(Finding(rule.name, hit.detector, rule.does, PHASE, flow.where))
        if rule.does is Does.BLOCK:
            refusal = refusals.answer_filtered(rule.name, rule.message)
            raise Blocked.by(refusal, self.verdict())
        if rule.does is Does.MASK:
            flow.mask(Mask(hit.start, flow.written.past_escape(hit.end), rule.mask))

    async def _is_known(self, text: Written, hit: Hit) -> bool:
        """Tell whether the prompt held what was found. The prompt is read when the first find is
        met, in another thread, since it can be long.
        """
        if self._known is None:
            loop = asyncio.get_running_loop()
            said = [text.text for text in self._call.texts]
            self._known = await loop.run_in_executor(threads(), Known, said)
        value = text.part(Span(hit.start, hit.end))
        behind = text.part(Span(hit.end, min(hit.end + LONGEST_WORD, text.length)))
        # a pattern may end within a long word, or within an address
        rests = {"".join(takewhile(goes_on, behind)) for goes_on in (str.isalnum, _is_solid)}
        return any(self._known.has(value + rest) for rest in {"", *rests})

    def _write(self, piece: tuple[Flow, Part, Span]) -> bool:
        flow, part, span = piece
        words = masked(part.text, span, flow.masks)
        if words == part.text:
            return False
        try:
            part.put(words)
        except Unreadable as problem:
            raise self._unreadable(str(problem)) from None
        return True

    def _note(self, finding: Finding) -> None:
        if self._tell is not None:
            self._tell(finding)
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(finding)

    def _parts(self, document: dict[str, Any]) -> list[Part]:
        try:
            return list(parts(document))
        except Unreadable as problem:
            if self._holds:
                raise self._unreadable(str(problem)) from None
            return []

    def _unreadable(self, where: str) -> Refusal:
        why = f"no rule can read {where}"
        return Blocked.by(refusals.unreadable_answer(why), self.verdict())


def _to_see(number: int, rule: ReadyRule, flows: Sequence[Flow]) -> list[tuple[Flow, Look, Span]]:
    """Return what a rule must look at next; what holds no find for sure is taken as seen."""
    while asked := _asked(number, flows):
        shown = []
        for flow, look, span in asked:
            new = max(look.decided - span.start, 0)
            if rule.provider.may_hold(flow.written.part(span), new):
                shown.append((flow, look, span))
            else:
                look.take(flow.written, span, ())
        if shown:
            return shown
    return []


def _asked(number: int, flows: Sequence[Flow]) -> list[tuple[Flow, Look, Span]]:
    found = []
    for flow in flows:
        look = flow.looks[number]
        span = look.ask(flow.written)
        if span is not None:
            found.append((flow, look, span))
    return found


async def _all(looks: Sequence[Any]) -> None:
    """Wait for several; raise what the first that fails raises, when all are done."""
    ended = await asyncio.gather(*looks, return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one


def _is_solid(character: str) -> bool:
    return not character.isspace()


def _unwritable(event: Event) -> Any:
    def put(_: str) -> None:
        raise Unreadable("the stream")

    return put
