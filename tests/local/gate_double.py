"""A gate for tests of the gateway: the product's own server, with an exchange that lets calls pass,
or does what a word of the request says, as gate=raises@whole. `python -m tests.local.gate_double
HOST:PORT`.

What: raises, hangs (waits for ever), blocks (the whole process, for 30 s), killed, refuses-STATUS,
masks, cuts (ends a stream well), batch (makes the call one of that class), leaves (ends its stream
as if all were done), twice (answers twice), wrong (answers something else). Where: request, begins,
whole, part, end (of a stream).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from apps.integrations.envoy import messages, server
from apps.integrations.envoy.exchange import Admitted, Asked, Part, Refused
from apps.integrations.envoy.flow import Flow
from apps.integrations.envoy.server import Patience, Processor, start
from apps.manifests.gateway import BATCH, CLASS_HEADER

_WISH = re.compile(rb"gate=([a-z0-9-]+)@([a-z]+)")
PATIENCE = Patience(judgment=1.0, call=20.0)
CUT = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\n'
CUT_END = b'data: {"error": {"message": "cut", "code": "content_filter"}}\n\ndata: [DONE]\n\n'


def refusal(status: int) -> Refused:
    """Return a refusal whose words tell it from Envoy's and the policies'."""
    body = json.dumps({"error": {"type": "t", "code": "gate_says", "message": f"{status}"}})
    return Refused(status, body.encode(), "qm_gate_says", {"x-should-retry": "false"})


class Steered:
    """One call."""

    def __init__(self) -> None:
        self.what, self.where, self._parts = "", "", 0
        self.was = ""  # the last place that the call came to

    async def request(self, asked: Asked) -> Admitted | Refused:
        """Learn what to do from the request, and do it where it is due now."""
        wish = _WISH.search(asked.body)
        self.what, self.where = (word.decode() for word in wish.groups()) if wish else ("", "")
        claims = asked.claims or {}
        seen = {f"x-gate-{name}": str(claims.get(name)) for name in ("team", "sub")}
        batch = self._is_due("request", "batch")
        admitted = Admitted({**seen, CLASS_HEADER: BATCH} if batch else seen, reroutes=batch)
        return await self._do("request") or admitted

    def begins(self, status: int, encoding: str) -> Refused | None:
        """Refuse what is compressed."""
        self.was = "begins"
        if encoding:
            return self.failed()
        return refusal(int(self.what[8:])) if self._is_due("begins", "refuses") else None

    async def whole(self, body: bytes) -> bytes | Refused:
        """Give the answer on, masked where that was asked."""
        refused = await self._do("whole")
        if self._is_due("whole", "masks"):
            body = body.replace(b'"content": "ok', b'"content": "[REDACTED]')
        return refused or body

    async def part(self, data: bytes, *, is_end: bool) -> Part:
        """Give each piece on; what is due is done at the second, or at the end."""
        self._parts += 1
        await self._do("end" if is_end else "part" if self._parts > 1 else "first")
        if self._is_due("part", "cuts") and self._parts > 1:
            return Part(CUT + CUT_END, is_last=True)
        return Part(data, is_last=is_end)

    def notes(self) -> Mapping[str, str | float]:
        """Tell how far the call came, and when the limiter behind it counts anew, as the product
        does.
        """
        after = 60 - int(time.time()) % 60
        said: dict[str, str | float] = {"verdict": self.was or "none", "retry_after": after}
        if self._parts:  # of a stream; of a whole answer the log itself tells what it used
            said |= {"basis": "ESTIMATED", "output_tokens": self._parts}
        return said

    def failed(self) -> Refused:
        """Return what the caller hears of a gate that failed."""
        return refusal(502)

    async def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, where: str, what: str) -> bool:
        return self.where == where and self.what.startswith(what)

    async def _do(self, where: str) -> Refused | None:
        self.was = where
        if self.where != where:
            return None
        match self.what.partition("-")[0]:
            case "raises":
                raise RuntimeError("my knee hurts")  # words of a caller, which no log may show
            case "hangs":
                await asyncio.sleep(3600)
            case "blocks":
                time.sleep(30)  # noqa: ASYNC251 - that is the fault
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "refuses":
                return refusal(int(self.what[8:]))
        return None


class Faulty(Flow):
    """A flow with faults of its own, which no exchange can have."""

    async def take(self, message: Any) -> list[Any]:
        """Answer as asked, or otherwise."""
        found = await super().take(message)
        steered: Any = self._exchange
        if steered.where != steered.was:
            return found
        match steered.what:
            case "leaves":
                self._leaves = True
                return []
            case "twice":
                return [*found, *found]
            case "wrong":
                return [messages.trailers()]
        return found

    @property
    def is_over(self) -> bool:
        """Believe that all is done."""
        return getattr(self, "_leaves", False) or super().is_over

    @property
    def is_whole(self) -> bool:
        """Know better."""
        return not getattr(self, "_leaves", False) and super().is_whole


async def main(listen: str) -> None:
    """Serve until killed."""
    server.Flow = Faulty  # type: ignore[misc]
    running = await start(Processor(Steered, PATIENCE), listen)
    await running.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
