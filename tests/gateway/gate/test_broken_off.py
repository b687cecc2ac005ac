"""A call that is broken off at any of its steps, in any way: what was reserved is settled once, no
byte passes that was not inspected, and the record gets both halves of what was let through.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from apps.gateway.gate.answers import Event, Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Guardrail, Refusal
from apps.gateway.gate.steps import Away, Blocked, Verdict
from apps.gateway.gate.transaction import Steps, Transaction
from apps.metering.gate.counts import Basis
from tests.gateway.gate.test_transaction import NOW, a_call, an_event

PLACES = (
    "reserve", "inspect", "keep request", "begin answer", "inspect answer", "end answer", "settle",
    "keep answer",
)  # fmt: skip
FAULTS: dict[str, Callable[[], Exception] | None] = {
    "away": lambda: Away("the database does not answer"),
    "blocked": lambda: Blocked(
        400, "invalid_request_error", "content_filter", "No.", guardrail=Guardrail("r", "answer")
    ),
    "bug": lambda: RuntimeError("secret"),
    "left": None,  # the caller leaves while the step is at work
}
USAGE = an_event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
EVENTS = [
    an_event(choices=[{"index": 0, "delta": {"content": word}}]) for word in ("one", "two", "six")
]
PLAIN = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()


@dataclass
class World:
    """All three steps and the answer's guard: one place of it fails, before or after its work."""

    place: str
    fault: str
    is_late: bool
    driver: asyncio.Task[None] | None = None
    held: int = 0
    reservations: int = 0
    settled: list[Used] = field(default_factory=list)
    requests: list[Refusal | None] = field(default_factory=list)
    answers: list[tuple[bytes, Refusal | None]] = field(default_factory=list)
    let_go: bytes = b""

    def load(self, now: Any) -> None:
        raise AssertionError

    async def _work(self, place: str, done: Callable[[], None]) -> None:
        if place != self.place:
            await asyncio.sleep(0)
            return done()
        if self.is_late:
            done()
        make = FAULTS.get(self.fault)
        if make is not None:
            raise make()
        assert self.driver is not None
        self.driver.cancel()
        await asyncio.sleep(0)
        if not self.is_late:
            done()
        return None

    async def reserve(self, call: Call) -> None:
        def hold() -> None:
            self.held += 1
            self.reservations += 1

        refused = self.place == "reserve" and self.fault == "blocked"
        await self._work("reserve", (lambda: None) if refused else hold)

    async def settle(self, call: Call, used: Used, now: Any) -> None:
        self.settled.append(used)

        def give_back() -> None:
            self.held = 0

        await self._work("settle", give_back)

    async def request(self, call: Call, *more: Any) -> Verdict:
        if not more:
            await self._work("inspect", lambda: None)
            return Verdict("rules-1")
        await self._work("keep request", lambda: self.requests.append(more[1]))
        return Verdict()

    def answer(self, call: Call, *more: Any) -> Any:
        if more:
            return self._keep_answer(*more)
        make = FAULTS.get(self.fault)
        if self.place == "begin answer" and make is not None:
            raise make()
        return self

    async def _keep_answer(self, body: bytes, verdict: Any, refusal: Any, used: Used) -> None:
        await self._work("keep answer", lambda: self.answers.append((body, refusal)))

    async def whole(self, document: dict[str, Any]) -> bool:
        await self._work("inspect answer", self._release(PLAIN))
        return False

    async def feed(self, event: Event, *, more: bool = False) -> list[Event]:
        await self._work("inspect answer", self._release(event.raw))
        return [event]

    async def end(self) -> list[Event]:
        await self._work("end answer", lambda: None)
        return []

    def _release(self, data: bytes) -> Callable[[], None]:
        def release() -> None:
            self.let_go += data

        return release

    def verdict(self) -> Verdict:
        return Verdict("rules-1")


@dataclass
class Caller:
    """What one caller got: bytes, whether they ended well, and the refusal in their place."""

    got: bytes = b""
    ended_well: bool = False
    was_admitted: bool = False
    refused: Refusal | None = None


