"""Steps that let everything pass: for gates of tests that try another step, or the way itself."""

from datetime import datetime
from typing import Any

from apps.gateway.gate.answers import Event, Used
from apps.gateway.gate.calls import Call
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Verdict


class OpenPurse:
    """Holds nothing."""

    def load(self, now: datetime) -> None:
        """There is nothing to read."""

    async def reserve(self, call: Call) -> None:
        """Let every call pass."""

    async def settle(self, call: Call, used: Used, now: datetime) -> None:
        """There is nothing to give back."""


class OpenGuard:
    """Inspects nothing."""

    def load(self, now: datetime) -> None:
        """There is nothing to read."""

    async def request(self, call: Call) -> Verdict:
        """Let every request pass."""
        return Verdict()

    def answer(self, call: Call) -> "OpenAnswer":
        """Return what lets every answer pass."""
        return OpenAnswer()


class OpenAnswer:
    """Inspects nothing of one answer."""

    async def whole(self, document: dict[str, Any]) -> bool:
        """Change nothing."""
        return False

    async def feed(self, event: Event, *, more: bool = False) -> list[Event]:
        """Hold nothing back."""
        return [event]

    async def end(self) -> list[Event]:
        """There is nothing left."""
        return []

    def verdict(self) -> Verdict:
        """Nothing was found."""
        return Verdict()


class OpenRecord:
    """Keeps nothing."""

    def load(self, now: datetime) -> None:
        """There is nothing to read."""

    async def request(self, call: Call, verdict: Verdict, refusal: Refusal | None) -> None:
        """Keep no request."""

    async def answer(
        self, call: Call, body: bytes, verdict: Verdict, refusal: Refusal | None, used: Used
    ) -> None:
        """Keep no answer."""
