"""A call's passage: what Envoy says becomes the call that the steps see, and what they say an
answer of Envoy's.
"""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from apps.gateway.gate.calls import Call
from apps.gateway.gate.passage import Passage
from apps.gateway.gate.reading import Bounds
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Away
from apps.gateway.gate.transaction import Steps
from apps.integrations.envoy.exchange import Admitted, Asked, Refused
from tests.gateway.gate.passing import OpenGuard, OpenPurse, OpenRecord

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
ID = UUID(int=7)
CLAIMS = {"sub": "dana", "team": "claims", "cost_center": "CC-1", "exp": 1_800_000_000.0}
BODY = {"model": "summary", "messages": [{"role": "user", "content": "hello"}], "n": 2}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@dataclass
class Purse(OpenPurse):
    """Notes what it was asked, and refuses what it is told to."""

    refuses: Exception | None = None
    held: list[Call] = field(default_factory=list)
    settled: list[Any] = field(default_factory=list)

    async def reserve(self, call):
        self.held.append(call)
        if self.refuses:
            raise self.refuses

    async def settle(self, call, used, now):
        self.settled.append((call.id, str(used.basis), used.output_tokens))


def asked(*, claims=CLAIMS, headers=(), **body):
    """What Envoy says of a chat."""
    sent = {
        ":path": "/v1/chat/completions",
        "content-type": "application/json",
        "x-request-id": str(ID),
        **dict(headers),
    }
    return Asked(sent, claims, json.dumps({**BODY, **body}).encode())


def passage(purse, bounds=Bounds()):  # noqa: B008 (frozen)
    return Passage(Steps(purse, OpenGuard(), OpenRecord()), lambda *_: bounds, lambda: NOW)


def begun(purse, **more):
    """A call that was let through."""
    made = passage(purse)
    assert isinstance(asyncio.run(made.request(asked(**more))), Admitted)
    assert made.begins(200, "") is None
    return made


class TestTheRequest:
    def test_is_who_the_token_says_under_the_gateways_own_id(self):
        purse = Purse()
        forged = {"x-team": "boss", "x-cost-center": "CC-9", "x-user-id": "eve"}
        asyncio.run(passage(purse).request(asked(headers=forged)))
        (call,) = purse.held
        assert (call.id, call.at, call.model, call.n) == (ID, NOW, "summary", 2)
        assert (call.caller.subject, call.caller.team, call.caller.cost_center) == (
            "dana",
            "claims",
            "CC-1",
        )

    def test_is_of_the_path_that_the_caller_asked(self):
        purse = Purse()
        headers = {":path": "/v1/other", "x-ai-eg-original-path": "/v1/chat/completions"}
        asyncio.run(passage(purse).request(asked(headers=headers)))
        assert purse.held[0].path == "/v1/chat/completions"

    def test_goes_on_with_its_class_and_by_a_rule_of_its_own_where_it_is_batch(self, monkeypatch):
        found = asyncio.run(passage(Purse()).request(asked()))
        names = ("x-member-key", "x-case-key")  # whom a call is about, the engine never learns
        assert found == Admitted({"x-qm-class": "interactive"}, reroutes=False, removes=names)
        from apps.gateway.gate import passage as module

        read = module.read
        monkeypatch.setattr(
            module, "read", lambda *given: replace(read(*given), service_class="batch")
        )
        found = asyncio.run(passage(Purse()).request(asked()))
        assert found == Admitted({"x-qm-class": "batch"}, reroutes=True, removes=names)

    @pytest.mark.parametrize(
        ("more", "status", "code"),
        [
            ({"claims": None}, 401, "token_incomplete"),
            ({"claims": {**CLAIMS, "exp": None}}, 401, "token_endless"),
            ({"stream": "true"}, 400, "field_invalid"),
            ({"n": 99}, 400, "field_invalid"),
            ({"headers": {"content-encoding": "gzip"}}, 400, "content_encoding"),
            ({"headers": {":path": "/v1/files"}}, 404, "path_not_found"),
            ({"headers": {"x-request-id": "7"}}, 502, "gate_unavailable"),
        ],
    )
    def test_that_is_not_what_it_must_be_holds_nothing(self, more, status, code):
        purse = Purse()
        made = passage(purse)
        found = asyncio.run(made.request(asked(**more)))
        assert isinstance(found, Refused)
        assert (found.status, found.details) == (status, f"qm_{code}")
        assert json.loads(found.body)["error"]["code"] == code
        again = {"retry_after": 5} if code == "gate_unavailable" else {}
        assert made.notes() == {"verdict": code, **again}
        asyncio.run(made.close())
        assert (purse.held, purse.settled) == ([], [])

    @pytest.mark.parametrize(
        ("problem", "status", "code"),
        [
            (Refusal(402, "insufficient_quota", "insufficient_quota", "Spent."), 402,
             "insufficient_quota"),
            (Away("the database"), 502, "gate_unavailable"),
        ],
    )  # fmt: skip
    def test_that_a_step_refuses_is_refused_in_its_words(self, problem, status, code):
        found = asyncio.run(passage(Purse(refuses=problem)).request(asked()))
        assert (found.status, json.loads(found.body)["error"]["code"]) == (status, code)


class TestTheAnswer:
    def test_passes_with_what_it_used_in_the_record(self):
        purse = Purse()
        made = begun(purse)
        body = json.dumps({"usage": USAGE}).encode()
        assert asyncio.run(made.whole(body)) == body
        assert made.notes() == {
            "verdict": "passed",
            "retry_after": 60,  # until the next minute
            "basis": "USAGE",
            "completeness": "COMPLETE",
            "input_tokens": 3,
            "output_tokens": 2,
        }
        asyncio.run(made.close())
        assert purse.settled == [(ID, "USAGE", 2)]

    def test_that_cannot_be_read_is_refused(self):
        made = begun(Purse())
        assert made.begins(200, "gzip").details == "qm_answer_unreadable"
        found = asyncio.run(made.whole(b"no JSON"))
        assert (found.status, found.details) == (502, "qm_answer_unreadable")
        assert made.notes()["verdict"] == "answer_unreadable"

    def test_of_a_stream_tells_what_passed_so_far_as_long_as_it_goes_on(self):
        purse = Purse()
        made = begun(purse, stream=True)
        event = b'data: {"choices": [{"index": 0, "delta": {"content": "word"}}]}\n\n'
        part = asyncio.run(made.part(event * 2, is_end=False))
        assert (part.data, part.is_last) == (event * 2, False)
        notes = made.notes()
        assert (notes["basis"], notes["completeness"]) == ("ESTIMATED", "ABORTED")
        assert notes["output_tokens"] == 2
        assert "cached_input_tokens" not in notes  # not told, which is not 0
        asyncio.run(made.close())
        assert purse.settled == [(ID, "ESTIMATED", 2)]

    def test_that_was_broken_off_is_told_as_a_check_that_did_not_end(self):
        """Whether the call was sent on, and is charged, is told as it is."""
        made = passage(Purse())
        found = made.failed()
        assert (found.status, found.details) == (502, "qm_gate_unavailable")
        assert (
            "was not sent on and nothing was charged" in json.loads(found.body)["error"]["message"]
        )
        made = begun(Purse())
        found = made.failed()
        assert (found.status, found.details) == (502, "qm_answer_unreadable")
        assert "is charged" in json.loads(found.body)["error"]["message"]
        assert found.headers["x-should-retry"] == "false"  # it would be charged once more