async def plain(call: Transaction, caller: Caller, status: int = 200) -> None:
    call.begins(status)
    caller.got = await call.whole(PLAIN)
    caller.ended_well = True


async def refused_behind(call: Transaction, caller: Caller) -> None:
    """A later filter refuses the call: no model was asked."""
    await plain(call, caller, 429)


async def streamed(call: Transaction, caller: Caller) -> None:
    call.begins(200)
    data = b"".join([*EVENTS, USAGE])
    for start in range(0, len(data), 50):
        piece = await call.piece(data[start : start + 50], is_end=start + 50 >= len(data))
        caller.got += piece.data
        if piece.is_last:
            caller.ended_well = True
            return


async def left_alone(call: Transaction, caller: Caller) -> None:
    """The caller leaves between two pieces."""
    call.begins(200)
    caller.got = (await call.piece(b"".join(EVENTS), is_end=False)).data


async def left_early(call: Transaction, caller: Caller) -> None:
    """The caller leaves before the model says anything."""


WAYS = (plain, refused_behind, streamed, left_alone, left_early)
Way = Callable[[Transaction, Caller], Coroutine[Any, Any, None]]


async def drive(world: World, way: Way) -> Caller:
    call, caller = Transaction(Steps(world, world, world), lambda: NOW), Caller()

    async def go() -> None:
        try:
            await call.request(a_call(stream=way is not plain))
            caller.was_admitted = True
            await way(call, caller)
        except Refusal as refusal:
            caller.refused = refusal
        except RuntimeError:
            pass

    world.driver = asyncio.create_task(go())
    await asyncio.wait([world.driver])
    for _ in range(2):
        try:
            await call.close()
        except (Away, RuntimeError, Refusal):
            assert world.place in ("settle", "keep answer")
    return caller


CASES = [
    (way, World(place, fault, is_late))
    for way, place, fault, is_late in product(WAYS, PLACES, FAULTS, (False, True))
]


@pytest.mark.parametrize(
    ("way", "world"), CASES,
    ids=[f"{way.__name__}-{w.place}-{w.fault}-{'late' if w.is_late else 'early'}"
         for way, w in CASES],
)  # fmt: skip
def test_whatever_fails_wherever(way: Way, world: World) -> None:
    caller = asyncio.run(drive(world, way))
    of_the_model = caller.got.partition(b'data: {"choices": [], "usage": {"prompt')[0]
    # no byte passes that was not let go, but a later filter's own words
    assert way is refused_behind or world.let_go.startswith(of_the_model)
    assert b"secret" not in caller.got
    # what may be held is settled once
    was_refused = world.place == "reserve" and world.fault == "blocked"
    assert len(world.settled) == (0 if was_refused else 1)
    assert world.held == 0 or world.place == "settle"
    # the record gets both halves
    kept_request = 0 if world.place == "keep request" and not world.is_late else 1
    if world.fault in ("bug", "left") and not caller.was_admitted:
        kept_request = len(world.requests)  # nothing went on to a model, or came back
    assert len(world.requests) == kept_request
    if caller.was_admitted:
        assert world.requests == [None]
        lost = world.place == "keep answer" and world.fault != "left" and not world.is_late
        assert len(world.answers) == (0 if lost else 1)
    else:
        assert world.answers == []
        assert all(used.basis == Basis.NOTHING for used in world.settled)
    # an answer that was not recorded does not end well
    failed = world.place == "keep answer" and world.fault != "left"
    assert not (failed and caller.ended_well)


@pytest.mark.parametrize("fault", ["away", "blocked"])
@pytest.mark.parametrize("place", ["inspect", "keep request"])
def test_a_refused_request_is_recorded_with_why(place: str, fault: str) -> None:
    world = World(place, fault, is_late=False)
    caller = asyncio.run(drive(world, plain))
    assert caller.refused is not None and caller.got == b""
    assert caller.refused.status == (502 if fault == "away" else 400)
    assert world.requests == ([caller.refused] if place == "inspect" else [])


