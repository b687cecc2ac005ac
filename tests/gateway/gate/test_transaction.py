"""The order of a call's steps, with steps that note what they were asked."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from apps.gateway.gate.answers import Event
from apps.gateway.gate.calls import Call, Caller, Text
from apps.gateway.gate.refusals import Guardrail, Refusal
from apps.gateway.gate.steps import Away, Blocked, Verdict
from apps.gateway.gate.transaction import Steps, Transaction
from apps.metering.gate.counts import Basis
from apps.metering.models import Completeness

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def a_call(**changes: Any) -> Call:
    """Return a chat with one message."""
    caller = Caller("s-1", "claims", "CC-1", NOW)
    values: dict[str, Any] = {
        "id": UUID(int=1), "at": NOW, "caller": caller, "path": "/v1/chat/completions",
        "operation": "CHAT", "model": "summary", "stream": False, "n": 1, "max_tokens": 10,
        "has_images": False, "continuous_usage": False,
        "texts": (Text("messages[0].content", "user", "hello"),), "body": b"{}",
    }  # fmt: skip
    return Call(**{**values, **changes})


@dataclass
class Noting:
    """All three steps at once, and the answer's guard: notes what it was asked, in order."""

    notes: list[Any] = field(default_factory=list)
    refuses: str = ""  # a word that an answer must not hold
    fails: Exception | None = None

    def load(self, now: datetime) -> None:
        self.notes.append("load")

    async def reserve(self, call: Call) -> None:
        self.notes.append("reserve")

    async def settle(self, call: Call, used: Any, now: datetime) -> None:
        self.notes.append(("settle", used.basis, used.completeness, used.output_tokens))

    async def request(self, call: Call, *more: Any) -> Verdict:
        self.notes.append("record" if more else "inspect")
        if self.fails and bool(more) == isinstance(self.fails, Away):
            raise self.fails
        return Verdict("rules-1")

    def answer(self, call: Call, *more: Any) -> Any:
        if not more:
            return self
        self.notes.append(("recorded", more[0]))
        return asyncio.sleep(0)

    async def whole(self, document: dict[str, Any]) -> bool:
        self._check(json.dumps(document))
        return False

    async def feed(self, event: Event, *, more: bool = False) -> list[Event]:
        self._check(event.raw.decode())
        return [event]

    async def end(self) -> list[Event]:
        return []

    def verdict(self) -> Verdict:
        return Verdict("rules-1")

    def _check(self, text: str) -> None:
        if self.refuses and self.refuses in text:
            raise Blocked(
                400, "invalid_request_error", "content_filter", "A rule stopped this answer.",
                guardrail=Guardrail("leaks", "answer"),
            )  # fmt: skip


def begun(steps: Noting, **changes: Any) -> Transaction:
    """Return a call that was let through."""
    found = Transaction(Steps(steps, steps, steps), lambda: NOW)
    asyncio.run(found.request(a_call(**changes)))
    found.begins(200)
    return found


