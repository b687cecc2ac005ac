"""`make surge`: a Monday morning against the local gateway, ten minutes long, with real calls.

It says before what it will do, is bounded in rate, number and calls at once, and stops on Ctrl-C.
The personas call with tokens of their own, so that the calls are theirs in every figure; who may
call nothing is told so, and called no further.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .report import read_status
from .sign_in import Refused, access_token

AUDIENCE = "quartermaster-gateway"
SEED = "a Monday morning"
LONGEST, FASTEST, MOST_CALLS, AT_ONCE = (
    30,
    20.0,
    3000,
    8,
)  # minutes; calls a second, in all, at once
TIMEOUT, TOKEN_FOR, SAID_EVERY = 120.0, 240.0, 10.0  # seconds
MOST_ANSWERED = 48  # tokens
# how busy each tenth of it is: people arrive, the queue of the weekend is worked off
SHAPE = (1, 2, 4, 7, 10, 9, 7, 6, 5, 4)
# persona, team, model: who calls what; the others wait for their access
CALLERS = (
    ("liam", "prior-auth", "prior-auth-extract"),
    ("maya", "claims-review", "clinical-summary"),
    ("maya", "claims-review", "prior-auth-extract"),
)
NOTES = (
    "Member reports lower back pain for six weeks. Physical therapy was tried without relief.",
    "MRI of the lumbar spine is requested (CPT 72148). Diagnosis M54.16, radiculopathy.",
    "Prior imaging shows no fracture. Medication: naproxen 500 mg twice a day.",
    "The requesting physician is in network. Authorization is asked for 30 days.",
)


@dataclass(frozen=True)
class Planned:
    """A call to come. at: seconds from the start."""

    at: float
    caller: int
    notes: int


@dataclass
class Tally:
    """What came of the calls so far: status → how many; 0 where no answer came. tokens: as the
    answers tell them.
    """

    answers: Counter[int] = field(default_factory=Counter)
    tokens: int = 0

    @property
    def words(self) -> str:
        """Return it in words."""
        parts = [
            f"{count} x {status or 'no answer'}" for status, count in sorted(self.answers.items())
        ]
        count = sum(self.answers.values())
        return f"{count} calls ({', '.join(parts) or 'none yet'}), {self.tokens:,} tokens"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("--minutes", type=float, default=10.0, help=f"at most {LONGEST}")
    parser.add_argument(
        "--rate", type=float, default=1.5, help=f"calls a second on average; {FASTEST:g} at most"
    )


def plan(*, minutes: float, rate: float, callers: int) -> list[Planned]:
    """Return the calls of a surge in order: the same ones each time, MOST_CALLS at most."""
    rng = random.Random(SEED)  # noqa: S311 (no secret)
    length = min(minutes, LONGEST) * 60
    count = min(int(length * min(rate, FASTEST)), MOST_CALLS)
    tenths = rng.choices(range(len(SHAPE)), weights=SHAPE, k=count)
    moments = sorted((tenth + rng.random()) * length / len(SHAPE) for tenth in tenths)
    return [Planned(at, rng.randrange(callers), rng.randint(1, 40)) for at in moments]


def surge(state: Path, options: argparse.Namespace) -> int:
    """Call until the morning is over, or somebody stops it."""
    status = read_status(state)
    gateway = _gateway(status)
    if status is None or gateway is None:
        print(f"No gateway runs in {state}. Start it with: make up", file=sys.stderr)
        return 1
    callers = [
        each for each in map(_Caller.of, CALLERS) if _may_call(each, status["issuer"], gateway)
    ]
    if not callers:
        print("Nobody may call a model that answers: approve access and roll a version out first.")
        return 1
    planned = plan(minutes=options.minutes, rate=options.rate, callers=len(callers))
    names = ", ".join(f"{each.persona} ({each.team}) calls {each.model}" for each in callers)
    print(
        f"{len(planned)} real calls to {gateway} in {planned[-1].at / 60:.0f} minutes, at most "
        f"{AT_ONCE} at once: {names}. Each is metered and charged like any other. Ctrl-C stops it.",
        flush=True,
    )
    tally = Tally()
    try:
        _run(planned, callers, status["issuer"], gateway, tally)
    except KeyboardInterrupt:
        print("\nStopped. Calls that were under way are waited for.")
    print(f"Done: {tally.words}.")
    return 0


def _gateway(status: dict[str, Any] | None) -> str | None:
    parts = status["parts"] if status else []
    return next((part["address"] for part in parts if part["name"] == "envoy"), None)


@dataclass
class _Caller:
    """Who calls which model, with a token that is renewed."""

    persona: str
    team: str
    model: str
    token: str = ""
    until: float = 0.0

    @classmethod
    def of(cls, who: tuple[str, str, str]) -> _Caller:
        """Return one without a token yet."""
        return cls(*who)

    def bearer(self, issuer: str) -> str:
        """Return a token that still holds."""
        if time.monotonic() > self.until:
            self.token = access_token(issuer, self.persona, (AUDIENCE,), self.team)
            self.until = time.monotonic() + TOKEN_FOR
        return self.token


def _may_call(caller: _Caller, issuer: str, gateway: str) -> bool:
    """Call once, and tell whether it is worth calling on; say why where it is not."""
    try:
        status, _ = _call(gateway, caller.bearer(issuer), caller.model, 1)
    except Refused as error:
        print(f"{caller.persona} cannot sign in: {error}")
        return False
    if status != 200:  # noqa: PLR2004
        print(f"{caller.persona} gets {status or 'no answer'} from {caller.model}: left out.")
    return status == 200  # noqa: PLR2004


def _run(
    planned: Sequence[Planned], callers: list[_Caller], issuer: str, gateway: str, tally: Tally
) -> None:
    began = said = time.monotonic()
    under_way: set[Future[tuple[int, int]]] = set()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for call in planned:
                _wait_until(began + call.at)
                under_way -= _counted(under_way, tally)
                while len(under_way) >= AT_ONCE:  # what is late is made later, not all at once
                    time.sleep(0.05)
                    under_way -= _counted(under_way, tally)
                caller = callers[call.caller]
                token = caller.bearer(issuer)
                under_way.add(pool.submit(_call, gateway, token, caller.model, call.notes))
                if time.monotonic() - said >= SAID_EVERY:
                    said = time.monotonic()
                    print(f"  {said - began:4.0f} s  {tally.words}", flush=True)
    finally:
        _counted(under_way, tally)


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _counted(under_way: set[Future[tuple[int, int]]], tally: Tally) -> set[Future[tuple[int, int]]]:
    """Count the calls that are done, and return them."""
    done = {each for each in under_way if each.done()}
    for status, tokens in (each.result() for each in done):
        tally.answers[status] += 1
        tally.tokens += tokens
    return done


def _call(gateway: str, token: str, model: str, notes: int) -> tuple[int, int]:
    """Call once; return the status, 0 without an answer, and the tokens that the answer tells."""
    body = {
        "model": model,
        "max_tokens": MOST_ANSWERED,
        "messages": [{"role": "user", "content": " ".join(_notes(notes))}],
    }
    request = urllib.request.Request(  # noqa: S310 (the local gateway)
        f"{gateway}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            usage = json.load(answer).get("usage") or {}
            return answer.status, int(usage.get("total_tokens") or 0)
    except urllib.error.HTTPError as error:
        return error.code, 0
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError):
        return 0, 0


def _notes(count: int) -> Iterator[str]:
    return (NOTES[place % len(NOTES)] for place in range(count))