@pytest.mark.parametrize(
    ("way", "place", "fault", "basis", "completeness", "output"),
    [
        (plain, "", "away", "USAGE", "COMPLETE", 2),
        (plain, "inspect answer", "blocked", "USAGE", "COMPLETE", 2),
        (plain, "inspect answer", "away", "USAGE", "COMPLETE", 2),
        (plain, "inspect answer", "left", "USAGE", "COMPLETE", 2),
        (refused_behind, "", "away", "NOTHING", "COMPLETE", 0),
        (streamed, "", "away", "USAGE", "COMPLETE", 2),
        (streamed, "inspect answer", "blocked", "ESTIMATED", "ENDED_EARLY", 1),
        (streamed, "inspect answer", "away", "ESTIMATED", "ENDED_EARLY", 1),
        (streamed, "inspect answer", "bug", "ESTIMATED", "FAILED", 1),
        (streamed, "inspect answer", "left", "ESTIMATED", "ABORTED", 1),
        (left_alone, "", "away", "ESTIMATED", "ABORTED", 3),
        (left_early, "", "away", "ESTIMATED", "ABORTED", 0),
    ],
)
def test_what_was_made_is_paid(
    way: Way, place: str, fault: str, basis: str, completeness: str, output: int
) -> None:
    world = World(place, fault, is_late=False)
    asyncio.run(drive(world, way))
    (used,) = world.settled
    assert (used.basis, used.completeness, used.output_tokens) == (basis, completeness, output)


def test_a_plain_call_whose_caller_left_is_not_free() -> None:
    """Nobody saw how much of its answer was made: that is unknown, and not 0."""
    world = World("", "", is_late=False)
    call = Transaction(Steps(world, world, world), lambda: NOW)

    async def go() -> None:
        await call.request(a_call())
        await call.close()

    asyncio.run(go())
    (used,) = world.settled
    assert (used.basis, used.completeness) == ("ESTIMATED", "ABORTED")
    assert (used.input_tokens, used.output_tokens) == (1, None)


def test_nothing_follows_what_the_gate_ended() -> None:
    world = World("inspect answer", "blocked", is_late=False)
    call = Transaction(Steps(world, world, world), lambda: NOW)

    async def go() -> None:
        await call.request(a_call(stream=True))
        call.begins(200)
        stopped = await call.piece(EVENTS[0], is_end=False)
        assert stopped.refusal is not None and stopped.is_last
        assert (await call.piece(EVENTS[1], is_end=True)).data == b""
        assert (so_far := call.so_far()) is not None and so_far == world.settled[0]

    asyncio.run(go())


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"[" * 100_000, b"\xff\xfe"])
def test_an_answer_that_cannot_be_read_is_held_back(body: bytes) -> None:
    world = World("", "", is_late=False)
    call = Transaction(Steps(world, world, world), lambda: NOW)

    async def go() -> bytes:
        await call.request(a_call())
        assert call.so_far() is None
        call.begins(200)
        return await call.whole(body)

    with pytest.raises(Refusal) as refused:
        asyncio.run(go())
    assert (refused.value.status, refused.value.code) == (502, "answer_unreadable")
    assert world.answers == [(refused.value.body(), refused.value)]
    assert (world.settled[0].basis, world.settled[0].output_tokens) == ("ESTIMATED", 0)


def test_a_stream_without_end_of_event_is_ended() -> None:
    world = World("", "", is_late=False)
    call = Transaction(Steps(world, world, world), lambda: NOW)
    call._splitter.longest = 100

    async def go() -> None:
        await call.request(a_call(stream=True))
        call.begins(200)
        assert (await call.piece(EVENTS[0] + b"data: x", is_end=False)).data == EVENTS[0]
        piece = await call.piece(b"y" * 100, is_end=False)
        assert piece.is_last and b"answer_unreadable" in piece.data

    asyncio.run(go())