def an_event(**document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


WORD = an_event(choices=[{"index": 0, "delta": {"content": "word"}}])


def test_a_whole_answer_is_inspected_settled_and_recorded() -> None:
    """…in this order, and closing settles nothing twice."""
    steps = Noting()
    call = begun(steps)
    body = json.dumps({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()
    assert asyncio.run(call.whole(body)) == body
    asyncio.run(call.close())
    assert steps.notes == [
        "reserve", "inspect", "record",
        ("settle", Basis.USAGE, Completeness.COMPLETE, 2), ("recorded", body),
    ]  # fmt: skip


def test_a_stream_that_its_client_leaves_is_settled_by_what_passed() -> None:
    """Aborts are paid."""
    steps = Noting()
    call = begun(steps, stream=True)
    half = len(WORD) + 7
    data = WORD + WORD
    assert asyncio.run(call.piece(data[:half], is_end=False)).data == WORD
    assert asyncio.run(call.piece(data[half:], is_end=False)).data == WORD
    asyncio.run(call.close())
    asyncio.run(call.close())
    assert steps.notes[3:] == [
        ("settle", Basis.ESTIMATED, Completeness.ABORTED, 2), ("recorded", WORD + WORD),
    ]  # fmt: skip


def test_a_rule_that_blocks_ends_a_stream_well() -> None:
    """With what was let go before, what was used, the reason and the end mark; nothing of what was
    found.
    """
    steps = Noting(refuses="secret")
    call = begun(steps, stream=True)
    bad = an_event(choices=[{"index": 0, "delta": {"content": "secret"}}])
    piece = asyncio.run(call.piece(WORD + bad + WORD, is_end=False))
    assert piece.is_last
    assert b"secret" not in piece.data
    assert piece.data.startswith(WORD)
    usage, error, done = piece.data[len(WORD) :].decode().strip().split("\n\n")
    assert json.loads(usage[6:])["choices"] == []
    assert json.loads(error[6:])["error"]["guardrail"] == {"rule": "leaks", "phase": "answer"}
    assert done == "data: [DONE]"
    assert steps.notes[-2] == ("settle", Basis.ESTIMATED, Completeness.ENDED_EARLY, 3)
    assert steps.notes[-1] == ("recorded", piece.data)


@pytest.mark.parametrize(
    ("problem", "status"),
    [(Away("the record"), 502), (Blocked(400, "t", "content_filter", "No."), 400)],
)
def test_what_is_not_let_through_holds_nothing(problem: Exception, status: int) -> None:
    """A blocked call and one that could not be recorded give back what was reserved."""
    steps = Noting(fails=problem)
    call = Transaction(Steps(steps, steps, steps), lambda: NOW)
    with pytest.raises(Refusal) as refused:
        asyncio.run(call.request(a_call()))
    assert refused.value.status == status
    asyncio.run(call.close())
    assert steps.notes[-1] == ("settle", Basis.NOTHING, Completeness.COMPLETE, 0)
    assert steps.notes.count("record") == 1


@pytest.mark.parametrize("status", [307, 400, 429, 500, 503])
def test_an_engines_error_passes_and_costs_nothing(status: int) -> None:
    """Only a success is a model's answer. What was wrong with a request may repeat its words, to
    whoever sent them, and goes to the record.
    """
    steps = Noting(refuses="boom")
    call = begun(steps)
    call.begins(status)
    assert asyncio.run(call.whole(b"boom")) == b"boom"
    asyncio.run(call.close())
    assert steps.notes[3:] == [
        ("settle", Basis.NOTHING, Completeness.COMPLETE, 0), ("recorded", b"boom"),
    ]  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 203, 206, 299])
def test_every_success_is_a_models_answer(status: int) -> None:
    """Whatever an engine calls it: it is inspected and paid."""
    steps = Noting(refuses="secret")
    call = begun(steps)
    call.begins(status)
    body = {"choices": [{"index": 0, "message": {"content": "secret"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2}}  # fmt: skip
    with pytest.raises(Blocked):
        asyncio.run(call.whole(json.dumps(body).encode()))
    assert steps.notes[3] == ("settle", Basis.USAGE, Completeness.COMPLETE, 2)
    left = begun(Noting(), stream=True)
    left.begins(status)
    asyncio.run(left.piece(WORD, is_end=False))
    assert (used := left.so_far()) is not None
    assert (used.basis, used.output_tokens) == ("ESTIMATED", 1)


def test_all_steps_read_what_people_decided() -> None:
    steps = Noting()
    Steps(steps, steps, steps).load(NOW)
    assert steps.notes == ["load"] * 3


def test_what_was_used_is_known_while_it_is_being_used() -> None:
    """Only of a model's answer, and only once it is there."""
    steps = Noting()
    call = Transaction(Steps(steps, steps, steps), lambda: NOW)
    call.begins(200)
    assert call.so_far() is None
    call = begun(steps, stream=True)
    asyncio.run(call.piece(WORD, is_end=False))
    assert (used := call.so_far()) is not None
    assert (used.basis, used.completeness, used.output_tokens) == ("ESTIMATED", "ABORTED", 1)
    call.begins(400)
    assert call.so_far() is None


@pytest.mark.parametrize(
    ("told", "images", "usage"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, False,
         {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}),
        (None, True, {"completion_tokens": 2, "total_tokens": 2}),
    ],
)  # fmt: skip
def test_a_stream_that_is_stopped_tells_its_usage(told: Any, images: bool, usage: Any) -> None:
    """What nobody knows is left out."""
    steps = Noting(refuses="bad")
    call = begun(steps, stream=True, has_images=images)
    event = an_event(choices=[{"index": 0, "delta": {"content": "bad words"}}], usage=told)
    piece = asyncio.run(call.piece(event, is_end=False))
    assert json.loads(piece.data.split(b"\n\n")[0][6:]) == {"choices": [], "usage": usage}


VECTORS = b"""{"data": [{"index": 0, "embedding": [-1.5e-3, 2,
 0.1]}, {"index": 1, "embedding": []}],
 "note": "\\"embedding\\": [1]", "usage": {"prompt_tokens": 3}}"""


def test_vectors_pass_as_they_came_and_all_else_is_inspected() -> None:
    """Reading their numbers would keep the gate from other calls."""
    steps, seen = Noting(), []
    call = begun(steps, operation="EMBEDDING")
    steps._check = seen.append  # type: ignore[method-assign]
    assert asyncio.run(call.whole(VECTORS)) == VECTORS
    assert json.loads(seen[0]) == {
        "data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}],
        "note": '"embedding": [1]', "usage": {"prompt_tokens": 3},
    }  # fmt: skip
    assert steps.notes[3] == ("settle", Basis.USAGE, Completeness.COMPLETE, 0)


@pytest.mark.parametrize(
    "vector", [b'["a word"]', b'[1, "a word"]', b'"YSB3b3Jk"', b"[[1]]", b'{"a word": 1}']
)
def test_what_is_no_vector_is_inspected_as_it_stands(vector: bytes) -> None:
    steps, seen = Noting(), []
    call = begun(steps, operation="EMBEDDING")
    steps._check = seen.append  # type: ignore[method-assign]
    body = b'{"data": [{"embedding": ' + vector + b"}]}"
    assert asyncio.run(call.whole(body)) == body
    assert json.loads(seen[0]) == json.loads(body)


def test_vectors_with_words_that_a_rule_masks_are_held_back() -> None:
    steps = Noting()
    call = begun(steps, operation="EMBEDDING")

    async def mask(document: dict[str, Any]) -> bool:
        document["note"] = "[REDACTED]"
        return True

    steps.whole = mask  # type: ignore[method-assign]
    with pytest.raises(Refusal, match="among its vectors"):
        asyncio.run(call.whole(VECTORS))
    body = b'{"choices": [], "note": "a word"}'
    plain = begun(steps)
    assert json.loads(asyncio.run(plain.whole(body)))["note"] == "[REDACTED]"
