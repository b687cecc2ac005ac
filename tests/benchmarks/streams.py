"""`make bench-streams`: what the guard's shipped rules add to a streamed answer, and how far behind
the engine a caller is.

Answers are made up, in tokens of four characters, fed as fast as they are taken; the reference is
reading the same events' JSON, in the same run. "Behind" counts characters that came and have not
left; the first token's delay is what is left of it once the window is full: time, not characters.
"""

import asyncio
import gc
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

import django

import tests.environment  # noqa: F401 (sets what the settings need)

django.setup()

from apps.gateway.gate.answers import Event  # noqa: E402
from apps.gateway.gate.calls import Call, Caller, Text  # noqa: E402
from apps.gateway.guard.answers import InspectedAnswer  # noqa: E402
from apps.gateway.guard.detectors.recognizers import BEHIND, SPACED  # noqa: E402
from apps.gateway.guard.providers import STEP  # noqa: E402
from apps.gateway.guard.ready import guards_from_settings, ready  # noqa: E402
from apps.gateway.guard.rules import Phase  # noqa: E402
from apps.gateway.guard.shipped import SHIPPED  # noqa: E402
from tests.benchmarks.report import Result, show  # noqa: E402

TOKEN, STREAMS = 4, 60
LONGEST_WORD = 24
WINDOW = SPACED + BEHIND + STEP + LONGEST_WORD  # characters
PROSE = (
    "The request meets the criteria of the policy and can be approved without a review, since "
    "conservative treatment was documented and imaging is part of the submitted record. "
)
FIGURES = (
    "Units 12 of code 72148 at 118.20 dollars, seen on 10/02/2026, page 4 of 31; call back at "
    "extension 5512, order 88-2041-7. "
)
NOW = datetime(2026, 11, 27, tzinfo=UTC)
LONG = 5_000_000  # characters of one plain answer


def call() -> Call:
    """Return a call whose prompt is a short packet."""
    return Call(
        id=UUID(int=1), at=NOW, caller=Caller("maya", "prior-auth", "CC-1001", NOW),
        path="/v1/chat/completions", operation="CHAT", model="codes-9b", stream=True, n=1,
        max_tokens=None, has_images=False, continuous_usage=False,
        texts=(Text("messages[0].content", "user", PROSE * 20),), body=b"{}",
    )  # fmt: skip


def guard() -> InspectedAnswer:
    """Return the guard of one answer, by all rules that ship for answers."""
    guards = guards_from_settings()
    rules = [ready(rule, guards) for rule in SHIPPED.rules if rule.phase == Phase.ANSWER]
    return InspectedAnswer(call(), rules, "digest")


def events(text: str) -> list[Event]:
    """Return a text as a stream."""
    found = []
    for at in range(0, len(text), TOKEN):
        choice = {"index": 0, "delta": {"content": text[at : at + TOKEN]}, "finish_reason": None}
        document = {"id": "chatcmpl-1", "model": "codes-9b", "choices": [choice]}
        found.append(Event(b"data: " + json.dumps(document).encode() + b"\n\n", document))
    return found


async def fed(stream: Iterable[Event]) -> tuple[list[float], int, float]:
    """Return (seconds of this thread for each event, most characters behind, seconds by the clock
    of the event that let the first one go).
    """
    answer, took, behind, most, first = guard(), [], 0, 0, 0.0
    for event in stream:
        began, used = time.perf_counter(), time.thread_time()
        gone = await answer.feed(event)
        took.append(time.thread_time() - used)
        behind += TOKEN * (1 - len(gone))
        most = max(most, behind)
        if gone and not first:
            first = time.perf_counter() - began
    await answer.end()
    return took, most, first


async def waits() -> float:
    """Return the longest that a short plain answer waited beside a very long one, in seconds."""
    document = {"choices": [{"index": 0, "message": {"content": FIGURES * (LONG // len(FIGURES))}}]}
    short = {"choices": [{"index": 0, "message": {"content": PROSE}}]}
    long = asyncio.ensure_future(guard().whole(document))
    longest = 0.0
    while not long.done():
        asked = time.perf_counter()
        await guard().whole(short)
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - asked)
    await long
    return longest


def at(seconds: list[float], share: float) -> float:
    """Return the time that a share of them is not above, in milliseconds."""
    return round(sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))] * 1000, 3)


def of_text(name: str, text: str) -> list[Result]:
    """Return the figures of streams of one text. Where a time is said to be of the CPU, other work
    on the machine does not count.
    """
    stream = events(text * (4_000 // len(text)))
    began = time.process_time()
    runs = [asyncio.run(fed(stream)) for _ in range(STREAMS)]
    mean = (time.process_time() - began) / STREAMS / len(stream)
    began = time.process_time()
    for _ in range(STREAMS):
        for event in stream:
            json.loads(event.raw[6:])
    reference = (time.process_time() - began) / STREAMS / len(stream)
    took = [one for run in runs for one in run[0]]
    first = at([run[2] for run in runs], 0.99)
    behind = max(run[1] for run in runs)
    ratio = round(mean / reference, 1)
    return [
        Result(f"{name}: an event, CPU", round(mean * 1000, 3), "ms", 0.2, ratio),
        Result(f"{name}: an event, CPU, p99", at(took, 0.99), "ms", 2),
        Result(f"{name}: the first token, beyond the window, p99", first, "ms", 5),
        Result(f"{name}: behind the engine at most", behind, "characters", WINDOW),
    ]


def main() -> None:
    """Measure and print, with what was loaded left out of the garbage's collection, as a gate
    does.
    """
    gc.freeze()
    began = time.process_time()
    longest = asyncio.run(waits())
    long = time.process_time() - began
    results = [
        *of_text("prose", PROSE),
        *of_text("figures", FIGURES),
        Result("an answer of 5,000,000 characters, CPU", round(long, 2), "s", 8),
        Result("another call beside it, the longest", round(longest * 1000, 1), "ms", 250),
    ]
    show("streams", results, window=WINDOW)


if __name__ == "__main__":
    main()
