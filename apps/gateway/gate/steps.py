"""What the gate asks of its steps: the purse reserves and settles, the guard inspects, the record
keeps.

Every step has `load`, which runs in a thread every few seconds and reads what people decided; what
a call meets is in memory, but for what must be exact or durable.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from apps.gateway.gate.answers import Event, Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Refusal


class Away(Exception):
    """A step cannot do its work now: its database or key service does not answer. The text says
    which, in words for the caller.
    """


class Does(StrEnum):
    """What a rule does with what it finds."""

    BLOCK = "block"
    MONITOR = "monitor"
    MASK = "mask"


@dataclass(frozen=True)
class Finding:
    """A rule found something: where, never what. phase: "request" or "answer"."""

    rule: str
    detector: str
    does: Does
    phase: str
    where: str


@dataclass(frozen=True)
class Verdict:
    """What the guard says of one half of a call. rules: the digest of the rules in force."""

    rules: str = ""
    findings: tuple[Finding, ...] = ()


class Purse(Protocol):
    """Reserves what a call may use at most, and settles what it used."""

    def load(self, now: datetime) -> None:
        """Read budgets, grants and prices."""

    async def reserve(self, call: Call) -> None:
        """Hold the most that the call may use. Raises Refusal where a limit has too little left,
        Away.
        """

    async def settle(self, call: Call, used: Used, now: datetime) -> None:
        """Give back what is held, and count what was used. Called once for each call whose
        reservation was not refused: also where `reserve` was broken off or Away, so that nobody
        knows whether anything is held; where nothing is, this does nothing. Raises Away: the lease
        then ends by itself.
        """


class AnswerGuard(Protocol):
    """Inspects one call's answer. Each method raises Refusal where a rule blocks."""

    async def whole(self, document: dict[str, Any]) -> bool:
        """Inspect a plain answer. True: something in the document was masked."""

    async def feed(self, event: Event, *, more: bool = False) -> list[Event]:
        """Take the next event of a stream, and return those that may go on. more: another one is
        fed at once, so that all of them may be inspected together with the last.
        """

    async def end(self) -> list[Event]:
        """Return what is left of a stream that ended."""

    def verdict(self) -> Verdict:
        """Return what was found so far."""


class Guard(Protocol):
    """Inspects what callers send and what models answer."""

    def load(self, now: datetime) -> None:
        """Read the rules in force."""

    async def request(self, call: Call) -> Verdict:
        """Inspect a request. Raises Blocked where a rule blocks it, Refusal where it cannot be
        inspected.
        """

    def answer(self, call: Call) -> AnswerGuard:
        """Return what inspects the call's answer."""


class Record(Protocol):
    """Keeps what was sent and answered, where the data class asks for it."""

    def load(self, now: datetime) -> None:
        """Read what is kept, and how long."""

    async def request(self, call: Call, verdict: Verdict, refusal: Refusal | None) -> None:
        """Keep a request; where it must be kept, it is durable before this returns. Raises Away."""

    async def answer(
        self, call: Call, body: bytes, verdict: Verdict, refusal: Refusal | None, used: Used
    ) -> None:
        """Keep what the caller got; where it must be kept, it is durable before this returns.
        Raises Away.
        """


@dataclass(eq=False)  # an exception is itself alone
class Blocked(Refusal):
    """A rule of the guard blocks a call, or the rest of its answer."""

    verdict: Verdict = Verdict()

    @classmethod
    def by(cls, refusal: Refusal, verdict: Verdict) -> "Blocked":
        """Return a refusal with the verdict that it rests on."""
        return cls(
            refusal.status,
            refusal.type,
            refusal.code,
            refusal.message,
            refusal.headers,
            refusal.guardrail,
            verdict,
        )
