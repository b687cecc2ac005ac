"""One call's passage through the gate, in the words of Envoy's protocol: what Envoy says of the
call is read and handed to the transaction, and what that says becomes an answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from apps.gateway.gate import refusals
from apps.gateway.gate.reading import Asked, Bounds, read
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.transaction import Steps, Transaction
from apps.integrations.envoy import exchange
from apps.manifests.gateway import BATCH, CLASS_HEADER
from apps.prompts import subjects

PASSED = "passed"  # the verdict on a call that no step refused


@dataclass
class Passage:
    """One call. bounds_of: what a team may ask of a model at most."""

    steps: Steps
    bounds_of: Callable[[str, str], Bounds]
    now: Callable[[], datetime]
    _verdict: str = ""
    _retry_after: int | None = None
    _transaction: Transaction = field(init=False)

    def __post_init__(self) -> None:
        self._transaction = Transaction(self.steps, self.now)

    async def request(self, asked: exchange.Asked) -> exchange.Admitted | exchange.Refused:
        """Read the call and take it through the steps."""
        try:
            call = read(self._asked(asked), self.bounds_of)
            # of the gateway's own limiter, which counts in minutes too and comes next
            self._retry_after = 60 - call.at.second
            await self._transaction.request(call)
        except Refusal as refusal:
            return self._refused(refusal)
        self._verdict = PASSED
        is_batch = call.service_class == BATCH  # a route may have a rule of its own for those
        return exchange.Admitted(
            {CLASS_HEADER: call.service_class}, reroutes=is_batch, removes=subjects.HEADERS
        )

    def _asked(self, asked: exchange.Asked) -> Asked:
        headers = asked.headers
        return Asked(
            id=headers.get("x-request-id", ""),
            at=self.now(),
            # as the caller asked: Envoy AI Gateway keeps it where the engine's own takes its place
            path=headers.get("x-ai-eg-original-path") or headers.get(":path", ""),
            body=asked.body,
            headers=headers,
            claims=asked.claims or {},
        )

    def begins(self, status: int, encoding: str) -> exchange.Refused | None:
        """Refuse an answer that nobody here can read."""
        if encoding:
            return self._refused(refusals.unreadable_answer("it came compressed"))
        self._transaction.begins(status)
        return None

    async def whole(self, body: bytes) -> bytes | exchange.Refused:
        """Take a plain answer through the steps."""
        try:
            return await self._transaction.whole(body)
        except Refusal as refusal:
            return self._refused(refusal)

    async def part(self, data: bytes, *, is_end: bool) -> exchange.Part:
        """Take the next piece of a stream through the steps. Raises Refusal where it must be kept
        and cannot be: the stream then breaks off.
        """
        piece = await self._transaction.piece(data, is_end=is_end)
        if piece.refusal:
            self._verdict = piece.refusal.code
        return exchange.Part(piece.data, piece.is_last)

    def notes(self) -> Mapping[str, str | float]:
        """Return the verdict, and what was used so far. What nobody knows is left out: it is not
        0.
        """
        found: dict[str, str | float] = {"verdict": self._verdict} if self._verdict else {}
        if self._retry_after is not None:
            found["retry_after"] = self._retry_after
        if used := self._transaction.so_far():
            found |= {"basis": used.basis, "completeness": used.completeness}
            counts = {
                "input_tokens": used.input_tokens,
                "cached_input_tokens": used.cached_input_tokens,
                "output_tokens": used.output_tokens,
            }
            found |= {name: count for name, count in counts.items() if count is not None}
        return found

    def failed(self) -> exchange.Refused:
        """Return what the caller hears where a step failed or was late. A call that was let through
        was sent on, and is charged.
        """
        why = "a check did not come to its end"
        if self._transaction.is_admitted:
            return self._refused(refusals.unreadable_answer(why))
        return self._refused(refusals.unavailable(why))

    async def close(self) -> None:
        """Settle what did not end by itself."""
        await self._transaction.close()

    def _refused(self, refusal: Refusal) -> exchange.Refused:
        self._verdict = refusal.code
        after = refusal.headers.get("Retry-After")
        self._retry_after = int(after) if after else None
        return exchange.Refused(refusal.status, refusal.body(), refusal.details, refusal.headers)
