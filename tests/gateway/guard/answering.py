"""Calls, rules and streams for the tests of answers."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain, repeat
from uuid import UUID

from apps.gateway.gate.answers import Event, Splitter
from apps.gateway.gate.calls import Call, Caller, Text
from apps.gateway.gate.steps import Does
from apps.gateway.guard.answers import InspectedAnswer
from apps.gateway.guard.detectors.member_data import member_data
from apps.gateway.guard.inspection import ReadyRule
from apps.gateway.guard.providers import patterns

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DONE = b"data: [DONE]\n\n"
PHI = patterns(member_data())


def call(*texts: str) -> Call:
    return Call(
        id=UUID(int=7),
        at=NOW,
        caller=Caller("maya", "prior-auth", "CC-1001", NOW),
        path="/v1/chat/completions",
        operation="CHAT",
        model="codes-9b",
        stream=True,
        n=1,
        max_tokens=None,
        has_images=False,
        continuous_usage=False,
        texts=tuple(Text(f"messages[{n}].content", "user", text) for n, text in enumerate(texts)),
        body=b"{}",
    )


def rule(does: Does = Does.BLOCK, provider=PHI, **options) -> ReadyRule:
    return ReadyRule(options.pop("name", "no-phi"), provider, does, **options)


def guard(*rules: ReadyRule, prompt: Sequence[str] = ("Hello",)) -> InspectedAnswer:
    return InspectedAnswer(call(*prompt), rules, "digest")


def event(document: dict) -> Event:
    return Event(b"data: " + json.dumps(document).encode() + b"\n\n", document)


def chunk(text: str | None = None, *, index: int = 0, finish: str | None = None, **delta) -> Event:
    """Return an event of a chat as vLLM streams it."""
    if text is not None:
        delta["content"] = text
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "codes-9b",
            "choices": [choice],
        }
    )


def end() -> Event:
    return Event(DONE)


def usage(made: int = 9) -> Event:
    return event(
        {
            "id": "chatcmpl-1",
            "choices": [],
            "usage": {"prompt_tokens": 5, "completion_tokens": made},
        }
    )


async def passed(
    answer: InspectedAnswer, events: Iterable[Event], together: Iterable[bool] = ()
) -> list[Event]:
    """Return what a stream lets go, to its end. together: of each event, whether the next one
    comes with it.
    """
    found = []
    for one, more in zip(events, chain(together, repeat(False)), strict=False):
        found += await answer.feed(one, more=more)
    return found + await answer.end()


def run(coroutine):
    return asyncio.run(coroutine)


def text_of(events: Iterable[Event], index: int = 0, channel: str = "content") -> str:
    """Return what a client joins of one choice."""
    found = []
    for one in events:
        for choice in (one.document or {}).get("choices") or []:
            if choice["index"] == index:
                found.append((choice.get("delta") or {}).get(channel) or "")
    return "".join(found)


def read(raw: bytes) -> list[Event]:
    """Return the events of a stream's bytes, as a client reads them."""
    splitter = Splitter()
    return splitter.feed(raw) + splitter.end()
